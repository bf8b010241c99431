//! A run's record in its directory: `result.json`, `junit.xml`, `report.html`.
//!
//! Invariant: each file is replaced as a whole, so a reader sees the old or the new one.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::evidence;
use crate::html;
use crate::junit;
use crate::record::{Record, SCHEMA};

pub const RESULT_JSON: &str = "result.json";
pub const JUNIT_XML: &str = "junit.xml";
pub const REPORT_HTML: &str = "report.html";

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("{path} could not be written")]
    Io { path: PathBuf, source: io::Error },
    #[error("the record can't be written as JSON")]
    Json(#[source] serde_json::Error),
    #[error("the record can't be written as JUnit XML")]
    Junit(#[source] quick_junit::SerializeError),
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{path} could not be read; has the run finished?")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} is not JSON")]
    NotJson {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error(
        "{path} has schema {found}, and this program knows schema {SCHEMA}: use the program that wrote it, or a newer one"
    )]
    Schema { path: PathBuf, found: String },
    #[error("{path} is the record of another run, {found}: it says nothing of this one")]
    OtherRun { path: PathBuf, found: String },
    #[error("{path} is not a record of schema {SCHEMA}")]
    Shape {
        path: PathBuf,
        source: serde_json::Error,
    },
}

/// Writes all three files into the run's directory. The report goes first and `result.json` last:
/// whoever sees the result finds the rest.
pub fn write_all(dir: &Path, record: &Record) -> Result<(), WriteError> {
    let report = html::render(record, &|path| evidence::of_run(dir, path));
    replace(&dir.join(REPORT_HTML), report.as_bytes())?;
    let xml = junit::render(record).map_err(WriteError::Junit)?;
    replace(&dir.join(JUNIT_XML), xml.as_bytes())?;
    let mut json = serde_json::to_string_pretty(record).map_err(WriteError::Json)?;
    json.push('\n');
    replace(&dir.join(RESULT_JSON), json.as_bytes())
}

/// Reads a `result.json` back. A verdict is that of one run: where the record is of another run
/// than the folder that it lies in, it is refused.
pub fn read_result(path: &Path) -> Result<Record, ReadError> {
    let text = std::fs::read(path).map_err(|source| ReadError::Io {
        path: path.to_owned(),
        source,
    })?;
    let record = parse_result(path, &text)?;
    let folder = path.parent().and_then(Path::file_name);
    // A run whose start was never written has no id in its record.
    let ours = |name: &std::ffi::OsStr| record.run_id.is_empty() || name == record.run_id.as_str();
    if folder.is_some_and(|name| !ours(name)) {
        return Err(ReadError::OtherRun {
            path: path.to_owned(),
            found: record.run_id,
        });
    }
    Ok(record)
}

/// The record in the text of a `result.json`.
pub(crate) fn parse_result(path: &Path, text: &[u8]) -> Result<Record, ReadError> {
    let value: serde_json::Value =
        serde_json::from_slice(text).map_err(|source| ReadError::NotJson {
            path: path.to_owned(),
            source,
        })?;
    let schema = value.get("schema");
    if schema.and_then(serde_json::Value::as_u64) != Some(u64::from(SCHEMA)) {
        return Err(ReadError::Schema {
            path: path.to_owned(),
            found: schema.map_or("(none)".to_owned(), ToString::to_string),
        });
    }
    serde_json::from_value(value).map_err(|source| ReadError::Shape {
        path: path.to_owned(),
        source,
    })
}

fn replace(path: &Path, content: &[u8]) -> Result<(), WriteError> {
    let io_error = |source| WriteError::Io {
        path: path.to_owned(),
        source,
    };
    let dir = path.parent().expect("a file of a run lies in a directory");
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(dir)
        .map_err(io_error)?;
    file.write_all(content).map_err(io_error)?;
    file.as_file().sync_data().map_err(io_error)?;
    file.persist(path).map_err(|error| io_error(error.error))?;
    Ok(())
}
