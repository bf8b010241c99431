//! The runs of this state directory.

use std::fs;
use std::path::Path;

use harness::fault::Fault;
use harness::recipe::names::RunId;
use harness::session::paths::Paths;
use results::event::EventKind;
use results::{Follow, Record};
use rustix::fs::{FlockOperation, flock};

/// How many runs a message names.
const NAMED: usize = 8;

/// Where a run's files are; a run that nobody knows is the caller's mistake.
pub fn find(state: &Path, id: &RunId) -> Result<Paths, Fault> {
    let paths = Paths::new(state, id);
    if paths.run.is_dir() {
        return Ok(paths);
    }
    Err(Fault::usage(format!(
        "there is no run {id} in {}; {}",
        state.display(),
        listed("runs", &all(state))
    )))
}

/// The ids of all runs, the last one first.
pub fn all(state: &Path) -> Vec<RunId> {
    let entries = fs::read_dir(state.join("runs")).into_iter().flatten();
    let mut runs: Vec<_> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let made = entry.metadata().ok()?.modified().ok()?;
            Some((made, entry.file_name().to_str()?.parse().ok()?))
        })
        .collect();
    runs.sort_by(|a: &(_, RunId), b| b.cmp(a));
    runs.into_iter().map(|(_, id)| id).collect()
}

/// Those whose keeper lives.
pub fn live(state: &Path) -> Vec<RunId> {
    let is_live = |id: &RunId| keeper(&Paths::new(state, id)) == Keeper::Lives;
    all(state).into_iter().filter(is_live).collect()
}

/// `runs: a, b, …`, for the end of a message.
pub fn listed(what: &str, runs: &[RunId]) -> String {
    let mut names: Vec<_> = runs.iter().take(NAMED).map(RunId::as_str).collect();
    if names.is_empty() {
        return format!("{what}: none");
    }
    if runs.len() > NAMED {
        names.push("…");
    }
    format!("{what}: {}", names.join(", "))
}

/// Whether a run has a keeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    Lives,
    /// It had one, which was killed.
    Dead,
    /// It has none yet, or none any more.
    None,
}

/// The keeper holds a lock for life, and takes the lock's file away when it ends by itself.
pub fn keeper(paths: &Paths) -> Keeper {
    let Ok(lock) = fs::File::open(paths.keeper_lock()) else {
        return Keeper::None;
    };
    match flock(&lock, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Keeper::Dead,
        Err(_) => Keeper::Lives,
    }
}

/// How far a run has come, by its events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stage {
    /// A keeper began its work.
    pub started: bool,
    /// The tests are done, and the app stays.
    pub kept: bool,
    pub tearing_down: bool,
    pub finished: bool,
    pub lost: bool,
    pub cancelled: bool,
}

impl Stage {
    pub fn take(&mut self, kind: &EventKind) {
        match kind {
            EventKind::RunStarted(_) => self.started = true,
            EventKind::Kept { .. } => self.kept = true,
            EventKind::TeardownStarted => {
                self.kept = false;
                self.tearing_down = true;
            }
            EventKind::CancelRequested { .. } => self.cancelled = true,
            EventKind::SessionLost { .. } => self.lost = true,
            EventKind::RunFinished => self.finished = true,
            _ => {}
        }
    }

    pub fn of(paths: &Paths) -> Result<Self, Fault> {
        let read = Follow::new(&paths.events()).poll();
        let (events, _) = read.map_err(|error| Fault::infra(error.to_string()))?;
        let mut stage = Self::default();
        events.iter().for_each(|event| stage.take(&event.kind));
        Ok(stage)
    }
}

/// The record of a run; none: it has none yet.
pub fn record(paths: &Paths) -> Result<Option<Record>, Fault> {
    let path = paths.run.join(results::write::RESULT_JSON);
    if !path.exists() {
        return Ok(None);
    }
    let read = results::read_result(&path);
    read.map(Some).map_err(|error| {
        let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
        Fault::infra(format!("{error}{}", source.unwrap_or_default()))
    })
}
