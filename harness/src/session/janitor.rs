//! Removes what dead runs left: only what is registered, and only where nobody holds the lock.
//! Age decides nothing.

use std::time::{Duration, Instant};

use bollard::query_parameters::RemoveContainerOptions;

use super::locks::{Lock, Registration, Registry};
use super::lost::{self, Removal};
use crate::engine::abra;
use crate::fault::Fault;
use crate::recipe::StackName;
use crate::site::EngineKind;
use crate::swarm::{self, Swarm};
use crate::wait::{Probe, Unwatched, wait_until};

/// How long one removal may take.
const REMOVE_WITHIN: Duration = Duration::from_secs(120);

/// The name of the container that is an app's edge. It does not begin with the stack's name: the
/// stack is removed and deployed again under a running edge.
pub fn edge_name(stack: &StackName) -> String {
    format!("cc-ci-edge-{stack}")
}

/// Removes every dead run's app. Gives the runs that were.
pub async fn sweep(swarm: &Swarm, registry: &Registry) -> Result<Vec<String>, Fault> {
    let mut reaped = Vec::new();
    for domain in registry.registered()? {
        let (held, dead) = match registry.registered_app(&domain)? {
            None | Some(Lock::Theirs(_)) => continue,
            Some(Lock::Ours(held, Some(dead))) => (held, dead),
            Some(Lock::Ours(held, None)) => {
                // Its run ended before it could register: it made nothing. What says something that
                // we can't read is another program's.
                if held.says_nothing() {
                    held.forget()?;
                }
                continue;
            }
        };
        let started = Instant::now();
        remove_app(swarm, &dead).await?;
        held.forget()?;
        let removal = Removal {
            duration: started.elapsed(),
            ..Removal::default()
        };
        // Where somebody else's record can't be written, its app is gone all the same.
        reaped.push(match lost::complete(&dead.run, &removal) {
            Ok(_) => dead.run_id.to_string(),
            Err(fault) => format!("{} (without a record: {fault})", dead.run_id),
        });
    }
    Ok(reaped)
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
                Ok(Lock::Theirs(Some(holder))) if holder.run_id != registration.run_id => {
                    Probe::Ready(None)
                }
                Ok(Lock::Theirs(_)) => Probe::NotYet("held".to_owned()),
                Err(fault) => Probe::Never(fault.to_string()),
            }
        },
    );
    match ours
        .await
        .map_err(|error| Fault::infra(error.to_string()))?
    {
        Some((held, Some(dead))) if dead.run_id == registration.run_id => {
            remove_app(swarm, &dead).await?;
            held.forget()
        }
        Some((held, None)) => held.forget(),
        // Another dead run's, which the next janitor sees to; or a live one's.
        Some((_, Some(_))) | None => Ok(()),
    }
}

/// Removes stack, secrets, edge and private folder of a registered app whose lock we hold.
pub async fn remove_app(swarm: &Swarm, dead: &Registration) -> Result<(), Fault> {
    let what = |fault: Fault| fault.context(format!("what run {} left", dead.run_id));
    swarm::remove_stack(swarm, &dead.stack, REMOVE_WITHIN)
        .await
        .map_err(what)?;
    swarm::remove_secrets(swarm, &dead.stack)
        .await
        .map_err(what)?;
    remove_container(swarm, &edge_name(&dead.stack))
        .await
        .map_err(what)?;
    if dead.engine == EngineKind::Abra.name() {
        abra::forget_snapshots(swarm, &dead.stack)
            .await
            .map_err(what)?;
    }
    // A socket without a keeper is of no use to anybody, and no fault of anybody's.
    let _ = std::fs::remove_file(&dead.socket);
    match std::fs::remove_dir_all(&dead.private) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(what(Fault::infra(
            format!("{}: {error}", dead.private.display()),
        ))),
        _ => Ok(()),
    }
}

/// Removes a container by its name; one that is gone already is no fault.
pub async fn remove_container(swarm: &Swarm, name: &str) -> Result<(), Fault> {
    let options = RemoveContainerOptions {
        force: true,
        v: true,
        ..Default::default()
    };
    match swarm.docker().remove_container(name, Some(options)).await {
        Err(error) if !swarm::answered(&error, 404) => Err(Swarm::fault(
            format!("removing the container {name}"),
            &error,
        )),
        _ => Ok(()),
    }
}
