//! Rules and routers of the proxy.

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

/// What is said of one label.
pub(super) fn said(key: &str, value: &str) -> String {
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

#[test]
fn labels_that_are_no_texts_are_refused() {
    let mut body = service();
    for labels in [json!({"a": {"b": "c"}}), json!(["a=b"])] {
        body["Labels"] = labels;
        let said = shown(&judge_service(&body, &Site::new().terms()));
        assert!(said.starts_with("S key:deploy.labels"), "{said}");
    }
}
