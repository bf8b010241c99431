//! A service with its labels, as Traefik would look at it.

use std::collections::BTreeMap;

use crate::recipe::Compose;
use crate::recipe::compose::Service;

/// The network over which the proxy reaches services.
pub const NETWORK: &str = "proxy";

/// The labels of one service, keys in lower case as Traefik reads them.
pub struct Labelled<'a> {
    pub name: &'a str,
    pub labels: BTreeMap<String, &'a str>,
    /// Why Traefik would not look at this service.
    pub unseen: Option<String>,
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

/// What Go's `ParseBool` takes for true.
pub fn is_true(text: &str) -> bool {
    matches!(text.trim(), "1" | "t" | "T" | "true" | "TRUE" | "True")
}
