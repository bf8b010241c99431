//! The end of a run, once its runner has ended: the keeper's end, the runner's word, the record.
//!
//! Invariant: nothing of a run whose keeper was killed is left when its record is written, or the
//! record says what.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

use anyhow::Result;
use harness::fault::Fault;
use harness::recipe::AppDomain;
use harness::session::janitor;
use harness::session::keeper::write_record_of;
use harness::session::locks::{Lock, Registry};
use harness::session::paths::Paths;
use harness::swarm::{self, Swarm};
use harness::wait::{Probe, Unwatched, wait_until};
use results::event::{EventKind, Leftover};
use results::{EventLog, Record};

use super::known::{self, Keeper, Stage};
use super::watch::{self, Ended, Feed};
use crate::exit;
use crate::setup::tail;

/// For evidence and the record, beside the site's limit for a removal.
const BESIDE_TEARDOWN: Duration = Duration::from_secs(60);
/// A keeper that was started just before its runner ended.
const KEEPER_START: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);

/// How a session came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Session {
    Finished,
    /// The app stays, as was asked for.
    Kept,
    /// The keeper was killed.
    Lost,
}

/// Waits for the keeper's end, hands the runner's word to the record, and gives the record. What a
/// keeper that was killed left is removed first.
pub async fn finish(
    paths: &Paths,
    teardown: Duration,
    ended: &Ended,
    feed: &mut Feed,
) -> Result<Record> {
    if !ended.began {
        return Err(nothing_began(paths, ended));
    }
    let mut asked = false;
    let began = Instant::now();
    let session = wait_for_keeper(teardown, || {
        // The lock first: what a keeper wrote before it ended is read after.
        let keeper = known::keeper(paths);
        feed.show()?;
        let stage = feed.stage();
        if keeper == Keeper::Lives && !stage.tearing_down && !stage.kept && !asked {
            asked = true;
            watch::ask_to_stop(&paths.run, "the end of the tests, which was early")?;
        }
        let starting = !stage.started && began.elapsed() < KEEPER_START;
        Ok(session(keeper, stage, starting, has_record(paths)))
    })
    .await?;
    if session == Session::Lost {
        remove_lost(paths, feed.stage(), teardown).await?;
    }
    let log = open_log(paths)?;
    let runner = EventKind::RunnerEnded {
        success: ended.status.success(),
        status: ended.status.to_string(),
    };
    log.record(runner).map_err(fault)?;
    feed.show()?;
    Ok(write_record_of(paths)?)
}

/// Waits for the end of a keeper that was asked to stop.
pub async fn follow_to_end(paths: &Paths, teardown: Duration) -> Result<()> {
    wait_for_keeper(teardown, || {
        Ok((known::keeper(paths) != Keeper::Lives).then_some(()))
    })
    .await
}

/// Removes what a run left whose keeper was killed, and writes its record.
pub async fn record_lost(paths: &Paths, stage: &Stage, teardown: Duration) -> Result<Record> {
    remove_lost(paths, stage, teardown).await?;
    Ok(write_record_of(paths)?)
}

async fn wait_for_keeper<T>(
    teardown: Duration,
    mut look: impl FnMut() -> io::Result<Option<T>>,
) -> Result<T> {
    let probe = || {
        let probe = match look() {
            Ok(Some(end)) => Probe::Ready(end),
            Ok(None) => Probe::NotYet("it still removes the app".to_owned()),
            Err(error) => Probe::Never(error.to_string()),
        };
        async { probe }
    };
    let within = teardown + BESIDE_TEARDOWN;
    let waited = wait_until("the keeper's end", within, LOOK, &Unwatched, probe).await;
    Ok(waited.map_err(|error| Fault::infra(error.to_string()))?)
}

fn session(keeper: Keeper, stage: &Stage, starting: bool, has_record: bool) -> Option<Session> {
    match keeper {
        Keeper::Lives => (stage.kept && has_record).then_some(Session::Kept),
        _ if stage.finished => Some(Session::Finished),
        Keeper::None if starting => None,
        Keeper::Dead | Keeper::None => Some(Session::Lost),
    }
}

fn has_record(paths: &Paths) -> bool {
    paths.run.join(results::write::RESULT_JSON).exists()
}

async fn remove_lost(paths: &Paths, stage: &Stage, patience: Duration) -> Result<()> {
    let log = open_log(paths)?;
    let record = |kind| log.record(kind).map_err(fault);
    // A wish that the keeper did not live to see.
    if let (false, Ok(by)) = (stage.cancelled, fs::read_to_string(paths.cancel_request())) {
        let by = by.lines().next().unwrap_or("somebody").to_owned();
        record(EventKind::CancelRequested { by })?;
    }
    let started = Instant::now();
    record(EventKind::TeardownStarted)?;
    let (residue, errors) = match remove(paths, stage, patience).await {
        Ok(residue) => (residue, Vec::new()),
        Err(error) => (Vec::new(), vec![error.to_string()]),
    };
    record(EventKind::TeardownEnded {
        duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        residue,
        errors,
    })?;
    record(EventKind::SessionLost {
        reason: "its keeper was killed; the app was removed in its place".to_owned(),
    })?;
    let _ = fs::remove_file(paths.cancel_request());
    Ok(())
}

/// Removes the app by its registration, and what the session kept for itself.
async fn remove(paths: &Paths, stage: &Stage, patience: Duration) -> Result<Vec<Leftover>, Fault> {
    let domain = stage.domain.as_deref().and_then(|text| text.parse().ok());
    let residue = match &domain {
        Some(domain) => remove_app(paths, domain, patience).await?,
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

/// Removes the app of a run that is dead, if it is registered as that run's. Gives what is left.
pub async fn remove_app(
    paths: &Paths,
    domain: &AppDomain,
    patience: Duration,
) -> Result<Vec<Leftover>, Fault> {
    let swarm = Swarm::connect().await?;
    let registry = Registry::of_engine(swarm.engine_id())?;
    let holder = match registry.app(domain)? {
        // Let go of at once: the janitor takes the lock itself.
        Lock::Ours(held, holder) if holder.is_none() => {
            held.forget()?;
            None
        }
        Lock::Ours(_, holder) | Lock::Theirs(holder) => holder,
    };
    let Some(ours) = holder.filter(|holder| holder.run == paths.run) else {
        return Ok(Vec::new());
    };
    janitor::reap(&swarm, &registry, &ours, patience).await?;
    swarm::residue(&swarm, &domain.stack(), &BTreeSet::new()).await
}

fn open_log(paths: &Paths) -> Result<EventLog, Fault> {
    EventLog::open(&paths.events()).map_err(fault)
}

fn fault(error: results::log::LogError) -> Fault {
    Fault::infra(error.to_string())
}

/// No keeper ever wrote a line: the tests did not build, none was listed, or the runner is broken.
fn nothing_began(paths: &Paths, ended: &Ended) -> anyhow::Error {
    if ended.stopped {
        return exit::Stopped("the run was stopped before its tests began".to_owned()).into();
    }
    let log = paths.log();
    Fault::infra(format!(
        "the tests never began: the runner ended with code {}; last lines of {}:\n{}",
        exit::of_child(ended.status),
        log.display(),
        tail(&log, 20)
    ))
    .into()
}
