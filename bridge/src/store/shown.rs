//! What the page shows.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::polls::second;

/// An enrolled repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolledShown {
    pub name: String,
    /// `list` or `topic`.
    pub how: String,
}

pub fn enrolled_shown(db: &Connection) -> rusqlite::Result<Vec<EnrolledShown>> {
    db.prepare_cached("SELECT name, enrolled FROM repository WHERE enrolled <> 'no' ORDER BY name")?
        .query_map([], |row| {
            Ok(EnrolledShown {
                name: row.get(0)?,
                how: row.get(1)?,
            })
        })?
        .collect()
}

/// A decision, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionShown {
    pub id: i64,
    pub at: Timestamp,
    pub repo: String,
    pub pull: u64,
    pub login: String,
    pub text: String,
    pub outcome: String,
    pub reason: String,
}

/// The last decisions, the newest first.
pub fn decisions_shown(db: &Connection, most: usize) -> rusqlite::Result<Vec<DecisionShown>> {
    db.prepare_cached(
        "SELECT id, at, repository, pull, login, text, outcome, reason FROM decision
         ORDER BY id DESC LIMIT ?1",
    )?
    .query_map([most], |row| {
        Ok(DecisionShown {
            id: row.get(0)?,
            at: second(row.get(1)?),
            repo: row.get(2)?,
            pull: row.get(3)?,
            login: row.get(4)?,
            text: row.get(5)?,
            outcome: row.get(6)?,
            reason: row.get(7)?,
        })
    })?
    .collect()
}

/// A repository that is not enrolled, and who asked for a run there last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MentionShown {
    pub at: Timestamp,
    pub repo: String,
    pub pull: u64,
    pub login: String,
}

/// Repositories in which somebody who may asked for a run, and which are not enrolled.
pub fn mentions_shown(db: &Connection, since: Timestamp) -> rusqlite::Result<Vec<MentionShown>> {
    db.prepare_cached(
        "SELECT repository, pull, login, MAX(at) FROM decision
         WHERE outcome = 'not enrolled' AND at >= ?1
           AND repository NOT IN (SELECT name FROM repository WHERE enrolled <> 'no')
         GROUP BY repository ORDER BY repository",
    )?
    .query_map(params![since.as_second()], |row| {
        Ok(MentionShown {
            repo: row.get(0)?,
            pull: row.get(1)?,
            login: row.get(2)?,
            at: second(row.get(3)?),
        })
    })?
    .collect()
}

/// How much the forge does not show yet.
pub fn due_said_count(db: &Connection) -> rusqlite::Result<u64> {
    db.prepare_cached("SELECT COUNT(*) FROM said WHERE said < revision AND given_up IS NULL")?
        .query_row([], |row| row.get(0))
}
