//! What a recipe may have on a shared host: an allow-list over what Docker's own client made of the
//! recipe's files, the bodies that it sends to the engine.
//!
//! Invariants: a key, a value or a name that no table here has is a finding; null, empty and zero
//! are as absent, as they are for the engine. A finding is data: who decides on it knows the run.
//! All comes from strangers: no text of theirs is a pattern, a path to read, or unbounded.
//!
//! Must not know: Docker's socket, verdicts, how bodies were got.

mod allow;
mod body;
mod container;
mod declared;
mod fields;
mod finding;
mod hosts;
mod labels;
mod located;
mod mounts;
mod networks;
mod objects;
mod router;
mod service;
#[cfg(test)]
mod tests;
mod traefik;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::recipe::{AppDomain, StackName};
pub use allow::{Allowed, UnknownRule};
use body::Judging;
pub use declared::declared;
pub use finding::{Blame, Finding, Place};
pub use located::located;

/// The network that apps and the proxy share.
pub const SHARED_NETWORK: &str = "proxy";

/// What Docker's client made of a recipe's files: bodies of the engine's API.
#[derive(Debug, Default, Clone)]
pub struct Made {
    /// Of `/services/create` and `/services/{id}/update`.
    pub services: Vec<Value>,
    /// Of `/networks/create`.
    pub networks: Vec<Value>,
    /// Of `/configs/create`.
    pub configs: Vec<Value>,
    /// Of `/secrets/create`.
    pub secrets: Vec<Value>,
}

/// Whose app is judged, and by what.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    pub stack: &'a StackName,
    pub domain: &'a AppDomain,
    pub zone: &'a AppDomain,
    pub allow: &'a Allowed,
    /// Names that answer for other stacks on the shared network: full names of their services, and
    /// aliases that somebody gave them.
    pub others: &'a BTreeSet<String>,
    /// Over all services of the stack.
    pub most_tasks: u64,
}

/// All findings, each once, by kind of body and then by name.
pub fn judge(made: &Made, terms: &Terms<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let kinds: [(&[Value], Judge); 4] = [
        (&made.services, judge_service),
        (&made.networks, judge_network),
        (&made.configs, judge_config),
        (&made.secrets, judge_secret),
    ];
    for (bodies, judge) in kinds {
        let mut bodies: Vec<&Value> = bodies.iter().collect();
        bodies.sort_by_key(|body| body["Name"].as_str().unwrap_or_default());
        for finding in bodies.into_iter().flat_map(|body| judge(body, terms)) {
            if !found.contains(&finding) {
                found.push(finding);
            }
        }
    }
    found.extend(service::too_many_tasks(&made.services, terms));
    found
}

type Judge = fn(&Value, &Terms<'_>) -> Vec<Finding>;

pub fn judge_service(body: &Value, terms: &Terms<'_>) -> Vec<Finding> {
    Judging::new(terms).all(body, service::judge)
}

pub fn judge_network(body: &Value, terms: &Terms<'_>) -> Vec<Finding> {
    Judging::new(terms).all(body, networks::judge)
}

pub fn judge_config(body: &Value, terms: &Terms<'_>) -> Vec<Finding> {
    Judging::new(terms).all(body, objects::judge_config)
}

pub fn judge_secret(body: &Value, terms: &Terms<'_>) -> Vec<Finding> {
    Judging::new(terms).all(body, objects::judge_secret)
}
