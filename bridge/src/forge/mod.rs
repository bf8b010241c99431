//! The forge (Gitea), as far as the bridge speaks to it.
//!
//! Invariants: redirects are not followed; every answer is bounded and checked before it is
//! believed; a refusal, a passing trouble and an answer that is none are told apart, because what
//! is done about them differs.

mod client;
mod history;
mod pages;
mod wire;

use std::time::Duration;

use jiff::Timestamp;

pub use client::{Forge, Settings};
pub use history::{Event, Happened, History};

use crate::names::{CommentId, CommitSha, PullNumber, Repo};

/// What went wrong with one request.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ForgeError {
    /// The forge understood and says no: 4xx but 429, or a redirect. The same again changes nothing.
    #[error("{what}: the forge says {status}{}", said(.message))]
    Refused {
        what: String,
        status: u16,
        message: String,
    },
    /// 429, 5xx, no connection, no answer in time. Whether it took effect is not known.
    #[error("{what}: {why}")]
    Passing {
        what: String,
        why: String,
        /// What the forge asked for in `Retry-After`.
        wait: Option<Duration>,
    },
    /// 2xx with something else than was asked for, say a page of HTML.
    #[error("{what}: the answer is not what the API gives: {why}")]
    Odd { what: String, why: String },
}

fn said(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}

impl ForgeError {
    /// The status of a refusal.
    pub fn refused(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// A pull request that changed, as a search or a list of comments tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    pub repo: Repo,
    pub number: PullNumber,
    /// The server's time, in whole seconds.
    pub updated: Timestamp,
    /// How many comments it has; 0 where the answer does not say.
    pub comments: u64,
}

/// What a whole, paged list came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    pub items: Vec<Changed>,
    /// The server's own clock when it answered (its `Date` header).
    pub now: Timestamp,
    /// Whether every item was seen: the count that the server gives was reached and did not change
    /// while the pages were read.
    pub whole: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullState {
    Open,
    Closed,
    Merged,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    pub number: PullNumber,
    pub state: PullState,
    /// A locked thread takes no comment of the bot.
    pub locked: bool,
    /// None: the head is no full commit id.
    pub head: Option<CommitSha>,
    /// Whether the repository that the head is of is gone.
    pub fork_gone: bool,
    /// The branch it goes to.
    pub base: String,
    /// Where the repository that it goes to is cloned from; it has `refs/pull/N/head`.
    pub clone_url: String,
    pub html_url: String,
}

/// A repository, as the bot sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoInfo {
    /// As the forge spells it.
    pub repo: Repo,
    pub archived: bool,
    pub clone_url: String,
    pub default_branch: String,
    /// Whether the bot may write code, which a commit status needs.
    pub can_write: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// -1: deleted.
    pub id: i64,
    pub login: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    pub id: CommentId,
    pub author: Author,
    pub body: String,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub html_url: String,
}

impl Comment {
    /// Whether its text may be another than its author wrote: whoever can write may edit it. An
    /// edit in the second of its creation can't be seen.
    pub fn was_edited(&self) -> bool {
        self.created != self.updated
    }
}

/// Whether somebody is a member of an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    Member,
    NoMember,
    /// 303: the bot is no member itself and can't see any. Somebody has to set that up.
    Hidden,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitState {
    Pending,
    Success,
    Failure,
    Error,
}

impl CommitState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitStatus {
    pub state: CommitState,
    pub context: String,
    pub description: String,
    /// Where one reads more.
    pub target_url: Option<String>,
}
