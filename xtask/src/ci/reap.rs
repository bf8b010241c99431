//! `reap`: removes what `--keep` left, and what dead runs left behind.

use anyhow::Result;
use clap::Args;
use harness::fault::Fault;
use harness::recipe::names::RunId;

/// Remove a kept app, or all that dead runs left behind
#[derive(Debug, Args)]
pub struct Reap {
    /// The run whose app is removed; without, every dead run's
    run: Option<RunId>,
}

impl Reap {
    /// JOINT: `harness::session`'s janitor, once it is there.
    pub fn run(self) -> Result<u8> {
        let what = self.run.as_ref().map_or("dead runs", RunId::as_str);
        Err(Fault::usage(format!(
            "reap is not built yet: {what} can't be removed by it"
        ))
        .into())
    }
}
