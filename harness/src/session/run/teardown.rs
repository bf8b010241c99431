//! The end of a session: evidence, removal, and a look for what is left.

use std::time::Instant;

use results::Tier;
use results::event::EventKind;

use super::Run;
use crate::edge::Edge;
use crate::point::{self, Point};
use crate::session::janitor::edge_name;
use crate::session::journal::millis;
use crate::suite::Generic;
use crate::swarm;

impl<G: Generic> Run<'_, G> {
    /// Writes what is known of the stack below `evidence/`. Never fails: it says what it could not.
    pub(super) async fn collect_evidence(&self, tier: Tier) -> Vec<String> {
        let Some(prepared) = &self.prepared else {
            return Vec::new();
        };
        let dir = self.paths.evidence().join(tier.as_str());
        let journal = self.journal();
        let redact = |text: &str| journal.redact(text);
        let mut files = swarm::collect(&prepared.swarm, &prepared.app.stack, &dir, &redact).await;
        let mut keep = |name: &str, text: String| {
            if std::fs::write(dir.join(name), redact(&text)).is_ok() {
                files.push(name.to_owned());
            }
        };
        keep("app.env", prepared.env.to_string());
        let exchanges = prepared.http.exchanges();
        if !exchanges.is_empty() {
            keep("http.txt", exchanges.join("\n\n"));
        }
        if let Some(edge) = &prepared.edge {
            keep("edge.log", edge.log().await);
        }
        files
            .into_iter()
            .map(|name| format!("evidence/{tier}/{name}"))
            .collect()
    }

    /// Removes everything that the session made, then looks whether it is gone.
    pub async fn teardown(&mut self) {
        let started = Instant::now();
        self.journal().emit(EventKind::TeardownStarted);
        point::reach(Point::Teardown).await;
        *self.shared.view.borrow_mut() = None;
        let mut residue = Vec::new();
        let mut errors = Vec::new();
        if let Some(prepared) = self.prepared.take() {
            let deadline = prepared.site.limits.teardown();
            let removal = async {
                let mut errors = Vec::new();
                let anonymous =
                    swarm::anonymous_volumes(&prepared.swarm, &prepared.app.stack).await;
                let anonymous = anonymous.unwrap_or_default();
                let (removed, stopped) = tokio::join!(
                    prepared.engine.remove(&prepared.app),
                    stop_edge(&prepared.swarm, prepared.edge.as_ref(), &prepared.app.stack),
                );
                errors.extend(removed.err().map(|fault| fault.to_string()));
                errors.extend(stopped.err().map(|fault| fault.to_string()));
                let left = swarm::residue(&prepared.swarm, &prepared.app.stack, &anonymous).await;
                (left, errors)
            };
            match tokio::time::timeout(deadline, removal).await {
                Ok((left, found)) => {
                    errors.extend(found);
                    match left {
                        Ok(left) => residue = left,
                        Err(fault) => errors.push(fault.to_string()),
                    }
                }
                Err(_) => errors.push(format!(
                    "the removal did not end within {}",
                    crate::wait::Seconds(deadline)
                )),
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
) -> Result<(), crate::fault::Fault> {
    match edge {
        Some(edge) => edge.stop().await,
        // Its start may have been given up half way.
        None => crate::session::janitor::remove_container(swarm, &edge_name(stack)).await,
    }
}
