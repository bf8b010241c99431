//! Removes what dead runs left: only what this account registered, and only where nobody holds the
//! lock. Age decides nothing. What can't be removed is said, and left.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bollard::query_parameters::RemoveContainerOptions;

use super::locks::{Lock, Registration, Registry, Said};
use super::lost::{self, Removal};
use crate::engine::abra;
use crate::fault::Fault;
use crate::recipe::StackName;
use crate::site::EngineKind;
use crate::swarm::{self, Before, Swarm};
use crate::wait::{Probe, Seconds, Unwatched, wait_until};

/// How long one removal may take.
pub const REMOVE_WITHIN: Duration = Duration::from_secs(120);

/// The name of the container that is an app's edge. It does not begin with the stack's name: the
/// stack is removed and deployed again under a running edge.
pub fn edge_name(stack: &StackName) -> String {
    format!("cc-ci-edge-{stack}")
}

/// What came of a look at the dead.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// The runs that were removed.
    pub reaped: Vec<String>,
    /// What could not be, a line each with what to do: it stays registered, and is no reason for
    /// anybody else to fail.
    pub troubles: Vec<String>,
}

/// Removes every dead run's app of this account, within this time altogether.
pub async fn sweep(swarm: &Swarm, registry: &Registry, within: Duration) -> Result<Swept, Fault> {
    let started = Instant::now();
    let mut swept = Swept::default();
    for domain in registry.registered()? {
        let (held, dead) = match registry.registered_app(&domain) {
            Ok(None | Some(Lock::Theirs(_))) => continue,
            Ok(Some(Lock::Ours(held, Said::Ours(dead)))) => (held, dead),
            // Its run ended before it could register: it made nothing.
            Ok(Some(Lock::Ours(held, Said::Nothing))) => {
                if let Err(fault) = held.forget() {
                    swept.troubles.push(fault.to_string());
                }
                continue;
            }
            Ok(Some(Lock::Ours(_, said))) => {
                let unsettled = registry.of_dead(&domain, said);
                swept.troubles.extend(unsettled.map(|it| it.to_string()));
                continue;
            }
            Err(fault) => {
                swept.troubles.push(fault.to_string());
                continue;
            }
        };
        let begun = Instant::now();
        let left = within.saturating_sub(started.elapsed());
        let before = held.before();
        let removal = remove_app(swarm, &dead, &before, left.min(REMOVE_WITHIN));
        let removed = match tokio::time::timeout(left, removal).await {
            Ok(removed) => removed,
            Err(_) => Err(Fault::infra(format!("not within {}", Seconds(within)))),
        };
        let forgotten = match removed {
            Ok(()) => held.forget(),
            Err(fault) => Err(fault),
        };
        if let Err(fault) = forgotten {
            let unsettled = registry.of_dead(&domain, Said::Ours(dead));
            let line = unsettled.map(|it| format!("{it} ({fault})"));
            swept.troubles.extend(line);
            continue;
        }
        let removal = Removal {
            duration: begun.elapsed(),
            ..Removal::default()
        };
        swept.reaped.push(recorded(&dead, &removal));
    }
    Ok(swept)
}

/// Completes the record of a run whose app was removed. Where it can't be written, the app is gone
/// all the same.
fn recorded(dead: &Registration, removal: &Removal) -> String {
    let completed = match dead.folders() {
        Ok(Some(paths)) => lost::complete(&paths.run, removal).map(drop),
        Ok(None) => Err(Fault::infra("its state directory is gone")),
        Err(error) => Err(Fault::infra(error.to_string())),
    };
    match completed {
        Ok(()) => dead.run_id.to_string(),
        Err(fault) => format!("{} (without a record: {fault})", dead.run_id),
    }
}

/// Removes the app of one run that is known to be dead. `domain` may still be held for a moment by
/// a child that was changing the swarm when its keeper died: it is waited for.
pub async fn reap(
    swarm: &Swarm,
    registry: &Registry,
    registration: &Registration,
    patience: Duration,
) -> Result<(), Fault> {
    let subject = format!(
        "the lock of {}, held by what run {} left running",
        registration.domain, registration.run_id
    );
    let ours = wait_until(
        &subject,
        patience,
        Duration::from_millis(50),
        &Unwatched,
        || async {
            match registry.app(&registration.domain) {
                Ok(Lock::Ours(held, found)) => Probe::Ready(Some((held, found))),
                // Somebody else's by now: nothing of this run is left to remove.
                Ok(Lock::Theirs(said)) => match said.registration() {
                    Some(holder) if holder.run_id != registration.run_id => Probe::Ready(None),
                    _ => Probe::NotYet("held".to_owned()),
                },
                Err(fault) => Probe::Never(fault.to_string()),
            }
        },
    );
    match ours
        .await
        .map_err(|error| Fault::infra(error.to_string()))?
    {
        Some((held, Said::Ours(dead))) if dead.run_id == registration.run_id => {
            remove_app(swarm, &dead, &held.before(), REMOVE_WITHIN).await?;
            held.forget()
        }
        Some((held, Said::Nothing)) => held.forget(),
        // Another dead run's, which the next janitor sees to; or a live one's.
        Some((_, _)) | None => Ok(()),
    }
}

/// Removes stack, secrets, edge and private folder of a registered app whose lock we hold, and looks
/// whether anything is left.
pub async fn remove_app(
    swarm: &Swarm,
    dead: &Registration,
    before: &Before,
    within: Duration,
) -> Result<(), Fault> {
    let stack = dead.stack();
    let what = |fault: Fault| fault.context(format!("what run {} left", dead.run_id));
    swarm::remove_stack(swarm, &stack, before, within)
        .await
        .map_err(what)?;
    swarm::remove_secrets(swarm, &stack, before)
        .await
        .map_err(what)?;
    remove_container(swarm, &edge_name(&stack), before)
        .await
        .map_err(what)?;
    if dead.engine == EngineKind::Abra.name() {
        abra::forget_snapshots(swarm, &stack).await.map_err(what)?;
    }
    let left = swarm::residue(swarm, &stack, before, &BTreeSet::new())
        .await
        .map_err(what)?;
    if !left.is_empty() {
        let names = left
            .iter()
            .map(|it| format!("docker {} rm {}", it.kind, it.name));
        let names: Vec<_> = names.collect();
        return Err(what(Fault::infra(format!(
            "by its name this may be the app's: look at it, then: {}",
            names.join("; ")
        ))));
    }
    let folders = dead
        .folders()
        .map_err(|error| what(Fault::infra(format!("its folders are left: {error}"))))?;
    let Some(folders) = folders else {
        return Ok(());
    };
    // A socket without a keeper is of no use to anybody, and no fault of anybody's.
    let _ = std::fs::remove_file(&folders.socket);
    match std::fs::remove_dir_all(&folders.private) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(what(Fault::infra(
            format!("{}: {error}", folders.private.display()),
        ))),
        _ => Ok(()),
    }
}

/// Removes a container by its name, unless it was there before; one that is gone already is no
/// fault.
pub async fn remove_container(swarm: &Swarm, name: &str, before: &Before) -> Result<(), Fault> {
    let fault = |error| Swarm::fault(format!("removing the container {name}"), &error);
    let found = swarm.docker().inspect_container(name, None).await;
    let id = match found {
        Ok(found) => found.id.unwrap_or_default(),
        Err(error) if swarm::answered(&error, 404) => return Ok(()),
        Err(error) => return Err(fault(error)),
    };
    if before.had_container(&id) {
        return Ok(());
    }
    let options = RemoveContainerOptions {
        force: true,
        v: true,
        ..Default::default()
    };
    match swarm.docker().remove_container(&id, Some(options)).await {
        Err(error) if !swarm::answered(&error, 404) => Err(fault(error)),
        _ => Ok(()),
    }
}
