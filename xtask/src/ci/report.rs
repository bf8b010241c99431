//! `report`: shows the record of a run again.

use std::fs;
use std::io::{self, Write as _};

use anyhow::{Context as _, Result};
use clap::Args;
use harness::fault::Fault;
use harness::recipe::names::RunId;
use harness::session::paths::Paths;
use results::Record;
use results::evidence::Evidence;
use results::summary::Summary;
use results::write::{REPORT_HTML, RESULT_JSON};

use super::known;
use crate::exit;
use crate::text::Colour;

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
        let state = harness::site::state_dir()?;
        let paths = known::find(&state, &self.run)?;
        let Some(record) = known::record(&paths)? else {
            return Err(Fault::usage(format!(
                "run {} has no record yet; it is written at its end. Its log is {}",
                self.run,
                paths.log().display()
            ))
            .into());
        };
        if self.json {
            print_json(&paths)?;
        } else {
            show(&record, &paths);
        }
        Ok(exit::of_verdict(record.verdict))
    }
}

/// The table, with the path of the report.
pub fn show(record: &Record, paths: &Paths) {
    let colour = match Colour::of_stdout() {
        Colour::Never => results::table::Colour::Never,
        Colour::Ansi => results::table::Colour::Always,
    };
    let report = paths.run.join(REPORT_HTML);
    let find = |path: &str| find(paths, path);
    print!(
        "{}",
        results::table::render(record, colour, &find, report.to_str())
    );
}

/// The record in one line. There is none of a run whose start was never written: nobody could say
/// what it is of.
pub fn print_summary(record: &Record, paths: &Paths) {
    if let Some(summary) = Summary::of(record, &|path| find(paths, path)) {
        println!("{}", summary.to_line());
    }
}

fn find(paths: &Paths, path: &str) -> Option<Evidence> {
    results::evidence::of_run(&paths.run, path)
}

/// `result.json` as it is.
pub fn print_json(paths: &Paths) -> Result<()> {
    let bytes = fs::read(paths.run.join(RESULT_JSON)).context("reading the record")?;
    io::stdout().write_all(&bytes)?;
    Ok(())
}
