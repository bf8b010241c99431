//! What an engine had before an app's first object: none of it is the app's, whatever it is called
//! and whatever label it bears by now.
//!
//! This file must not know: which of the rest is a stack's.

use std::collections::BTreeSet;
use std::sync::Arc;

use bollard::errors::Error;
use bollard::query_parameters::{
    ListConfigsOptions, ListContainersOptions, ListNetworksOptions, ListSecretsOptions,
    ListServicesOptions, ListVolumesOptions,
};
use serde::{Deserialize, Serialize};

use super::Swarm;
use crate::fault::Fault;

/// Everything that an engine has: ids, of volumes names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objects {
    pub containers: BTreeSet<String>,
    pub services: BTreeSet<String>,
    pub volumes: BTreeSet<String>,
    pub networks: BTreeSet<String>,
    pub configs: BTreeSet<String>,
    pub secrets: BTreeSet<String>,
}

/// What is known of the time before an app.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Before {
    Noted(Arc<Objects>),
    /// Nothing was noted, or the note is lost: then the stack's label alone proves what is its own.
    #[default]
    Unknown,
}

impl Before {
    /// Notes everything that the engine has now.
    pub async fn note(swarm: &Swarm) -> Result<Self, Fault> {
        let objects = all(swarm)
            .await
            .map_err(|error| Swarm::fault("noting what the engine has", &error))?;
        Ok(Self::Noted(Arc::new(objects)))
    }

    /// Whether this container is known to have been there.
    pub fn had_container(&self, id: &str) -> bool {
        self.had(Kind::Container, id) == Some(true)
    }

    pub(super) fn had(&self, kind: Kind, id: &str) -> Option<bool> {
        let Self::Noted(objects) = self else {
            return None;
        };
        let noted = match kind {
            Kind::Container => &objects.containers,
            Kind::Service => &objects.services,
            Kind::Volume => &objects.volumes,
            Kind::Network => &objects.networks,
            Kind::Config => &objects.configs,
            Kind::Secret => &objects.secrets,
        };
        Some(noted.contains(id))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Container,
    Service,
    Volume,
    Network,
    Config,
    Secret,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Service => "service",
            Self::Volume => "volume",
            Self::Network => "network",
            Self::Config => "config",
            Self::Secret => "secret",
        }
    }
}

async fn all(swarm: &Swarm) -> Result<Objects, Error> {
    let docker = swarm.docker();
    let everything = ListContainersOptions {
        all: true,
        ..ListContainersOptions::default()
    };
    let (containers, services, volumes, networks, configs, secrets) = tokio::try_join!(
        docker.list_containers(Some(everything)),
        docker.list_services(None::<ListServicesOptions>),
        docker.list_volumes(None::<ListVolumesOptions>),
        docker.list_networks(None::<ListNetworksOptions>),
        docker.list_configs(None::<ListConfigsOptions>),
        docker.list_secrets(None::<ListSecretsOptions>),
    )?;
    let volumes = volumes.volumes.unwrap_or_default();
    Ok(Objects {
        containers: containers.into_iter().filter_map(|it| it.id).collect(),
        services: services.into_iter().filter_map(|it| it.id).collect(),
        volumes: volumes.into_iter().map(|it| it.name).collect(),
        networks: networks.into_iter().filter_map(|it| it.id).collect(),
        configs: configs.into_iter().filter_map(|it| it.id).collect(),
        secrets: secrets.into_iter().filter_map(|it| it.id).collect(),
    })
}
