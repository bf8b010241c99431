//! Which host and path goes to which service, read from Traefik labels.
//!
//! As strict as Traefik in production: a service counts if it is on the `proxy` network and has
//! `traefik.enable=true`, a router if it is on the entrypoint `web-secure`. What Traefik would drop
//! becomes an [`Unroutable`] with the reason, and never takes requests from a route that works.
//!
//! Invariants: hosts, paths, services and ports that come out are parsed. Reasons and notes are free
//! text that may quote a label.
//!
//! Must not know: nginx, Docker.

use std::collections::{BTreeMap, BTreeSet};

pub use super::labelled::NETWORK;
use super::labelled::{Labelled, is_true};
use super::middleware::{self, Effect};
use super::rule::{self, PathMatch, PathText};
use crate::recipe::{AppDomain, Compose, StackName};

const ENTRYPOINT: &str = "web-secure";

/// What the labels of a recipe say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Routes {
    /// By host; within a host in the order in which they are asked.
    pub routes: Vec<Route>,
    /// What Traefik would not serve.
    pub unroutable: Vec<Unroutable>,
    /// What is different from production, without being wrong.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub router: String,
    pub host: AppDomain,
    pub path: PathMatch,
    /// As Traefik has it: the label's, else the rule's length.
    pub priority: i64,
    pub upstream: Upstream,
    /// Prefixes that are taken off the path; the first that fits counts.
    pub strip: Vec<PathText>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Full name of the service in the swarm.
    pub service: String,
    pub port: u16,
    /// Whether the service itself speaks TLS.
    pub tls: bool,
}

/// A router, or one host of a router, that is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unroutable {
    /// As it stands in the label, lower-case; empty where the rule names none or is not understood.
    pub host: String,
    pub reason: String,
}

/// A host that the site's wildcard certificate does not cover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    pub host: AppDomain,
    pub reason: String,
}

impl Routes {
    /// Every host that a router names, served or not.
    pub fn hosts(&self) -> BTreeSet<AppDomain> {
        let served = self.routes.iter().map(|route| route.host.clone());
        let named = self.unroutable.iter().filter_map(|u| u.host.parse().ok());
        served.chain(named).collect()
    }

    /// What Traefik would not serve, but for hosts that another router serves: a router on the
    /// entrypoint `web` beside one on `web-secure` is what redirects are made of.
    pub fn unserved(&self) -> impl Iterator<Item = &Unroutable> {
        let served = |one: &&Unroutable| {
            let mut routes = self.routes.iter();
            routes.any(|route| route.host.as_str() == one.host)
        };
        self.unroutable.iter().filter(move |one| !served(one))
    }

    /// Hosts that are not exactly one label below `zone`, nor `zone` itself.
    pub fn misfits(&self, zone: &AppDomain) -> Vec<Misfit> {
        let misfit = |host: AppDomain| {
            let reason = if covers(zone, &host) {
                return None;
            } else if below(zone, &host).is_some() {
                format!(
                    "`{host}` is more than one label below `{zone}`: the certificate `*.{zone}` does not cover it; use a sibling such as `minio-<domain>`"
                )
            } else {
                format!("`{host}` is not below `{zone}`")
            };
            Some(Misfit { host, reason })
        };
        self.hosts().into_iter().filter_map(misfit).collect()
    }

    /// Adds the routes of another app (a dependency, or base to head).
    pub fn merge(&mut self, other: Self) {
        for route in other.routes {
            if !self.routes.contains(&route) {
                self.routes.push(route);
            }
        }
        self.unroutable.extend(other.unroutable);
        self.notes.extend(other.notes);
        self.sort();
    }

    fn sort(&mut self) {
        self.routes.sort_by(|a, b| {
            let key = |r: &Route| (r.host.clone(), std::cmp::Reverse(r.priority));
            key(a)
                .cmp(&key(b))
                .then_with(|| a.router.cmp(&b.router))
                .then_with(|| b.path.cmp(&a.path))
        });
    }
}

/// Whether the certificate for `zone` and `*.zone` covers `host`.
pub fn covers(zone: &AppDomain, host: &AppDomain) -> bool {
    host == zone || below(zone, host).is_some_and(|label| !label.contains('.'))
}

/// What stands before `.zone`.
fn below<'a>(zone: &AppDomain, host: &'a AppDomain) -> Option<&'a str> {
    host.as_str()
        .strip_suffix(zone.as_str())
        .and_then(|left| left.strip_suffix('.'))
}

/// A router as its labels say it.
struct Router<'a> {
    name: String,
    at: usize,
    fields: BTreeMap<String, &'a str>,
}

/// Reads the routers of all services.
pub fn routes(compose: &Compose, stack: &StackName) -> Routes {
    let services: Vec<Labelled> = compose
        .services
        .iter()
        .map(|(name, service)| Labelled::new(name, service, compose))
        .collect();
    let mut out = Routes::default();
    let mut routers = Vec::new();
    for (at, service) in services.iter().enumerate() {
        for (name, fields) in service.group("traefik.http.routers.") {
            routers.push(Router { name, at, fields });
        }
        if service
            .labels
            .keys()
            .any(|key| key.starts_with("traefik.tcp.") || key.starts_with("traefik.udp."))
        {
            out.notes.push(format!(
                "service `{}`: TCP and UDP routers are not served here",
                service.name
            ));
        }
    }
    for router in &routers {
        let rule = router.fields.get("rule").copied().unwrap_or_default();
        let terms = match rule::terms(rule) {
            Ok(terms) => terms,
            Err(error) => {
                out.unroutable.push(Unroutable {
                    host: String::new(),
                    reason: format!("router `{}`: rule `{rule}`: {error}", router.name),
                });
                continue;
            }
        };
        let target = target(router, &routers, &services, stack, &mut out.notes);
        for term in terms {
            let refuse = |reason: String| Unroutable {
                host: term.host.clone().unwrap_or_default(),
                reason: format!("router `{}`: {reason}", router.name),
            };
            let Some(host) = &term.host else {
                out.unroutable
                    .push(refuse("its rule names no host".to_owned()));
                continue;
            };
            match (host.parse::<AppDomain>(), &target) {
                (Err(error), _) => out.unroutable.push(refuse(error.to_string())),
                (_, Err(reason)) => out.unroutable.push(refuse(reason.clone())),
                (Ok(host), Ok((upstream, strip))) => out.routes.push(Route {
                    router: router.name.clone(),
                    host,
                    path: term.path,
                    priority: priority(router, rule),
                    upstream: upstream.clone(),
                    strip: strip.clone(),
                }),
            }
        }
    }
    out.sort();
    out
}

type Target = (Upstream, Vec<PathText>);

fn target(
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

fn priority(router: &Router, rule: &str) -> i64 {
    let given = router.fields.get("priority").and_then(|p| p.parse().ok());
    match given {
        None | Some(0) => i64::try_from(rule.len()).unwrap_or(i64::MAX),
        Some(priority) => priority,
    }
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|one| !one.is_empty())
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
