//! `cancel`: asks a run to stop; its keeper removes the app and writes the record.

use anyhow::{Context as _, Result};
use clap::Args;
use harness::fault::Fault;
use harness::recipe::names::RunId;

use super::known::{self, Keeper, Stage};
use crate::exit;

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
        let run = &self.run;
        let state = harness::site::state_dir()?;
        let paths = known::find(&state, run)?;
        let stage = Stage::of(&paths)?;
        if stage.kept {
            return Err(Fault::usage(format!(
                "run {run} is over and its app is kept; remove it with cargo xtask reap {run}"
            ))
            .into());
        }
        let running = || known::listed("running now", &known::live(&state));
        if stage.finished || stage.lost {
            return Err(Fault::usage(format!(
                "run {run} is over, see cargo xtask report {run}; {}",
                running()
            ))
            .into());
        }
        if stage.started && known::keeper(&paths) != Keeper::Lives {
            return Err(Fault::usage(format!(
                "run {run} is dead: its keeper was killed. Remove what it left with cargo xtask reap {run}; {}",
                running()
            ))
            .into());
        }
        let first =
            results::stop::ask_to_stop(&paths.run, &self.by).context("writing the request")?;
        let what = if first {
            "asked to stop"
        } else {
            "was asked to stop already"
        };
        println!("{run}: {what}");
        Ok(exit::PASS)
    }
}
