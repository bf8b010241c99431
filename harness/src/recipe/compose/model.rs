//! What of a compose file matters to cc-ci, merged over all selected files and interpolated.
//!
//! The model is for looking: what is deployed is parsed by Docker from the recipe's own files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// The merged compose files of one commit, for one app's environment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Compose {
    /// By short name.
    pub services: BTreeMap<String, Service>,
    /// By key; services refer to keys.
    pub volumes: BTreeMap<String, Volume>,
    pub secrets: BTreeMap<String, Object>,
    pub configs: BTreeMap<String, Object>,
    pub networks: BTreeMap<String, Network>,
    /// The image that each selected file has for a service, in the order of the files: the last one
    /// counts.
    pub images_by_file: BTreeMap<String, Vec<(PathBuf, String)>>,
    /// Whether each selected file has a top-level `version`, in the order of the files.
    pub has_version: Vec<bool>,
    /// What is worth a note and no error: a variable without a value, an ignored key.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Service {
    pub image: String,
    pub command: Vec<String>,
    pub entrypoint: Vec<String>,
    /// None: the name stands bare and has no value in the app's environment.
    pub environment: BTreeMap<String, Option<String>>,
    pub mounts: Vec<Mount>,
    pub tmpfs: Vec<String>,
    pub secrets: Vec<Grant>,
    pub configs: Vec<Grant>,
    /// Keys of networks, and the aliases on each. Empty: the stack's default network.
    pub networks: BTreeMap<String, Vec<String>>,
    /// `deploy.labels`: the service's own labels.
    pub labels: BTreeMap<String, String>,
    /// 1 where nothing else is said.
    pub replicas: u64,
    /// `deploy.mode: global`.
    pub global: bool,
    pub endpoint_mode: Option<String>,
    pub ports: Vec<Port>,
    /// `deploy.update_config.order`; Docker's own is `stop-first`.
    pub update_order: Option<String>,
    /// False where there is none, or where it is disabled.
    pub has_healthcheck: bool,
    pub stop_grace_period: Option<Duration>,
    pub privileged: bool,
    pub network_mode: Option<String>,
    pub cap_add: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    pub kind: MountKind,
    pub target: String,
    pub read_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// A named volume, by its key.
    Volume(String),
    /// A path in the container without a source.
    Anonymous,
    /// A path of the host.
    Bind(String),
    Tmpfs,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Volume {
    /// `name:`, or none: `<stack>_<key>`.
    pub name: Option<String>,
    pub external: bool,
    pub driver: Option<String>,
    pub driver_opts: BTreeMap<String, String>,
}

/// A secret or a config at the top level.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Object {
    /// `name:` after interpolation, or none: `<stack>_<key>`.
    pub name: Option<String>,
    /// `name:` as it is written, for the modifiers of the variables in it.
    pub raw_name: Option<String>,
    pub external: bool,
    /// Relative to the recipe's folder.
    pub file: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    pub name: Option<String>,
    pub external: bool,
    pub internal: bool,
}

/// A service's use of a secret or a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Key at the top level.
    pub source: String,
    pub target: Option<String>,
    pub mode: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    pub target: u16,
    pub published: Option<u16>,
    pub protocol: String,
    pub mode: Option<String>,
}

impl Compose {
    /// The images of all services, each once.
    pub fn images(&self) -> BTreeSet<&str> {
        self.services
            .values()
            .map(|service| service.image.as_str())
            .collect()
    }
}
