//! A run's directory, written as a run writes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bridge::executor::{Order, RunDirs};
use results::event::{Event, EventKind, Resolved, RunStarted};
use results::outcome::{Outcome, Tier};
use results::{EventLog, Record};
use rustix::fs::{FlockOperation, flock};
use serde_json::Map;
use tempfile::TempDir;

pub const HEAD: &str = "0123456789abcdef0123456789abcdef01234567";

pub fn order() -> Order {
    Order {
        key: "custom-html-pr7-c12-0a1b2c3d".parse().unwrap(),
        recipe: "custom-html".parse().unwrap(),
        source: "https://forge.test/coop-cloud/custom-html.git".to_owned(),
        head: HEAD.parse().unwrap(),
        pull: 7,
        comment: 12,
        tiers: Vec::new(),
        quick: false,
        from: None,
    }
}

pub struct Run {
    pub state: TempDir,
    pub dir: PathBuf,
    pub order: Order,
}

impl Run {
    /// A state directory without the run.
    pub fn none() -> Self {
        let state = tempfile::tempdir().unwrap();
        let order = order();
        Self {
            dir: state.path().join("runs").join(order.key.as_str()),
            state,
            order,
        }
    }

    /// The directory of a run that has not begun.
    pub fn new() -> Self {
        let run = Self::none();
        fs::create_dir_all(&run.dir).unwrap();
        run
    }

    pub fn begun() -> Self {
        let run = Self::new();
        run.say(run.started());
        run
    }

    pub fn started(&self) -> EventKind {
        EventKind::RunStarted(Box::new(RunStarted {
            run_id: self.order.key.to_string(),
            recipe: self.order.recipe.to_string(),
            source: self.order.source.clone(),
            requested_ref: Some(self.order.head.to_string()),
            pr: self.order.pull,
            engine: "stack".to_owned(),
            site: "local".to_owned(),
            tiers: Tier::NAMED.to_vec(),
            planned: Vec::new(),
            settings: Map::new(),
            skipped_generic: Vec::new(),
        }))
    }

    pub fn say(&self, kind: EventKind) {
        let events = self.dir.join("events.jsonl");
        let log = match events.exists() {
            true => EventLog::open(&events),
            false => EventLog::create(&events),
        };
        log.unwrap().append(&Event::now(kind)).unwrap();
    }

    pub fn resolved(&self, head: &str) {
        self.say(EventKind::Resolved(Box::new(Resolved {
            head: head.to_owned(),
            head_version: None,
            base: None,
            no_base: Some("none".to_owned()),
            domain: "cust-0a1b2c.ci.test".to_owned(),
            stack: "cust-0a1b2c_ci_test".to_owned(),
            engine_version: None,
            target: None,
        })));
    }

    /// Its install failed, with a file that shows why.
    pub fn failed(&self) {
        fs::write(self.dir.join("why.txt"), "line of evidence\n").unwrap();
        self.say(EventKind::OperationStarted {
            tier: Tier::Install,
        });
        self.say(EventKind::OperationEnded {
            tier: Tier::Install,
            outcome: Outcome::fail("no such image"),
            duration_ms: 5,
            facts: Map::new(),
            evidence: vec!["why.txt".to_owned()],
        });
    }

    pub fn finished(&self) {
        self.say(EventKind::TeardownStarted);
        self.say(EventKind::TeardownEnded {
            duration_ms: 1,
            residue: Vec::new(),
            errors: Vec::new(),
        });
        self.say(EventKind::RunFinished);
    }

    pub fn runner_ended(&self) {
        self.say(EventKind::RunnerEnded {
            success: false,
            status: "exit status: 100".to_owned(),
        });
    }

    pub fn record(&self) -> Record {
        let (events, problems) = results::read_events(&self.dir.join("events.jsonl")).unwrap();
        Record::from_log(&events, &problems)
    }

    pub fn write_record(&self) {
        results::write_all(&self.dir, &self.record()).unwrap();
    }

    /// A run that failed, to its very end.
    pub fn whole() -> Self {
        let run = Self::begun();
        run.resolved(HEAD);
        run.failed();
        run.finished();
        run.write_record();
        run.runner_ended();
        run.write_record();
        run
    }

    /// The lock of a keeper that lives as long as the file.
    pub fn keeper(&self) -> fs::File {
        let dir = self.state.path().join("sessions");
        let dir = dir.join(self.order.key.as_str());
        fs::create_dir_all(&dir).unwrap();
        let lock = fs::File::create(dir.join("keeper.lock")).unwrap();
        flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
        lock
    }

    /// A keeper that ended by itself.
    pub fn keeper_ends(&self, lock: fs::File) {
        fs::remove_dir_all(self.state.path().join("sessions")).unwrap();
        drop(lock);
    }

    pub fn dirs(&self) -> RunDirs {
        RunDirs::new(self.state.path())
    }

    pub fn wish(&self) -> Option<String> {
        fs::read_to_string(self.dir.join("cancel")).ok()
    }
}

/// As if a file had been written so long ago.
pub fn written_before(path: &Path, ago: Duration) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - ago).unwrap();
}
