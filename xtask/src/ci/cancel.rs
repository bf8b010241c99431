//! `cancel`: asks a run to stop; its keeper removes the app and writes the record.

use anyhow::{Context as _, Result};
use clap::Args;
use harness::fault::Fault;
use harness::recipe::names::RunId;

use super::{outcome, watch};
use crate::{exit, place};

/// Ask a run to stop; its app is removed
#[derive(Debug, Args)]
pub struct Cancel {
    /// The run's id
    run: RunId,
    /// Who asks, for the record
    #[arg(long, default_value = "cargo xtask cancel")]
    by: String,
}

impl Cancel {
    pub fn run(self) -> Result<u8> {
        let dir = place::run_dir(&self.run);
        if !dir.is_dir() {
            return Err(Fault::usage(format!("there is no run {}", self.run)).into());
        }
        if outcome::read(&dir)?.is_some() {
            return Err(Fault::usage(format!(
                "run {0} is over; see cargo xtask report {0}",
                self.run
            ))
            .into());
        }
        let first = watch::ask_to_stop(&dir, &self.by).context("writing the request")?;
        println!(
            "{}: {}",
            self.run,
            if first {
                "asked to stop"
            } else {
                "was asked to stop already"
            }
        );
        Ok(exit::PASS)
    }
}
