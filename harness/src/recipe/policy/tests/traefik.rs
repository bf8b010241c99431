//! The labels of the proxy.

use super::*;

fn said_for(labels: &[(&str, &str)], site: &Site) -> String {
    let mut body = service();
    let labels: Map<_, _> = labels
        .iter()
        .map(|(key, value)| ((*key).to_owned(), Value::from(*value)))
        .collect();
    body["Labels"] = Value::Object(labels);
    shown(&judge_service(&body, &site.terms()))
}

/// What is said of one label; in a value, `R` is an own router's name.
fn said(key: &str, value: &str) -> String {
    said_for(&[(key, value)], &Site::new())
}

const HTTP: &str = "traefik.http.routers.foo_ci_test.";
const TCP: &str = "traefik.tcp.routers.foo_ci_test.";

#[rstest::rstest]
#[case::own("Host(`foo.ci.test`)")]
#[case::sibling("Host(`minio-foo.ci.test`)")]
#[case::whole_name("Host(`FOO.ci.test.`)")]
#[case::version_2("Host(`foo.ci.test`, `www-foo.ci.test`)")]
#[case::header("HostHeader(`foo.ci.test`)")]
#[case::narrowed(
    "Host(`foo.ci.test`) && !PathPrefix(`/metrics`) && (Method(`GET`) || Header(`a`, `b`))"
)]
#[case::either("Host(`foo.ci.test`) || (Host(`www-foo.ci.test`) && Path(`/`))")]
#[case::around("(Path(`/a`) || Query(`x`, `y`)) && Host(`foo.ci.test`)")]
#[case::narrowed_by_a_pattern("Host(`foo.ci.test`) && HostRegexp(`.*`)")]
#[case::twice_negated("!(!Host(`foo.ci.test`))")]
#[case::negated_choice("!(!Host(`foo.ci.test`) || Path(`/x`))")]
#[case::unknown_matcher("Host(`foo.ci.test`) && Weather(`rain`)")]
#[case::by_escapes(r#"Host("\x66oo.ci.test")"#)]
fn a_rule_for_the_apps_own_hosts_is_fine(#[case] rule: &str) {
    assert_eq!(said(&format!("{HTTP}rule"), rule), "");
}

#[rstest::rstest]
#[case::deep(
    "Host(`minio.foo.ci.test`)",
    "S deep-host: service `app` has a router for `minio.foo.ci.test`, more than one label below ci.test, which no wildcard certificate covers; name it `minio-foo.ci.test`"
)]
#[case::elsewhere(
    "Host(`foo.ci.test`) || Host(`evil.example.org`)",
    "R foreign-host: service `app` has a router for `evil.example.org`, which is not below ci.test"
)]
#[case::another_app(
    "Host(`bar.ci.test`)",
    "R foreign-host: service `app` has a router for `bar.ci.test`, which is not a host of this app; its hosts are `foo.ci.test` and `<name>-foo.ci.test`"
)]
#[case::zone(
    "Host(`ci.test`)",
    "R foreign-host: service `app` has a router for `ci.test`, which is not below ci.test"
)]
#[case::ends_alike("Host(`xfoo.ci.test`)", "R foreign-host: ")]
#[case::begins_alike("Host(`foo.ci.test.example.org`)", "R foreign-host: ")]
#[case::all_of_version_2("Host(`foo.ci.test`,`bar.ci.test`)", "R foreign-host: ")]
#[case::spelled_otherwise("HOST(`bar.ci.test`)", "R foreign-host: ")]
#[case::no_host(
    "PathPrefix(`/all`)",
    "R foreign-host: service `app` has a router that names no host of its own: `PathPrefix(`/all`)`"
)]
#[case::a_branch_without("Host(`foo.ci.test`) || PathPrefix(`/x`)", "R foreign-host: ")]
#[case::precedence("Host(`foo.ci.test`) && Path(`/`) || Path(`/x`)", "R foreign-host: ")]
#[case::negated("!Host(`foo.ci.test`)", "R foreign-host: ")]
#[case::negated_group("!(Host(`foo.ci.test`) && Path(`/`))", "R foreign-host: ")]
#[case::negated_foreign_host(
    "Host(`foo.ci.test`) && !Host(`bar.ci.test`)",
    "R foreign-host: service `app` has a router for `bar.ci.test`"
)]
#[case::pattern("HostRegexp(`.+`)", "R foreign-host: ")]
#[case::pattern_of_version_2("HostRegexp(`foo.ci.test`, `{any:.+}`)", "R foreign-host: ")]
#[case::everything("Host(`*`)", "R foreign-host: ")]
#[case::wildcard("Host(`*.ci.test`)", "R foreign-host: ")]
#[case::by_return(
    "Host(`bar\r.ci.test`)",
    "R foreign-host: service `app` has a router for `bar.ci.test`"
)]
#[case::by_escapes(
    r#"Host("\x62ar.ci.test")"#,
    "R foreign-host: service `app` has a router for `bar.ci.test`"
)]
#[case::by_comment("Host(`foo.ci.test`) || /* && */ Path(`/`)", "R foreign-host: ")]
#[case::by_case_of_a_letter("Host(`\u{212a}.foo.ci.test`)", "R foreign-host: ")]
#[case::sni_in_http("HostSNI(`foo.ci.test`)", "R foreign-host: ")]
#[case::misspelt("Hots(`foo.ci.test`)", "R foreign-host: ")]
#[case::not_read_by_traefik(
    "Host(`bar.ci.test`",
    "- router-rule: service `app` has a router that serves nothing: expected"
)]
fn a_rule_for_more_is_found(#[case] rule: &str, #[case] finding: &str) {
    let said = said(&format!("{HTTP}rule"), rule);
    assert!(said.starts_with(finding), "{said}");
}

#[test]
fn a_rule_that_only_traefik_may_read_is_refused() {
    let said = said(&format!("{HTTP}rule"), &"!(".repeat(40));
    assert!(said.starts_with("S key:traefik.rule: "), "{said}");
}

#[rstest::rstest]
#[case::own("HostSNI(`foo.ci.test`) && ALPN(`h2`)", "mqtt", "")]
#[case::plain(
    "HostSNI(`*`)",
    "gitea-ssh",
    "S entrypoint:gitea-ssh: service `app` has a TCP router for all that comes to the proxy's entrypoint `gitea-ssh`"
)]
#[case::plain_on_the_web(
    "HostSNI(`*`)",
    "mqtt, web-secure",
    "S entrypoint:mqtt: service `app` has a TCP router for all that comes to the proxy's entrypoint `mqtt`\nS entrypoint:web-secure: "
)]
#[case::plain_everywhere("HostSNI(`*`)", "", "S entrypoint:(all): ")]
#[case::plain_from_somewhere("HostSNI(`*`) && ClientIP(`10.0.0.1`)", "ssh", "S entrypoint:ssh: ")]
#[case::pattern("HostSNIRegexp(`.+`)", "mqtt", "R foreign-host: ")]
#[case::client("ClientIP(`0.0.0.0/0`)", "mqtt", "R foreign-host: ")]
#[case::foreign("HostSNI(`bar.ci.test`)", "mqtt", "R foreign-host: ")]
#[case::one_of_two(
    "HostSNI(`foo.ci.test`) || HostSNI(`*`)",
    "mqtt",
    "S entrypoint:mqtt: "
)]
#[case::host_of_http("Host(`foo.ci.test`)", "mqtt", "R foreign-host: ")]
fn a_tcp_router(#[case] rule: &str, #[case] entrypoints: &str, #[case] finding: &str) {
    let (key, list) = (format!("{TCP}rule"), format!("{TCP}entryPoints"));
    let said = said_for(&[(&key, rule), (&list, entrypoints)], &Site::new());
    assert!(said.starts_with(finding), "{said}");
    assert!(!finding.is_empty() || said.is_empty(), "{said}");
    let site = Site::allowing(&["entrypoint"]);
    let allowed = said_for(&[(&key, rule), (&list, entrypoints)], &site);
    assert!(!allowed.contains("S "), "{allowed}");
}

#[test]
fn a_label_that_is_there_in_two_spellings_is_refused() {
    let (one, other) = (format!("{HTTP}rule"), format!("{HTTP}RULE"));
    let rule = "Host(`foo.ci.test`)";
    let said = said_for(&[(&one, rule), (&other, rule)], &Site::new());
    assert!(
        said.starts_with("S traefik-label:http.routers.*.rule: "),
        "{said}"
    );
}

/// All values of an object being empty makes no label go away.
#[test]
fn a_label_counts_without_a_value() {
    for (key, finding) in [
        ("cc-ci.app", "R foreign-label: "),
        (
            "traefik.udp.routers.foo_ci_test.entrypoints",
            "S entrypoint:(all): ",
        ),
    ] {
        assert!(said(key, "").starts_with(finding), "{}", said(key, ""));
    }
}

#[test]
fn a_udp_router_takes_all_of_its_entrypoint() {
    let said = said("traefik.udp.routers.foo_ci_test.entrypoints", "dns");
    assert!(
        said.starts_with("S entrypoint:dns: service `app` has a UDP router"),
        "{said}"
    );
}

#[rstest::rstest]
#[case::own_with_more("traefik.http.routers.foo_ci_test_files-api.priority", "1", "")]
#[case::own_behind(
    "traefik.http.middlewares.redirect-foo_ci_test.redirectscheme.scheme",
    "https",
    ""
)]
#[case::plain(
    "traefik.http.services.cms.loadbalancer.server.port",
    "80",
    "S router-name:cms: service `app` has the name `cms` among the proxy's, where another app may have the same name; put `${STACK_NAME}` in it"
)]
#[case::another(
    "traefik.http.services.bar_ci_test.loadbalancer.server.port",
    "80",
    "R foreign-router-name: service `app` has the name `bar_ci_test` among the proxy's, a name of another app"
)]
#[case::of_another_zone(
    "traefik.http.routers.wiki_example_org-redirect.priority",
    "1",
    "R foreign-router-name: "
)]
#[case::full_name(
    "traefik.http.services.monitor.loadbalancer.server.port",
    "1",
    "R foreign-router-name: "
)]
#[case::looks_alike(
    "traefik.http.routers.xfoo_ci_test.priority",
    "1",
    "R foreign-router-name: "
)]
#[case::provider(
    "traefik.http.services.foo_ci_test@file.loadbalancer.server.port",
    "80",
    "R foreign-router-name: "
)]
#[case::internal(
    "traefik.http.routers.foo_ci_test.service",
    "api@internal",
    "R internal-service: service `app` refers to `api@internal`, which is the proxy's own"
)]
#[case::internal_case(
    "traefik.http.routers.foo_ci_test.Service",
    "Dashboard@INTERNAL",
    "R internal-service: "
)]
#[case::service_of_another(
    "traefik.http.routers.foo_ci_test.service",
    "bar_ci_test@swarm",
    "R foreign-router-name: "
)]
#[case::service_of_a_file(
    "traefik.http.routers.foo_ci_test.service",
    "admin@file",
    "S router-name:admin@file: "
)]
#[case::middleware_of_a_file(
    "traefik.http.routers.foo_ci_test.middlewares",
    "security@file, foo_ci_test-x@docker",
    ""
)]
#[case::middleware_of_another(
    "traefik.http.routers.foo_ci_test.middlewares",
    "foo_ci_test-x,bar_ci_test-auth",
    "R foreign-router-name: "
)]
#[case::chain(
    "traefik.http.middlewares.foo_ci_test.chain.middlewares",
    "bar_ci_test-auth@docker",
    "R foreign-router-name: "
)]
#[case::errors(
    "traefik.http.middlewares.foo_ci_test.errors.service",
    "bar_ci_test",
    "R foreign-router-name: "
)]
#[case::options("traefik.http.routers.foo_ci_test.tls.options", "modern@file", "")]
#[case::default_options("traefik.http.routers.foo_ci_test.tls.options", "default", "")]
fn a_name_among_the_proxys(#[case] key: &str, #[case] value: &str, #[case] finding: &str) {
    let said = said(key, value);
    assert!(said.starts_with(finding), "{said}");
    assert!(!finding.is_empty() || said.is_empty(), "{said}");
}

#[rstest::rstest]
#[case::own_service("http://foo_ci_test_auth:9000/x?y", "")]
#[case::own_host("https://auth-foo.ci.test/check", "")]
#[case::short(
    "http://app:9000",
    "S forward-auth:app: service `app` lets the proxy send requests to `app`"
)]
#[case::inner("http://169.254.169.254/latest", "S forward-auth:169.254.169.254: ")]
#[case::user(
    "http://foo.ci.test@10.0.0.1/",
    "S forward-auth:http://foo.ci.test@10.0.0.1/: "
)]
#[case::backslash("http://foo.ci.test\\@10.0.0.1/", "S forward-auth:")]
#[case::other_port("http://foo.ci.test:80:90/", "S forward-auth:")]
#[case::another("http://bar_ci_test_db/", "S forward-auth:bar_ci_test_db: ")]
#[case::scheme("unix:///var/run/docker.sock", "S forward-auth:")]
#[case::dotted_service(
    "http://foo_ci_test_x.evil.org/",
    "S forward-auth:foo_ci_test_x.evil.org: "
)]
fn the_proxy_asks_only_the_app_itself(#[case] address: &str, #[case] finding: &str) {
    let said = said(
        "traefik.http.middlewares.foo_ci_test.forwardAuth.address",
        address,
    );
    assert!(said.starts_with(finding), "{said}");
    assert!(!finding.is_empty() || said.is_empty(), "{said}");
}

#[rstest::rstest]
#[case::network("traefik.docker.network", "foo_ci_test_internal", "")]
#[case::other_network(
    "traefik.swarm.network",
    "bar_ci_test_internal",
    "S traefik-label:swarm.network: "
)]
#[case::url(
    "traefik.http.services.foo_ci_test.loadbalancer.server.url",
    "http://10.0.0.1",
    "S traefik-label:http.services.*.loadbalancer.server.url: service `app` has the label `traefik.http.services.foo_ci_test.loadbalancer.server.url`, which is not known to concern this app alone"
)]
#[case::urls(
    "traefik.http.services.foo_ci_test.loadbalancer.servers[0].url",
    "http://10.0.0.1",
    "S traefik-label:"
)]
#[case::address(
    "traefik.tcp.services.foo_ci_test.loadbalancer.servers[0].address",
    "10.0.0.1:1",
    "S traefik-label:"
)]
#[case::weighted(
    "traefik.http.services.foo_ci_test.weighted.services[0].name",
    "bar_ci_test",
    "S traefik-label:"
)]
#[case::mirror(
    "traefik.http.services.foo_ci_test.mirroring.service",
    "bar_ci_test",
    "S traefik-label:"
)]
#[case::transport(
    "traefik.http.serversTransports.foo_ci_test.rootCAs",
    "/x",
    "S traefik-label:http.serverstransports.*.rootcas: "
)]
#[case::auth_key(
    "traefik.http.middlewares.foo_ci_test.forwardauth.tls.key",
    "/certs/key.pem",
    "S traefik-label:"
)]
#[case::users_file(
    "traefik.http.middlewares.foo_ci_test.basicauth.usersFile",
    "/etc/passwd",
    "S traefik-label:"
)]
#[case::plugin(
    "traefik.http.middlewares.foo_ci_test.plugin.x.y",
    "z",
    "S traefik-label:"
)]
#[case::redis(
    "traefik.http.middlewares.foo_ci_test.ratelimit.redis.endpoints",
    "10.0.0.1:1",
    "S traefik-label:"
)]
#[case::health(
    "traefik.http.services.foo_ci_test.loadbalancer.healthcheck.path",
    "//10.0.0.1/x",
    "S traefik-label:"
)]
#[case::health_url(
    "traefik.http.services.foo_ci_test.loadbalancer.healthcheck.path",
    "http://10.0.0.1/x",
    "S traefik-label:"
)]
#[case::stores(
    "traefik.tls.stores.default.defaultCertificate.certFile",
    "/x",
    "R foreign-label: service `app` has the label `traefik.tls.stores.default.defaultCertificate.certFile`, which changes the proxy for everybody"
)]
#[case::version_1(
    "traefik.frontend.rule",
    "Host:bar.ci.test",
    "S traefik-label:frontend.rule: "
)]
#[case::providers(
    "traefik.providers.docker.endpoint",
    "x",
    "S traefik-label:providers.docker.endpoint: "
)]
#[case::folded_letter(
    "traefik.http.router\u{17f}.foo_ci_test.rule",
    "Path(`/`)",
    "S traefik-label:http.routers.*.rule: "
)]
#[case::folded_root(
    "traefi\u{212a}.http.routers.foo_ci_test.rule",
    "Path(`/`)",
    "S traefik-label:"
)]
#[case::upper_case(
    "TRAEFIK.HTTP.Routers.foo_ci_test.RULE",
    "Path(`/`)",
    "R foreign-host: "
)]
#[case::indexed(
    "traefik.http.routers.foo_ci_test[0].rule",
    "Path(`/`)",
    "S traefik-label:"
)]
#[case::gap(
    "traefik.http..routers.foo_ci_test.rule",
    "Path(`/`)",
    "S traefik-label:"
)]
#[case::certificate(
    "traefik.http.routers.foo_ci_test.tls.domains[0].main",
    "*.foo.ci.test",
    ""
)]
#[case::foreign_certificate(
    "traefik.http.routers.foo_ci_test.tls.domains[0].sans",
    "foo.ci.test,bar.ci.test",
    "S certificate:bar.ci.test: "
)]
#[case::engine("com.docker.swarm.service.name", "x", "R foreign-label: ")]
#[case::stack("com.docker.stack.namespace", "bar_ci_test", "R foreign-label: ")]
#[case::ours("cc-ci.app", "x", "R foreign-label: ")]
#[case::ours_too("org.cc-ci.x", "x", "R foreign-label: ")]
#[case::another_app("coop-cloud.bar_ci_test.version", "1", "R foreign-label: ")]
#[case::own_app("coop-cloud.foo_ci_test.anything", "1", "")]
#[case::tool("swarm.cronjob.schedule", "* * * * *", "")]
fn a_label_is(#[case] key: &str, #[case] value: &str, #[case] finding: &str) {
    let said = said(key, value);
    assert!(said.starts_with(finding), "{said}");
    assert!(!finding.is_empty() || said.is_empty(), "{said}");
    let mut body = service();
    body["TaskTemplate"]["ContainerSpec"]["Labels"] = json!({key: value});
    let found = judge_service(&body, &Site::new().terms());
    assert_eq!(shown(&found), said, "a container's label");
}

#[test]
fn labels_that_are_no_texts_are_refused() {
    let mut body = service();
    for labels in [json!({"a": {"b": "c"}}), json!(["a=b"])] {
        body["Labels"] = labels;
        let said = shown(&judge_service(&body, &Site::new().terms()));
        assert!(said.starts_with("S key:deploy.labels"), "{said}");
    }
}
