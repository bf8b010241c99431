//! What came of a case against what had to.

use std::time::Duration;

use fixtures::known_bad::{Case, Expect};
use results::{Outcome, Record, Tier};

use super::normal::normal;
use super::once::Got;

/// One thing that is not as it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub what: &'static str,
    pub expected: String,
    pub got: String,
}

/// All that is not as it has to be; `files`: what is wrong with the files of the record.
pub fn differences(case: &Case, got: &Got, files: Vec<String>) -> Vec<Difference> {
    let expect = &case.expect;
    let record = &got.record;
    let mut found = Vec::new();
    let mut compare = |what, expected: String, got: String| {
        if expected != got {
            found.push(Difference {
                what,
                expected,
                got,
            });
        }
    };
    compare(
        "verdict",
        expect.verdict.to_string(),
        record.verdict.to_string(),
    );
    compare("tier", tier_word(expect.tier), tier_word(red_tier(record)));
    let reason = normal(&record.verdict_reason, record);
    compare("reason", expect.reason.trim().to_owned(), reason);
    compare(
        "exit code",
        expect.verdict.exit_code().to_string(),
        got.status
            .code()
            .map_or_else(|| got.status.to_string(), |code| code.to_string()),
    );
    for (tier, word) in &expect.tiers {
        let outcome = record.tier(*tier).map(|tier| status(&tier.outcome));
        let outcome = outcome.unwrap_or_else(|| "none".to_owned());
        compare(
            "a tier",
            format!("{tier} {word}"),
            format!("{tier} {outcome}"),
        );
    }
    let notes = notes(record);
    for wanted in &expect.notes {
        let there = notes.iter().any(|note| note.contains(wanted));
        let got = if there {
            wanted.clone()
        } else {
            notes.join("\n")
        };
        compare("a note", wanted.clone(), got);
    }
    if let Some(wanted) = &expect.retries {
        let retries = record.retries.iter().map(|retry| {
            let text = format!("{}: {}: {}", retry.tier, retry.what, retry.why);
            normal(&text, record)
        });
        let got = retries.collect::<Vec<_>>().join("\n");
        compare("what was tried again", wanted.join("\n"), got);
    }
    let residue: Vec<_> = record.teardown.residue.iter().collect();
    let residue = residue
        .iter()
        .map(|left| normal(&format!("{} {}", left.kind, left.name), record));
    compare(
        "left behind, as the record says",
        expect.residue.join(", "),
        residue.collect::<Vec<_>>().join(", "),
    );
    compare("left in Docker", String::new(), got.left.join(", "));
    compare("the files", String::new(), files.join("; "));
    if let Some(slow) = too_slow(expect, got) {
        compare("time", slow.0, slow.1);
    }
    found
}

/// Where a time has a limit, and it was passed.
fn too_slow(expect: &Expect, got: &Got) -> Option<(String, String)> {
    let limit = Duration::from_secs(expect.within_seconds?);
    let (what, took) = match expect.tier {
        None => ("the run", got.elapsed),
        Some(tier) => {
            let operation = got.record.tier(tier)?.operation.as_ref()?;
            (
                "the operation",
                Duration::from_millis(operation.duration_ms),
            )
        }
    };
    (took > limit).then(|| {
        (
            format!("{what} within {} s", limit.as_secs()),
            format!("{:.1} s", took.as_secs_f64()),
        )
    })
}

/// The first tier that is red.
pub fn red_tier(record: &Record) -> Option<Tier> {
    let mut tiers = record.tiers.iter();
    let red = tiers.find(|tier| tier.outcome.is_red())?;
    Some(red.name)
}

pub fn tier_word(tier: Option<Tier>) -> String {
    tier.map_or_else(|| "-".to_owned(), |tier| tier.to_string())
}

fn status(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Unverified { cause, .. } => {
            format!("unverified ({})", format!("{cause:?}").to_lowercase())
        }
        other => other.word().to_owned(),
    }
}

fn notes(record: &Record) -> Vec<String> {
    let of_tiers = record.tiers.iter().flat_map(|tier| &tier.notes);
    of_tiers
        .chain(&record.notes)
        .map(|note| normal(note, record))
        .collect()
}
