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

/// How much of a text file is shown: its end.
const TEXT_BYTES: u64 = 64 * 1024;
const TEXT_LINES: usize = 200;
/// A larger picture is linked only.
const IMAGE_BYTES: u64 = 2 * 1024 * 1024;

/// A file that belongs to an outcome, as far as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    Text {
        text: String,
        /// Whether this is only the end of the file.
        cut: bool,
    },
    Image {
        mime: &'static str,
        bytes: Vec<u8>,
    },
    /// There, but too large or not to be shown.
    LinkOnly,
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

/// The last lines of a text, and whether there are more.
pub(crate) fn last_lines(text: &str, most: usize) -> (String, bool) {
    let lines: Vec<_> = text.trim_end().lines().collect();
    let from = lines.len().saturating_sub(most);
    (lines[from..].join("\n"), from > 0)
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
