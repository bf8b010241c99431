//! Runs, from the decision to start one to its end.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use results::summary::Summary;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};

use super::polls::second;
use super::{from_json, json, now, parsed, unreadable};
use crate::comment::Note;
use crate::executor::{Build, Order, Progress};
use crate::names::{CommitSha, PullNumber, Repo, RunId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// The executor was not asked.
    Waiting,
    /// It was asked, and what it did is not known.
    Starting,
    Started,
    Over,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Started => "started",
            Self::Over => "over",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Waiting, Self::Starting, Self::Started, Self::Over]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// Why a run is to end before its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Somebody asked for it.
    By(String),
    /// A run of a newer head took its place.
    Superseded(CommitSha),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedRun {
    /// By its own record.
    Recorded(Box<Summary>),
    /// Without one: nothing is said about the recipe.
    NoRecord(String),
    /// It was never started.
    NotStarted,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub decision: i64,
    pub repo: Repo,
    pub order: Order,
    /// What is to be said beside how it goes.
    pub notes: Vec<Note>,
    pub state: State,
    /// When the comment was written, by the forge's clock.
    pub asked: Timestamp,
    pub build: Option<Build>,
    pub started: Option<Timestamp>,
    pub began: Option<Timestamp>,
    pub finished: Option<Timestamp>,
    pub stop: Option<Stop>,
    /// None: it has not begun.
    pub progress: Option<Progress>,
    pub ended: Option<EndedRun>,
}

const COLUMNS: &str = "decision, repository, order_, notes, state, build, started, began, finished, stop, progress, ended, asked";

fn read(row: &Row<'_>) -> rusqlite::Result<Run> {
    let state: String = row.get(4)?;
    let order: String = row.get(2)?;
    let notes: String = row.get(3)?;
    let at = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(second));
    Ok(Run {
        decision: row.get(0)?,
        repo: parsed(row, 1)?,
        order: from_json(2, &order)?,
        notes: from_json(3, &notes)?,
        state: State::parse(&state)
            .ok_or_else(|| unreadable(4, std::io::Error::other(format!("no state: {state}"))))?,
        asked: second(row.get(12)?),
        build: row.get::<_, Option<String>>(5)?.map(Build),
        started: at(6)?,
        began: at(7)?,
        finished: at(8)?,
        stop: optional(row, 9)?,
        progress: optional(row, 10)?,
        ended: optional(row, 11)?,
    })
}

fn optional<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| from_json(column, &text)).transpose()
}

/// A new run, which waits.
pub fn insert_run(
    db: &Connection,
    decision: i64,
    repo: &Repo,
    order: &Order,
    notes: &[Note],
    asked: Timestamp,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO run (key, decision, repository, pull, head, order_, notes, state, asked)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'waiting', ?8)",
    )?
    .execute(params![
        order.key.as_str(),
        decision,
        repo.to_string(),
        order.pull,
        order.head.as_str(),
        json(order),
        json(&notes),
        asked.as_second(),
    ])?;
    Ok(())
}

pub fn run(db: &Connection, key: &RunId) -> rusqlite::Result<Option<Run>> {
    let sql = format!("SELECT {COLUMNS} FROM run WHERE key = ?1");
    let mut statement = db.prepare_cached(&sql)?;
    statement.query_row([key.as_str()], read).optional()
}

/// The keys of all runs that are not over, in the order in which they were asked for.
pub fn live_keys(db: &Connection) -> rusqlite::Result<Vec<RunId>> {
    db.prepare_cached("SELECT key FROM run WHERE state <> 'over' ORDER BY decision")?
        .query_map([], |row| parsed(row, 0))?
        .collect()
}

/// All runs that are not over, in the order in which they were asked for.
pub fn live_runs(db: &Connection) -> rusqlite::Result<Vec<Run>> {
    let sql = format!("SELECT {COLUMNS} FROM run WHERE state <> 'over' ORDER BY decision");
    let mut statement = db.prepare_cached(&sql)?;
    statement.query_map([], read)?.collect()
}

/// How many runs that are not over are in each state.
pub fn states(db: &Connection) -> rusqlite::Result<HashMap<String, usize>> {
    db.prepare_cached("SELECT state, COUNT(*) FROM run WHERE state <> 'over' GROUP BY state")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// How many runs were asked for before this one and have not begun.
pub fn ahead(db: &Connection, decision: i64) -> rusqlite::Result<u32> {
    db.prepare_cached(
        "SELECT COUNT(*) FROM run WHERE state <> 'over' AND began IS NULL AND decision < ?1",
    )?
    .query_row([decision], |row| row.get(0))
}

/// Marks a run as being started, if no more than `slots` are then. None: as many as one likes.
pub fn take_slot(db: &Connection, key: &RunId, slots: Option<usize>) -> rusqlite::Result<bool> {
    let rows = db
        .prepare_cached(
            "UPDATE run SET state = 'starting' WHERE key = ?1 AND state = 'waiting'
             AND stop IS NULL
             AND (SELECT COUNT(*) FROM run WHERE state IN ('starting', 'started')) < ?2",
        )?
        .execute(params![key.as_str(), slots.unwrap_or(usize::MAX >> 1)])?;
    Ok(rows == 1)
}

/// Those of one pull request that are not over.
pub fn live_of_pull(db: &Connection, repo: &Repo, pull: PullNumber) -> rusqlite::Result<Vec<Run>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM run
         WHERE repository = ?1 AND pull = ?2 AND state <> 'over' ORDER BY decision"
    );
    let mut statement = db.prepare_cached(&sql)?;
    statement
        .query_map(params![repo.to_string(), pull], read)?
        .collect()
}

/// The runs of a head, the last one first: that is the one that its comment is about.
pub fn runs_of_head(
    db: &Connection,
    repo: &Repo,
    pull: PullNumber,
    head: &CommitSha,
) -> rusqlite::Result<Vec<Run>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM run
         WHERE repository = ?1 AND pull = ?2 AND head = ?3 ORDER BY decision DESC"
    );
    let mut statement = db.prepare_cached(&sql)?;
    statement
        .query_map(params![repo.to_string(), pull, head.as_str()], read)?
        .collect()
}

/// A step of a run that is not over. The executor's name for it comes with [`State::Started`].
pub fn set_state(
    db: &Connection,
    key: &RunId,
    state: State,
    build: Option<&Build>,
) -> rusqlite::Result<()> {
    let started = (state == State::Started).then(now);
    db.prepare_cached(
        "UPDATE run SET state = ?2, build = ?3, started = ?4 WHERE key = ?1 AND state <> 'over'",
    )?
    .execute(params![
        key.as_str(),
        state.as_str(),
        build.map(|build| &build.0),
        started,
    ])?;
    Ok(())
}

/// How a started run stands; the first time also says when it began.
pub fn set_progress(db: &Connection, key: &RunId, progress: &Progress) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE run SET progress = ?2, began = COALESCE(began, ?3)
         WHERE key = ?1 AND state <> 'over'",
    )?
    .execute(params![key.as_str(), json(progress), now()])?;
    Ok(())
}

/// The end of a run, once.
pub fn settle(db: &Connection, key: &RunId, ended: &EndedRun) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE run SET state = 'over', ended = ?2, finished = ?3
         WHERE key = ?1 AND state <> 'over'",
    )?
    .execute(params![key.as_str(), json(ended), now()])?;
    Ok(())
}

/// The first wish counts.
pub fn ask_stop(db: &Connection, key: &RunId, stop: &Stop) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE run SET stop = ?2 WHERE key = ?1 AND state <> 'over' AND stop IS NULL",
    )?
    .execute(params![key.as_str(), json(stop)])?;
    Ok(())
}

/// How long the last runs took that came to a verdict, the newest first.
pub fn durations(db: &Connection, most: usize) -> rusqlite::Result<Vec<Duration>> {
    let mut statement = db.prepare_cached(
        "SELECT finished - began FROM run
         WHERE state = 'over' AND began IS NOT NULL AND ended LIKE '{\"recorded\"%'
         ORDER BY finished DESC LIMIT ?1",
    )?;
    let rows = statement.query_map([most], |row| {
        let seconds: i64 = row.get(0)?;
        Ok(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    })?;
    rows.collect()
}
