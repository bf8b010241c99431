//! Each key of a service: what it may have, and what is found where it has something else.

use super::*;

/// A service that has `value` at `path`, and nothing else that is odd.
fn with(path: &str, value: Value) -> Value {
    let mut body = service();
    let pointer = format!("/{}", path.replace('.', "/"));
    if let Some(place) = body.pointer_mut(&pointer) {
        *place = value;
        return body;
    }
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = body
        .pointer_mut(parent)
        .unwrap_or_else(|| panic!("no {path}"));
    parent[key] = value;
    body
}

pub(super) fn said(path: &str, value: &str) -> String {
    let body = with(path, serde_json::from_str(value).unwrap());
    shown(&judge_service(&body, &Site::new().terms()))
}

const CONTAINER: &str = "TaskTemplate.ContainerSpec.";

#[rstest::rstest]
#[case::capabilities("CapabilityAdd", r#"["CHOWN","cap_setuid","NET_RAW","MKNOD"]"#)]
#[case::sysctls("Sysctls", r#"{"net.ipv4.ip_forward":"1","net.ipv6.conf.all.disable_ipv6":"1","kernel.msgmax":"1","kernel.sem":"1 2","fs.mqueue.msg_max":"9"}"#)]
#[case::ulimits("Ulimits", r#"[{"Name":"nofile","Hard":1048576,"Soft":1},{"Name":"nproc","Hard":-1,"Soft":-1},{"Name":"memlock","Hard":-1,"Soft":-1}]"#)]
#[case::new_privileges(
    "Privileges",
    r#"{"NoNewPrivileges":true,"Seccomp":{"Mode":"default"},"AppArmor":{"Mode":"default"}}"#
)]
#[case::no_privileges("Privileges", r#"{"CredentialSpec":null,"SELinuxContext":{"Disable":false,"User":""},"NoNewPrivileges":false}"#)]
#[case::isolation("Isolation", r#""default""#)]
#[case::oom("OomScoreAdj", "500")]
#[case::zero("OomScoreAdj", "0")]
#[case::unknown_and_absent("Sandbox", "null")]
#[case::unknown_and_empty("Sandbox", r#"{"a":[],"b":{"c":false}}"#)]
#[case::groups("Groups", r#"["999"]"#)]
#[case::files("Hosts", r#"["10.0.0.1 wiki.ci.test"]"#)]
#[case::anonymous("Mounts", r#"[{"Type":"volume","Target":"/x"}]"#)]
#[case::own_volume("Mounts", r#"[{"Type":"volume","Source":"foo_ci_test_d","Target":"/x","VolumeOptions":{"NoCopy":true,"Subpath":"a/b","DriverConfig":{"Name":"local"},"Labels":{"com.docker.stack.namespace":"foo_ci_test"}}}]"#)]
#[case::memory("Mounts", r#"[{"Type":"volume","Source":"foo_ci_test_d","Target":"/x","VolumeOptions":{"DriverConfig":{"Options":{"type":"tmpfs","device":"tmpfs","o":"size=100m,uid=1000,noexec"}}}}]"#)]
#[case::tmpfs(
    "Mounts",
    r#"[{"Type":"tmpfs","Target":"/x","TmpfsOptions":{"SizeBytes":1,"Mode":511}}]"#
)]
#[case::hub("Image", r#""library/nginx:1@sha256:00""#)]
#[case::public("Image", r#""git.coopcloud.tech/coop-cloud/x:1""#)]
#[case::kit("Image", r#""cc-ci.local/canary:1""#)]
#[case::id("Image", r#""sha256:abc""#)]
#[case::hostname("Hostname", r#""rabbit""#)]
#[case::own_hostname("Hostname", r#""mail.foo.ci.test""#)]
#[case::secret("Secrets", r#"[{"File":{"Name":"/etc/x","UID":"0","GID":"0","Mode":256},"SecretID":"i","SecretName":"foo_ci_test_s"}]"#)]
fn a_container_may_have(#[case] key: &str, #[case] value: &str) {
    assert_eq!(said(&format!("{CONTAINER}{key}"), value), "");
}

#[rstest::rstest]
#[case::all(
    "CapabilityAdd",
    r#"["all"]"#,
    "S capability:ALL: service `app` adds the capability ALL"
)]
#[case::loopback(
    "Image",
    r#""localhost/x:1""#,
    "S registry:localhost: service `app` has an image of the registry `localhost`"
)]
#[case::metadata(
    "Image",
    r#""169.254.169.254/latest/x""#,
    "S registry:169.254.169.254: "
)]
#[case::port(
    "Image",
    r#""registry.example.org:22/x""#,
    "S registry:registry.example.org:22: "
)]
#[case::address("Image", r#""[fd00::1]:80/x""#, "S registry:[fd00::1]:80: ")]
#[case::private("Image", r#""nas.lan/x""#, "S registry:nas.lan: ")]
#[case::admin(
    "CapabilityAdd",
    r#"["cap_sys_admin"]"#,
    "S capability:SYS_ADMIN: service `app` adds"
)]
#[case::search(
    "CapabilityAdd",
    r#"["DAC_READ_SEARCH"]"#,
    "S capability:DAC_READ_SEARCH: "
)]
#[case::twice(
    "CapabilityAdd",
    r#"["CAP_CAP_SYS_ADMIN"]"#,
    "R capability: service `app` adds `CAP_CAP_SYS_ADMIN`, which is no capability"
)]
#[case::spelling("CapabilityAdd", r#"["SYS_ADMIN "]"#, "R capability: ")]
#[case::form(
    "CapabilityAdd",
    r#"[{"a":1}]"#,
    "S key:TaskTemplate.ContainerSpec.CapabilityAdd: "
)]
#[case::one("CapabilityAdd", r#""SYS_ADMIN""#, "S capability:SYS_ADMIN: ")]
#[case::no_value(
    "Sysctls",
    r#"{"kernel.core_pattern":""}"#,
    "S sysctl:kernel.core_pattern: "
)]
#[case::kernel(
    "Sysctls",
    r#"{"kernel.core_pattern":"|/x"}"#,
    "S sysctl:kernel.core_pattern: service `app` sets the kernel's `kernel.core_pattern`, which is the whole host's"
)]
#[case::path(
    "Sysctls",
    r#"{"net.ipv4./../../kernel/core_pattern":"1"}"#,
    "R sysctl: "
)]
#[case::dots("Sysctls", r#"{"net.ipv4....kernel":"1"}"#, "R sysctl: ")]
#[case::case("Sysctls", r#"{"Kernel.shm_rmid_forced":"1"}"#, "R sysctl: ")]
#[case::priority(
    "Ulimits",
    r#"[{"Name":"rtprio","Hard":99,"Soft":99}]"#,
    "S ulimit:rtprio: "
)]
#[case::files(
    "Ulimits",
    r#"[{"Name":"nofile","Hard":1048577,"Soft":1}]"#,
    "S ulimit:nofile: "
)]
#[case::endless_files(
    "Ulimits",
    r#"[{"Name":"nofile","Hard":-1,"Soft":1}]"#,
    "S ulimit:nofile: "
)]
#[case::seccomp(
    "Privileges",
    r#"{"Seccomp":{"Mode":"unconfined"}}"#,
    "S security-opt:seccomp: "
)]
#[case::own_seccomp(
    "Privileges",
    r#"{"Seccomp":{"Mode":"default","Profile":"e30="}}"#,
    "S key:TaskTemplate.ContainerSpec.Privileges.Seccomp.Profile: "
)]
#[case::apparmor(
    "Privileges",
    r#"{"AppArmor":{"Mode":"disabled"}}"#,
    "S security-opt:apparmor: "
)]
#[case::selinux(
    "Privileges",
    r#"{"SELinuxContext":{"Disable":true}}"#,
    "S security-opt:selinux: "
)]
#[case::credentials(
    "Privileges",
    r#"{"CredentialSpec":{"File":"x"}}"#,
    "S credential-spec: "
)]
#[case::privilege(
    "Privileges",
    r#"{"Devices":["/dev/kvm"]}"#,
    "S key:TaskTemplate.ContainerSpec.Privileges.Devices: "
)]
#[case::isolation("Isolation", r#""hyperv""#, "S isolation:hyperv: ")]
#[case::oom("OomScoreAdj", "-1", "S oom-score: ")]
#[case::unknown(
    "Devices",
    r#"["/dev/kvm"]"#,
    "S key:TaskTemplate.ContainerSpec.Devices: service `app` has `TaskTemplate.ContainerSpec.Devices`, which is not known to stay inside"
)]
#[case::other_case(
    "mounts",
    r#"[{"Type":"bind"}]"#,
    "S key:TaskTemplate.ContainerSpec.mounts: "
)]
#[case::form_of_a_text("Dir", r#"{"x":1}"#, "S key:TaskTemplate.ContainerSpec.Dir: ")]
#[case::inner_key(
    "Healthcheck",
    r#"{"Test":["CMD"],"Run":"x"}"#,
    "S key:TaskTemplate.ContainerSpec.Healthcheck.Run: "
)]
#[case::secret(
    "Secrets",
    r#"[{"SecretName":"bar_ci_test_s"}]"#,
    "R foreign-secret: service `app` uses the secret `bar_ci_test_s`, which is not of this app; its name has to begin with `${STACK_NAME}_`"
)]
#[case::prefix(
    "Secrets",
    r#"[{"SecretName":"foo_ci_testing_s"}]"#,
    "R foreign-secret: "
)]
#[case::nameless("Secrets", r#"[{"SecretID":"x"}]"#, "R foreign-secret: ")]
#[case::config("Configs", r#"[{"ConfigName":"bar_ci_test_c"}]"#, "R foreign-config: ")]
#[case::runtime_config(
    "Configs",
    r#"[{"ConfigName":"foo_ci_test_c","Runtime":{"x":1}}]"#,
    "S key:TaskTemplate.ContainerSpec.Configs.Runtime: "
)]
#[case::hostname(
    "Hostname",
    r#""bar_ci_test_db""#,
    "R foreign-alias: service `app` has the host name `bar_ci_test_db`"
)]
#[case::hostname_of_another_zone("Hostname", r#""MONITOR""#, "R foreign-alias: ")]
#[case::template(
    "Hostname",
    r#""{{ printf \"wiki_example_org_app\" }}""#,
    "S hostname-template: "
)]
#[case::domain("Hostname", r#""wiki.ci.test""#, "R foreign-alias: ")]
fn a_container_may_not_have(#[case] key: &str, #[case] value: &str, #[case] finding: &str) {
    let said = said(&format!("{CONTAINER}{key}"), value);
    assert!(said.starts_with(finding), "{said}");
}

#[rstest::rstest]
#[case::none("TaskTemplate.Networks", r#"[{"Target":"none"}]"#, "")]
#[case::own(
    "TaskTemplate.Networks",
    r#"[{"Target":"foo_ci_test_x","Aliases":["any.name","app"]}]"#,
    ""
)]
#[case::shared("TaskTemplate.Networks", r#"[{"Target":"proxy","Aliases":["app","foo_ci_test_app","foo_ci_test.internal","api-foo.ci.test","foo.ci.test"]}]"#, "")]
#[case::old_place("Networks", r#"[{"Target":"proxy","Aliases":["app"]}]"#, "")]
#[case::host(
    "TaskTemplate.Networks",
    r#"[{"Target":"host"}]"#,
    "S host-network: service `app` is on the host's network"
)]
#[case::bridge(
    "TaskTemplate.Networks",
    r#"[{"Target":"bridge"}]"#,
    "R foreign-network: service `app` is on the network `bridge`, which is neither of this app nor `proxy`"
)]
#[case::ingress(
    "TaskTemplate.Networks",
    r#"[{"Target":"ingress"}]"#,
    "R foreign-network: "
)]
#[case::foreign(
    "Networks",
    r#"[{"Target":"bar_ci_test_internal"}]"#,
    "R foreign-network: "
)]
#[case::id(
    "TaskTemplate.Networks",
    r#"[{"Target":"x1y2z3"}]"#,
    "R foreign-network: "
)]
#[case::case(
    "TaskTemplate.Networks",
    r#"[{"Target":"Proxy"}]"#,
    "R foreign-network: "
)]
#[case::option(
    "TaskTemplate.Networks",
    r#"[{"Target":"proxy","DriverOpts":{"x":"y"}}]"#,
    "S key:TaskTemplate.Networks.DriverOpts: "
)]
#[case::alias(
    "TaskTemplate.Networks",
    r#"[{"Target":"proxy","Aliases":["wiki_example_org_app"]}]"#,
    "R foreign-alias: service `app` answers for `wiki_example_org_app` on the network `proxy`, which is not a name of this app"
)]
#[case::alias_case(
    "TaskTemplate.Networks",
    r#"[{"Target":"proxy","Aliases":["BAR_CI_TEST_DB."]}]"#,
    "R foreign-alias: "
)]
#[case::alias_of_the_zone(
    "TaskTemplate.Networks",
    r#"[{"Target":"proxy","Aliases":["any_ci_test_db"]}]"#,
    "R foreign-alias: "
)]
#[case::alias_host(
    "TaskTemplate.Networks",
    r#"[{"Target":"proxy","Aliases":["wiki.ci.test"]}]"#,
    "R foreign-alias: "
)]
#[case::alias_tasks(
    "TaskTemplate.Networks",
    r#"[{"Target":"proxy","Aliases":["tasks.wiki_example_org_app"]}]"#,
    "R foreign-alias: "
)]
#[case::plain_alias(
    "TaskTemplate.Networks",
    r#"[{"Target":"proxy","Aliases":["db"]}]"#,
    "R foreign-alias: "
)]
#[case::image(
    "TaskTemplate.PluginSpec",
    r#"{"Name":"x"}"#,
    "S key:TaskTemplate.PluginSpec: "
)]
#[case::attachment(
    "TaskTemplate.NetworkAttachmentSpec",
    r#"{"ContainerID":"x"}"#,
    "S key:TaskTemplate.NetworkAttachmentSpec: "
)]
#[case::container("TaskTemplate.Runtime", r#""container""#, "")]
#[case::plugin("TaskTemplate.Runtime", r#""plugin""#, "S key:TaskTemplate.Runtime: ")]
#[case::no_log("TaskTemplate.LogDriver", r#"{"Name":"none"}"#, "")]
#[case::local_log(
    "TaskTemplate.LogDriver",
    r#"{"Name":"local","Options":{"max-size":"1m","compress":"true","tag":"{{.Name}}"}}"#,
    ""
)]
#[case::log(
    "TaskTemplate.LogDriver",
    r#"{"Name":"gelf","Options":{"gelf-address":"udp://10.0.0.1:1"}}"#,
    "S log-driver:gelf: service `app` has the logging driver `gelf`, which sends from the host's own network\nS log-option:gelf-address: "
)]
#[case::option_of_the_default(
    "TaskTemplate.LogDriver",
    r#"{"Options":{"syslog-address":"tcp://10.0.0.1"}}"#,
    "S log-option:syslog-address: "
)]
#[case::gpu(
    "TaskTemplate.Resources.Reservations",
    r#"{"GenericResources":[{"NamedResourceSpec":{"Kind":"gpu","Value":"0"}}]}"#,
    "S device:gpu: "
)]
#[case::swap(
    "TaskTemplate.Resources",
    r#"{"MemorySwappiness":100}"#,
    "S key:TaskTemplate.Resources.MemorySwappiness: "
)]
#[case::global("Mode", r#"{"Global":{}}"#, "")]
#[case::job(
    "Mode",
    r#"{"ReplicatedJob":{"MaxConcurrent":2,"TotalCompletions":100}}"#,
    ""
)]
#[case::many(
    "Mode",
    r#"{"Replicated":{"Replicas":11}}"#,
    "S tasks: service `app` asks for 11 tasks; this site has room for 10"
)]
#[case::many_jobs("Mode", r#"{"ReplicatedJob":{"MaxConcurrent":11}}"#, "S tasks: ")]
#[case::negative("Mode", r#"{"Replicated":{"Replicas":-1}}"#, "S tasks: ")]
#[case::mode("Mode", r#"{"Daemon":{"x":1}}"#, "S key:Mode.Daemon: ")]
#[case::port(
    "EndpointSpec",
    r#"{"Ports":[{"Protocol":"udp","TargetPort":1,"PublishedPort":2222}]}"#,
    "S port:2222/udp: service `app` publishes the host's port 2222/udp; what the proxy routes needs no published port"
)]
#[case::any_port("EndpointSpec", r#"{"Ports":[{"TargetPort":1}]}"#, "S port:0/tcp: ")]
#[case::proxys_port(
    "EndpointSpec",
    r#"{"Ports":[{"TargetPort":1,"PublishedPort":443}]}"#,
    "S port:443/tcp: service `app` publishes the host's port 443, which is the proxy's"
)]
#[case::endpoint(
    "EndpointSpec",
    r#"{"Mode":"vip","Interface":"eth0"}"#,
    "S key:EndpointSpec.Interface: "
)]
#[case::update(
    "UpdateConfig",
    r#"{"Order":"start-first","Then":"x"}"#,
    "S key:UpdateConfig.Then: "
)]
#[case::unknown("Sidecar", r#"{"a":1}"#, "S key:Sidecar: ")]
#[case::name(
    "Name",
    r#""bar_ci_test_app""#,
    "R foreign-name: service `bar_ci_test_app` has the name `bar_ci_test_app`, which is not of this app"
)]
#[case::stack_alone("Name", r#""foo_ci_test_""#, "R foreign-name: ")]
fn a_service_is(#[case] key: &str, #[case] value: &str, #[case] finding: &str) {
    let said = said(key, value);
    assert!(said.starts_with(finding), "{said}");
    assert!(!finding.is_empty() || said.is_empty(), "{said}");
}

/// Docker's client makes the short name an alias.
#[test]
fn a_short_name_that_is_another_stacks_full_name_is_an_alias_of_it() {
    let mut body = service();
    body["Name"] = "foo_ci_test_wiki_example_org_app".into();
    body["TaskTemplate"]["Networks"] =
        json!([{"Target": "proxy", "Aliases": ["wiki_example_org_app"]}]);
    let found = judge_service(&body, &Site::new().terms());
    assert!(
        shown(&found).starts_with("R foreign-alias: "),
        "{}",
        shown(&found)
    );
    let mut site = Site::new();
    site.others.insert("FOO_ci_test_app".to_owned());
    let found = judge_service(&service(), &site.terms());
    assert!(shown(&found).starts_with("R foreign-alias: service `app` has the name"));
}
