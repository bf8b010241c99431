//! `reap`: removes what `--keep` left, and what dead runs left behind.
//!
//! Invariant: a run that is live and not kept is never touched.

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use harness::fault::Fault;
use harness::recipe::names::RunId;
use harness::session::janitor::{self, Swept};
use harness::session::locks::Registry;
use harness::session::lost;
use harness::session::paths::Paths;
use harness::site::Site;
use harness::swarm::Swarm;

use super::known::{self, Keeper, Stage};
use super::{ending, report};
use crate::exit;

/// For all that dead runs left together.
const SWEEP_WITHIN: Duration = Duration::from_secs(600);

/// Remove a kept app, or what dead runs left behind
#[derive(Debug, Args)]
pub struct Reap {
    /// The run whose app is removed, kept or dead; without, what dead runs left is removed
    run: Option<RunId>,
    /// All kept apps too
    #[arg(long, conflicts_with = "run")]
    all: bool,
}

impl Reap {
    pub fn run(self) -> Result<u8> {
        let state = harness::site::state_dir()?;
        let teardown = Site::from_environment()?.limits.teardown();
        if let Some(run) = &self.run {
            return one(&known::find(&state, run)?, run, teardown);
        }
        let mut code = exit::PASS;
        if self.all {
            for run in known::live(&state) {
                let paths = Paths::new(&state, &run);
                if Stage::of(&paths)?.kept {
                    code = code.max(one(&paths, &run, teardown)?);
                }
            }
        }
        let swept = crate::block_on(sweep())?;
        if swept == Swept::default() {
            println!("no dead run has left anything");
        }
        for run in swept.reaped {
            println!("{run}: what it left was removed");
        }
        for trouble in swept.troubles {
            println!("not removed: {trouble}");
            code = code.max(exit::INFRA);
        }
        Ok(code)
    }
}

async fn sweep() -> Result<Swept, Fault> {
    let swarm = Swarm::connect().await?;
    let registry = Registry::of_engine(&swarm)?;
    janitor::sweep(&swarm, &registry, SWEEP_WITHIN).await
}

fn one(paths: &Paths, run: &RunId, teardown: Duration) -> Result<u8> {
    let stage = Stage::of(paths)?;
    match known::keeper(paths) {
        Keeper::Lives if stage.kept => {
            results::stop::ask_to_stop(&paths.run, "cargo xtask reap")
                .context("writing the request")?;
            crate::block_on(ending::follow_to_end(paths, teardown))?;
        }
        Keeper::Lives => {
            return Err(Fault::usage(format!(
                "run {run} is live; stop it with cargo xtask cancel {run}"
            ))
            .into());
        }
        // Its keeper may be about to start.
        Keeper::None if !stage.started => {
            println!("{run}: nothing is left of it");
            return Ok(exit::PASS);
        }
        Keeper::Dead | Keeper::None => {
            // It may be over, and its removal may have left something all the same.
            let had_its_record = known::record(paths).is_ok_and(|record| record.is_some());
            let (removal, _) = crate::block_on(lost::settle(paths, teardown))?;
            let left = removal
                .residue
                .iter()
                .map(|left| format!("{} {}", left.kind, left.name));
            if let Some(what) = removal.errors.into_iter().chain(left).next() {
                return Err(Fault::infra(format!("of run {run} is left: {what}")).into());
            }
            if had_its_record {
                println!("{run}: nothing is left of it");
                return Ok(exit::PASS);
            }
        }
    }
    let record = known::record(paths)?
        .ok_or_else(|| Fault::infra(format!("run {run} was removed and has no record")))?;
    report::show(&record, paths);
    Ok(if record.teardown.outcome.is_red() {
        exit::INFRA
    } else {
        exit::PASS
    })
}
