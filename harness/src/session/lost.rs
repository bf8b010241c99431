//! A run whose keeper was killed: whoever notices removes its app and says so in its record.
//!
//! Invariants: the removal does not wait for the record, which may be what can't be written; a run
//! that has its end is not given another; what is not registered as this run's is not touched.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use results::event::{EventKind, Leftover};
use results::stop::CANCEL;
use results::{Event, EventLog, Record};

use super::janitor;
use super::keeper::write_record_of;
use super::locks::{Lock, Registry, Said};
use super::paths::{EVENTS, Paths};
use crate::fault::Fault;
use crate::recipe::AppDomain;
use crate::swarm::{self, Before, Swarm};

const KILLED: &str = "its keeper was killed; the app was removed in its place";

/// What a removal in a keeper's place came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Removal {
    pub duration: Duration,
    pub residue: Vec<Leftover>,
    pub errors: Vec<String>,
}

/// Removes what a run left whose keeper is dead, and completes its record. `patience` is for
/// children of the keeper that are changing the swarm.
pub async fn settle(paths: &Paths, patience: Duration) -> Result<(Removal, Record), Fault> {
    let started = Instant::now();
    let mut removal = Removal::default();
    match remove(paths, patience).await {
        Ok(residue) => removal.residue = residue,
        Err(error) => removal.errors.push(error.to_string()),
    }
    removal.duration = started.elapsed();
    let record = complete(&paths.run, &removal)?;
    Ok((removal, record))
}

/// Says in a run's events how it ended, unless they say so already, and writes its record.
pub fn complete(run: &Path, removal: &Removal) -> Result<Record, Fault> {
    let fault = |error: results::log::LogError| Fault::infra(error.to_string());
    let (events, _) = results::read_events(&run.join(EVENTS)).map_err(fault)?;
    if !has_its_end(&events) {
        let log = EventLog::open(&run.join(EVENTS)).map_err(fault)?;
        let record = |kind| log.record(kind).map_err(fault);
        let is_cancelled = |event: &Event| matches!(event.kind, EventKind::CancelRequested { .. });
        // A wish that the keeper did not live to see.
        if !events.iter().any(is_cancelled)
            && let Ok(by) = fs::read_to_string(run.join(CANCEL))
        {
            let by = by.lines().next().unwrap_or("somebody").to_owned();
            record(EventKind::CancelRequested { by })?;
        }
        record(EventKind::TeardownStarted)?;
        record(EventKind::TeardownEnded {
            duration_ms: u64::try_from(removal.duration.as_millis()).unwrap_or(u64::MAX),
            residue: removal.residue.clone(),
            errors: removal.errors.clone(),
        })?;
        record(EventKind::SessionLost {
            reason: KILLED.to_owned(),
        })?;
    }
    let _ = fs::remove_file(run.join(CANCEL));
    write_record_of(run)
}

/// The keeper wrote its last event, or somebody came before us.
fn has_its_end(events: &[Event]) -> bool {
    events.iter().any(|event| match &event.kind {
        EventKind::RunFinished => true,
        EventKind::SessionLost { reason } => reason == KILLED,
        _ => false,
    })
}

/// Removes the app by its registration, and what the session kept for itself. Gives what is left.
async fn remove(paths: &Paths, patience: Duration) -> Result<Vec<Leftover>, Fault> {
    let residue = match domain(paths) {
        Some(domain) => remove_app(paths, &domain, patience).await?,
        // Nothing is made before the domain is known.
        None => Vec::new(),
    };
    let _ = fs::remove_file(&paths.socket);
    match fs::remove_dir_all(&paths.private) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Fault::infra(format!(
            "{}: {error}",
            paths.private.display()
        ))),
        _ => Ok(residue),
    }
}

fn domain(paths: &Paths) -> Option<AppDomain> {
    let (events, _) = results::read_events(&paths.events()).ok()?;
    events.into_iter().find_map(|event| match event.kind {
        EventKind::Resolved(found) => found.domain.parse().ok(),
        _ => None,
    })
}

/// Removes the app of a run that is dead, if it is registered as that run's.
async fn remove_app(
    paths: &Paths,
    domain: &AppDomain,
    patience: Duration,
) -> Result<Vec<Leftover>, Fault> {
    let swarm = Swarm::connect().await?;
    let registry = Registry::of_engine(&swarm)?;
    let said = match registry.app(domain)? {
        // Let go of at once: the janitor takes the lock itself.
        Lock::Ours(held, Said::Nothing) => {
            held.forget()?;
            return Ok(Vec::new());
        }
        Lock::Ours(_, said) | Lock::Theirs(said) => said,
    };
    let Said::Ours(ours) = said else {
        return Ok(Vec::new());
    };
    if ours.paths().run != paths.run {
        return Ok(Vec::new());
    }
    janitor::reap(&swarm, &registry, &ours, patience).await?;
    let noted = BTreeSet::new();
    swarm::residue(&swarm, &domain.stack(), &Before::Unknown, &noted).await
}

#[cfg(test)]
mod tests {
    use results::Verdict;

    use super::*;

    fn run_with(events: &[EventKind]) -> tempfile::TempDir {
        let run = tempfile::tempdir().unwrap();
        let log = EventLog::create(&run.path().join(EVENTS)).unwrap();
        for event in events {
            log.record(event.clone()).unwrap();
        }
        run
    }

    fn lost(run: &Path) -> usize {
        let (events, _) = results::read_events(&run.join(EVENTS)).unwrap();
        let is_lost = |event: &&Event| matches!(event.kind, EventKind::SessionLost { .. });
        events.iter().filter(is_lost).count()
    }

    #[test]
    fn whoever_comes_second_adds_nothing() {
        let run = run_with(&[]);
        for _ in 0..2 {
            let record = complete(run.path(), &Removal::default()).unwrap();
            assert_eq!(record.verdict, Verdict::Error);
        }
        assert_eq!(lost(run.path()), 1);
    }

    #[test]
    fn a_run_that_wrote_its_last_event_only_gets_its_record() {
        let run = run_with(&[EventKind::RunFinished]);
        complete(run.path(), &Removal::default()).unwrap();
        assert_eq!(lost(run.path()), 0);
        assert!(run.path().join("result.json").exists());
    }

    #[test]
    fn a_wish_to_stop_that_nobody_saw_is_in_the_record_and_gone() {
        let run = run_with(&[]);
        fs::write(run.path().join(CANCEL), "a person\n").unwrap();
        let record = complete(run.path(), &Removal::default()).unwrap();
        assert_eq!(record.verdict, Verdict::Cancelled);
        assert_eq!(record.cancelled_by.as_deref(), Some("a person"));
        assert!(!run.path().join(CANCEL).exists());
    }
}
