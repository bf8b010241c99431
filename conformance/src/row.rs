//! One expectation and what came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use harness::fault::Fault;
use harness::wait::Seconds;

/// For what one row does.
const WITHIN: Duration = Duration::from_secs(300);
/// Of an engine's log, for one row.
const LARGEST_LOG: u64 = 256 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Holds,
    Differs { got: String },
    NotRun { why: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its name: no two rows have the same.
    pub area: &'static str,
    /// What is expected, as a plain sentence.
    pub what: &'static str,
    pub outcome: Outcome,
    /// What was seen, and what the engine said meanwhile.
    pub raw: String,
    pub took: Duration,
}

/// Why an expectation was not seen to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Miss {
    Differs(String),
    NotRun(String),
}

impl From<Fault> for Miss {
    fn from(fault: Fault) -> Self {
        Self::Differs(fault.to_string())
    }
}

impl From<std::io::Error> for Miss {
    fn from(error: std::io::Error) -> Self {
        Self::NotRun(error.to_string())
    }
}

/// What was seen, for the evidence; or why that is not what is expected.
pub type Seen = Result<String, Miss>;

/// Both as they are, or the difference.
pub fn same<T: PartialEq + fmt::Debug>(what: &str, wanted: T, got: T) -> Result<(), Miss> {
    if wanted == got {
        return Ok(());
    }
    Err(Miss::Differs(format!(
        "{what}: {got:?}, expected {wanted:?}"
    )))
}

pub fn holds(holds: bool, got: impl FnOnce() -> String) -> Result<(), Miss> {
    if holds {
        Ok(())
    } else {
        Err(Miss::Differs(got()))
    }
}

/// Rows as they come.
pub struct Rows<'a> {
    rows: Vec<Row>,
    told: &'a dyn Fn(&Row),
    /// The logs of engines, and how much of each belongs to rows already.
    logs: BTreeMap<PathBuf, u64>,
}

impl<'a> Rows<'a> {
    pub fn new(told: &'a dyn Fn(&Row)) -> Self {
        Self {
            rows: Vec::new(),
            told,
            logs: BTreeMap::new(),
        }
    }

    pub fn into_rows(self) -> Vec<Row> {
        self.rows
    }

    /// From here on, what this file gets more belongs to the row that was run meanwhile.
    pub fn follow(&mut self, log: &Path) {
        self.logs.insert(log.to_owned(), 0);
    }

    pub fn holds(&self, area: &str) -> bool {
        let mut rows = self.rows.iter();
        rows.any(|row| row.area == area && row.outcome == Outcome::Holds)
    }

    /// Sees whether this holds, unless one of the areas before it does not.
    pub async fn row(
        &mut self,
        area: &'static str,
        needs: &[&str],
        what: &'static str,
        check: impl Future<Output = Seen>,
    ) -> bool {
        let started = Instant::now();
        let missing = needs.iter().find(|need| !self.holds(need));
        let seen = match missing {
            Some(need) => Err(Miss::NotRun(format!("`{need}` does not hold"))),
            None => match tokio::time::timeout(WITHIN, check).await {
                Ok(seen) => seen,
                Err(_) => Err(Miss::Differs(format!("not within {}", Seconds(WITHIN)))),
            },
        };
        let (outcome, mut raw) = match seen {
            Ok(raw) => (Outcome::Holds, raw),
            Err(Miss::Differs(got)) => (Outcome::Differs { got: got.clone() }, got),
            Err(Miss::NotRun(why)) => (Outcome::NotRun { why: why.clone() }, why),
        };
        for (log, read) in &mut self.logs {
            let more = more(log, read).unwrap_or_default();
            if !more.is_empty() {
                raw = format!("{}\n\n{more}", raw.trim_end());
            }
        }
        self.rows.push(Row {
            area,
            what,
            outcome,
            raw,
            took: started.elapsed(),
        });
        let row = &self.rows[self.rows.len() - 1];
        (self.told)(row);
        row.outcome == Outcome::Holds
    }
}

/// What the file has got since it was read last.
fn more(log: &Path, read: &mut u64) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    file.seek(SeekFrom::Start(*read))?;
    let mut bytes = Vec::new();
    file.take(LARGEST_LOG).read_to_end(&mut bytes)?;
    *read += bytes.len() as u64;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn good() -> Seen {
        Ok("seen".to_owned())
    }

    #[tokio::test]
    async fn a_row_whose_need_does_not_hold_is_not_run() {
        let mut rows = Rows::new(&|_| {});
        let bad = async { Err(Miss::Differs("other".to_owned())) };
        assert!(!rows.row("one", &[], "One.", bad).await);
        let never = async { unreachable!("it needs what does not hold") };
        assert!(!rows.row("two", &["one"], "Two.", never).await);
        assert!(!rows.row("three", &["none"], "Three.", good()).await);
        assert!(rows.row("four", &[], "Four.", good()).await);
        let rows = rows.into_rows();
        let why = "`one` does not hold".to_owned();
        assert_eq!(rows[1].outcome, Outcome::NotRun { why });
        assert_eq!(rows[3].raw, "seen");
    }

    #[tokio::test]
    async fn what_an_engine_says_meanwhile_belongs_to_the_row() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut rows = Rows::new(&|_| {});
        rows.follow(&log);
        let write = |text: &'static str| {
            let log = log.clone();
            async move {
                let before = std::fs::read_to_string(&log).unwrap_or_default();
                std::fs::write(&log, before + text)?;
                good().await
            }
        };
        rows.row("one", &[], "One.", write("first\n")).await;
        rows.row("two", &[], "Two.", write("second\n")).await;
        let rows = rows.into_rows();
        assert_eq!(rows[0].raw, "seen\n\nfirst\n");
        assert_eq!(rows[1].raw, "seen\n\nsecond\n");
    }
}
