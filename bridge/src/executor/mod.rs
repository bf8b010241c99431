//! Whatever does the runs: a CI engine, or the entrypoint on this machine.
//!
//! Invariants: a run is known by its key and by nothing else; what may have been started is looked
//! for before it is started again; a record counts only if it is of this key and this commit.

mod drone;
mod local;
mod runs;

use std::time::Duration;

use async_trait::async_trait;
use results::outcome::{Tier, Verdict};
use results::summary::Summary;
use serde::{Deserialize, Serialize};

pub use drone::{Drone, Settings as DroneSettings};
pub use local::{Local, Settings as LocalSettings};
pub use runs::{RunDirs, Stand};

use crate::names::{CommentId, CommitSha, PullNumber, RecipeName, RunId};

/// One run, as it is ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Also the run's id: `runs/<key>/` is its directory.
    pub key: RunId,
    pub recipe: RecipeName,
    /// Where the repository is cloned from.
    pub source: String,
    pub head: CommitSha,
    pub pull: PullNumber,
    pub comment: CommentId,
    /// Empty: all.
    pub tiers: Vec<Tier>,
    pub quick: bool,
    pub from: Option<String>,
}

/// What the executor calls a run: a build's number, or the run's own id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build(pub String);

#[derive(Debug, Clone, thiserror::Error)]
pub enum StartError {
    /// It was not started, and the same again changes nothing: no such repository, no pipeline.
    #[error("{0}")]
    Refused(String),
    /// It was not started, for now.
    #[error("{0}")]
    NotNow(String),
    /// The answer was lost: it may have been started.
    #[error("{0}")]
    Unknown(String),
}

/// A question that got no answer, for now.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Trouble(pub String);

/// How a started run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The executor has it and has not begun.
    Waiting,
    Running(Progress),
    Over(End),
}

/// What is known of a run that goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub tier: Option<Tier>,
    /// What it does or waits for, in words; from the run itself, so not to be trusted.
    pub doing: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The run's own record.
    Recorded(Box<Summary>),
    /// It ended, and there is no record that can be believed.
    NoRecord(String),
}

/// Something that an operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub good: bool,
    pub text: String,
}

impl Finding {
    pub fn good(text: impl Into<String>) -> Self {
        Self {
            good: true,
            text: text.into(),
        }
    }

    pub fn bad(text: impl Into<String>) -> Self {
        Self {
            good: false,
            text: text.into(),
        }
    }
}

#[async_trait]
pub trait Executor: Send + Sync {
    /// How many runs it does at once, where the bridge keeps the queue. None: it has its own queue
    /// and takes all at once.
    fn slots(&self) -> Option<usize>;

    async fn start(&self, order: &Order) -> Result<Build, StartError>;

    /// The build of a key, where there is one.
    async fn find(&self, order: &Order) -> Result<Option<Build>, Trouble>;

    /// How a run stands. `ago` is how long it is since it was started.
    async fn look(&self, order: &Order, build: &Build, ago: Duration) -> Result<Seen, Trouble>;

    /// Asks a run to stop, by every way there is. Its end is seen by [`Self::look`]. Asked again
    /// and again until then.
    async fn cancel(&self, order: &Order, build: &Build, by: &str) -> Result<(), Trouble>;

    /// Where people see it, if anywhere.
    fn link(&self, build: &Build) -> Option<String>;

    /// What an operator should know before the first run.
    async fn check(&self) -> Vec<Finding>;
}

/// What a record that was found comes to: it counts only if it is of this very run.
fn believed(order: &Order, found: Summary) -> End {
    let no = |what: &str, is: String, wanted: &dyn std::fmt::Display| {
        End::NoRecord(format!("the record is of {what} {is}, and not of {wanted}"))
    };
    if found.run_id != order.key {
        return no("run", found.run_id.to_string(), &order.key);
    }
    if found.recipe != order.recipe.as_str() {
        return no("recipe", found.recipe, &order.recipe);
    }
    if found.pr != order.pull {
        return no("pull request", found.pr.to_string(), &order.pull);
    }
    match (&found.head, found.verdict) {
        (Some(head), _) if *head != order.head => no("commit", head.to_string(), &order.head),
        // It ended before the commit was known: it says nothing about it, either.
        (None, Verdict::Pass | Verdict::Fail) => no("commit", "(none)".to_owned(), &order.head),
        _ => End::Recorded(Box::new(found)),
    }
}
