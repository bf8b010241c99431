//! `ci`: one run of one recipe, and what belongs to it (`cancel`, `report`, `reap`).
//!
//! It chooses the run's id, starts the runner, shows progress, passes on a wish to stop, and ends
//! with the verdict's code. What happened is the record's to say: nothing here decides a verdict.

mod cancel;
mod events;
mod outcome;
mod reap;
mod report;
mod request;
mod runner;
mod watch;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use harness::fault::Fault;
use harness::recipe::names::{RecipeName, RunId};
use results::outcome::Tier;

pub use cancel::Cancel;
pub use reap::Reap;
pub use report::Report;

use crate::setup::{self, Ask};
use crate::{exit, place};
use request::Request;

/// Test one recipe: install, upgrade, backup, restore, its own tests, and a clean removal
#[derive(Debug, Args)]
pub struct Ci {
    /// The recipe's name in the catalogue
    #[arg(long, value_name = "NAME")]
    recipe: RecipeName,
    /// The repository to take the recipe from, in place of the catalogue's
    #[arg(long, value_name = "URL|PATH", value_parser = request::word)]
    source: Option<String>,
    /// Branch, tag or commit; the default branch's tip without
    #[arg(long = "ref", value_name = "REF", value_parser = request::word)]
    reference: Option<String>,
    /// The pull request that is tested
    #[arg(long, value_name = "N", default_value_t = 0)]
    pr: u64,
    /// These tiers only (install, upgrade, backup, restore, custom)
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    tiers: Vec<Tier>,
    /// Begin from the recipe's warm volume, if there is one, and skip the fresh install
    #[arg(long)]
    quick: bool,
    /// The version to upgrade from
    #[arg(long, value_name = "VERSION", value_parser = request::word)]
    from: Option<String>,
    /// Leave the app running until `reap` or the session's deadline
    #[arg(long)]
    keep: bool,
    /// Print the run's id and return; the run goes on
    #[arg(long, conflicts_with = "json")]
    detach: bool,
    /// The site file; the built-in `local` without
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
    /// The run's id; one is made without
    #[arg(long, value_name = "ID")]
    run_id: Option<RunId>,
    /// Don't ask before each step of the set-up
    #[arg(long)]
    yes: bool,
    /// Print result.json on standard output, and nothing else there
    #[arg(long)]
    json: bool,
    /// The second half of --detach: no parent to watch, the run's directory is made
    #[arg(long, hide = true, requires = "run_id", conflicts_with = "detach")]
    detached: bool,
}

impl Ci {
    pub fn run(self) -> Result<u8> {
        let request = self.request()?;
        if self.detached {
            let record = self.execute(&request)?;
            return Ok(exit::of_verdict(record.verdict));
        }
        setup::setup(Ask::from_environment(self.yes))?;
        let dir = create_run_dir(&place::state(), &request.run_id)?;
        if self.detach {
            detach(&request.run_id, &dir)?;
            println!("{}", request.run_id);
            return Ok(exit::PASS);
        }
        let record = self.execute(&request)?;
        if self.json {
            let bytes = fs::read(dir.join(outcome::RESULT)).context("reading the record")?;
            io::stdout().write_all(&bytes)?;
        } else {
            println!("{}", report::text(&record));
            println!("{}", dir.display());
        }
        Ok(exit::of_verdict(record.verdict))
    }

    /// Everything that can be refused before anything is changed.
    fn request(&self) -> Result<Request, Fault> {
        let site = match &self.site {
            None => None,
            Some(file) => Some(fs::canonicalize(file).map_err(|error| {
                Fault::usage(format!("the site file {}: {error}", file.display()))
            })?),
        };
        let run_id = match &self.run_id {
            Some(id) => id.clone(),
            None => {
                request::new_run_id(&self.recipe, jiff::Timestamp::now(), rand::random::<u16>())
            }
        };
        Ok(Request {
            recipe: self.recipe.clone(),
            source: self.source.as_deref().map(request::absolute),
            reference: self.reference.clone(),
            pr: self.pr,
            tiers: request::in_order(&self.tiers),
            quick: self.quick,
            from: self.from.clone(),
            keep: self.keep,
            site,
            run_id,
        })
    }

    fn execute(&self, request: &Request) -> Result<results::Record> {
        let dir = place::run_dir(&request.run_id);
        let parent = if self.detached {
            None
        } else {
            watch::Parent::of_this_process()
        };
        crate::block_on(async {
            let runner = runner::start(request, &place::workspace(), &dir)?;
            let mut feed = watch::Feed::new(&dir);
            let ended = watch::follow(runner, parent, &dir, &mut feed).await?;
            outcome::wait_for_record(&dir, &ended, &mut || feed.show()).await
        })
    }
}

/// A run's directory is used once: a second run of that id would be read as the first.
fn create_run_dir(state: &Path, id: &RunId) -> Result<PathBuf> {
    let runs = state.join("runs");
    fs::create_dir_all(&runs).map_err(|error| {
        Fault::usage(format!(
            "the state directory can't be written: {}: {error}; set CCCI_STATE_DIR to one that you own",
            runs.display()
        ))
    })?;
    let dir = runs.join(id.as_str());
    match fs::create_dir(&dir) {
        Ok(()) => Ok(dir),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Fault::usage(format!(
            "there is a run {id} already; see cargo xtask report {id}"
        ))
        .into()),
        Err(error) => Err(error).with_context(|| format!("making {}", dir.display())),
    }
}

/// Starts this program again, in a process session of its own, with the same arguments.
fn detach(id: &RunId, dir: &Path) -> Result<()> {
    let log = fs::File::create(dir.join("watch.log")).context("making watch.log")?;
    let status = Command::new("setsid")
        .arg("--fork")
        .arg(std::env::current_exe().context("finding this program")?)
        .args(detached_arguments(std::env::args().skip(1), id))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .status()
        .context("starting setsid")?;
    ensure!(status.success(), "setsid ended with {status}");
    Ok(())
}

fn detached_arguments(given: impl Iterator<Item = String>, id: &RunId) -> Vec<String> {
    let mut arguments: Vec<_> = given.filter(|argument| argument != "--detach").collect();
    arguments.push("--detached".to_owned());
    let has_id = arguments
        .iter()
        .any(|argument| argument == "--run-id" || argument.starts_with("--run-id="));
    if !has_id {
        arguments.extend(["--run-id".to_owned(), id.to_string()]);
    }
    arguments
}

#[cfg(test)]
mod tests;
