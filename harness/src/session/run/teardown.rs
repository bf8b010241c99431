//! The end of a session: removal, and a look for what is left.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use results::event::EventKind;

use super::Run;
use crate::edge::Edge;
use crate::point::{self, Point};
use crate::session::janitor::edge_name;
use crate::session::journal::millis;
use crate::suite::Generic;
use crate::swarm;

/// For a removal whose time is over to say what stood in its way.
const LAST_WORDS: Duration = Duration::from_secs(5);
const LOOK_WITHIN: Duration = Duration::from_secs(30);

impl<G: Generic> Run<'_, G> {
    /// Removes everything that the session made, then looks whether it is gone.
    pub async fn teardown(&mut self) {
        let started = Instant::now();
        self.journal().emit(EventKind::TeardownStarted);
        point::reach(Point::Teardown).await;
        *self.shared.view.borrow_mut() = None;
        let mut residue = Vec::new();
        let mut errors = Vec::new();
        if let Some(reserved) = self.reserved.take() {
            // The app was registered and never made.
            drop(reserved.slot);
            errors.extend(
                reserved
                    .domain_lock
                    .forget()
                    .err()
                    .map(|fault| fault.to_string()),
            );
        }
        if let Some(prepared) = self.prepared.take() {
            let deadline = prepared.site.limits.teardown();
            let (swarm, stack) = (&prepared.swarm, &prepared.app.stack);
            let before = &prepared.app.before;
            let mut anonymous = BTreeSet::new();
            let removal = async {
                let seen = swarm::anonymous_volumes(swarm, stack, before).await;
                anonymous = seen.unwrap_or_default();
                tokio::join!(
                    prepared.engine.remove(&prepared.app, deadline),
                    stop_edge(swarm, prepared.edge.as_ref(), stack, before),
                )
            };
            match tokio::time::timeout(deadline + LAST_WORDS, removal).await {
                Ok((removed, stopped)) => {
                    errors.extend(removed.err().map(|fault| fault.to_string()));
                    errors.extend(stopped.err().map(|fault| fault.to_string()));
                }
                Err(_) => errors.push(format!(
                    "the removal did not end within {}",
                    crate::wait::Seconds(deadline)
                )),
            }
            // Whatever came of the removal: what is left has to be named.
            let look = swarm::remains(swarm, stack, before, &anonymous);
            match tokio::time::timeout(LOOK_WITHIN, look).await {
                Ok(Ok(left)) => {
                    for foreign in left.foreign {
                        let text = format!(
                            "the {} {} looks like the app's and is somebody else's: it is left",
                            foreign.kind, foreign.name
                        );
                        self.journal().note(None, text);
                    }
                    residue = left.residue;
                }
                Ok(Err(fault)) => errors.push(fault.to_string()),
                Err(_) => errors.push("the look for what is left did not end".to_owned()),
            }
            // The next run may have the slot as soon as nothing of ours is live.
            drop(prepared.slot);
            // What is still there stays registered: the next janitor tries again.
            if residue.is_empty()
                && errors.is_empty()
                && let Err(fault) = prepared.domain_lock.forget()
            {
                errors.push(fault.to_string());
            }
        }
        let duration_ms = millis(started);
        self.journal().emit(EventKind::TeardownEnded {
            duration_ms,
            residue,
            errors,
        });
    }
}

async fn stop_edge(
    swarm: &swarm::Swarm,
    edge: Option<&Edge>,
    stack: &crate::recipe::StackName,
    before: &swarm::Before,
) -> Result<(), crate::fault::Fault> {
    match edge {
        Some(edge) => edge.stop().await,
        // Its start may have been given up half way.
        None => crate::session::janitor::remove_container(swarm, &edge_name(stack), before).await,
    }
}
