//! What the forge is to show, and what it shows: an outbox of wishes and not of messages, so that
//! saying the same again is never a second comment.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{parsed, unreadable};
use crate::names::{CommentId, PullNumber, Repo};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A comment with a marker, posted once and edited in place.
    Comment,
    /// A commit status: setting it again changes nothing.
    Status,
    /// A reaction on a comment, likewise.
    Reaction,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Comment => "comment",
            Self::Status => "status",
            Self::Reaction => "reaction",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Comment, Self::Status, Self::Reaction]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// One wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub id: i64,
    pub repo: Repo,
    pub kind: Kind,
    pub subject: String,
    pub pull: PullNumber,
    pub wanted: String,
    pub revision: i64,
    pub said: i64,
    pub remote: Option<CommentId>,
    pub link: Option<String>,
    /// It may have been posted, and its id is not known.
    pub asked: bool,
    pub given_up: Option<String>,
}

const COLUMNS: &str =
    "id, repository, kind, subject, pull, wanted, revision, said, remote, link, asked, given_up";

fn read(row: &Row<'_>) -> rusqlite::Result<Said> {
    let kind: String = row.get(2)?;
    Ok(Said {
        id: row.get(0)?,
        repo: parsed(row, 1)?,
        kind: Kind::parse(&kind)
            .ok_or_else(|| unreadable(2, std::io::Error::other(format!("no kind: {kind}"))))?,
        subject: row.get(3)?,
        pull: row.get(4)?,
        wanted: row.get(5)?,
        revision: row.get(6)?,
        said: row.get(7)?,
        remote: row.get(8)?,
        link: row.get(9)?,
        asked: row.get(10)?,
        given_up: row.get(11)?,
    })
}

/// Wishes for a text; the same one again changes nothing. A new one is tried even if the one before
/// it was given up: what was refused or failed for long may go now. The answer: whether there is
/// news.
pub fn want(
    db: &Connection,
    repo: &Repo,
    kind: Kind,
    subject: &str,
    pull: PullNumber,
    wanted: &str,
) -> rusqlite::Result<bool> {
    let rows = db
        .prepare_cached(
            "INSERT INTO said (repository, kind, subject, pull, wanted, revision, said, asked)
             VALUES (?1, ?2, ?3, ?4, ?5, 1, 0, 0)
             ON CONFLICT DO UPDATE SET wanted = excluded.wanted, revision = revision + 1,
                given_up = NULL
             WHERE wanted <> excluded.wanted",
        )?
        .execute(params![
            repo.to_string(),
            kind.as_str(),
            subject,
            pull,
            wanted
        ])?;
    Ok(rows > 0)
}

/// What was wished for under a subject.
pub fn said_of(
    db: &Connection,
    repo: &Repo,
    kind: Kind,
    subject: &str,
) -> rusqlite::Result<Option<Said>> {
    let sql =
        format!("SELECT {COLUMNS} FROM said WHERE repository = ?1 AND kind = ?2 AND subject = ?3");
    db.prepare_cached(&sql)?
        .query_row(params![repo.to_string(), kind.as_str(), subject], read)
        .optional()
}

/// The ids of wishes that the forge does not show yet, the oldest first.
pub fn due_said(db: &Connection) -> rusqlite::Result<Vec<i64>> {
    db.prepare_cached("SELECT id FROM said WHERE said < revision AND given_up IS NULL ORDER BY id")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// A wish, if the forge does not show it yet.
pub fn one_due(db: &Connection, id: i64) -> rusqlite::Result<Option<Said>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM said WHERE id = ?1 AND said < revision AND given_up IS NULL"
    );
    db.prepare_cached(&sql)?.query_row([id], read).optional()
}

/// A comment is about to be posted: from now on it may be there.
pub fn mark_asked(db: &Connection, id: i64, asked: bool) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE said SET asked = ?2 WHERE id = ?1")?
        .execute(params![id, asked])?;
    Ok(())
}

/// The forge shows a revision. A comment's id and address come with the first one.
pub fn mark_said(
    db: &Connection,
    id: i64,
    revision: i64,
    remote: Option<(CommentId, &str)>,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE said SET said = MAX(said, ?2), remote = COALESCE(?3, remote),
            link = COALESCE(?4, link), asked = 0 WHERE id = ?1",
    )?
    .execute(params![
        id,
        revision,
        remote.map(|(id, _)| id),
        remote.map(|(_, link)| link),
    ])?;
    Ok(())
}

/// It can't be said, and why.
pub fn give_up(db: &Connection, id: i64, why: &str) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE said SET given_up = ?2, asked = 0 WHERE id = ?1")?
        .execute(params![id, why])?;
    Ok(())
}
