//! The one second try that an infrastructure fault may get.

use std::time::{Duration, Instant};

use results::Tier;
use results::event::EventKind;

use super::Run;
use crate::cause;
use crate::engine::Deployment;
use crate::fault::Fault;
use crate::session::journal::Journal;
use crate::suite::Generic;
use crate::wait::{Probe, wait_until};

const LOOK_EVERY: Duration = Duration::from_millis(250);

impl<G: Generic> Run<'_, G> {
    /// Gives the swarm the new specs.
    pub(super) async fn hand_over(&self, deployment: &Deployment) -> Result<(), Fault> {
        let prepared = self.prepared()?;
        let deploy = || {
            let deployed = prepared.engine.deploy(&prepared.app, deployment);
            self.shared.change(deployed)
        };
        let notes = twice(self.journal(), self.tier(), "the deploy", deploy).await?;
        for note in notes {
            self.journal().note(Some(self.tier()), note);
        }
        Ok(())
    }

    /// The tier of the operation that goes on.
    pub(super) fn tier(&self) -> Tier {
        self.current.map_or(Tier::Install, |(tier, _)| tier)
    }
}

/// Does the work, and once more if the infrastructure failed in a way that may pass. Both tries are
/// in the record, whatever comes of the second.
pub async fn twice<T, F>(
    journal: &Journal,
    tier: Tier,
    what: &str,
    work: impl Fn() -> F,
) -> Result<T, Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    let first = match work().await {
        Ok(done) => return Ok(done),
        Err(fault) => fault,
    };
    let Some(pause) = cause::second_try(&first) else {
        return Err(first);
    };
    journal.emit(EventKind::Retry {
        tier,
        what: what.to_owned(),
        why: first.to_string(),
        attempt: 2,
    });
    let (subject, from) = (format!("a second try of {what}"), Instant::now());
    let pausing = wait_until(&subject, 2 * pause, LOOK_EVERY, journal, || async {
        if from.elapsed() >= pause {
            Probe::Ready(())
        } else {
            Probe::NotYet(first.to_string())
        }
    });
    pausing
        .await
        .map_err(|error| Fault::infra(error.to_string()))?;
    work().await.map_err(|second| match second {
        Fault::Infra(text) => Fault::Infra(format!("{text} (tried twice)")),
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use results::log::{EventLog, read_events};

    use super::*;

    /// What comes of work that fails in these ways before it passes, how often it was done, and the
    /// second tries in the record.
    async fn tried(failures: &[Fault]) -> (Result<u32, Fault>, u32, usize) {
        let dir = tempfile::tempdir().unwrap();
        let events = dir.path().join("events.jsonl");
        drop(EventLog::create(&events).unwrap());
        let journal = Journal::open(&events).unwrap();
        let count = Cell::new(0);
        let work = || async {
            count.set(count.get() + 1);
            let at = count.get() as usize - 1;
            failures.get(at).cloned().map_or(Ok(count.get()), Err)
        };
        let result = twice(&journal, Tier::Install, "the pull of x:1", work).await;
        let (events, _) = read_events(&events).unwrap();
        let retries = events
            .iter()
            .filter(|event| matches!(event.kind, EventKind::Retry { attempt: 2, .. }))
            .count();
        (result, count.get(), retries)
    }

    fn passing() -> Fault {
        Fault::infra("pulling x:1: connection reset by peer")
    }

    #[tokio::test]
    async fn a_fault_that_passes_costs_one_second_try_which_is_recorded() {
        assert_eq!(tried(&[passing()]).await, (Ok(2), 2, 1));
    }

    #[tokio::test]
    async fn there_is_no_third_try_and_the_outcome_says_so() {
        let (result, count, retries) = tried(&[passing(), passing(), passing()]).await;
        let text = result.unwrap_err().to_string();
        assert_eq!(text, "pulling x:1: connection reset by peer (tried twice)");
        assert_eq!((count, retries), (2, 1));
    }

    #[tokio::test]
    async fn what_no_second_try_cures_is_tried_once() {
        for fault in [
            Fault::recipe("pulling x:1: manifest unknown"),
            Fault::infra("pulling x:1: no space left on device"),
        ] {
            let expected = (Err(fault.clone()), 1, 0);
            assert_eq!(tried(&[fault]).await, expected);
        }
    }

    #[tokio::test]
    async fn a_recipes_fault_at_the_second_try_is_the_recipes() {
        let unknown = Fault::recipe("pulling x:1: manifest unknown");
        let (result, ..) = tried(&[passing(), unknown.clone()]).await;
        assert_eq!(result, Err(unknown));
    }
}
