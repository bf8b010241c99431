//! Routers, services and their ports as Traefik's labels say them.
//!
//! Invariant: what Traefik would not look at, or not serve, is an error with its reason.
//!
//! Must not know: hosts and paths, which are the rule's.

use std::collections::BTreeMap;

use super::middleware::{self, Effect};
use super::routes::{NETWORK, Upstream};
use super::rule::PathText;
use crate::recipe::compose::Service;
use crate::recipe::{Compose, StackName};

const ENTRYPOINT: &str = "web-secure";

/// The labels of one service, keys in lower case as Traefik reads them.
pub struct Labelled<'a> {
    pub name: &'a str,
    pub labels: BTreeMap<String, &'a str>,
    /// Why Traefik would not look at this service.
    unseen: Option<String>,
}

/// A router as its labels say it.
pub struct Router<'a> {
    pub name: String,
    pub at: usize,
    pub fields: BTreeMap<String, &'a str>,
}

pub type Target = (Upstream, Vec<PathText>);

/// The service that a router leads to, and what is taken off the path on the way.
pub fn target(
    router: &Router,
    all: &[Router],
    services: &[Labelled],
    stack: &StackName,
    notes: &mut Vec<String>,
) -> Result<Target, String> {
    let own = &services[router.at];
    if let Some(reason) = &own.unseen {
        return Err(reason.clone());
    }
    let entrypoints = router.fields.get("entrypoints").copied().unwrap_or("");
    if !list(entrypoints).any(|one| one == ENTRYPOINT) {
        return Err(format!(
            "its entrypoints are `{entrypoints}`, without `{ENTRYPOINT}`"
        ));
    }
    if let Some(twin) = all.iter().find(|other| {
        other.name == router.name && other.at != router.at && services[other.at].unseen.is_none()
    }) {
        return Err(format!(
            "it is defined by two services, `{}` and `{}`",
            own.name, services[twin.at].name
        ));
    }
    if !router.fields.keys().any(|field| field.starts_with("tls")) {
        notes.push(format!("router `{}` has no `tls` label", router.name));
    }
    let mut strip = Vec::new();
    for name in list(router.fields.get("middlewares").copied().unwrap_or("")) {
        match middleware::effect(name, &|name| {
            let prefix = format!("traefik.http.middlewares.{name}.");
            let seen = services.iter().filter(|service| service.unseen.is_none());
            seen.flat_map(|service| &service.labels)
                .filter_map(|(key, value)| {
                    Some((key.strip_prefix(&prefix)?.to_owned(), (*value).to_owned()))
                })
                .collect()
        })? {
            Effect::Strip(prefixes) => strip.extend(prefixes),
            Effect::None => {}
            Effect::Ignored(note) => notes.push(format!("router `{}`: {note}", router.name)),
        }
    }
    Ok((upstream(router, services, stack, notes)?, strip))
}

/// The service that a router names, else the only one beside it.
fn upstream(
    router: &Router,
    services: &[Labelled],
    stack: &StackName,
    notes: &mut Vec<String>,
) -> Result<Upstream, String> {
    const PREFIX: &str = "traefik.http.services.";
    let own = &services[router.at];
    let (at, name, fields) = match router.fields.get("service") {
        Some(wanted) => {
            let wanted = wanted.to_ascii_lowercase();
            let name = match wanted.split_once('@') {
                None | Some((_, "docker" | "swarm")) => wanted.split('@').next().unwrap_or(""),
                Some(_) => return Err(format!("its service `{wanted}` is none of the recipe's")),
            };
            let mut found = services.iter().enumerate().flat_map(|(at, service)| {
                let of = service.group(PREFIX).into_iter();
                of.filter(|(key, _)| key == name)
                    .map(move |(key, fields)| (at, key, fields))
            });
            found
                .next()
                .ok_or_else(|| format!("no label defines its service `{name}`"))?
        }
        None => {
            let mut own_services = own.group(PREFIX).into_iter();
            match (own_services.next(), own_services.next()) {
                (Some((name, fields)), None) => (router.at, name, fields),
                (None, _) => {
                    return Err(format!(
                        "service `{}` has no label `{PREFIX}<name>.loadbalancer.server.port`",
                        own.name
                    ));
                }
                (Some(_), Some(_)) => {
                    return Err(format!(
                        "service `{}` defines several services, and it names none of them",
                        own.name
                    ));
                }
            }
        }
    };
    let service = &services[at];
    if let Some(reason) = &service.unseen {
        return Err(reason.clone());
    }
    let field = |key: &str| fields.get(&format!("loadbalancer.{key}")).copied();
    let port = field("server.port")
        .ok_or_else(|| format!("its service `{name}` has no `loadbalancer.server.port`"))?;
    let port = match port.trim().parse::<u16>() {
        Ok(port) if port > 0 => port,
        _ => return Err(format!("`{port}` is no port")),
    };
    let tls = match field("server.scheme").unwrap_or("http") {
        "http" => false,
        "https" => {
            notes.push(format!(
                "service `{}`: its own certificate is not checked here",
                service.name
            ));
            true
        }
        other => return Err(format!("the scheme `{other}` is not supported here")),
    };
    if field("passhostheader").is_some_and(|pass| !is_true(pass)) {
        notes.push(format!(
            "service `{}`: `passhostheader=false` is not applied here",
            service.name
        ));
    }
    let full = stack.object(service.name);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !full.starts_with(|c: char| c.is_ascii_alphanumeric()) || !full.chars().all(plain) {
        return Err(format!("`{full}` is no service name"));
    }
    Ok(Upstream {
        service: full,
        port,
        tls,
    })
}

pub fn priority(router: &Router, rule: &str) -> i64 {
    let given = router.fields.get("priority").and_then(|p| p.parse().ok());
    match given {
        None | Some(0) => i64::try_from(rule.len()).unwrap_or(i64::MAX),
        Some(priority) => priority,
    }
}

impl<'a> Labelled<'a> {
    pub fn new(name: &'a str, service: &'a Service, compose: &Compose) -> Self {
        let labels: BTreeMap<String, &str> = service
            .labels
            .iter()
            .map(|(key, value)| (key.to_ascii_lowercase(), value.as_str()))
            .collect();
        let on_proxy = service.networks.keys().any(|key| {
            compose.networks.get(key).is_some_and(|network| {
                network.external && network.name.as_deref().unwrap_or(key) == NETWORK
            })
        });
        let network = labels
            .get("traefik.docker.network")
            .or_else(|| labels.get("traefik.swarm.network"));
        let unseen = match (labels.get("traefik.enable"), network) {
            (None, _) => Some(format!("service `{name}` has no label `traefik.enable`")),
            (Some(enable), _) if !is_true(enable) => {
                Some(format!("service `{name}` has `traefik.enable={enable}`"))
            }
            _ if !on_proxy => Some(format!(
                "service `{name}` is not on the external network `{NETWORK}`"
            )),
            (_, Some(network)) if *network != NETWORK => Some(format!(
                "service `{name}` wants to be reached over the network `{network}`, not `{NETWORK}`"
            )),
            _ => None,
        };
        Self {
            name,
            labels,
            unseen,
        }
    }

    /// The labels below `prefix`, by the name that follows it.
    pub fn group(&self, prefix: &str) -> BTreeMap<String, BTreeMap<String, &'a str>> {
        let mut groups: BTreeMap<String, BTreeMap<String, &str>> = BTreeMap::new();
        for (key, value) in &self.labels {
            if let Some((name, field)) = key
                .strip_prefix(prefix)
                .and_then(|rest| rest.split_once('.'))
            {
                groups
                    .entry(name.to_owned())
                    .or_default()
                    .insert(field.to_owned(), value);
            }
        }
        groups
    }
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|one| !one.is_empty())
}

/// What Go's `ParseBool` takes for true.
fn is_true(text: &str) -> bool {
    matches!(text.trim(), "1" | "t" | "T" | "true" | "TRUE" | "True")
}
