//! The labels that Traefik reads: which fields a recipe may set, and what they may refer to.
//!
//! What is known of Traefik: keys are compared without regard to case; names of routers, services and
//! middlewares are global, and servers of two services of one name are put together; TLS options and
//! certificates go by the hosts that a rule names, in whatever branch.

use std::collections::{BTreeMap, BTreeSet};

use super::body::Judging;
use super::fields::{Field, field, tokens};
use super::finding::quoted;
use super::hosts::{self, Standing};
use super::labels::folded;
use super::{SHARED_NETWORK, router};

/// The labels of one object below `traefik.`.
pub(super) fn judge(judging: &mut Judging<'_>, at: &str, labels: &BTreeMap<&str, &str>) {
    let mut routers = router::Routers::default();
    let mut seen = BTreeSet::new();
    for (key, value) in labels {
        // Of two keys that differ in case the proxy takes one: which, is its affair.
        if !seen.insert(folded(key)) {
            unknown(judging, at, key);
        }
        let tokens = tokens(key);
        let field = tokens.as_deref().and_then(field);
        let (Some(tokens), Some(field)) = (tokens, field) else {
            unknown(judging, at, key);
            continue;
        };
        if let [kind, _, name, ..] = tokens.as_slice()
            && ["http", "tcp", "udp"].contains(&kind.as_str())
        {
            name_of(judging, at, key, name);
        }
        match field {
            Field::Fine => {}
            Field::OfRouter => routers.add(&tokens, value),
            Field::Names => {
                list(value).for_each(|one| reference(judging, at, key, one, false));
            }
            Field::Service => reference(judging, at, key, value.trim(), true),
            Field::Hosts => {
                list(value).for_each(|host| certificate(judging, at, key, host));
            }
            Field::Address => address(judging, at, key, value),
            Field::Path => {
                if !value.starts_with('/') || value.starts_with("//") || value.contains('\\') {
                    unknown(judging, at, key);
                }
            }
            Field::Network => {
                if *value != SHARED_NETWORK && !judging.is_own(value) {
                    unknown(judging, at, key);
                }
            }
        }
    }
    routers.judge(judging, at);
}

/// A field that no table has, or a value that leads elsewhere.
fn unknown(judging: &mut Judging<'_>, at: &str, key: &str) {
    let folded = folded(key);
    let mut parts: Vec<&str> = folded.split('.').skip(1).collect();
    if parts.first() == Some(&"tls") {
        let message = format!(
            "has the label `{}`, which changes the proxy for everybody",
            quoted(key)
        );
        return judging.recipe("foreign-label", at, key, message);
    }
    if let [kind, _, name, ..] = parts.as_mut_slice()
        && ["http", "tcp", "udp"].contains(kind)
    {
        *name = "*";
    }
    let name = format!("traefik-label:{}", quoted(&parts.join(".")));
    let message = format!(
        "has the label `{}`, which is not known to concern this app alone",
        quoted(key)
    );
    judging.site(name, at, key, message);
}

/// The name of a router, service or middleware that a label defines.
fn name_of(judging: &mut Judging<'_>, at: &str, key: &str, name: &str) {
    let terms = judging.terms;
    let shown = quoted(name);
    let mut others = terms.others.iter().map(|other| other.to_lowercase());
    let own = hosts::has_stack(terms, name) && !others.clone().any(|other| other == name);
    let foreign = name.contains('@')
        || hosts::is_of_another(terms, name)
        || others.any(|other| is_stack_of(name, &other));
    if own && !name.contains('@') {
        return;
    }
    if foreign {
        let message = format!("has the name `{shown}` among the proxy's, a name of another app");
        judging.recipe("foreign-router-name", at, key, message);
    } else {
        let message = format!(
            "has the name `{shown}` among the proxy's, where another app may have the same name; put `${{STACK_NAME}}` in it"
        );
        judging.site(format!("router-name:{shown}"), at, key, message);
    }
}

/// Whether a router's name begins with what looks like the stack of a service's full name.
fn is_stack_of(name: &str, service: &str) -> bool {
    // The shortest stack has two labels: `example_org`.
    let ends = service.match_indices('_').map(|(at, _)| at).skip(1);
    ends.chain([service.len()]).any(|end| {
        name.strip_prefix(&service[..end])
            .is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    })
}

/// Something by name, perhaps of another provider.
fn reference(judging: &mut Judging<'_>, at: &str, key: &str, text: &str, is_service: bool) {
    let lower = text.to_lowercase();
    let (name, provider) = match lower.rsplit_once('@') {
        Some((name, provider)) => (name, provider),
        None => (lower.as_str(), ""),
    };
    match provider {
        "" if name.is_empty() || (name == "default" && !is_service) => {}
        "" | "docker" | "swarm" => name_of(judging, at, key, name),
        "internal" => {
            let message = format!("refers to `{}`, which is the proxy's own", quoted(text));
            judging.recipe("internal-service", at, key, message);
        }
        // The operator's own middlewares and TLS options are there to be used.
        "file" if !is_service => {}
        _ => {
            let shown = quoted(text);
            let message = format!("refers to `{shown}`, which no label of this app defines");
            judging.site(format!("router-name:{shown}"), at, key, message);
        }
    }
}

/// Where the proxy asks whether a request may pass.
fn address(judging: &mut Judging<'_>, at: &str, key: &str, value: &str) {
    let scheme = ["http://", "https://"].iter();
    let rest = scheme
        .filter_map(|scheme| value.strip_prefix(scheme))
        .next();
    let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let host = authority.and_then(|authority| {
        let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
        let fine = host.chars().all(plain) && port.chars().all(|c| c.is_ascii_digit());
        fine.then_some(host)
    });
    let own = host.is_some_and(|host| {
        (judging.is_own(host) && !host.contains('.'))
            || hosts::standing(judging.terms, host) != Standing::Foreign
    });
    if !own {
        let host = quoted(host.unwrap_or(value));
        let message = format!(
            "lets the proxy send requests to `{host}`; an address is `http://${{STACK_NAME}}_<service>…` or a host of this app"
        );
        judging.site(format!("forward-auth:{host}"), at, key, message);
    }
}

/// A host that the proxy is to have a certificate for.
fn certificate(judging: &mut Judging<'_>, at: &str, key: &str, host: &str) {
    let one = host.strip_prefix("*.").unwrap_or(host);
    if hosts::standing(judging.terms, one) == Standing::Foreign {
        let host = quoted(host);
        let message =
            format!("asks for a certificate for `{host}`, which is not a host of this app");
        judging.site(format!("certificate:{host}"), at, key, message);
    }
}

pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|one| !one.is_empty())
}
