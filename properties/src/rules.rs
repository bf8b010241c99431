//! Router rules and other Traefik labels, on their way into the proxy's configuration.

use std::collections::BTreeMap;

use harness::edge::nginx::{Site, render};
use harness::edge::rule::{PathMatch, PathText, terms};
use harness::edge::{Routes, routes};
use harness::recipe::compose::{Network, Service};
use harness::recipe::traefik::{Kind, Rule, parse};
use harness::recipe::{AppDomain, Compose};

use crate::nginx::words;
use crate::specs;

const LABELS: [&str; 12] = [
    "traefik.http.routers.s.rule",
    "traefik.enable",
    "traefik.docker.network",
    "traefik.http.services.s.loadbalancer.server.port",
    "traefik.http.services.s.loadbalancer.server.scheme",
    "traefik.http.routers.s.entrypoints",
    "traefik.http.routers.s.priority",
    "traefik.http.routers.s.service",
    "traefik.http.routers.s.middlewares",
    "traefik.http.routers.s.tls.certresolver",
    "traefik.http.middlewares.r.stripprefix.prefixes",
    "traefik.http.middlewares.r.redirectregex.replacement",
];

/// The first byte says which label of a sound app has the rest as its value; 255: a line each is a
/// label, `key=value`.
pub(crate) fn holds(bytes: &[u8]) {
    let Some((which, rest)) = bytes.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    takes_own_hosts_only(text);
    if let Ok(terms) = terms(text) {
        assert!(terms.len() <= 256, "{} alternatives", terms.len());
        for term in terms {
            let (PathMatch::Prefix(path) | PathMatch::Exact(path)) = &term.path;
            assert!(is_harmless(path.as_str()), "{path:?}");
        }
    }
    let mut labels = sound();
    if *which == 255 {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        labels.extend(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())));
    } else {
        let label = LABELS[usize::from(*which) % LABELS.len()];
        labels.insert(label.to_owned(), text.to_owned());
    }
    let found = app(labels);
    assert_eq!(shape(&found), shape(&plain(&found)), "{found:?}");
}

/// A rule that policy lets through matches nothing that is for another's host.
fn takes_own_hosts_only(rule: &str) {
    let mut body = specs::sound();
    body["Labels"]["traefik.http.routers.a_ci_test.rule"] = rule.into();
    if let Ok(tree) = parse(rule)
        && specs::is_let_through(&body)
    {
        for host in ["b.ci.test", "ci.test", "example.org"] {
            assert!(!may_match(&tree, host, true), "{rule:?} takes {host}");
        }
    }
}

/// Whether a request for the host may be matched (or, where `wanted` is false, be left out), whatever
/// else it is like.
fn may_match(rule: &Rule, host: &str, wanted: bool) -> bool {
    match (rule, wanted) {
        (Rule::Not(inner), _) => may_match(inner, host, !wanted),
        (Rule::All(parts), true) | (Rule::Any(parts), false) => {
            parts.iter().all(|part| may_match(part, host, wanted))
        }
        (Rule::Any(parts), true) | (Rule::All(parts), false) => {
            parts.iter().any(|part| may_match(part, host, wanted))
        }
        (Rule::Is(matcher), _) if matcher.kind == Kind::Host => {
            let mut names = matcher.arguments.iter();
            wanted == names.any(|name| name == "*" || name.eq_ignore_ascii_case(host))
        }
        (Rule::Is(_), _) => true,
    }
}

fn is_harmless(path: &str) -> bool {
    path.starts_with('/')
        && !path.contains(|c: char| c.is_whitespace() || c.is_control() || "\"'\\$;{}#".contains(c))
}

fn sound() -> BTreeMap<String, String> {
    [
        ("traefik.enable", "true"),
        ("traefik.http.services.s.loadbalancer.server.port", "80"),
        ("traefik.http.routers.s.entrypoints", "web-secure"),
        ("traefik.http.routers.s.tls", "true"),
        ("traefik.http.routers.s.rule", "Host(`a.ci.test`)"),
        ("traefik.http.routers.s.middlewares", "r"),
        ("traefik.http.middlewares.r.stripprefix.prefixes", "/x"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

fn app(labels: BTreeMap<String, String>) -> Routes {
    let service = Service {
        labels,
        networks: BTreeMap::from([("proxy".to_owned(), vec![])]),
        ..Service::default()
    };
    let proxy = Network {
        external: true,
        ..Network::default()
    };
    let compose = Compose {
        services: BTreeMap::from([("app".to_owned(), service)]),
        networks: BTreeMap::from([("proxy".to_owned(), proxy)]),
        ..Compose::default()
    };
    routes(&compose, &domain("a.ci.test").stack())
}

fn domain(text: &str) -> AppDomain {
    text.parse().unwrap()
}

/// The same routes with nothing of a stranger's in them.
fn plain(found: &Routes) -> Routes {
    let zone = domain("ci.test");
    let hosts = found.hosts();
    let misfits: Vec<_> = found
        .misfits(&zone)
        .into_iter()
        .map(|one| one.host)
        .collect();
    let host = |old: &str| -> Option<AppDomain> {
        let at = hosts.iter().position(|host| host.as_str() == old)?;
        let below = if misfits.iter().any(|host| host.as_str() == old) {
            "example.org"
        } else {
            "ci.test"
        };
        Some(domain(&format!("h{at:05}.{below}")))
    };
    let mut plain = found.clone();
    for route in &mut plain.routes {
        route.host = host(route.host.as_str()).unwrap();
        route.router = "r".to_owned();
        route.path = PathMatch::any();
        for prefix in &mut route.strip {
            *prefix = PathText::parse("/s").unwrap();
        }
    }
    for one in &mut plain.unroutable {
        // One that is no domain has no server.
        one.host = host(&one.host).map_or(String::new(), |host| host.to_string());
        one.reason = "r".to_owned();
    }
    plain
}

/// What is left of a configuration without hosts and strings.
fn shape(routes: &Routes) -> Vec<String> {
    let text = render(&Site {
        zone: &domain("ci.test"),
        routes,
        generation: 1,
    });
    let mut words = words(&text);
    for at in 1..words.len() {
        if words[at - 1] == "server_name" && words[at] != "<string>" && words[at] != "_" {
            let host = words[at].parse::<AppDomain>();
            assert!(host.is_ok(), "server_name {}", words[at]);
            words[at] = "<host>".to_owned();
        }
    }
    words
}
