//! `selftest`: cc-ci against recipes of which it is known what has to come of them.
//!
//! A checker that never saw a bad recipe proves nothing. Each case of the known-bad catalogue is run
//! by the program that a user runs, and its verdict, its tier and its whole reason are compared.
//!
//! Invariants: any difference is a failure, a bad recipe that passes most of all; so is a case that
//! never reported, and so is a selftest that ran nothing. What a case left behind is looked for in
//! Docker itself.

mod abra;
mod compare;
mod files;
mod front;
mod hostile;
mod normal;
mod once;
mod shown;
mod turns;
mod witness;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Args;
use fixtures::hostile::By;
use fixtures::known_bad::{self, Case};
use harness::fault::Fault;
use harness::site::Site;

use crate::setup::{self, Ask};
use crate::{exit, place};
use once::Place;
use shown::Ended;

/// What the cases and their proxies are made of.
pub const IMAGES: [&str; 3] = [
    "cc-ci.local/canary:1",
    "cc-ci.local/canary:2",
    "cc-ci.local/nginx:1.22.1",
];

/// Run recipes that are known to be bad, and compare what comes of them with what has to
#[derive(Debug, Args)]
pub struct Selftest {
    /// Those cases only that show the most in the shortest time
    #[arg(long)]
    quick: bool,
    /// These cases only
    #[arg(long, value_name = "CASE,…", value_delimiter = ',')]
    only: Vec<String>,
    /// The built-in recipes in their place, through the engine abra with the stand-in for that
    /// program, and with each of its documented faults
    #[arg(long)]
    abra: bool,
    /// Hostile recipes in their place, each of which tries for real to reach what is not its app's
    #[arg(long, conflicts_with = "abra")]
    hostile: bool,
    /// Hostile recipes by this engine only
    #[arg(long, value_name = "stack|abra", requires = "hostile", value_parser = hostile::engine)]
    engine: Option<By>,
    /// How many run side by side
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=16))]
    jobs: u32,
    /// Don't ask before each step of the set-up
    #[arg(long)]
    yes: bool,
}

impl Selftest {
    pub fn run(self) -> Result<u8> {
        if self.abra {
            setup::setup(&Site::default(), Ask::from_environment(self.yes))?;
            return abra::run(self.quick, &self.only, &self.place()?);
        }
        if self.hostile {
            let turns = hostile::turns(self.quick, &self.only, self.engine)?;
            setup::setup(&Site::default(), Ask::from_environment(self.yes))?;
            return hostile::run(turns, self.place()?);
        }
        let cases = self.cases()?;
        setup::setup(&Site::default(), Ask::from_environment(self.yes))?;
        for image in IMAGES {
            fixtures::images::ensure(image, &mut |line| eprintln!("{line}"))?;
        }
        let place = Arc::new(self.place()?);
        once::build_suite(&place, once::SUITE)?;
        let started = Instant::now();
        let run = |case: Case, stopping| {
            let place = Arc::clone(&place);
            async move {
                let got = once::run(&case, &place, stopping).await;
                Ended::new(case, got, &place)
            }
        };
        let runs = turns::side_by_side(cases, self.jobs, run, shown::line);
        let (mut ended, stopped) = crate::block_on(runs)?;
        ended.sort_by(|a, b| a.case.name.cmp(&b.case.name));
        print!("{}", shown::table(&ended, started.elapsed()));
        let differ = ended.iter().filter(|one| !one.differences.is_empty());
        let differ = differ.count();
        print!("{}", shown::differences(&ended, &place));
        if stopped {
            return Ok(exit::CANCELLED);
        }
        if differ > 0 || ended.is_empty() {
            println!("What they left to read is in {}", place.state.display());
            return Ok(exit::FAILED);
        }
        fs::remove_dir_all(&place.state)
            .with_context(|| format!("removing {}", place.state.display()))?;
        Ok(exit::PASS)
    }

    /// The cases that are asked for. All are read first: a malformed one is never left out.
    fn cases(&self) -> Result<Vec<Case>> {
        let read = known_bad::names().into_iter().map(|name| {
            let case = known_bad::case(&name)?;
            Ok::<_, anyhow::Error>((name, case))
        });
        let mut all = read.collect::<Result<BTreeMap<_, _>>>()?;
        let mut cases = Vec::new();
        if self.only.is_empty() {
            cases.extend(all.into_values());
        } else {
            for name in &self.only {
                let known = known_bad::case(name);
                known.map_err(|error| Fault::usage(error.to_string()))?;
                cases.extend(all.remove(name));
            }
        }
        cases.retain(|case| !self.quick || case.quick);
        if cases.is_empty() {
            return Err(Fault::usage("no case is left of those that were asked for").into());
        }
        Ok(cases)
    }

    fn place(&self) -> Result<Place> {
        let state = harness::site::state_dir()?;
        let state: PathBuf = state.join("selftest").join(std::process::id().to_string());
        fs::create_dir_all(&state).with_context(|| format!("making {}", state.display()))?;
        Ok(Place {
            state,
            jobs: self.jobs,
            // Not by its path: cargo may have put a newer one there since.
            program: "/proc/self/exe".into(),
            search_path: place::search_path(),
            // Nobody else's app has the same name.
            pr: u64::from(std::process::id()),
        })
    }
}

/// The quick cases, as a part of all tests of the project.
pub fn quick() -> Result<u8> {
    let quick = |abra, hostile| Selftest {
        quick: true,
        only: Vec::new(),
        abra,
        hostile,
        engine: None,
        jobs: 4,
        yes: false,
    };
    let mut first_failure = exit::PASS;
    for part in [quick(false, false), quick(true, false), quick(false, true)] {
        let code = part.run()?;
        if code == exit::CANCELLED {
            return Ok(code);
        }
        if first_failure == exit::PASS {
            first_failure = code;
        }
    }
    Ok(first_failure)
}
