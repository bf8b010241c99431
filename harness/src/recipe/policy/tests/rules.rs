//! A rule that is let through matches no request for another's host.

use proptest::prelude::*;

use super::*;
use crate::recipe::traefik::{Kind, Matcher, Rule, parse};

#[derive(Debug, Clone)]
struct Request {
    host: &'static str,
    path: &'static str,
    method: &'static str,
}

const HOSTS: [&str; 6] = [
    "foo.ci.test",
    "www-foo.ci.test",
    "bar.ci.test",
    "ci.test",
    "xfoo.ci.test",
    "evil.example.org",
];
const OWN: usize = 2;

fn requests() -> Vec<Request> {
    let mut all = Vec::new();
    for host in HOSTS {
        for path in ["/", "/x"] {
            for method in ["GET", "POST"] {
                all.push(Request { host, path, method });
            }
        }
    }
    all
}

/// What the rule says to a request; `unknown` is what matchers say that this does not know.
fn matches(rule: &Rule, request: &Request, unknown: bool) -> bool {
    match rule {
        Rule::All(parts) => parts.iter().all(|part| matches(part, request, unknown)),
        Rule::Any(parts) => parts.iter().any(|part| matches(part, request, unknown)),
        Rule::Not(inner) => !matches(inner, request, unknown),
        Rule::Is(Matcher {
            kind, arguments, ..
        }) => arguments.iter().any(|argument| match kind {
            Kind::Host => argument == "*" || argument.eq_ignore_ascii_case(request.host),
            Kind::Path => argument == request.path,
            Kind::PathPrefix => request.path.starts_with(argument.as_str()),
            Kind::Method => argument == request.method,
            Kind::HostRegexp => argument == ".+" || argument == request.host,
            _ => unknown,
        }),
    }
}

fn rule() -> impl Strategy<Value = String> {
    let host = prop::sample::select(&HOSTS[..]);
    let leaf = prop_oneof![
        6 => prop::sample::select(&HOSTS[..OWN]).prop_map(|host| format!("Host(`{host}`)")),
        2 => host.clone().prop_map(|host| format!("HOST(\"{host}\")")),
        1 => (host.clone(), host).prop_map(|(a, b)| format!("HostHeader(`{a}`,`{b}`)")),
        1 => Just("Host(`*`)".to_owned()),
        1 => Just("HostRegexp(`.+`)".to_owned()),
        2 => Just("Path(`/x`)".to_owned()),
        1 => Just("PathPrefix(`/`)".to_owned()),
        1 => Just("Method(`GET`)".to_owned()),
        1 => Just("Weather(`rain`)".to_owned()),
        1 => Just("ClientIP(`::1`)".to_owned()),
    ];
    leaf.prop_recursive(5, 24, 3, |inner| {
        let list = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            list.clone()
                .prop_map(|parts| format!("({})", parts.join(" || "))),
            list.clone()
                .prop_map(|parts| format!("({})", parts.join(" && "))),
            // Without parentheses the stronger operator wins.
            list.prop_map(|parts| parts.join(" && ")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} || {b}")),
            inner.prop_map(|one| format!("!({one})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_rule_that_is_let_through_matches_own_hosts_only(rule in rule()) {
        let mut body = service();
        body["Labels"] = json!({"traefik.http.routers.foo_ci_test.rule": rule});
        let refused = judge_service(&body, &Site::new().terms()).iter().any(Finding::refuses);
        let tree = parse(&rule).unwrap();
        for request in requests() {
            let taken = [true, false].iter().any(|unknown| matches(&tree, &request, *unknown));
            let own = HOSTS[..OWN].contains(&request.host);
            prop_assert!(refused || own || !taken, "{rule} takes {request:?}");
        }
    }
}

/// The property above would hold if everything were refused.
#[test]
fn many_rules_are_let_through() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let rules = rule();
    let through = (0..500).filter(|_| {
        let made = rules.new_tree(&mut runner).unwrap().current();
        let mut body = service();
        body["Labels"] = json!({"traefik.http.routers.foo_ci_test.rule": made});
        judge_service(&body, &Site::new().terms()).is_empty()
    });
    let through = through.count();
    assert!((50..450).contains(&through), "{through} of 500");
}
