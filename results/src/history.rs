//! Records of earlier runs, as they lie below one folder of runs.
//!
//! Invariants: a record counts only in the folder of its own run id; one that can't be read, is of
//! another schema or too large is passed over and counted; how much is looked at is bounded.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use serde::Deserialize;

use crate::compare::{self, Comparison};
use crate::record::Record;
use crate::write::{RESULT_JSON, parse_result};

/// How many runs are looked at, the last one first, whatever they are of.
const LOOKED_AT: usize = 200;
/// A record is some tens of kilobytes.
const LARGEST: u64 = 8 * 1024 * 1024;

/// Runs of one recipe's target branch, the last one first.
#[derive(Debug, Default)]
pub struct Past {
    pub records: Vec<Record>,
    pub unreadable: u64,
}

/// What differs from the target branch's runs below `runs`; none: the run is of that branch itself.
pub fn comparison(record: &Record, runs: &Path) -> Option<Comparison> {
    if record.target.is_none() || compare::is_of_target(record) {
        return None;
    }
    let past = of_target(runs, &record.recipe, record.started.parse().ok()?);
    compare::compare(record, &past.records, past.unreadable)
}

/// The last runs of a recipe's target branch that were over at `before`.
pub fn of_target(runs: &Path, recipe: &str, before: Timestamp) -> Past {
    let mut past = Past::default();
    for path in newest(runs) {
        match read(&path, recipe) {
            Ok(Some(record)) => {
                let over = record.finished.parse::<Timestamp>();
                if compare::is_of_target(&record) && over.is_ok_and(|at| at <= before) {
                    past.records.push(record);
                }
            }
            Ok(None) => {}
            Err(_) => past.unreadable += 1,
        }
        if past.records.len() == compare::RUNS {
            break;
        }
    }
    let over = |record: &Record| record.finished.parse::<Timestamp>().ok();
    past.records
        .sort_by_key(|record| std::cmp::Reverse(over(record)));
    past
}

/// Records by the time they were written, the last one first.
fn newest(runs: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(runs).into_iter().flatten().flatten();
    let mut found: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.path().join(RESULT_JSON);
            let written = fs::symlink_metadata(&path).ok()?.modified().ok()?;
            Some((written, path))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    let paths = found.into_iter().map(|(_, path)| path);
    paths.take(LOOKED_AT).collect()
}

/// Enough of a record to see whether it is asked for.
#[derive(Deserialize)]
struct Stub {
    run_id: String,
    recipe: String,
    pr: u64,
}

/// None: a record, but not one of these.
fn read(path: &Path, recipe: &str) -> io::Result<Option<Record>> {
    let bad = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    // A pipe would hold us up.
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(bad("no file"));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(bad("too large"));
    }
    let stub: Stub = serde_json::from_slice(&bytes)?;
    let folder = path.parent().and_then(Path::file_name);
    if folder.is_none_or(|name| name != stub.run_id.as_str()) {
        return Err(bad("of another run"));
    }
    if stub.recipe != recipe || stub.pr != 0 {
        return Ok(None);
    }
    let record = parse_result(path, &bytes).map_err(|error| bad(&error.to_string()))?;
    Ok(Some(record))
}
