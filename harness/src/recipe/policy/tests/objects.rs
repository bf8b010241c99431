//! Mounts, networks, configs and secrets.

use super::keys::said;
use super::*;

#[rstest::rstest]
#[case::socket(
    r#"{"Type":"bind","Source":"/var/run/docker.sock","Target":"/s"}"#,
    "S docker-socket: service `app` mounts `/var/run/docker.sock`: whoever has Docker's socket has the host"
)]
#[case::folder(
    r#"{"Type":"bind","Source":"/var/../run/","Target":"/s"}"#,
    "S docker-socket: "
)]
#[case::root(r#"{"Type":"bind","Source":"//.","Target":"/s"}"#, "S docker-socket: ")]
#[case::through_proc(
    r#"{"Type":"bind","Source":"/proc/1/root","Target":"/s"}"#,
    "S docker-socket: "
)]
#[case::engine(
    r#"{"Type":"bind","Source":"/var/lib/docker/volumes","Target":"/s"}"#,
    "S docker-socket: "
)]
#[case::containerd(
    r#"{"Type":"bind","Source":"/run/containerd/containerd.sock","Target":"/s"}"#,
    "S docker-socket: "
)]
#[case::file(
    r#"{"Type":"bind","Source":"/etc/localtime","Target":"/l","ReadOnly":true}"#,
    "S host-bind:/etc/localtime: service `app` mounts `/etc/localtime` of the host at `/l`; use a volume or a config"
)]
#[case::sourceless(r#"{"Type":"bind","Target":"/l"}"#, "S docker-socket: ")]
#[case::shared(
    r#"{"Type":"bind","Source":"/a","Target":"/l","BindOptions":{"Propagation":"rshared"}}"#,
    "S bind-propagation:rshared: "
)]
#[case::foreign(
    r#"{"Type":"volume","Source":"bar_ci_test_d","Target":"/l"}"#,
    "R foreign-volume: service `app` mounts the volume `bar_ci_test_d`, which is not of this app; its name has to begin with `${STACK_NAME}_`"
)]
#[case::hex(r#"{"Type":"volume","Source":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","Target":"/l"}"#, "R foreign-volume: ")]
#[case::plugin(r#"{"Type":"volume","Source":"foo_ci_test_d","Target":"/l","VolumeOptions":{"DriverConfig":{"Name":"sshfs"}}}"#, "S volume-driver:sshfs: ")]
#[case::overlay(r#"{"Type":"volume","Source":"foo_ci_test_d","Target":"/l","VolumeOptions":{"DriverConfig":{"Name":"local","Options":{"type":"overlay","device":"overlay","o":"lowerdir=/,upperdir=/etc"}}}}"#, "R volume-options: service `app` has a volume with the mount options `")]
#[case::options_of_no_driver(r#"{"Type":"volume","Target":"/l","VolumeOptions":{"DriverConfig":{"Options":{"type":"none","o":"bind","device":"/etc"}}}}"#, "R volume-options: ")]
#[case::sly_memory(r#"{"Type":"volume","Target":"/l","VolumeOptions":{"DriverConfig":{"Options":{"type":"tmpfs","device":"tmpfs","o":"size=1m,bind"}}}}"#, "R volume-options: ")]
#[case::memory_by_template(r#"{"Type":"volume","Target":"/l","VolumeOptions":{"DriverConfig":{"Options":{"type":"tmpfs","device":"tmpfs","o":"size=1m{{printf \"%cbind\" 44}}"}}}}"#, "R volume-options: ")]
#[case::options_without_a_value(
    r#"{"Type":"volume","Target":"/l","VolumeOptions":{"DriverConfig":{"Options":{"device":""}}}}"#,
    "R volume-options: "
)]
#[case::memory_of_a_device(r#"{"Type":"volume","Target":"/l","VolumeOptions":{"DriverConfig":{"Options":{"type":"tmpfs","device":"/etc"}}}}"#, "R volume-options: ")]
#[case::one_more_option(r#"{"Type":"volume","Target":"/l","VolumeOptions":{"DriverConfig":{"Options":{"type":"tmpfs","size":"1"}}}}"#, "R volume-options: ")]
#[case::above(
    r#"{"Type":"volume","Target":"/l","VolumeOptions":{"Subpath":"a/../.."}}"#,
    "S key:TaskTemplate.ContainerSpec.Mounts.VolumeOptions.Subpath: "
)]
#[case::bind_of_a_volume(
    r#"{"Type":"volume","Target":"/l","BindOptions":{"Propagation":"rshared"}}"#,
    "S key:TaskTemplate.ContainerSpec.Mounts.BindOptions: "
)]
#[case::tmpfs_options(
    r#"{"Type":"tmpfs","Target":"/l","TmpfsOptions":{"Options":[["exec"]]}}"#,
    "S key:TaskTemplate.ContainerSpec.Mounts.TmpfsOptions.Options: "
)]
#[case::source_of_memory(
    r#"{"Type":"tmpfs","Target":"/l","Source":"/etc"}"#,
    "S key:TaskTemplate.ContainerSpec.Mounts.Source: "
)]
#[case::cluster(
    r#"{"Type":"cluster","Source":"foo_ci_test_c","Target":"/l"}"#,
    "S mount-type:cluster: "
)]
#[case::image(
    r#"{"Type":"image","Source":"nginx","Target":"/l"}"#,
    "S mount-type:image: "
)]
#[case::untyped(r#"{"Source":"/etc","Target":"/l"}"#, "S mount-type:: ")]
#[case::label(
    r#"{"Type":"volume","Target":"/l","VolumeOptions":{"Labels":{"cc-ci.app":"x"}}}"#,
    "R foreign-label: "
)]
fn a_mount_may_not_be(#[case] mount: &str, #[case] finding: &str) {
    let said = said("TaskTemplate.ContainerSpec.Mounts", &format!("[{mount}]"));
    assert!(said.starts_with(finding), "{said}");
}

#[rstest::rstest]
#[case::plain(r#"{"Driver":"overlay","Internal":true,"Attachable":true,"Options":{"encrypted":""},"IPAM":{"Driver":"default"},"CheckDuplicate":true,"Scope":""}"#, "")]
#[case::driver(
    r#"{"Driver":"macvlan"}"#,
    "S network-driver:macvlan: networks.x has the driver `macvlan`, which is on the host's own networks"
)]
#[case::bridge(r#"{"Driver":"bridge"}"#, "S network-driver:bridge: ")]
#[case::vxlan(
    r#"{"Options":{"com.docker.network.driver.overlay.vxlanid_list":"4097"}}"#,
    "S network-option:com.docker.network.driver.overlay.vxlanid_list: "
)]
#[case::subnet(
    r#"{"IPAM":{"Config":[{"Subnet":"10.0.0.0/8"}]}}"#,
    "S subnet:10.0.0.0/8: "
)]
#[case::reserved(
    r#"{"IPAM":{"Config":[{"Subnet":"10.0.0.0/8","AuxiliaryAddresses":{"a":"10.0.0.1"}}]}}"#,
    "S key:IPAM.Config.AuxiliaryAddresses: "
)]
#[case::ipam(r#"{"IPAM":{"Driver":"dhcp"}}"#, "S key:IPAM.Driver: ")]
#[case::ingress(r#"{"Ingress":true}"#, "S key:Ingress: ")]
#[case::local(r#"{"Scope":"local"}"#, "S key:Scope: ")]
#[case::from(r#"{"ConfigFrom":{"Network":"bridge"}}"#, "S key:ConfigFrom: ")]
#[case::label(
    r#"{"Labels":{"com.docker.stack.namespace":"bar_ci_test"}}"#,
    "R foreign-label: networks.x has the label `com.docker.stack.namespace=bar_ci_test`, which is not the recipe's to set"
)]
#[case::name(
    r#"{"Name":"proxy"}"#,
    "R foreign-name: networks.proxy has the name `proxy`"
)]
fn a_network_is(#[case] body: &str, #[case] finding: &str) {
    let mut all = json!({"Name": "foo_ci_test_x"});
    all.as_object_mut()
        .unwrap()
        .extend(serde_json::from_str::<Map<_, _>>(body).unwrap());
    let said = shown(&judge_network(&all, &Site::new().terms()));
    assert!(said.starts_with(finding), "{said}");
    assert!(!finding.is_empty() || said.is_empty(), "{said}");
}

#[rstest::rstest]
#[case::plain(r#"{"Data":"eA==","Templating":{"Name":"golang"}}"#, "")]
#[case::template(r#"{"Templating":{"Name":"lua"}}"#, "S template-driver:lua: ")]
#[case::options(
    r#"{"Templating":{"Name":"golang","Options":{"a":"b"}}}"#,
    "S key:Templating.Options: "
)]
#[case::driver(r#"{"Driver":{"Name":"vault"}}"#, "S key:Driver: ")]
#[case::name(r#"{"Name":"bar_ci_test_c"}"#, "R foreign-name: ")]
#[case::label(r#"{"Labels":{"cc-ci.app":"x"}}"#, "R foreign-label: ")]
fn a_config_or_secret_is(#[case] body: &str, #[case] finding: &str) {
    let mut all = json!({"Name": "foo_ci_test_x"});
    all.as_object_mut()
        .unwrap()
        .extend(serde_json::from_str::<Map<_, _>>(body).unwrap());
    let site = Site::new();
    for judge in [judge_config, judge_secret] {
        let said = shown(&judge(&all, &site.terms()));
        assert!(said.starts_with(finding), "{said}");
        assert!(!finding.is_empty() || said.is_empty(), "{said}");
    }
}
