//! `bench`: what a run costs, beside what the same work costs without us.
//!
//! Figures that are compared are measured in alternation, so that a busy machine weighs on both
//! sides. A figure beyond its aim is shown as such, and that is all. Only the trial of the bridge
//! asserts: one comment answered twice or never is a failure.

mod bridge;
mod engine;
mod figure;
mod ours;
mod script;
mod small;
mod snapshot;
mod whole_run;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use crate::exit;

/// Measure what a run costs, beside the same work without cc-ci
#[derive(Debug, Args)]
pub struct Bench {
    /// These parts only; all without
    #[arg(value_name = "PART", conflicts_with = "only")]
    parts: Vec<Part>,
    /// Alternating runs of each recipe; 5 of custom-html and 2 of keycloak without
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// The same, with commas between
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,
    #[command(flatten)]
    trial: bridge::Trial,
    /// Print the figures as JSON on standard output, and nothing else there
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Whole runs of custom-html: also a trial, the keeper, the removal and the edge
    CustomHtml,
    /// Whole runs of keycloak
    Keycloak,
    /// The listing of a suite
    Listing,
    /// A snapshot of 1 GiB
    Snapshot,
    /// What the engine abra adds to the commands of abra
    Engine,
    /// The bridge: killed while people write comments, and what it costs
    Bridge,
}

impl Bench {
    pub fn run(self) -> Result<u8> {
        let asked = [self.parts, self.only].concat();
        let parts = if asked.is_empty() {
            Part::value_variants()
        } else {
            &asked[..]
        };
        let mut good = true;
        let scratch = Scratch::new()?;
        let mut figures = Vec::new();
        for part in parts {
            figures.extend(match part {
                Part::CustomHtml => {
                    whole_run::measure("custom-html", self.runs.unwrap_or(5), &scratch)
                }
                Part::Keycloak => whole_run::measure("keycloak", self.runs.unwrap_or(2), &scratch),
                Part::Listing => small::listing("custom-html"),
                Part::Snapshot => snapshot::measure(&scratch),
                Part::Engine => engine::measure(self.runs.unwrap_or(3), &scratch),
                Part::Bridge => bridge::measure(&self.trial).map(|(figures, sound)| {
                    good &= sound;
                    figures
                }),
            }?);
        }
        if self.json {
            println!("{}", serde_json::to_string_pretty(&figures)?);
        } else {
            println!("{}", figure::table(&figures));
        }
        Ok(if good { exit::PASS } else { exit::FAILED })
    }
}

/// A folder of this benchmark, on the file system where runs keep their state.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Result<Self> {
        let state = harness::site::state_dir()?;
        std::fs::create_dir_all(&state).with_context(|| format!("making {}", state.display()))?;
        let dir = tempfile::Builder::new().prefix("bench-").tempdir_in(&state);
        Ok(Self(dir.with_context(|| {
            format!("making a folder in {}", state.display())
        })?))
    }

    fn folder(&self, name: &str) -> Result<PathBuf> {
        let dir = self.0.path().join(name);
        std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        Ok(dir)
    }
}

/// For people who follow; standard output is for figures.
fn say(text: &str) {
    eprintln!("{text}");
}
