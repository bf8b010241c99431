//! What was decided about comments: each once.

use rusqlite::{Connection, params};

use super::{json, now};
use crate::command::Command;
use crate::forge::Comment;
use crate::names::{CommentId, CommitSha, PullNumber, Repo};

/// What a comment led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A run.
    Start,
    /// A run of this very head goes on: the answer points to it.
    Live,
    Stop,
    Help,
    Refuse,
    /// The head is not known to be the one that was seen.
    Unseen,
    /// Nothing was said.
    Ignore,
    /// A command in a repository that is not enrolled.
    NotEnrolled,
}

impl Outcome {
    pub const ALL: [Self; 8] = [
        Self::Start,
        Self::Live,
        Self::Stop,
        Self::Help,
        Self::Refuse,
        Self::Unseen,
        Self::Ignore,
        Self::NotEnrolled,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Live => "live",
            Self::Stop => "stop",
            Self::Help => "help",
            Self::Refuse => "refuse",
            Self::Unseen => "unseen",
            Self::Ignore => "ignore",
            Self::NotEnrolled => "not enrolled",
        }
    }
}

/// A decision, as it is stored.
#[derive(Debug, Clone)]
pub struct Decision {
    pub outcome: Outcome,
    /// Why, for the operator.
    pub reason: String,
    pub command: Option<Command>,
    pub head: Option<CommitSha>,
    /// Whether a comment of its own answers it.
    pub replied: bool,
}

/// How much of a comment is kept for the page.
const TEXT: usize = 200;

/// Stores a decision and gives its number; none: this comment was decided before, and nothing is
/// to be done because of it.
pub fn decide(
    db: &Connection,
    repo: &Repo,
    pull: PullNumber,
    comment: &Comment,
    decision: &Decision,
) -> rusqlite::Result<Option<i64>> {
    let text: String = comment.body.chars().take(TEXT).collect();
    let rows = db
        .prepare_cached(
            "INSERT INTO decision (repository, comment, pull, author, login, text, head, command,
                                   outcome, reason, replied, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            repo.to_string(),
            comment.id,
            pull,
            comment.author.id,
            comment.author.login,
            text,
            decision.head.as_ref().map(CommitSha::as_str),
            decision.command.as_ref().map(json),
            decision.outcome.as_str(),
            decision.reason,
            decision.replied,
            now(),
        ])?;
    Ok((rows == 1).then(|| db.last_insert_rowid()))
}

pub fn is_decided(db: &Connection, repo: &Repo, comment: CommentId) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM decision WHERE repository = ?1 AND comment = ?2")?
        .exists(params![repo.to_string(), comment])
}

/// How many refusals of somebody were answered since a time.
pub fn replies_since(db: &Connection, author: i64, since: i64) -> rusqlite::Result<u64> {
    db.prepare_cached(
        "SELECT COUNT(*) FROM decision
         WHERE author = ?1 AND at >= ?2 AND replied = 1 AND outcome = 'refuse'",
    )?
    .query_row(params![author, since], |row| row.get(0))
}

/// Whether a repository that is not enrolled was answered on this pull request.
pub fn mentioned(db: &Connection, repo: &Repo, pull: PullNumber) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT 1 FROM decision
         WHERE repository = ?1 AND pull = ?2 AND outcome = 'not enrolled' AND replied = 1",
    )?
    .exists(params![repo.to_string(), pull])
}
