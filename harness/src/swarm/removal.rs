//! Taking a stack away, fast and whole.
//!
//! Nobody needs a graceful stop any more, so containers are killed. A task that is still being
//! prepared makes its container and its volumes later: a clean look proves nothing until the
//! engine lists neither tasks nor containers. Only then volumes are removed, and networks, which
//! tasks hold.
//!
//! Invariant: only what [`super::belongings`] says is the stack's is touched.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use bollard::errors::Error;
use bollard::models::{Service, Task};
use bollard::query_parameters::{
    KillContainerOptions, RemoveContainerOptions, RemoveVolumeOptions,
};
use futures_util::future::join_all;

use super::before::Before;
use super::belongings::{configs, containers, networks, secrets, services, tasks, volumes};
use super::{Swarm, answered, because};
use crate::fault::Fault;
use crate::recipe::StackName;
use crate::wait::{Probe, Unwatched, WaitError, wait_until};

/// The swarm forgets within 250 ms; a busy host is slower.
const CALM: Duration = Duration::from_millis(600);
const CALM_WITHIN: Duration = Duration::from_secs(10);
const OLD_TASKS: usize = 4;
const LOOK_EVERY: Duration = Duration::from_millis(30);

/// What a removal learned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Removed {
    /// Names of anonymous volumes that containers had: nothing else tells whose they were.
    pub anonymous: BTreeSet<String>,
}

/// Removes services, containers, networks, configs, the secrets that the stack itself made, and
/// volumes. Secrets without the stack's label stay. Done again on what is gone, it does nothing.
pub async fn remove_stack(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
    deadline: Duration,
) -> Result<Removed, Fault> {
    let mut removed = Removed::default();
    let started = Instant::now();
    let left = || deadline.saturating_sub(started.elapsed());
    let removal = async {
        let fault = |error: Error| Swarm::fault(format!("removing {stack}"), &error);
        kill_services(swarm, stack, before, &mut removed.anonymous)
            .await
            .map_err(fault)?;
        gone(swarm, stack, before, left(), &mut removed.anonymous).await?;
        let (volumes, networks, objects) = tokio::join!(
            remove_volumes(swarm, stack, before, left(), &removed.anonymous),
            remove_networks(swarm, stack, before, left()),
            remove_configs_and_secrets(swarm, stack, before),
        );
        volumes?;
        networks?;
        objects.map_err(fault)
    };
    match tokio::time::timeout(deadline, removal).await {
        Ok(done) => done.map(|()| removed),
        Err(_) => Err(Fault::infra(format!(
            "removing {stack}: not within {deadline:?}"
        ))),
    }
}

/// Names of the anonymous volumes that the stack's containers have now. Note them before a removal:
/// afterwards nothing tells whose they were.
pub async fn anonymous_volumes(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
) -> Result<BTreeSet<String>, Fault> {
    let containers = containers(swarm, stack, before)
        .await
        .map_err(|error| Swarm::fault(format!("looking at the containers of {stack}"), &error))?;
    Ok(containers
        .into_iter()
        .flat_map(|container| container.anonymous)
        .collect())
}

/// Kills the containers of each service and removes it at once.
///
/// The order and the haste matter: a task that the swarm shuts down itself takes two seconds more
/// if it has a network, whatever becomes of its container; so does one that the swarm starts in
/// place of a killed one while the service still lives. A service whose old tasks the swarm is
/// forgetting is removed without a kill, which would make it forget one more: see [`calm`].
async fn kill_services(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
    anonymous: &mut BTreeSet<String>,
) -> Result<(), Error> {
    let (services, tasks) = calm(swarm, stack, before).await?;
    let containers = containers(swarm, stack, before).await?;
    anonymous.extend(containers.iter().flat_map(|c| c.anonymous.iter().cloned()));
    let end = |service: Service| {
        let id = service.id.unwrap_or_default();
        let kills = containers
            .iter()
            .filter(|container| container.service == id && !is_pruned(&tasks, &id))
            .map(|container| {
                let options = KillContainerOptions {
                    signal: "SIGKILL".to_owned(),
                };
                swarm.docker().kill_container(&container.id, Some(options))
            })
            .collect::<Vec<_>>();
        async move {
            // One that does not run can't be killed: no matter.
            join_all(kills).await;
            unless_gone(swarm.docker().delete_service(&id).await)
        }
    };
    join_all(services.into_iter().map(end))
        .await
        .into_iter()
        .collect()
}

/// Waits, where the swarm forgets old tasks of a service, until it has done so.
///
/// Debian's engine (20.10) dies of a nil pointer in `SetServiceTasksRemove` if it forgets a task of
/// a service in the moment in which the service is removed. It forgets the oldest of a slot a
/// quarter of a second after a new one was made, as a crash loop does again and again.
async fn calm(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
) -> Result<(Vec<Service>, Vec<Task>), Error> {
    let last = std::sync::Mutex::new((Vec::new(), Instant::now()));
    let waited = wait_until(
        "the swarm to have forgotten old tasks",
        CALM_WITHIN,
        LOOK_EVERY,
        &Unwatched,
        || async {
            let seen =
                tokio::try_join!(services(swarm, stack, before), tasks(swarm, stack, before));
            let (services, tasks) = match seen {
                Ok(seen) => seen,
                Err(error) => return Probe::NotYet(because(&error)),
            };
            let ids = services.iter().filter_map(|service| service.id.as_deref());
            let pruned = ids.filter(|id| is_pruned(&tasks, id)).collect::<Vec<_>>();
            let mut history = tasks
                .iter()
                .filter(|task| pruned.contains(&task.service_id.as_deref().unwrap_or_default()))
                .filter_map(|task| task.id.clone())
                .collect::<Vec<_>>();
            history.sort();
            let mut last = last.lock().expect("nothing panics while it holds the lock");
            if last.0 != history {
                *last = (history, Instant::now());
            }
            if last.0.is_empty() || last.1.elapsed() >= CALM {
                return Probe::Ready((services, tasks));
            }
            Probe::NotYet("the history changed just now".to_owned())
        },
    );
    match waited.await {
        Ok(seen) => Ok(seen),
        // It never is: then now is as good as later.
        Err(_) => tokio::try_join!(services(swarm, stack, before), tasks(swarm, stack, before)),
    }
}

/// Whether a service has so many tasks that the swarm forgets one when the next is made (the
/// limit is five old ones a slot, unless someone set another).
fn is_pruned(tasks: &[Task], service: &str) -> bool {
    let mut slots = HashMap::new();
    for task in tasks {
        if task.service_id.as_deref() == Some(service) {
            // A global service has no slots but nodes.
            let slot = match task.slot {
                Some(slot) if slot > 0 => (slot, None),
                _ => (0, task.node_id.as_deref()),
            };
            *slots.entry(slot).or_insert(0) += 1;
        }
    }
    slots.values().any(|count| *count >= OLD_TASKS)
}

async fn remove_services(swarm: &Swarm, stack: &StackName, before: &Before) -> Result<(), Error> {
    let services = services(swarm, stack, before).await?;
    let removals = services.iter().filter_map(|service| service.id.as_deref());
    for done in join_all(removals.map(|id| swarm.docker().delete_service(id))).await {
        unless_gone(done)?;
    }
    Ok(())
}

/// Removes containers until the engine lists neither tasks nor containers.
async fn gone(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
    deadline: Duration,
    anonymous: &mut BTreeSet<String>,
) -> Result<(), Fault> {
    let noted = std::sync::Mutex::new(std::mem::take(anonymous));
    let subject = format!("the tasks and containers of {stack} to go");
    let waited = wait_until(&subject, deadline, LOOK_EVERY, &Unwatched, || async {
        let seen = tokio::try_join!(
            containers(swarm, stack, before),
            tasks(swarm, stack, before),
            services(swarm, stack, before)
        );
        let (containers, tasks, services) = match seen {
            Ok(seen) => seen,
            Err(error) => return Probe::NotYet(because(&error)),
        };
        if containers.is_empty() && tasks.is_empty() && services.is_empty() {
            return Probe::Ready(());
        }
        noted
            .lock()
            .expect("nothing panics while it holds the lock")
            .extend(containers.iter().flat_map(|c| c.anonymous.iter().cloned()));
        if !services.is_empty()
            && let Err(error) = remove_services(swarm, stack, before).await
        {
            return Probe::NotYet(because(&error));
        }
        let status = format!(
            "{} containers, {} tasks, {} services left",
            containers.len(),
            tasks.len(),
            services.len()
        );
        let kill = |id: String| async move {
            let options = RemoveContainerOptions {
                v: true,
                force: true,
                link: false,
            };
            // Whatever stands in the way (being made, being removed) is looked at again.
            let _ = swarm.docker().remove_container(&id, Some(options)).await;
        };
        join_all(containers.into_iter().map(|container| kill(container.id))).await;
        Probe::NotYet(status)
    })
    .await;
    *anonymous = noted
        .into_inner()
        .expect("nothing panics while it holds the lock");
    waited.map_err(|error| Fault::infra(error.to_string()))
}

async fn remove_volumes(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
    deadline: Duration,
    anonymous: &BTreeSet<String>,
) -> Result<(), Fault> {
    until_none(
        &format!("the volumes of {stack} to go"),
        deadline,
        || volumes(swarm, stack, before, anonymous),
        |name| async move {
            swarm
                .docker()
                .remove_volume(&name, None::<RemoveVolumeOptions>)
                .await
        },
    )
    .await
}

async fn remove_networks(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
    deadline: Duration,
) -> Result<(), Fault> {
    until_none(
        &format!("the networks of {stack} to go"),
        deadline,
        || networks(swarm, stack, before),
        |network| async move { swarm.docker().remove_network(&network).await },
    )
    .await
}

/// Removes what is listed until nothing is.
async fn until_none<T, L, R>(
    subject: &str,
    deadline: Duration,
    list: impl Fn() -> L,
    remove: impl Fn(T) -> R,
) -> Result<(), Fault>
where
    L: Future<Output = Result<Vec<T>, Error>>,
    R: Future<Output = Result<(), Error>>,
{
    wait_until(subject, deadline, LOOK_EVERY, &Unwatched, || async {
        let left = match list().await {
            Ok(left) if left.is_empty() => return Probe::Ready(()),
            Ok(left) => left,
            Err(error) => return Probe::NotYet(because(&error)),
        };
        let count = left.len();
        let mut why = String::new();
        for done in join_all(left.into_iter().map(&remove)).await {
            if let Err(error) = done {
                why = format!(": {}", because(&error));
            }
        }
        Probe::NotYet(format!("{count} left{why}"))
    })
    .await
    .map_err(|error| match error {
        // What stands in the way counts, and not how much time was left for it.
        WaitError::TimedOut { status, .. } => Fault::infra(format!("{subject}: {status}")),
        other => Fault::infra(other.to_string()),
    })
}

async fn remove_configs_and_secrets(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
) -> Result<(), Error> {
    for config in configs(swarm, stack, before).await? {
        unless_gone(swarm.docker().delete_config(&config).await)?;
    }
    for secret in secrets(swarm, stack, before).await? {
        if secret.labelled {
            unless_gone(swarm.docker().delete_secret(&secret.id).await)?;
        }
    }
    Ok(())
}

/// Removes the secrets of the stack that carry no label of it: those that an engine inserted.
pub async fn remove_secrets(
    swarm: &Swarm,
    stack: &StackName,
    before: &Before,
) -> Result<(), Fault> {
    let fault = |error: Error| Swarm::fault(format!("removing the secrets of {stack}"), &error);
    for secret in secrets(swarm, stack, before).await.map_err(fault)? {
        unless_gone(swarm.docker().delete_secret(&secret.id).await).map_err(fault)?;
    }
    Ok(())
}

/// What is gone already need not be removed.
fn unless_gone(done: Result<(), Error>) -> Result<(), Error> {
    match done {
        Err(error) if answered(&error, 404) => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::a_crash_loop(&[1, 1, 1, 1], true)]
    #[case::four_replicas(&[1, 2, 3, 4], false)]
    #[case::one_redeploy(&[1, 1], false)]
    fn a_service_is_pruned_by_slot(#[case] slots: &[i64], #[case] expected: bool) {
        let task = |slot: &i64| Task {
            service_id: Some("s".to_owned()),
            slot: Some(*slot),
            ..Task::default()
        };
        let tasks = slots.iter().map(task).collect::<Vec<_>>();
        assert_eq!(is_pruned(&tasks, "s"), expected);
        assert!(!is_pruned(&tasks, "other"));
    }
}
