//! What runs: the services of a stack as the engine has them, and the volumes of their containers.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bollard::models::{Mount, MountType, TaskSpecContainerSpec};
use bollard::query_parameters::InspectContainerOptions;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::look::{self, seen_task};
use super::{Swarm, answered};
use crate::fault::Fault;
use crate::recipe::StackName;

/// A service as the swarm has it now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LiveService {
    /// Short name.
    pub name: String,
    /// As in the spec: a name, with `@sha256:…` where the client pinned it, or an id.
    pub image: String,
    /// The service's own labels (`deploy.labels`).
    pub labels: BTreeMap<String, String>,
    /// None: the name stands alone and has no value.
    pub env: BTreeMap<String, Option<String>>,
    /// Compose's `entrypoint`.
    pub entrypoint: Vec<String>,
    /// Compose's `command`.
    pub command: Vec<String>,
    pub mounts: Vec<LiveMount>,
    pub configs: Vec<LiveConfig>,
    /// Full names.
    pub secrets: Vec<String>,
    /// None: a global service.
    pub replicas: Option<u64>,
    /// The engine's word for the state of the last update.
    pub update: Option<String>,
    /// Containers of the running tasks, oldest first.
    pub containers: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveMount {
    /// `volume`, `bind`, `tmpfs`.
    pub kind: String,
    pub target: String,
    /// Full name of the volume, or path of the host; none: anonymous.
    pub source: Option<String>,
    pub driver: Option<String>,
    pub read_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveConfig {
    /// Full name.
    pub name: String,
    pub target: String,
    /// Of the content, in hexadecimal digits.
    pub sha256: Option<String>,
}

/// A volume in a container of a running task.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MountedVolume {
    pub service: String,
    pub target: String,
    pub volume: String,
    pub driver: String,
    pub read_only: bool,
    /// Made by the engine for this one container.
    pub anonymous: bool,
    /// Key in the compose file, where the name tells it.
    pub key: Option<String>,
}

/// The services of the stack, by name.
pub async fn live(swarm: &Swarm, stack: &StackName) -> Result<Vec<LiveService>, Fault> {
    let fault = |error| Swarm::fault(format!("looking at the services of {stack}"), &error);
    let (services, tasks) =
        tokio::try_join!(look::services(swarm, stack), look::tasks(swarm, stack)).map_err(fault)?;
    let mut found = Vec::new();
    for service in services {
        let name = look::short_name(stack, &service);
        let containers = tasks
            .iter()
            .filter(|task| task.service_id == service.id)
            .map(|task| seen_task(task.clone(), true))
            .filter(|task| task.runs())
            .filter_map(|task| task.container)
            .collect();
        let spec = service.spec.unwrap_or_default();
        let container = spec
            .task_template
            .and_then(|task| task.container_spec)
            .unwrap_or_default();
        found.push(LiveService {
            name,
            labels: spec.labels.unwrap_or_default().into_iter().collect(),
            replicas: spec
                .mode
                .and_then(|mode| mode.replicated)
                .and_then(|mode| mode.replicas)
                .map(|replicas| replicas.max(0) as u64),
            update: service
                .update_status
                .and_then(|status| status.state)
                .map(|state| state.to_string())
                .filter(|state| !state.is_empty()),
            containers,
            env: env(container.env.as_deref().unwrap_or_default()),
            mounts: mounts(container.mounts.as_deref().unwrap_or_default()),
            configs: configs(swarm, &container).await?,
            secrets: container
                .secrets
                .unwrap_or_default()
                .into_iter()
                .filter_map(|secret| secret.secret_name)
                .collect(),
            image: container.image.unwrap_or_default(),
            entrypoint: container.command.unwrap_or_default(),
            command: container.args.unwrap_or_default(),
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The volumes in the containers of the running tasks, each service's by target.
pub async fn mounted_volumes(
    swarm: &Swarm,
    stack: &StackName,
) -> Result<Vec<MountedVolume>, Fault> {
    let mut found = Vec::new();
    let prefix = stack.object("");
    for service in live(swarm, stack).await? {
        for container in &service.containers {
            let inspected = swarm
                .docker()
                .inspect_container(container, None::<InspectContainerOptions>)
                .await;
            let inspected = match inspected {
                Ok(inspected) => inspected,
                // Ended in between: not running any more.
                Err(error) if answered(&error, 404) => continue,
                Err(error) => {
                    let what = format!("looking at a container of {}", service.name);
                    return Err(Swarm::fault(what, &error));
                }
            };
            for point in inspected.mounts.unwrap_or_default() {
                if point.typ.as_deref() != Some("volume") {
                    continue;
                }
                let volume = point.name.unwrap_or_default();
                let asked_for = service
                    .mounts
                    .iter()
                    .any(|mount| mount.source.as_deref() == Some(volume.as_str()));
                found.push(MountedVolume {
                    service: service.name.clone(),
                    target: point.destination.unwrap_or_default(),
                    driver: point.driver.unwrap_or_default(),
                    read_only: point.rw == Some(false),
                    anonymous: !asked_for,
                    key: volume.strip_prefix(&prefix).map(str::to_owned),
                    volume,
                });
            }
        }
    }
    found.sort();
    Ok(found)
}

fn env(list: &[String]) -> BTreeMap<String, Option<String>> {
    list.iter()
        .map(|entry| match entry.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (entry.clone(), None),
        })
        .collect()
}

fn mounts(list: &[Mount]) -> Vec<LiveMount> {
    let mut found = list
        .iter()
        .map(|mount| LiveMount {
            kind: mount.typ.unwrap_or(MountType::VOLUME).to_string(),
            target: mount.target.clone().unwrap_or_default(),
            source: mount.source.clone().filter(|source| !source.is_empty()),
            driver: mount
                .volume_options
                .as_ref()
                .and_then(|options| options.driver_config.as_ref())
                .and_then(|driver| driver.name.clone())
                .filter(|name| !name.is_empty()),
            read_only: mount.read_only == Some(true),
        })
        .collect::<Vec<_>>();
    found.sort_by(|a, b| a.target.cmp(&b.target));
    found
}

async fn configs(
    swarm: &Swarm,
    container: &TaskSpecContainerSpec,
) -> Result<Vec<LiveConfig>, Fault> {
    let mut found = Vec::new();
    for config in container.configs.iter().flatten() {
        let name = config.config_name.clone().unwrap_or_default();
        let inspected = swarm
            .docker()
            .inspect_config(config.config_id.as_deref().unwrap_or(&name))
            .await
            .map_err(|error| Swarm::fault(format!("looking at the config {name}"), &error))?;
        let data = inspected.spec.and_then(|spec| spec.data);
        found.push(LiveConfig {
            target: config
                .file
                .as_ref()
                .and_then(|file| file.name.clone())
                .unwrap_or_default(),
            sha256: data
                .and_then(|data| BASE64.decode(data).ok())
                .map(|data| sha256(&data)),
            name,
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// In hexadecimal digits.
pub fn sha256(data: &[u8]) -> String {
    Sha256::digest(data)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
