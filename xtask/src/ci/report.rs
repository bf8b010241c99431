//! `report`: shows the record of a run again.

use std::fs;
use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use harness::fault::Fault;
use harness::recipe::names::RunId;
use harness::wait::Seconds;
use results::Record;

use super::outcome;
use crate::text::clean;
use crate::{exit, place};

/// Show the record of a run, and end with its verdict's code
#[derive(Debug, Args)]
pub struct Report {
    /// The run's id
    run: RunId,
    /// Print result.json
    #[arg(long)]
    json: bool,
}

impl Report {
    pub fn run(self) -> Result<u8> {
        let dir = place::run_dir(&self.run);
        let Some(record) = outcome::read(&dir)? else {
            let why = if dir.is_dir() {
                "has no record yet"
            } else {
                "is not known here"
            };
            return Err(Fault::usage(format!("run {} {why}", self.run)).into());
        };
        if self.json {
            let bytes = fs::read(dir.join(outcome::RESULT)).context("reading the record")?;
            io::stdout().write_all(&bytes)?;
        } else {
            println!("{}", text(&record));
        }
        Ok(exit::of_verdict(record.verdict))
    }
}

/// JOINT: the terminal renderer of `results`, once it is there. Until then a line a tier.
pub fn text(record: &Record) -> String {
    let mut lines = vec![format!(
        "{} ({})",
        clean(&record.recipe),
        clean(&record.run_id)
    )];
    for tier in &record.tiers {
        let time = Seconds(Duration::from_millis(tier.duration_ms));
        let reason = tier.outcome.reason().map(clean).unwrap_or_default();
        let row = format!(
            "{:<10}  {:<7}  {time:>12}  {reason}",
            tier.outcome.word(),
            tier.name
        );
        lines.push(row.trim_end().to_owned());
    }
    let level = record
        .level
        .map_or_else(|| "no level".to_owned(), |level| format!("level {level}"));
    lines.push(format!(
        "{}: {} ({level}: {})",
        record.verdict,
        clean(&record.verdict_reason),
        clean(&record.level_reason)
    ));
    lines.join("\n")
}
