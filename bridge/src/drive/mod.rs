//! Has the executor do the runs that were decided, and follows them to their end.
//!
//! Invariants: a run whose start may have got through is looked for before it is started again; a
//! run ends once, by its own record or by the word that there is none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use results::outcome::Verdict;
use tokio::time::Instant;

use crate::bridge::Bridge;
use crate::executor::{Build, End, Progress, Seen, StartError};
use crate::names::RunId;
use crate::point::{self, Point};
use crate::say::present;
use crate::settle::Unsettled;
use crate::stage::{Stage, Trouble};
use crate::store::{self, EndedRun, Run, State, Stop, StoreError};

/// How often a stop is passed on until the run has ended.
const STOP_AGAIN: Duration = Duration::from_secs(10);
/// How often a start is tried whose answer is lost each time, and of which nothing is found then: an
/// executor that fails at each start would be asked for ever.
const STARTS: u32 = 6;
/// A run that waits here looks for its turn, and for its place in the queue.
const TURN: Duration = Duration::from_secs(1);

/// The stage of runs.
pub struct Drive {
    bridge: Arc<Bridge>,
    starts: Unsettled<RunId>,
    /// How often the answer to a run's start was lost, and why.
    lost: Mutex<HashMap<RunId, (u32, String)>>,
    stops: Mutex<HashMap<RunId, Instant>>,
}

impl Drive {
    pub fn new(bridge: Arc<Bridge>) -> Self {
        let starts = Unsettled::new(bridge.rules.settle);
        Self {
            bridge,
            starts,
            lost: Mutex::default(),
            stops: Mutex::default(),
        }
    }
}

#[async_trait]
impl Stage for Drive {
    type Key = RunId;

    fn name(&self) -> &'static str {
        "drive"
    }

    async fn due(&self) -> Result<Vec<RunId>, StoreError> {
        self.bridge.store.read(store::live_keys).await
    }

    async fn work(&self, key: &RunId) -> Result<Option<Duration>, Trouble> {
        let own = key.clone();
        let run = self
            .bridge
            .store
            .read(move |db| store::run(db, &own))
            .await?;
        let Some(run) = run else { return Ok(None) };
        match (run.state, &run.build) {
            // The stop came while it was being started, and the start came to nothing.
            (State::Waiting, _) if run.stop.is_some() => self.end(&run, EndedRun::NotStarted).await,
            (State::Waiting, _) => self.begin(&run).await,
            (State::Starting, _) => self.find(&run).await,
            (State::Started, Some(build)) => self.follow(&run, build).await,
            (State::Started, None) => Err(Trouble::new(format!("run {key} has no build"))),
            (State::Over, _) => Ok(None),
        }
    }

    fn trouble(&self, key: &RunId, trouble: Option<&Trouble>) {
        let name = format!("run {key}");
        match trouble {
            Some(trouble) => self
                .bridge
                .troubles
                .set(&name, &format!("{name}: {}", trouble.text)),
            None => self.bridge.troubles.clear(&name),
        }
    }
}

impl Drive {
    async fn begin(&self, run: &Run) -> Result<Option<Duration>, Trouble> {
        let (key, slots) = (run.order.key.clone(), self.bridge.executor.slots());
        let took = self
            .bridge
            .store
            .write(move |db| store::take_slot(db, &key, slots));
        if !took.await? {
            self.change(run, |_, _| Ok(())).await?;
            return Ok(Some(TURN));
        }
        point::reach(Point::Starting);
        let started = self.bridge.executor.start(&run.order).await;
        point::reach(Point::Asked);
        match started {
            Ok(build) => self.started(run, build).await,
            Err(StartError::Refused(why)) => self.end(run, EndedRun::NoRecord(why)).await,
            Err(StartError::NotNow(why)) => {
                self.change(run, |db, run| {
                    store::set_state(db, &run.order.key, State::Waiting, None)
                })
                .await?;
                Err(Trouble::new(why))
            }
            Err(StartError::Unknown(why)) => {
                tracing::warn!(run = %run.order.key, "the answer to its start is lost: {why}");
                self.starts.lost(&run.order.key);
                self.note_lost(&run.order.key, why);
                self.find(run).await
            }
        }
    }

    /// A start whose answer is lost.
    async fn find(&self, run: &Run) -> Result<Option<Duration>, Trouble> {
        let key = &run.order.key;
        if let Some(wait) = self.starts.wait(key) {
            return Ok(Some(wait));
        }
        let found = self.bridge.executor.find(&run.order).await?;
        point::reach(Point::LookedFor);
        self.starts.over(key);
        match found {
            Some(build) => self.started(run, build).await,
            None if run.stop.is_some() => self.end(run, EndedRun::NotStarted).await,
            None => match self.given_up(key) {
                Some(why) => self.end(run, EndedRun::NoRecord(why)).await,
                None => {
                    self.change(run, |db, run| {
                        store::set_state(db, &run.order.key, State::Waiting, None)
                    })
                    .await?;
                    Ok(None)
                }
            },
        }
    }

    fn note_lost(&self, key: &RunId, why: String) {
        let mut lost = self.lost.lock().expect("nobody panicked with it");
        let times = lost.get(key).map_or(0, |(times, _)| *times);
        lost.insert(key.clone(), (times + 1, why));
    }

    /// Why a run is started no more, if it was tried often enough.
    fn given_up(&self, key: &RunId) -> Option<String> {
        let lost = self.lost.lock().expect("nobody panicked with it");
        let (times, why) = lost.get(key)?;
        (*times >= STARTS).then(|| format!("it could not be started, {times} times: {why}"))
    }

    async fn started(&self, run: &Run, build: Build) -> Result<Option<Duration>, Trouble> {
        tracing::info!(decision = run.decision, run = %run.order.key, build = build.0, "started");
        let wait = Timestamp::now().duration_since(run.asked);
        let wait = Duration::try_from(wait).unwrap_or(Duration::ZERO);
        self.bridge.metrics.started(wait);
        self.change(run, move |db, run| {
            store::set_state(db, &run.order.key, State::Started, Some(&build))
        })
        .await?;
        point::reach(Point::Started);
        Ok(None)
    }

    async fn follow(&self, run: &Run, build: &Build) -> Result<Option<Duration>, Trouble> {
        self.pass_on_stop(run, build).await?;
        let since = run.started.unwrap_or_else(Timestamp::now);
        let ago = Timestamp::now().duration_since(since);
        let ago = Duration::try_from(ago).unwrap_or(Duration::ZERO);
        match self.bridge.executor.look(&run.order, build, ago).await? {
            Seen::Waiting => self.change(run, |_, _| Ok(())).await?,
            Seen::Running(progress) => self.running(run, progress).await?,
            Seen::Over(End::Recorded(summary)) => {
                return self.end(run, EndedRun::Recorded(summary)).await;
            }
            Seen::Over(End::NoRecord(why)) => return self.end(run, EndedRun::NoRecord(why)).await,
        }
        Ok(Some(self.bridge.rules.look))
    }

    async fn running(&self, run: &Run, progress: Progress) -> Result<(), Trouble> {
        self.change(run, move |db, run| {
            if run.progress.as_ref() == Some(&progress) {
                return Ok(());
            }
            store::set_progress(db, &run.order.key, &progress)
        })
        .await
    }

    /// One stop in four is lost, so it is passed on again and again.
    async fn pass_on_stop(&self, run: &Run, build: &Build) -> Result<(), Trouble> {
        let Some(stop) = &run.stop else { return Ok(()) };
        let key = &run.order.key;
        let now = Instant::now();
        let last = self
            .stops
            .lock()
            .expect("nobody panicked with it")
            .get(key)
            .copied();
        if last.is_some_and(|last| now < last + STOP_AGAIN) {
            return Ok(());
        }
        let by = match stop {
            Stop::By(login) => format!("{login}, by a comment"),
            Stop::Superseded(head) => format!("a newer commit, {head}"),
        };
        self.bridge.executor.cancel(&run.order, build, &by).await?;
        point::reach(Point::Stopping);
        let mut stops = self.stops.lock().expect("nobody panicked with it");
        stops.insert(key.clone(), now);
        Ok(())
    }

    async fn end(&self, run: &Run, ended: EndedRun) -> Result<Option<Duration>, Trouble> {
        let verdict = match &ended {
            EndedRun::Recorded(summary) => word(summary.verdict),
            EndedRun::NoRecord(_) => "no record",
            EndedRun::NotStarted => "not started",
        };
        tracing::info!(decision = run.decision, run = %run.order.key, verdict, "over");
        self.bridge.metrics.ended(verdict);
        point::reach(Point::Ending);
        self.change(run, move |db, run| {
            store::settle(db, &run.order.key, &ended)
        })
        .await?;
        point::reach(Point::Ended);
        self.stops
            .lock()
            .expect("nobody panicked with it")
            .remove(&run.order.key);
        self.starts.over(&run.order.key);
        self.lost
            .lock()
            .expect("nobody panicked with it")
            .remove(&run.order.key);
        self.bridge.wake.drive.notify_one();
        Ok(None)
    }

    /// A change of a run, with what the forge is to show then.
    async fn change(
        &self,
        run: &Run,
        change: impl FnOnce(&rusqlite::Transaction<'_>, &Run) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), Trouble> {
        let (run, bridge) = (run.clone(), Arc::clone(&self.bridge));
        let changed = self.bridge.store.write(move |db| {
            change(db, &run)?;
            present(db, &bridge, &run.repo, run.order.pull, &run.order.head)
        });
        changed.await?;
        self.bridge.wake.say.notify_one();
        Ok(())
    }
}

/// A verdict as the label of a figure.
fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Error => "error",
        Verdict::Cancelled => "cancelled",
    }
}
