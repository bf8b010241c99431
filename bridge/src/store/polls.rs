//! What was polled, and what is to be looked at.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::parsed;
use crate::forge::Changed;
use crate::names::{CommentId, PullNumber, Repo};

/// How far a polled thing was read, by the forge's own times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// All that changed before this was found.
    pub cursor: Timestamp,
    /// When it was polled first.
    pub began: Timestamp,
}

pub fn source(db: &Connection, name: &str) -> rusqlite::Result<Option<Source>> {
    db.prepare_cached("SELECT cursor, began FROM source WHERE name = ?1")?
        .query_row([name], |row| {
            Ok(Source {
                cursor: second(row.get(0)?),
                began: second(row.get(1)?),
            })
        })
        .optional()
}

/// The first time also says when it began.
pub fn set_source(db: &Connection, name: &str, cursor: Timestamp) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO source (name, cursor, began) VALUES (?1, ?2, ?2)
         ON CONFLICT DO UPDATE SET cursor = excluded.cursor",
    )?
    .execute(params![name, cursor.as_second()])?;
    Ok(())
}

/// How a repository came to be enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enrolled {
    /// It is on the operator's list.
    List,
    /// It carries an organisation's topic.
    Topic,
}

impl Enrolled {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Topic => "topic",
        }
    }
}

/// Comments up to this one count as seen; none: the repository is not enrolled.
pub fn enrolment(db: &Connection, repo: &Repo) -> rusqlite::Result<Option<CommentId>> {
    db.prepare_cached("SELECT seen FROM repository WHERE name = ?1 AND enrolled <> 'no'")?
        .query_row([repo.to_string()], |row| row.get(0))
        .optional()
}

/// A repository's first start. A second one changes nothing about what counts as seen, unless it was
/// taken off the list meanwhile.
pub fn enrol(db: &Connection, repo: &Repo, seen: CommentId, how: Enrolled) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO repository (name, seen, enrolled) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET seen = excluded.seen, enrolled = excluded.enrolled
         WHERE enrolled = 'no'",
    )?
    .execute(params![repo.to_string(), seen, how.as_str()])?;
    Ok(())
}

/// Takes repositories off that were enrolled in a way and are not among these any more.
pub fn keep_enrolled(
    db: &Connection,
    owner: &str,
    how: Enrolled,
    repos: &[Repo],
) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached("SELECT name FROM repository WHERE enrolled = ?1")?;
    let known = statement.query_map([how.as_str()], |row| parsed(row, 0))?;
    for repo in known.collect::<rusqlite::Result<Vec<Repo>>>()? {
        let of_owner = repo.owner().eq_ignore_ascii_case(owner);
        if of_owner && !repos.iter().any(|kept| kept.is(&repo)) {
            db.execute(
                "UPDATE repository SET enrolled = 'no' WHERE name = ?1",
                [repo.to_string()],
            )?;
        }
    }
    Ok(())
}

/// How long after a change, by whole seconds of the forge, another one may carry the same time.
const UNSETTLED: i64 = 2;

/// A pull request that a poll found. `since` is what it was asked for; `now` the forge's time.
/// The answer: whether it is to be looked at.
pub fn found(
    db: &Connection,
    changed: &Changed,
    since: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let updated = changed.updated.as_second();
    // A time ahead of now is from before the clock was put back, so nothing new has it either.
    let settled = (now.as_second() - updated).abs() > UNSETTLED;
    // A clock that was put back gives new comments times before those that were seen.
    let since_if_new = since.as_second();
    let since_at_most = updated - (now.as_second() - since_if_new).max(0);
    let rows = db
        .prepare_cached(
            "INSERT INTO pull (repository, number, updated, comments, settled, since, due)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1)
             ON CONFLICT DO UPDATE SET
                updated = excluded.updated, comments = excluded.comments,
                settled = excluded.settled, since = MIN(since, ?7), due = due + 1
             WHERE updated <> excluded.updated OR comments <> excluded.comments OR settled = 0",
        )?
        .execute(params![
            changed.repo.to_string(),
            changed.number,
            updated,
            changed.comments,
            settled,
            since_if_new,
            since_at_most,
        ])?;
    Ok(rows > 0)
}

/// A hint that a pull request changed. Where nothing was found of it before, it is read from
/// `since` on.
pub fn nudge(
    db: &Connection,
    repo: &Repo,
    number: PullNumber,
    since: Timestamp,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO pull (repository, number, updated, comments, settled, since, due)
         VALUES (?1, ?2, 0, 0, 0, ?3, 1) ON CONFLICT DO UPDATE SET due = due + 1",
    )?
    .execute(params![repo.to_string(), number, since.as_second()])?;
    Ok(())
}

/// A pull request that is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Due {
    pub repo: Repo,
    pub number: PullNumber,
    /// Comments that changed before this are decided.
    pub since: Timestamp,
    /// What [`looked_at`] wants to know: how often it was found so far.
    pub times: u64,
}

/// Those of enrolled repositories first.
pub fn due_pulls(db: &Connection) -> rusqlite::Result<Vec<(Repo, PullNumber)>> {
    db.prepare_cached(
        "SELECT repository, number FROM pull WHERE due > 0
         ORDER BY repository NOT IN (SELECT name FROM repository WHERE enrolled <> 'no'), updated",
    )?
    .query_map([], |row| Ok((parsed(row, 0)?, row.get(1)?)))?
    .collect()
}

/// One that is to be looked at.
pub fn one_due_pull(
    db: &Connection,
    repo: &Repo,
    number: PullNumber,
) -> rusqlite::Result<Option<Due>> {
    db.prepare_cached(
        "SELECT repository, number, since, due FROM pull
         WHERE repository = ?1 AND number = ?2 AND due > 0",
    )?
    .query_row(params![repo.to_string(), number], |row| {
        Ok(Due {
            repo: parsed(row, 0)?,
            number: row.get(1)?,
            since: second(row.get(2)?),
            times: row.get(3)?,
        })
    })
    .optional()
}

/// All comments of a pull request that changed before `since` are decided. If it was found again
/// meanwhile, it stays to be looked at.
pub fn looked_at(db: &Connection, due: &Due, since: Timestamp) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE pull SET since = ?3, due = CASE WHEN due = ?4 THEN 0 ELSE due END
         WHERE repository = ?1 AND number = ?2",
    )?
    .execute(params![
        due.repo.to_string(),
        due.number,
        since.as_second(),
        due.times
    ])?;
    Ok(())
}

/// A time as it is stored; one that no calendar has becomes the first.
pub(crate) fn second(at: i64) -> Timestamp {
    Timestamp::from_second(at).unwrap_or(Timestamp::UNIX_EPOCH)
}
