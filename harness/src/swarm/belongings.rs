//! What a stack has of each kind, and what looks like it.
//!
//! This file must not know: how anything is removed.

use std::collections::{BTreeSet, HashMap};

use bollard::errors::Error;
use bollard::models::{Service, Task};
use bollard::query_parameters::{
    ListConfigsOptions, ListContainersOptions, ListNetworksOptions, ListSecretsOptions,
    ListServicesOptions, ListVolumesOptions,
};
use results::event::Leftover;

use super::before::{Before, Kind};
use super::whose::{Claimed, Whose, own};
use super::{Swarm, look, of_stack};
use crate::fault::Fault;
use crate::recipe::StackName;

/// What the swarm puts on the container of a task.
const SERVICE_ID: &str = "com.docker.swarm.service.id";

/// What a look after a removal saw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remains {
    /// The stack's, and what can't be told from it.
    pub residue: Vec<Leftover>,
    /// It bears the stack's label or name, and was there before or has another name: somebody
    /// else's, which is left.
    pub foreign: Vec<Leftover>,
}

/// What is left of the stack: an item for every object of its own, for every one that may be, and
/// for every anonymous volume that was noted.
pub async fn residue(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
    anonymous: &BTreeSet<String>,
) -> Result<Vec<Leftover>, Fault> {
    let remains = remains(swarm, stack, before, anonymous).await?;
    Ok(remains.residue)
}

/// The same, with what is somebody else's and looks like the stack's.
pub async fn remains(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
    anonymous: &BTreeSet<String>,
) -> Result<Remains, Fault> {
    find(swarm, stack, before, anonymous)
        .await
        .map_err(|error| Swarm::fault(format!("looking for what is left of {stack}"), &error))
}

async fn find(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
    anonymous: &BTreeSet<String>,
) -> Result<Remains, Error> {
    let (containers, services, tasks, volumes, secrets, configs, networks) = tokio::try_join!(
        claimed_containers(swarm, stack, before),
        claimed_services(swarm, stack, before),
        tasks(swarm, stack, before),
        claimed_volumes(swarm, stack, before, anonymous),
        claimed_secrets(swarm, stack, before),
        claimed_configs(swarm, stack, before),
        claimed_networks(swarm, stack, before),
    )?;
    let mut remains = Remains::default();
    sort(&mut remains, containers);
    sort(&mut remains, services);
    let task = |task: Task| {
        task.id.map(|name| Leftover {
            kind: "task".to_owned(),
            name,
        })
    };
    remains.residue.extend(tasks.into_iter().filter_map(task));
    sort(&mut remains, volumes);
    sort(&mut remains, secrets);
    sort(&mut remains, configs);
    sort(&mut remains, networks);
    Ok(remains)
}

fn sort<T>(into: &mut Remains, claimed: Vec<Claimed<T>>) {
    for Claimed {
        kind, name, whose, ..
    } in claimed
    {
        let left = match whose {
            Whose::Stack { .. } | Whose::Doubtful => &mut into.residue,
            Whose::Foreign => &mut into.foreign,
            Whose::Another => continue,
        };
        let kind = kind.name().to_owned();
        left.push(Leftover { kind, name });
    }
}

pub struct Container {
    pub id: String,
    /// Id of its service; empty: none.
    pub service: String,
    pub anonymous: Vec<String>,
}

/// The stack's own containers.
pub async fn containers(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
) -> Result<Vec<Container>, Error> {
    claimed_containers(swarm, stack, before).await.map(own)
}

async fn claimed_containers(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
) -> Result<Vec<Claimed<Container>>, Error> {
    let list = |filters| {
        let options = ListContainersOptions {
            all: true,
            filters: Some(filters),
            ..ListContainersOptions::default()
        };
        swarm.docker().list_containers(Some(options))
    };
    // A stack's name has no character that means something to an expression.
    let named = HashMap::from([("name".to_owned(), vec![format!("^/?{}", stack.object(""))])]);
    let (named, labelled) = tokio::try_join!(list(named), list(of_stack(stack)))?;
    let mut seen = BTreeSet::new();
    let claimed = |summary: bollard::models::ContainerSummary| {
        let id = summary.id?;
        let names = summary.names.unwrap_or_default();
        let mut names = names.iter().map(|name| name.trim_start_matches('/'));
        // A link gives a container a second name, with a slash.
        let name = names.find(|name| !name.contains('/')).unwrap_or(&id);
        let name = name.to_owned();
        if !seen.insert(id.clone()) {
            return None;
        }
        let mut labels = summary.labels.unwrap_or_default();
        let volumes = summary.mounts.unwrap_or_default().into_iter();
        let container = Container {
            id: id.clone(),
            service: labels.remove(SERVICE_ID).unwrap_or_default(),
            anonymous: volumes
                .filter(|mount| mount.typ.as_deref() == Some("volume"))
                .filter_map(|mount| mount.name)
                .filter(|name| is_anonymous(name) && came_after(before, name))
                .collect(),
        };
        let object = (Kind::Container, id.as_str());
        Claimed::of((stack, before), object, name, Some(&labels), container)
    };
    Ok(named
        .into_iter()
        .chain(labelled)
        .filter_map(claimed)
        .collect())
}

/// The engine names them by 64 hexadecimal digits, as anybody may name a volume: what was not noted
/// goes only with its container, by the engine, which knows.
fn is_anonymous(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|b| b.is_ascii_hexdigit())
}

fn came_after(before: &Before, volume: &str) -> bool {
    before.had(Kind::Volume, volume) == Some(false)
}

/// The stack's own services.
pub async fn services(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
) -> Result<Vec<Service>, Error> {
    claimed_services(swarm, stack, before).await.map(own)
}

async fn claimed_services(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
) -> Result<Vec<Claimed<Service>>, Error> {
    let all = swarm.docker().list_services(None::<ListServicesOptions>);
    let claimed = |service: Service| {
        let id = service.id.clone()?;
        let spec = service.spec.as_ref()?;
        let (name, labels) = (spec.name.clone()?, spec.labels.clone());
        let object = (Kind::Service, id.as_str());
        Claimed::of((stack, before), object, name, labels.as_ref(), service)
    };
    Ok(all.await?.into_iter().filter_map(claimed).collect())
}

/// Tasks with the stack's label that no foreign service has: one whose service is gone is the
/// stack's.
pub async fn tasks(swarm: &Swarm, stack: &StackName, before: &Before) -> Result<Vec<Task>, Error> {
    let (tasks, services) = tokio::try_join!(
        look::tasks(swarm, stack),
        claimed_services(swarm, stack, before)
    )?;
    let foreign: BTreeSet<_> = services
        .into_iter()
        .filter(|service| !service.is_own())
        .filter_map(|service| service.object.id)
        .collect();
    let is_own = |task: &Task| {
        let service = task.service_id.as_deref().unwrap_or_default();
        !foreign.contains(service) && before.had(Kind::Service, service) != Some(true)
    };
    Ok(tasks.into_iter().filter(is_own).collect())
}

/// The stack's own volumes, and those of `anonymous` that are there.
pub async fn volumes(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
    anonymous: &BTreeSet<String>,
) -> Result<Vec<String>, Error> {
    claimed_volumes(swarm, stack, before, anonymous)
        .await
        .map(own)
}

async fn claimed_volumes(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
    anonymous: &BTreeSet<String>,
) -> Result<Vec<Claimed<String>>, Error> {
    let listed = swarm.docker().list_volumes(None::<ListVolumesOptions>);
    let claimed = |volume: bollard::models::Volume| {
        let name = volume.name;
        if anonymous.contains(&name) && came_after(before, &name) {
            return Some(Claimed {
                kind: Kind::Volume,
                name: name.clone(),
                whose: Whose::Stack { labelled: false },
                object: name,
            });
        }
        let object = (Kind::Volume, name.as_str());
        let labels = Some(&volume.labels);
        Claimed::of((stack, before), object, name.clone(), labels, name.clone())
    };
    let volumes = listed.await?.volumes.unwrap_or_default();
    Ok(volumes.into_iter().filter_map(claimed).collect())
}

/// Id, name and labels of an object.
type Seen = (String, String, Option<HashMap<String, String>>);

/// Those that have to do with the stack, by their ids.
fn ids<T>(
    of: (&StackName, &Before),
    kind: Kind,
    listed: Vec<T>,
    seen: impl Fn(T) -> Option<Seen>,
) -> Vec<Claimed<String>> {
    let seen = listed.into_iter().filter_map(seen);
    let claimed = |(id, name, labels): Seen| {
        Claimed::of(of, (kind, id.as_str()), name, labels.as_ref(), id.clone())
    };
    seen.filter_map(claimed).collect()
}

/// Ids of the stack's own networks.
pub async fn networks(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
) -> Result<Vec<String>, Error> {
    claimed_networks(swarm, stack, before).await.map(own)
}

async fn claimed_networks(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
) -> Result<Vec<Claimed<String>>, Error> {
    let listed = swarm.docker().list_networks(None::<ListNetworksOptions>);
    let seen = |it: bollard::models::Network| Some((it.id?, it.name?, it.labels));
    Ok(ids((stack, before), Kind::Network, listed.await?, seen))
}

/// Ids of the stack's own configs.
pub async fn configs(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
) -> Result<Vec<String>, Error> {
    claimed_configs(swarm, stack, before).await.map(own)
}

async fn claimed_configs(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
) -> Result<Vec<Claimed<String>>, Error> {
    let listed = swarm.docker().list_configs(None::<ListConfigsOptions>);
    let seen = |it: bollard::models::Config| {
        let spec = it.spec?;
        Some((it.id?, spec.name?, spec.labels))
    };
    Ok(ids((stack, before), Kind::Config, listed.await?, seen))
}

pub struct Secret {
    pub id: String,
    /// Whether the stack itself made it.
    pub labelled: bool,
}

/// The stack's own secrets.
pub async fn secrets(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
) -> Result<Vec<Secret>, Error> {
    let claimed = claimed_secrets(swarm, stack, before).await?;
    let own = |secret: Claimed<String>| match secret.whose {
        Whose::Stack { labelled } => Some(Secret {
            id: secret.object,
            labelled,
        }),
        _ => None,
    };
    Ok(claimed.into_iter().filter_map(own).collect())
}

async fn claimed_secrets(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
) -> Result<Vec<Claimed<String>>, Error> {
    let listed = swarm.docker().list_secrets(None::<ListSecretsOptions>);
    let seen = |it: bollard::models::Secret| {
        let spec = it.spec?;
        Some((it.id?, spec.name?, spec.labels))
    };
    Ok(ids((stack, before), Kind::Secret, listed.await?, seen))
}

/// Full names of the secrets that bear the stack's name.
pub async fn secret_names(swarm: &Swarm, stack: &StackName) -> Result<BTreeSet<String>, Fault> {
    let found = claimed_secrets(swarm, stack, &Before::Unknown)
        .await
        .map_err(|error| Swarm::fault(format!("looking at the secrets of {stack}"), &error))?;
    let named = found.into_iter().filter(|it| it.whose != Whose::Foreign);
    Ok(named.map(|secret| secret.name).collect())
}
