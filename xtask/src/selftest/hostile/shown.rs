//! What a person reads of a hostile selftest.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;

use super::Turn;
use super::once::Got;
use crate::text::{Colour, clean};

/// How much of what a case has spoilt is told.
const LINES: usize = 8;

/// A case that had its turn.
pub struct Ended {
    pub turn: Turn,
    /// An error: it did not report.
    pub got: Result<Got>,
}

impl Ended {
    pub fn is_well(&self) -> bool {
        self.got
            .as_ref()
            .is_ok_and(|got| got.spoilt.is_empty() && got.faults.is_empty())
    }

    fn verdict(&self) -> String {
        match &self.got {
            Ok(got) => got.record.verdict.to_string(),
            Err(_) => "no report".to_owned(),
        }
    }

    fn witness(&self) -> &'static str {
        match &self.got {
            Ok(got) if got.spoilt.is_empty() => "untouched",
            Ok(_) => "SPOILT",
            Err(_) => "-",
        }
    }

    fn seconds(&self) -> String {
        match &self.got {
            Ok(got) => format!("{:.0} s", got.elapsed.as_secs_f64()),
            Err(_) => "-".to_owned(),
        }
    }
}

/// One line as soon as a case has ended.
pub fn line(one: &Ended, done: usize, total: usize) -> String {
    let word = if one.is_well() {
        "as expected"
    } else {
        "FAILS"
    };
    let (name, by, at) = (one.turn.name(), one.turn.by.as_str(), one.turn.at());
    format!(
        "[{done}/{total}] {name} by {by} at {at}: {word}, {}",
        one.seconds()
    )
}

/// Case, engine, tier, verdict, witness; below it all that is wrong, in full.
pub fn table(ended: &[Ended], elapsed: Duration) -> String {
    let width = ended.iter().map(|one| one.turn.name().len()).max();
    let width = width.unwrap_or_default();
    let colour = Colour::of_stdout();
    let mut out = format!(
        "\n        {:width$}  engine  tier     verdict    witness    time\n",
        "case"
    );
    for one in ended {
        let mark = colour.status(if one.is_well() {
            "ok      "
        } else {
            "fail    "
        });
        let _ = writeln!(
            out,
            "{mark}{:width$}  {:6}  {:7}  {:9}  {:9}  {:>4}",
            one.turn.name(),
            one.turn.by.as_str(),
            one.turn.at(),
            one.verdict(),
            one.witness(),
            one.seconds(),
        );
    }
    for one in ended.iter().filter(|one| !one.is_well()) {
        let (name, by, at) = (one.turn.name(), one.turn.by.as_str(), one.turn.at());
        let _ = writeln!(out, "\n{name} by {by} at {at}");
        match &one.got {
            Err(error) => {
                let _ = writeln!(out, "  it did not report: {}", clean(&format!("{error:#}")));
            }
            Ok(got) => {
                for spoilt in got.spoilt.iter().take(LINES) {
                    let how: String = clean(&spoilt.how).chars().take(400).collect();
                    let _ = writeln!(out, "  spoilt: {}: {how}", spoilt.witness);
                }
                if got.spoilt.len() > LINES {
                    let _ = writeln!(out, "  and {} more", got.spoilt.len() - LINES);
                }
                for fault in &got.faults {
                    let _ = writeln!(out, "  {}", clean(fault));
                }
            }
        }
    }
    let failed = ended.iter().filter(|one| !one.is_well()).count();
    let spoilt = ended.iter().filter(|one| one.witness() == "SPOILT").count();
    let _ = writeln!(
        out,
        "\n{} run, {failed} not as expected, {spoilt} with a spoilt witness, {:.0} s",
        ended.len(),
        elapsed.as_secs_f64()
    );
    out
}
