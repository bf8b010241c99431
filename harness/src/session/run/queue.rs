//! Waiting for one's turn: the app's domain, then a slot.

use std::time::Duration;

use super::Run;
use crate::fault::Fault;
use crate::recipe::AppDomain;
use crate::session::locks::{Held, Lock, Registration, Registry, Said};
use crate::site::Site;
use crate::suite::Generic;
use crate::wait::{Probe, wait_until};

const LOOK_AT_QUEUE: Duration = Duration::from_millis(250);

impl<G: Generic> Run<'_, G> {
    /// Waits until the app's domain and a slot are ours.
    pub(super) async fn queue(
        &self,
        site: &Site,
        registry: &Registry,
        domain: &AppDomain,
    ) -> Result<(Held, Held, Option<Registration>), Fault> {
        let deadline = site.limits.session();
        let gave_up = |error: crate::wait::WaitError| Fault::infra(error.to_string());
        let subject = format!("the app {domain}, which another run has live");
        let (domain_lock, left) = wait_until(
            &subject,
            deadline,
            LOOK_AT_QUEUE,
            self.journal(),
            || async {
                match registry.app(domain) {
                    Ok(Lock::Ours(held, left)) => Probe::Ready((held, left)),
                    Ok(Lock::Theirs(said)) => {
                        Probe::NotYet(behind(said.registration().map(std::slice::from_ref)))
                    }
                    Err(fault) => Probe::Never(fault.to_string()),
                }
            },
        )
        .await
        .map_err(gave_up)?;
        let left = match left {
            Said::Nothing => None,
            Said::Ours(dead) => Some(dead),
            said @ (Said::Anothers { .. } | Said::Refused(_)) => {
                let why = registry.of_dead(domain, said);
                let why = why.map_or_else(String::new, |it| it.to_string());
                return Err(Fault::infra(why));
            }
        };
        let slots = site.limits.max_tests;
        let slot = wait_until(
            "a free slot",
            deadline,
            LOOK_AT_QUEUE,
            self.journal(),
            || async {
                match registry.slot(slots) {
                    Ok(Some(held)) => Probe::Ready(held),
                    Ok(None) => match registry.live() {
                        Ok(live) => Probe::NotYet(behind(Some(&live))),
                        Err(fault) => Probe::Never(fault.to_string()),
                    },
                    Err(fault) => Probe::Never(fault.to_string()),
                }
            },
        )
        .await
        .map_err(gave_up)?;
        Ok((domain_lock, slot, left))
    }
}

fn behind(holders: Option<&[Registration]>) -> String {
    let names: Vec<_> = holders
        .unwrap_or_default()
        .iter()
        .map(|holder| holder.run_id.as_str())
        .collect();
    if names.is_empty() {
        "behind a run that is only starting".to_owned()
    } else {
        format!("behind {}", names.join(", "))
    }
}
