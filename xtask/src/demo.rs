//! `demo`: a part of cc-ci at work, from the beginning to the end, on this machine.

mod bridge;
mod forge;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Show a part of cc-ci at work
#[derive(Debug, Args)]
pub struct Demo {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    Bridge(bridge::Bridge),
}

impl Demo {
    pub fn run(self) -> Result<u8> {
        match self.part {
            Part::Bridge(bridge) => bridge.run(),
        }
    }
}
