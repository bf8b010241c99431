//! A run's record in its directory: `result.json`, `junit.xml`, `report.html`.
//!
//! Invariants: each file is replaced as a whole, so a reader sees the old or the new one; nothing
//! outside the run's directory gets into a report, whatever an evidence path says.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};

use crate::html::{self, Evidence};
use crate::junit;
use crate::record::{Record, SCHEMA};

pub const RESULT_JSON: &str = "result.json";
pub const JUNIT_XML: &str = "junit.xml";
pub const REPORT_HTML: &str = "report.html";

/// How much of a text file gets into the report: its end.
const TEXT_BYTES: u64 = 64 * 1024;
const TEXT_LINES: usize = 200;
/// A larger picture is linked only.
const IMAGE_BYTES: u64 = 2 * 1024 * 1024;

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
    #[error("{path} is not a record of schema {SCHEMA}")]
    Shape {
        path: PathBuf,
        source: serde_json::Error,
    },
}

/// Writes all three files into the run's directory. The report goes first and `result.json` last:
/// whoever sees the result finds the rest.
pub fn write_all(dir: &Path, record: &Record) -> Result<(), WriteError> {
    let report = html::render(record, &|path| evidence(dir, path));
    replace(&dir.join(REPORT_HTML), report.as_bytes())?;
    let xml = junit::render(record).map_err(WriteError::Junit)?;
    replace(&dir.join(JUNIT_XML), xml.as_bytes())?;
    let mut json = serde_json::to_string_pretty(record).map_err(WriteError::Json)?;
    json.push('\n');
    replace(&dir.join(RESULT_JSON), json.as_bytes())
}

/// Reads a `result.json` back.
pub fn read_result(path: &Path) -> Result<Record, ReadError> {
    let text = std::fs::read(path).map_err(|source| ReadError::Io {
        path: path.to_owned(),
        source,
    })?;
    let value: serde_json::Value =
        serde_json::from_slice(&text).map_err(|source| ReadError::NotJson {
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

/// What a report embeds of a file below the run's directory; none where there is no such file,
/// or where it lies elsewhere.
pub fn evidence(dir: &Path, path: &str) -> Option<Evidence> {
    let plain = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let dir = dir.canonicalize().ok()?;
    // A link may lead out of the directory.
    let file = plain.then(|| dir.join(path).canonicalize().ok())??;
    if !file.starts_with(&dir) || !file.is_file() {
        return None;
    }
    let extension = file.extension().and_then(|extension| extension.to_str());
    let mime = match extension {
        Some("png") => Some("image/png"),
        Some("jpg" | "jpeg") => Some("image/jpeg"),
        Some("webp") => Some("image/webp"),
        _ => None,
    };
    match mime {
        Some(mime) => image(&file, mime).ok(),
        None => text(&file).ok(),
    }
}

fn image(path: &Path, mime: &'static str) -> io::Result<Evidence> {
    let file = File::open(path)?;
    if file.metadata()?.len() > IMAGE_BYTES {
        return Ok(Evidence::LinkOnly);
    }
    let mut bytes = Vec::new();
    file.take(IMAGE_BYTES).read_to_end(&mut bytes)?;
    Ok(Evidence::Image { mime, bytes })
}

fn text(path: &Path) -> io::Result<Evidence> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let skipped = length.saturating_sub(TEXT_BYTES);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(TEXT_BYTES).read_to_end(&mut bytes)?;
    if bytes.contains(&0) {
        return Ok(Evidence::LinkOnly);
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    // The first line of a cut text is a part of one.
    let first = usize::from(skipped > 0).max(lines.len().saturating_sub(TEXT_LINES));
    Ok(Evidence::Text {
        text: lines.get(first..).unwrap_or_default().join("\n"),
        cut: first > 0,
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
