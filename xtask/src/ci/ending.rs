//! The end of a run, once its runner has ended: the keeper's end, the runner's word, the record.
//!
//! Invariant: nothing of a run whose keeper was killed is left when its record is written, or the
//! record says what.

use std::io;
use std::time::{Duration, Instant};

use anyhow::Result;
use harness::fault::Fault;
use harness::point::{self, Point};
use harness::session::keeper::write_record_of;
use harness::session::lost;
use harness::session::paths::Paths;
use harness::wait::{Probe, Unwatched, wait_until};
use results::event::EventKind;
use results::{EventLog, Record};

use super::known::{self, Keeper, Stage};
use super::watch::{Ended, Feed};
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
            results::stop::ask_to_stop(&paths.run, "the end of the tests, which was early")?;
        }
        let starting = !stage.started && began.elapsed() < KEEPER_START;
        Ok(session(keeper, stage, starting, has_record(paths)))
    })
    .await?;
    if session == Session::Lost || paths.private.exists() && session == Session::Finished {
        lost::settle(paths, teardown).await?;
    }
    point::reach(Point::Report).await;
    let log = open_log(paths)?;
    let runner = EventKind::RunnerEnded {
        success: ended.status.success(),
        status: ended.status.to_string(),
    };
    log.record(runner).map_err(fault)?;
    feed.show()?;
    Ok(write_record_of(&paths.run)?)
}

/// Waits for the end of a keeper that was asked to stop.
pub async fn follow_to_end(paths: &Paths, teardown: Duration) -> Result<()> {
    wait_for_keeper(teardown, || {
        Ok((known::keeper(paths) != Keeper::Lives).then_some(()))
    })
    .await
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
        // It takes its lock's file away in the end: it was killed before.
        Keeper::Dead => Some(Session::Lost),
        Keeper::None if stage.finished => Some(Session::Finished),
        Keeper::None if starting => None,
        Keeper::None => Some(Session::Lost),
    }
}

fn has_record(paths: &Paths) -> bool {
    paths.run.join(results::write::RESULT_JSON).exists()
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
