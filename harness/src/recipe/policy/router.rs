//! Routers of the proxy: each branch of a rule has to name a host of the app.

use std::collections::BTreeMap;

use super::body::Judging;
use super::finding::quoted;
use super::hosts::{self, Standing};
use super::traefik::list;
use crate::recipe::traefik::{Kind, Rule, parse};

/// What makes a rule for everything of a plain TCP router, which has no other form.
const ANY: &str = "*";

/// Routers of one object, by protocol and name.
#[derive(Default)]
pub(super) struct Routers(BTreeMap<(String, String), Router>);

#[derive(Default)]
struct Router {
    rule: String,
    entrypoints: Vec<String>,
}

impl Routers {
    /// A label's tokens: `tcp`, `routers`, the name, the field.
    pub fn add(&mut self, tokens: &[String], value: &str) {
        let [protocol, _, name, field] = tokens else {
            return;
        };
        let key = (protocol.clone(), name.clone());
        let router = self.0.entry(key).or_default();
        match field.as_str() {
            "rule" => router.rule = value.to_owned(),
            _ => router.entrypoints = list(value).map(str::to_lowercase).collect(),
        }
    }

    pub fn judge(self, judging: &mut Judging<'_>, at: &str) {
        for ((protocol, name), router) in self.0 {
            let key = format!("traefik.{protocol}.routers.{name}.");
            match protocol.as_str() {
                "udp" => taken(judging, at, &key, &router, "UDP"),
                // Without a rule an HTTP router has the proxy's default one, a TCP router is none.
                _ if router.rule.trim().is_empty() => {}
                "tcp" => rule(judging, at, &key, &router, Kind::HostSni),
                _ => rule(judging, at, &key, &router, Kind::Host),
            }
        }
    }
}

fn rule(judging: &mut Judging<'_>, at: &str, key: &str, router: &Router, kind: Kind) {
    let key = format!("{key}rule");
    let shown = quoted(&router.rule);
    let tree = match parse(&router.rule) {
        Ok(tree) => tree,
        Err(error) if error.is_ours() => {
            let message =
                format!("has a router whose rule is not understood here: {error}: `{shown}`");
            return judging.site("key:traefik.rule", at, &key, message);
        }
        Err(error) => {
            let message = format!("has a router that serves nothing: {error}: `{shown}`");
            return judging.note("router-rule", at, &key, message);
        }
    };
    let mut named = Vec::new();
    hosts_in(&tree, kind, &mut named);
    let terms = judging.terms;
    let is_own = |host: &str| hosts::standing(terms, host) != Standing::Foreign;
    let own = names(&tree, kind, true, &is_own);
    let plain =
        kind == Kind::HostSni && names(&tree, kind, true, &|host| is_own(host) || host == ANY);
    let named = named
        .into_iter()
        .filter(|name| kind == Kind::Host || *name != ANY);
    let mut foreign = false;
    for name in named {
        foreign |= !is_own(name);
        host(judging, at, &key, name);
    }
    if !own && plain {
        taken(judging, at, &key, router, "TCP");
    } else if !own && !foreign {
        let message = format!("has a router that names no host of its own: `{shown}`");
        judging.recipe("foreign-host", at, &key, message);
    }
}

/// A host that a rule names.
fn host(judging: &mut Judging<'_>, at: &str, key: &str, host: &str) {
    let (zone, domain) = (judging.terms.zone, judging.terms.domain);
    let shown = quoted(&hosts::normal(host));
    match hosts::standing(judging.terms, host) {
        Standing::Own => {}
        Standing::Deep(sibling) => {
            let message = format!(
                "has a router for `{shown}`, more than one label below {zone}, which no wildcard certificate covers; name it `{sibling}`"
            );
            judging.site("deep-host", at, key, message);
        }
        Standing::Foreign if shown.ends_with(&format!(".{}", hosts::normal(zone.as_str()))) => {
            let message = format!(
                "has a router for `{shown}`, which is not a host of this app; its hosts are `{domain}` and `<name>-{domain}`"
            );
            judging.recipe("foreign-host", at, key, message);
        }
        Standing::Foreign => {
            let message = format!("has a router for `{shown}`, which is not below {zone}");
            judging.recipe("foreign-host", at, key, message);
        }
    }
}

/// A router that takes whatever comes to its entrypoints: they may be another app's.
fn taken(judging: &mut Judging<'_>, at: &str, key: &str, router: &Router, protocol: &str) {
    let all = ["(all)".to_owned()];
    let entrypoints = match router.entrypoints.as_slice() {
        [] => &all,
        named => named,
    };
    for entrypoint in entrypoints {
        let entrypoint = quoted(entrypoint);
        let message = format!(
            "has a {protocol} router for all that comes to the proxy's entrypoint `{entrypoint}`"
        );
        judging.site(format!("entrypoint:{entrypoint}"), at, key, message);
    }
}

/// Whether whatever the rule matches (or, where `wanted` is false, does not match) has a host that is
/// `own`.
///
/// A conjunction has one if any part has, a disjunction if each part has; a negation turns one into
/// the other. A host under negation is none that a request has.
fn names(rule: &Rule, kind: Kind, wanted: bool, own: &dyn Fn(&str) -> bool) -> bool {
    match (rule, wanted) {
        (Rule::Not(inner), _) => names(inner, kind, !wanted, own),
        (Rule::All(parts), true) | (Rule::Any(parts), false) => {
            parts.iter().any(|part| names(part, kind, wanted, own))
        }
        (Rule::Any(parts), true) | (Rule::All(parts), false) => {
            parts.iter().all(|part| names(part, kind, wanted, own))
        }
        (Rule::Is(matcher), true) => {
            matcher.kind == kind && matcher.arguments.iter().all(|host| own(host))
        }
        (Rule::Is(_), false) => false,
    }
}

/// All hosts that a rule names, negated ones as well: certificates and TLS options go by them.
fn hosts_in<'a>(rule: &'a Rule, kind: Kind, found: &mut Vec<&'a str>) {
    match rule {
        Rule::Not(inner) => hosts_in(inner, kind, found),
        Rule::All(parts) | Rule::Any(parts) => {
            parts.iter().for_each(|part| hosts_in(part, kind, found));
        }
        Rule::Is(matcher) if matcher.kind == kind => {
            found.extend(matcher.arguments.iter().map(String::as_str));
        }
        Rule::Is(_) => {}
    }
}
