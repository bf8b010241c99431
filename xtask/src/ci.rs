//! `ci`: one run of one recipe, and what belongs to it (`cancel`, `report`, `reap`).
//!
//! It chooses the run's id, starts the runner, shows progress, passes on a wish to stop, and ends
//! with the verdict's code. What happened is the record's to say: nothing here decides a verdict.

mod cancel;
mod ending;
mod known;
mod log;
mod preflight;
mod reap;
mod report;
mod request;
mod runner;
mod watch;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use harness::fault::Fault;
use harness::recipe::names::{RecipeName, RunId};
use harness::session::lifetime::ProcessId;
use harness::session::paths::Paths;
use harness::session::request::Request;
use harness::site::{SITE_VARIABLE, Site};
use results::Record;
use results::outcome::Tier;

pub use cancel::Cancel;
pub use reap::Reap;
pub use report::Report;

use runner::NamedSuite;

use crate::setup::{self, Ask};
use crate::{exit, place};

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
    /// These tiers only (install, upgrade, backup, restore, custom); install is always among them
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
    /// Print a summary in one line last of all on standard output, for whoever has only the log
    #[arg(long, conflicts_with_all = ["json", "detach", "detached"])]
    summary_line: bool,
    /// The second half of --detach: no parent to watch, the run's directory is made
    #[arg(long, hide = true, requires = "run_id", conflicts_with = "detach")]
    detached: bool,
    /// The test binary to run in place of the recipe's: for cc-ci's tests of itself
    #[arg(long, hide = true, value_name = "PACKAGE::TEST")]
    suite: Option<NamedSuite>,
}

/// All that a run needs to know before it begins.
struct Plan {
    request: Request,
    site: Site,
    /// None: the built-in site.
    site_file: Option<PathBuf>,
    paths: Paths,
}

impl Ci {
    pub fn run(self) -> Result<u8> {
        let plan = self.plan()?;
        if self.detached {
            let record = self.execute(&plan)?;
            return Ok(exit::of_verdict(record.verdict));
        }
        preflight::request(&plan.request, &plan.site, &plan.paths)?;
        setup::setup(&plan.site, Ask::from_environment(self.yes))?;
        let source = preflight::source(&plan.request, &plan.site, &plan.paths.state);
        crate::block_on(source)?;
        create_run_dir(&plan)?;
        if self.detach {
            detach(&plan.request.run_id, &plan.paths.run)?;
            println!("{}", plan.request.run_id);
            return Ok(exit::PASS);
        }
        let record = self.execute(&plan)?;
        if self.json {
            report::print_json(&plan.paths)?;
        } else {
            report::show(&record, &plan.paths);
        }
        if self.summary_line {
            report::print_summary(&record, &plan.paths);
        }
        Ok(exit::of_verdict(record.verdict))
    }

    fn plan(&self) -> Result<Plan, Fault> {
        let given = std::env::var_os(SITE_VARIABLE).map(PathBuf::from);
        let site_file = match self.site.clone().or(given) {
            None => None,
            // The runner has another working directory.
            Some(file) => Some(std::path::absolute(&file).map_err(|error| {
                Fault::usage(format!("the site file {}: {error}", file.display()))
            })?),
        };
        let site = match &site_file {
            None => Site::default(),
            Some(file) => Site::read(file)?,
        };
        let request = self.request();
        let paths = Paths::new(&harness::site::state_dir()?, &request.run_id);
        Ok(Plan {
            request,
            site,
            site_file,
            paths,
        })
    }

    fn request(&self) -> Request {
        let run_id = self.run_id.clone().unwrap_or_else(|| {
            request::new_run_id(&self.recipe, jiff::Timestamp::now(), rand::random::<u16>())
        });
        Request {
            run_id,
            recipe: self.recipe.clone(),
            source: self.source.as_deref().map(request::absolute),
            requested_ref: self.reference.clone(),
            pr: self.pr,
            tiers: request::asked(&self.tiers),
            from: self.from.clone(),
            quick: self.quick,
            keep: self.keep,
            runner: ProcessId::current(),
            complete: true,
        }
    }

    fn execute(&self, plan: &Plan) -> Result<Record> {
        let parent = if self.detached {
            None
        } else {
            watch::Parent::of_this_process()
        };
        let paths = &plan.paths;
        crate::block_on(async {
            let site = plan.site_file.as_deref();
            let signals = watch::Signals::listen()?;
            let suite = self.suite.as_ref();
            let runner = runner::start(&plan.request, suite, site, &place::workspace(), paths)?;
            let mut feed = watch::Feed::new(paths);
            let ended = watch::follow(runner, signals, parent, paths, &mut feed).await?;
            let teardown = plan.site.limits.teardown();
            ending::finish(paths, teardown, &ended, &mut feed).await
        })
    }
}

/// A run's directory is used once: a second run of that id would be read as the first.
fn create_run_dir(plan: &Plan) -> Result<()> {
    let dir = &plan.paths.run;
    match fs::create_dir(dir) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(preflight::taken(&plan.request).into())
        }
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
