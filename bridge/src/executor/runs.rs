//! The directories of runs on this host.
//!
//! Invariants: a record is believed only when nobody writes it any more, and only if it is of the
//! run, recipe and commit that were ordered; what is read is bounded; a link in place of a run's
//! directory or of one of its files is as if nothing was there.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use results::event::EventKind;
use results::log::EVENTS;
use results::outcome::Tier;
use results::summary::Summary;
use results::write::RESULT_JSON;
use results::{Follow, evidence};
use rustix::fs::{Access, FlockOperation, access, flock};

use super::{End, Finding, Order, Progress, Trouble, believed};
use crate::http::one_line;
use crate::names::RunId;

/// A record is some tens of kilobytes, a list of events some hundreds.
const LARGEST_RECORD: u64 = 8 << 20;
const LARGEST_EVENTS: u64 = 64 << 20;
/// A run without a keeper that writes nothing for so long is dead. Whoever removes what a dead
/// keeper left has 5 minutes for it.
const SILENCE: Duration = Duration::from_secs(600);
/// How long the runner's last word may come after the keeper's record.
const LAST_WORD: Duration = Duration::from_secs(20);
/// How much is said of what a run does.
const SHOWN: usize = 200;
/// More runs at once are not remembered, and are read from their beginning each time.
const MOST_KNOWN: usize = 200;

/// How a run stands by its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stand {
    /// It has none.
    Nothing,
    Open {
        /// It waits for other runs.
        queued: bool,
        progress: Progress,
    },
    Over(End),
}

/// `runs/` and `sessions/` below the state directory that the runs have.
pub struct RunDirs {
    state: PathBuf,
    silence: Duration,
    last_word: Duration,
    known: Mutex<HashMap<RunId, Run>>,
}

impl RunDirs {
    pub fn new(state: impl Into<PathBuf>) -> Self {
        Self {
            state: state.into(),
            silence: SILENCE,
            last_word: LAST_WORD,
            known: Mutex::default(),
        }
    }

    /// With other lengths of time: after which silence a run without a keeper is dead, and how long
    /// the runner's last word is waited for.
    #[must_use]
    pub fn with_patience(self, silence: Duration, last_word: Duration) -> Self {
        Self {
            silence,
            last_word,
            ..self
        }
    }

    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Whether the run was begun.
    pub fn has(&self, key: &RunId) -> bool {
        self.dir(key).is_some()
    }

    pub fn look(&self, order: &Order) -> Result<Stand, Trouble> {
        let key = &order.key;
        let Some(dir) = self.dir(key) else {
            return Ok(Stand::Nothing);
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN && !known.contains_key(key) {
            known.clear();
        }
        let run = known.entry(key.clone()).or_insert_with(|| Run::of(&dir));
        let trouble = |error| Trouble(format!("the events of run {key}: {error}"));
        run.look_again().map_err(trouble)?;
        // A keeper that takes its lock just now must not find it taken by a look: its first event
        // says that it has it. The rest is read after the look: what it wrote before it ended.
        let alive = run.started && self.keeper_lives(key)?;
        run.look_again().map_err(trouble)?;
        let silence = run.since.elapsed();
        let end = if alive {
            None
        } else if run.has_final_record() || run.has_record() && silence >= self.last_word {
            Some(record(order, &dir))
        } else if silence >= self.silence {
            Some(End::NoRecord(format!(
                "the run is dead: it has no keeper, and has written nothing for {} minutes; see {}",
                silence.as_secs() / 60,
                dir.display()
            )))
        } else {
            None
        };
        let Some(end) = end else {
            return Ok(Stand::Open {
                queued: run.queued,
                progress: run.progress.clone(),
            });
        };
        known.remove(key);
        Ok(Stand::Over(end))
    }

    /// Asks a run to stop that is there and has no record. Again and again is as good as once.
    pub fn stop(&self, key: &RunId, by: &str) -> Result<(), Trouble> {
        let Some(dir) = self.dir(key) else {
            return Ok(());
        };
        if stamp(&dir.join(RESULT_JSON)).is_some() {
            return Ok(());
        }
        match results::stop::ask_to_stop(&dir, &one_line(by, 100)) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Trouble(format!(
                "can't ask run {key} to stop: {}: {error}",
                dir.display()
            ))),
        }
    }

    /// Whether this process may read the runs, see whether they live, and ask them to stop.
    pub fn check(&self) -> Finding {
        let state = self.state.display();
        let all = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
        let wrong = [self.state.join("runs"), self.state.join("sessions")]
            .into_iter()
            .find_map(|dir| match access(&dir, all) {
                Ok(()) | Err(rustix::io::Errno::NOENT) => None,
                Err(error) => Some((dir, error)),
            });
        match (access(&self.state, all), wrong) {
            (Ok(()), None) => Finding::good(format!("the runs below {state} can be followed")),
            (Err(error), _) => Finding::bad(format!(
                "the runs' state directory {state}: {error}; it must be there, and belong to the \
                 user that the bridge runs as"
            )),
            (_, Some((dir, error))) => Finding::bad(format!(
                "{}: {error}; the bridge must run as the user that the runs have",
                dir.display()
            )),
        }
    }

    fn dir(&self, key: &RunId) -> Option<PathBuf> {
        let dir = self.state.join("runs").join(key.as_str());
        let is_there = fs::symlink_metadata(&dir).is_ok_and(|meta| meta.is_dir());
        is_there.then_some(dir)
    }

    /// The keeper holds a lock for life, and takes the lock's file away when it ends by itself.
    fn keeper_lives(&self, key: &RunId) -> Result<bool, Trouble> {
        let path = self.state.join("sessions").join(key.as_str());
        let lock = match fs::File::open(path.join("keeper.lock")) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => {
                return Err(Trouble(format!(
                    "can't see whether run {key} lives: {}: {error}; the bridge must run as the \
                     user that the runs have",
                    path.display()
                )));
            }
        };
        Ok(flock(&lock, FlockOperation::NonBlockingLockShared).is_err())
    }
}

/// The run's own record, which nobody writes any more.
fn record(order: &Order, dir: &Path) -> End {
    let path = dir.join(RESULT_JSON);
    let length = stamp(&path).map_or(0, |(_, length)| length);
    if length > LARGEST_RECORD {
        return End::NoRecord(format!("{} has {length} bytes", path.display()));
    }
    let record = match results::read_result(&path) {
        Ok(record) => record,
        Err(error) => return End::NoRecord(error.to_string()),
    };
    match Summary::of(&record, &|file| evidence::of_run(dir, file)) {
        Some(summary) => believed(order, summary),
        None => End::NoRecord(format!(
            "the run's start was never written: {}",
            one_line(&record.verdict_reason, SHOWN)
        )),
    }
}

type Stamp = (SystemTime, u64);

/// When a file was written, and how long it is; none: there is no such file.
fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::symlink_metadata(path).ok()?;
    let at = meta.modified().ok()?;
    meta.is_file().then_some((at, meta.len()))
}

/// What is known of one run, so that each look reads only what is new.
struct Run {
    files: [PathBuf; 4],
    follow: Follow,
    stamps: [Option<Stamp>; 4],
    /// Since when the files are as they are, by a clock that never jumps.
    since: Instant,
    started: bool,
    queued: bool,
    progress: Progress,
    runner_ended: bool,
}

impl Run {
    fn of(dir: &Path) -> Self {
        let files = [EVENTS, RESULT_JSON, "run.log", "watch.log"].map(|name| dir.join(name));
        Self {
            follow: Follow::new(&files[0]),
            files,
            stamps: [None; 4],
            since: Instant::now(),
            started: false,
            queued: false,
            progress: Progress::default(),
            runner_ended: false,
        }
    }

    fn look_again(&mut self) -> Result<(), results::log::LogError> {
        let now = [0, 1, 2, 3].map(|file| stamp(&self.files[file]));
        if now[0] != self.stamps[0] && now[0].is_some_and(|(_, length)| length <= LARGEST_EVENTS) {
            let (events, _) = self.follow.poll()?;
            events.iter().for_each(|event| self.take(&event.kind));
        }
        if now != self.stamps {
            self.stamps = now;
            self.since = Instant::now();
        }
        Ok(())
    }

    fn has_record(&self) -> bool {
        self.stamps[1].is_some()
    }

    /// The record is written anew after the runner's last word, which may make it worse, and no
    /// event comes after that word.
    fn has_final_record(&self) -> bool {
        let at = |file: usize| self.stamps[file].map(|(at, _)| at);
        self.runner_ended && at(1) >= at(0)
    }

    fn take(&mut self, kind: &EventKind) {
        let doing = |text: &str| Some(one_line(text, SHOWN));
        match kind {
            EventKind::RunStarted(_) => self.started = true,
            EventKind::PhaseStarted { phase } => {
                self.queued = phase == "queue";
                self.progress.doing = doing(phase);
            }
            EventKind::Waiting {
                subject, status, ..
            } => self.progress.doing = doing(&format!("{subject}: {status}")),
            EventKind::OperationStarted { tier } => self.begin(*tier, None),
            EventKind::TrialStarted { tier, name, .. } => self.begin(*tier, doing(name)),
            EventKind::TeardownStarted => {
                self.progress = Progress {
                    tier: None,
                    doing: doing("removes the app"),
                };
            }
            EventKind::PhaseEnded { .. }
            | EventKind::OperationEnded { .. }
            | EventKind::TrialEnded { .. } => {
                self.queued = false;
                self.progress.doing = None;
            }
            EventKind::RunnerEnded { .. } => self.runner_ended = true,
            _ => {}
        }
    }

    fn begin(&mut self, tier: Tier, doing: Option<String>) {
        self.progress = Progress {
            tier: Some(tier),
            doing,
        };
    }
}
