//! One case: its repository, its site, its run by the entrypoint, and a look for what is left.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use fixtures::known_bad::Case;
use harness::recipe::AppDomain;
use harness::session::locks::Registry;
use harness::site::{SITE_VARIABLE, STATE_VARIABLE};
use harness::swarm::{Before, Swarm, residue};
use results::Record;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::place::{variables_of_a_package, workspace};
use crate::test::TEST_RUN;

/// Package and test binary.
pub const SUITE: (&str, &str) = ("generic-tests", "known_bad");
/// What hooks of the suite start beside the app has this label, with the run's id.
const LABEL: &str = "cc-ci.selftest";
/// The whole of a run, its wait for a slot included.
pub const RUN_WITHIN: Duration = Duration::from_secs(900);
const SESSION_SECONDS: u64 = 600;
const TEARDOWN_SECONDS: u64 = 60;

/// What all runs of one selftest share.
pub struct Place {
    /// Their state directory.
    pub state: PathBuf,
    pub jobs: u32,
    pub program: PathBuf,
    /// Has the tools of the state directory proper.
    pub search_path: OsString,
    pub pr: u64,
}

impl Place {
    /// The folder of a case's run.
    pub fn run(&self, case: &Case) -> PathBuf {
        self.state.join("runs").join(&case.name)
    }

    fn log(&self, case: &Case) -> PathBuf {
        self.state.join(format!("{}.log", case.name))
    }
}

/// What came of a case.
pub struct Got {
    pub record: Record,
    pub status: ExitStatus,
    pub elapsed: Duration,
    /// What was in Docker after the run, as `<kind> <name>`; after a reaper, where a residue is what
    /// has to be.
    pub left: Vec<String>,
}

/// Compiles the suite before the first case, whose time would have it else.
pub fn build_suite(place: &Place, suite: (&str, &str)) -> Result<()> {
    eprintln!("compiling the suite");
    let mut command = std::process::Command::new("cargo");
    command
        .args(["nextest", "run", "--locked", "--no-run"])
        .args(["-p", suite.0, "--test", suite.1])
        .current_dir(workspace())
        .env("PATH", &place.search_path);
    for name in variables_of_a_package() {
        command.env_remove(name);
    }
    let output = command.output().context("starting cargo nextest")?;
    ensure!(
        output.status.success(),
        "the suite {}::{} can't be compiled:\n{}",
        suite.0,
        suite.1,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// Runs a case. An error: it never reported.
pub async fn run(case: &Case, place: &Place, stopping: watch::Receiver<bool>) -> Result<Got> {
    let repository = case.materialise(&place.state.join("sources"))?;
    let site = write_site(case, place)?;
    let log = fs::File::create(place.log(case)).context("making a log")?;
    let out = place.state.join(format!("{}.json", case.name));
    let started = Instant::now();
    let mut command = command(place);
    command
        .args(["ci", "--recipe", &case.name, "--ref", case.head()])
        .arg("--source")
        .arg(repository)
        .args(["--pr", &place.pr.to_string(), "--run-id", &case.name])
        .args(["--suite", &format!("{}::{}", SUITE.0, SUITE.1)])
        .args(["--yes", "--json", "--site"])
        .arg(site)
        .stdout(fs::File::create(&out).context("making a file")?)
        .stderr(log);
    if !case.tiers.is_empty() {
        let tiers: Vec<_> = case.tiers.iter().map(|tier| tier.as_str()).collect();
        command.args(["--tiers", &tiers.join(",")]);
    }
    let child = command.spawn().context("starting a run")?;
    let ended = tokio::time::timeout(RUN_WITHIN, end(child, stopping)).await;
    let elapsed = started.elapsed();
    let taken_away = take_away_beside(&case.name).await;
    let status = ended.context("the run did not end within 15 minutes")??;
    taken_away?;
    let json = fs::read(&out).context("reading the record")?;
    let record: Record = serde_json::from_slice(&json).with_context(|| {
        let said = fs::read_to_string(place.log(case)).unwrap_or_default();
        format!("no record, {status}: {}", said.trim())
    })?;
    if !case.expect.residue.is_empty() {
        reap(case, place).await?;
    }
    let left = left_of(&record).await?;
    Ok(Got {
        record,
        status,
        elapsed,
        left,
    })
}

pub fn command(place: &Place) -> Command {
    let mut command = Command::new(&place.program);
    // Nothing that somebody set for runs of theirs.
    let set = std::env::vars_os().map(|(name, _)| name);
    for name in set.filter(|name| name.to_string_lossy().starts_with("CCCI_")) {
        if name != TEST_RUN {
            command.env_remove(name);
        }
    }
    command
        .env(STATE_VARIABLE, &place.state)
        .env_remove(SITE_VARIABLE)
        .env("PATH", &place.search_path)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// The run's end. A stop is passed on, and the run ends by itself.
pub async fn end(mut child: Child, mut stopping: watch::Receiver<bool>) -> Result<ExitStatus> {
    let status = tokio::select! {
        status = child.wait() => return Ok(status?),
        asked = stopping.wait_for(|stop| *stop) => asked.is_ok(),
    };
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    if let (true, Some(pid)) = (status, pid.and_then(Pid::from_raw)) {
        // It may have ended just now.
        let _ = kill_process(pid, Signal::TERM);
    }
    Ok(child.wait().await?)
}

/// A site of the case's own. It has room beside runs of others: how many run here is ours to say.
fn write_site(case: &Case, place: &Place) -> Result<PathBuf> {
    let path = place.state.join(format!("{}.toml", case.name));
    let allow = json!(case.site.allow);
    let text = format!(
        "allow = {allow}\n[limits]\nmax_tests = {}\nsession_seconds = {SESSION_SECONDS}\nteardown_seconds = {}\n",
        2 * place.jobs,
        case.site.teardown_seconds.unwrap_or(TEARDOWN_SECONDS),
    );
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

/// Takes away what hooks of the suite started beside the app.
async fn take_away_beside(run: &str) -> Result<()> {
    let label = format!("label={LABEL}={run}");
    let listed = docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &label]).await?;
    for id in listed.lines() {
        docker(&["rm", "--force", "--volumes", id]).await?;
    }
    Ok(())
}

async fn docker(arguments: &[&str]) -> Result<String> {
    let output = Command::new("docker").args(arguments).output();
    let output = output.await.context("starting docker")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "docker {}: {}",
        arguments.join(" "),
        said.trim()
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Once what held it is gone, the janitor's work is done.
async fn reap(case: &Case, place: &Place) -> Result<()> {
    let output = command(place).args(["reap", &case.name]).output().await?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("reap {}: {}", case.name, said.trim());
    }
    Ok(())
}

/// What Docker still has of the run's app, edge included.
pub async fn left_of(record: &Record) -> Result<Vec<String>> {
    let Some(domain) = &record.domain else {
        return Ok(Vec::new());
    };
    let domain: AppDomain = domain.parse()?;
    let swarm = Swarm::connect().await?;
    let left = residue(&swarm, &domain.stack(), &Before::Unknown, &BTreeSet::new()).await?;
    let mut left: Vec<_> = left
        .into_iter()
        .map(|object| format!("{} {}", object.kind, object.name))
        .collect();
    let edge = format!("name=cc-ci-edge-{}", domain.stack());
    let edges = docker(&["ps", "--all", "--format", "{{.Names}}", "--filter", &edge]).await?;
    left.extend(edges.lines().map(|name| format!("container {name}")));
    let registered = Registry::of_engine(&swarm)?.registered()?;
    if registered.contains(&domain) {
        left.push(format!("registration {domain}"));
    }
    Ok(left)
}

/// Whether the path is below the folder: for messages.
pub fn below<'a>(path: &'a Path, folder: &Path) -> &'a Path {
    path.strip_prefix(folder).unwrap_or(path)
}
