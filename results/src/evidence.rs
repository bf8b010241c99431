//! Files that belong to an outcome, and which of them shows why a run is no pass.
//!
//! Invariants: nothing outside the run's directory gets into what is shown, whatever a path says;
//! what is read is bounded. The first file of a list is the most relevant one: whoever collects
//! evidence puts it there.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Component, Path};

use crate::outcome::{Outcome, Tier, Verdict};
use crate::record::{Record, TierRecord};

/// How much of a text file is shown.
const TEXT_BYTES: u64 = 64 * 1024;
const TEXT_LINES: usize = 200;
/// The line between two exchanges of an HTTP client.
const BETWEEN_EXCHANGES: &str = "----";
/// A larger picture is linked only.
const IMAGE_BYTES: u64 = 2 * 1024 * 1024;

/// A file that belongs to an outcome, as far as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    Text {
        text: String,
        part: Part,
    },
    Image {
        mime: &'static str,
        bytes: Vec<u8>,
    },
    /// There, but too large or not to be shown.
    LinkOnly,
}

/// How much of a file a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Whole,
    Beginning,
    End,
}

/// Answers what lies at a path below the run's directory.
pub type Find<'a> = &'a dyn Fn(&str) -> Option<Evidence>;

/// The operation or the test that the verdict's reason speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Culprit<'a> {
    pub tier: Tier,
    /// None: the operation.
    pub test: Option<&'a str>,
    pub outcome: &'a Outcome,
    pub evidence: &'a [String],
}

/// What a run that is no pass has to show first; none where the reason is of no tier.
pub fn culprit(record: &Record) -> Option<Culprit<'_>> {
    let failed: fn(&Outcome) -> bool = |outcome| matches!(outcome, Outcome::Fail { .. });
    let error: fn(&Outcome) -> bool = |outcome| matches!(outcome, Outcome::Error { .. });
    let first = |wanted| record.tiers.iter().find_map(|tier| worst_of(tier, wanted));
    match record.verdict {
        Verdict::Pass => None,
        // What met an error in a run that was cut short may be a symptom of that.
        Verdict::Fail | Verdict::Cancelled => first(failed),
        Verdict::Error => first(failed).or_else(|| first(error)),
    }
}

fn worst_of(tier: &TierRecord, wanted: fn(&Outcome) -> bool) -> Option<Culprit<'_>> {
    let operation = tier.operation.iter().map(|operation| Culprit {
        tier: tier.name,
        test: None,
        outcome: &operation.outcome,
        evidence: &operation.evidence,
    });
    let tests = tier.tests.iter().map(|test| Culprit {
        tier: tier.name,
        test: Some(&test.name),
        outcome: &test.outcome,
        evidence: &test.evidence,
    });
    let mut parts = operation.chain(tests);
    parts.find(|part| wanted(part.outcome))
}

/// The first file of a list that can be shown, and its path.
pub(crate) fn first_shown<'a>(paths: &'a [String], find: Find<'_>) -> Option<(&'a str, Evidence)> {
    let mut shown = paths.iter().filter_map(|path| match find(path)? {
        Evidence::Text { text, .. } if text.trim().is_empty() => None,
        Evidence::LinkOnly => None,
        evidence => Some((path.as_str(), evidence)),
    });
    shown.next()
}

/// The lines of a file that say most, and which part of it they are: of exchanges the newest from
/// its request on, of all else the end.
pub(crate) fn piece(path: &str, text: &str, part: Part, most: usize) -> (String, Part) {
    let all: Vec<_> = text.trim_end().lines().collect();
    let (lines, rest) = if is_exchanges(path) {
        let first = all.iter().position(|line| *line == BETWEEN_EXCHANGES);
        let end = first.unwrap_or(all.len()).min(most);
        (&all[..end], Part::Beginning)
    } else {
        (&all[all.len().saturating_sub(most)..], Part::End)
    };
    let part = if lines.len() < all.len() { rest } else { part };
    (lines.join("\n").trim_end().to_owned(), part)
}

/// Exchanges of an HTTP client, the newest first.
fn is_exchanges(path: &str) -> bool {
    path.ends_with("http.txt")
}

/// What is shown of a file below the run's directory; none where there is no such file, or where
/// it lies elsewhere.
pub fn of_run(dir: &Path, path: &str) -> Option<Evidence> {
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
    let wanted = if is_exchanges(&path.to_string_lossy()) {
        Part::Beginning
    } else {
        file.seek(SeekFrom::Start(length.saturating_sub(TEXT_BYTES)))?;
        Part::End
    };
    let mut bytes = Vec::new();
    file.take(TEXT_BYTES).read_to_end(&mut bytes)?;
    if bytes.contains(&0) {
        return Ok(Evidence::LinkOnly);
    }
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<_> = text.lines().collect();
    let cut = length > TEXT_BYTES || lines.len() > TEXT_LINES;
    match wanted {
        Part::End => {
            // The first line of a cut text is a part of one.
            let part = usize::from(length > TEXT_BYTES);
            let from = part.max(lines.len().saturating_sub(TEXT_LINES));
            lines.drain(..from.min(lines.len()));
        }
        _ => lines.truncate(TEXT_LINES),
    }
    Ok(Evidence::Text {
        text: lines.join("\n"),
        part: if cut { wanted } else { Part::Whole },
    })
}
