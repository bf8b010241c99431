//! What the page shows, as plain data. Any text may be anybody's: the page makes it inert.

use jiff::Timestamp;

use crate::names::{CommitSha, PullNumber, RecipeName, Repo};

#[derive(Debug, Clone)]
pub struct PageView {
    pub now: Timestamp,
    pub version: String,
    /// When the last round of polling ended.
    pub last_poll: Option<Timestamp>,
    /// What an operator has to do something about, each once.
    pub troubles: Vec<String>,
    pub repositories: Vec<Repository>,
    /// First those that run, then the queue in its order.
    pub runs: Vec<Run>,
    /// The newest first.
    pub decisions: Vec<Decision>,
    /// Where somebody called and nobody watches.
    pub mentions: Vec<Mention>,
}

#[derive(Debug, Clone)]
pub struct Repository {
    pub repo: Repo,
    /// By what it is watched: `by name`, `topic cc-ci`.
    pub enrolled: String,
    pub last_poll: Option<Timestamp>,
    pub trouble: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Run {
    pub recipe: RecipeName,
    pub repo: Repo,
    pub pull: PullNumber,
    pub pull_url: String,
    pub head: CommitSha,
    /// In words: `waiting (2nd)`, `running upgrade`.
    pub state: String,
    pub since: Timestamp,
    /// Where the executor shows it.
    pub link: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Decision {
    pub at: Timestamp,
    pub repo: Repo,
    pub pull: PullNumber,
    pub url: Option<String>,
    /// The login of who wrote.
    pub who: String,
    /// The line that was written.
    pub wrote: String,
    /// `start`, `refuse`, `help`, `ignore`.
    pub outcome: String,
    /// Why nothing was started.
    pub why: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Mention {
    pub at: Timestamp,
    pub repo: Repo,
    pub pull: PullNumber,
    pub url: Option<String>,
    pub who: String,
}
