//! `bench`: what a run costs, beside what the same work costs without us.
//!
//! Figures that are compared are measured in alternation, so that a busy machine weighs on both
//! sides. Nothing is asserted: a figure beyond its aim is shown as such, and that is all.

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
    /// Alternating runs of each recipe; 5 of custom-html and 2 of keycloak without
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// These parts only
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<Part>,
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
}

impl Bench {
    pub fn run(self) -> Result<u8> {
        let parts = if self.only.is_empty() {
            Part::value_variants()
        } else {
            &self.only[..]
        };
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
            }?);
        }
        if self.json {
            println!("{}", serde_json::to_string_pretty(&figures)?);
        } else {
            println!("{}", figure::table(&figures));
        }
        Ok(exit::PASS)
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
