//! What is a stack's: every object with its namespace label, or with its name as prefix and no
//! other stack's label.
//!
//! This file must not know: how anything is removed.

use std::collections::{BTreeSet, HashMap};

use bollard::errors::Error;
use bollard::query_parameters::{
    ListConfigsOptions, ListContainersOptions, ListNetworksOptions, ListSecretsOptions,
    ListVolumesOptions,
};
use results::event::Leftover;

use super::{NAMESPACE, Swarm, look, of_stack};
use crate::fault::Fault;
use crate::recipe::StackName;

/// What the swarm puts on the container of a task.
const SERVICE_ID: &str = "com.docker.swarm.service.id";

/// What is left of the stack: an item for every object by its label or by its name, and for every
/// anonymous volume that was noted.
pub async fn residue(
    swarm: &Swarm,
    stack: &StackName,
    noted_anonymous: &BTreeSet<String>,
) -> Result<Vec<Leftover>, Fault> {
    find_residue(swarm, stack, noted_anonymous)
        .await
        .map_err(|error| Swarm::fault(format!("looking for what is left of {stack}"), &error))
}

async fn find_residue(
    swarm: &Swarm,
    stack: &StackName,
    noted_anonymous: &BTreeSet<String>,
) -> Result<Vec<Leftover>, Error> {
    let (containers, services, tasks, volumes, secrets, configs, networks) = tokio::try_join!(
        containers(swarm, stack),
        look::services(swarm, stack),
        look::tasks(swarm, stack),
        volumes(swarm, stack, noted_anonymous),
        secrets(swarm, stack),
        configs(swarm, stack),
        networks(swarm, stack),
    )?;
    let names = |kind: &'static str, names: Vec<String>| {
        names.into_iter().map(move |name| Leftover {
            kind: kind.to_owned(),
            name,
        })
    };
    Ok(names(
        "container",
        containers.into_iter().map(|c| c.name).collect(),
    )
    .chain(names(
        "service",
        services
            .into_iter()
            .filter_map(|service| service.spec?.name)
            .collect(),
    ))
    .chain(names(
        "task",
        tasks.into_iter().filter_map(|task| task.id).collect(),
    ))
    .chain(names("volume", volumes))
    .chain(names(
        "secret",
        secrets.into_iter().map(|object| object.name).collect(),
    ))
    .chain(names(
        "config",
        configs.into_iter().map(|object| object.name).collect(),
    ))
    .chain(names(
        "network",
        networks.into_iter().map(|object| object.name).collect(),
    ))
    .collect())
}

pub struct Container {
    pub id: String,
    /// Id of its service; empty: none.
    pub service: String,
    pub name: String,
    pub anonymous: Vec<String>,
}

pub async fn containers(swarm: &Swarm, stack: &StackName) -> Result<Vec<Container>, Error> {
    let options = ListContainersOptions {
        all: true,
        filters: Some(of_stack(stack)),
        ..ListContainersOptions::default()
    };
    let listed = swarm.docker().list_containers(Some(options)).await?;
    let container = |summary: bollard::models::ContainerSummary| {
        let id = summary.id.unwrap_or_default();
        let name = summary.names.unwrap_or_default().into_iter().next();
        let volumes = summary.mounts.unwrap_or_default().into_iter();
        let mut labels = summary.labels.unwrap_or_default();
        Container {
            service: labels.remove(SERVICE_ID).unwrap_or_default(),
            name: name.map_or_else(
                || id.clone(),
                |name| name.trim_start_matches('/').to_owned(),
            ),
            id,
            anonymous: volumes
                .filter(|mount| mount.typ.as_deref() == Some("volume"))
                .filter_map(|mount| mount.name)
                .filter(|name| is_anonymous(name))
                .collect(),
        }
    };
    Ok(listed.into_iter().map(container).collect())
}

/// The engine names them by 64 hexadecimal digits.
fn is_anonymous(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|b| b.is_ascii_hexdigit())
}

/// An object that is the stack's.
pub struct Owned {
    pub id: String,
    pub name: String,
    pub labelled: bool,
}

/// None: another's.
fn owned(
    stack: &StackName,
    id: Option<String>,
    name: Option<String>,
    labels: &HashMap<String, String>,
) -> Option<Owned> {
    let (id, name) = (id?, name?);
    let labelled = match labels.get(NAMESPACE) {
        Some(namespace) if namespace == stack.as_str() => true,
        Some(_) => return None,
        None if name.starts_with(&stack.object("")) => false,
        None => return None,
    };
    Some(Owned { id, name, labelled })
}

pub async fn volumes(
    swarm: &Swarm,
    stack: &StackName,
    anonymous: &BTreeSet<String>,
) -> Result<Vec<String>, Error> {
    let listed = swarm
        .docker()
        .list_volumes(None::<ListVolumesOptions>)
        .await?;
    Ok(listed
        .volumes
        .unwrap_or_default()
        .into_iter()
        .filter(|volume| {
            let name = Some(volume.name.clone());
            anonymous.contains(&volume.name)
                || owned(stack, name.clone(), name, &volume.labels).is_some()
        })
        .map(|volume| volume.name)
        .collect())
}

pub async fn networks(swarm: &Swarm, stack: &StackName) -> Result<Vec<Owned>, Error> {
    let listed = swarm
        .docker()
        .list_networks(None::<ListNetworksOptions>)
        .await?;
    let own = |network: bollard::models::Network| {
        owned(
            stack,
            network.id,
            network.name,
            &network.labels.unwrap_or_default(),
        )
    };
    Ok(listed.into_iter().filter_map(own).collect())
}

pub async fn configs(swarm: &Swarm, stack: &StackName) -> Result<Vec<Owned>, Error> {
    let listed = swarm
        .docker()
        .list_configs(None::<ListConfigsOptions>)
        .await?;
    let own = |config: bollard::models::Config| {
        let spec = config.spec.unwrap_or_default();
        owned(
            stack,
            config.id,
            spec.name,
            &spec.labels.unwrap_or_default(),
        )
    };
    Ok(listed.into_iter().filter_map(own).collect())
}

pub async fn secrets(swarm: &Swarm, stack: &StackName) -> Result<Vec<Owned>, Error> {
    let listed = swarm
        .docker()
        .list_secrets(None::<ListSecretsOptions>)
        .await?;
    let own = |secret: bollard::models::Secret| {
        let spec = secret.spec.unwrap_or_default();
        owned(
            stack,
            secret.id,
            spec.name,
            &spec.labels.unwrap_or_default(),
        )
    };
    Ok(listed.into_iter().filter_map(own).collect())
}

/// Full names of the stack's secrets.
pub async fn secret_names(swarm: &Swarm, stack: &StackName) -> Result<BTreeSet<String>, Fault> {
    let found = secrets(swarm, stack)
        .await
        .map_err(|error| Swarm::fault(format!("looking at the secrets of {stack}"), &error))?;
    Ok(found.into_iter().map(|secret| secret.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::AppDomain;

    #[rstest::rstest]
    #[case::labelled("x", Some("a_ci_test"), Some(true))]
    #[case::prefix("a_ci_test_data", None, Some(false))]
    #[case::another_label("a_ci_test_data", Some("a_ci_test_data"), None)]
    #[case::longer_name("a_ci_tests_data", None, None)]
    #[case::nobody("proxy", None, None)]
    fn only_what_is_the_stacks_is_its_own(
        #[case] name: &str,
        #[case] label: Option<&str>,
        #[case] expected: Option<bool>,
    ) {
        let stack = "a.ci.test".parse::<AppDomain>().unwrap().stack();
        let labels = label
            .map(|label| (NAMESPACE.to_owned(), label.to_owned()))
            .into_iter()
            .collect();
        let found = owned(
            &stack,
            Some("id".to_owned()),
            Some(name.to_owned()),
            &labels,
        );
        assert_eq!(found.map(|owned| owned.labelled), expected);
    }
}
