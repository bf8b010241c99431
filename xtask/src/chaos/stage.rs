//! The place where cells are played: a state directory, a site file, and a live app that nobody may
//! touch.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::look;
use super::subject::{Start, Subject};
use crate::place;

/// What every cell runs: the quickest recipe of the built-in catalogue that has tests of every tier.
pub const RECIPE: &str = "custom-html";
/// What the bystander runs, so that recipe and stack are different ones.
const BYSTANDER: &str = "canary";

pub struct Stage {
    dir: TempDir,
    /// Pull requests that nobody else tests: apps are named by them.
    next_pr: AtomicU64,
}

impl Stage {
    /// `slots`: how many apps may be live beside what others have.
    pub fn new(slots: usize) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("cc-ci-chaos-").tempdir()?;
        let stage = Self {
            dir,
            next_pr: AtomicU64::new(u64::from(std::process::id()) * 1000),
        };
        fs::create_dir(stage.state())?;
        fs::write(stage.site(), format!("[limits]\nmax_tests = {slots}\n"))?;
        Ok(stage)
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    pub fn site(&self) -> PathBuf {
        self.path().join("site.toml")
    }

    /// A folder of one run for what is no part of it.
    pub fn work(&self, id: &str) -> Result<PathBuf> {
        let work = self.path().join("work").join(id);
        fs::create_dir_all(&work)?;
        Ok(work)
    }

    pub fn pr(&self) -> u64 {
        self.next_pr.fetch_add(1, Ordering::Relaxed)
    }

    /// Runs another command of this program to its end, which must be a good one.
    pub fn xtask(&self, arguments: &[&str], state: &Path) -> Result<()> {
        let output = self.command(arguments, state).output()?;
        ensure!(
            output.status.success(),
            "xtask {}: {}: {}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// Another command of this program.
    pub fn command(&self, arguments: &[&str], state: &Path) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command
            .args(arguments)
            .env("CCCI_STATE_DIR", state)
            .env("CCCI_SITE", self.site())
            .env("PATH", place::search_path())
            .stdin(Stdio::null());
        command
    }

    /// Builds what the runs run, so that no cell waits for a compiler.
    pub fn build(&self) -> Result<()> {
        let mut command = Command::new("cargo");
        command
            .args(["nextest", "run", "--locked", "--no-run"])
            .args(["-p", &format!("recipe-{RECIPE}"), "-p", "generic-tests"])
            .current_dir(place::workspace())
            .env("PATH", place::search_path());
        for name in place::variables_of_a_package() {
            command.env_remove(name);
        }
        let status = command.status().context("starting cargo nextest")?;
        ensure!(status.success(), "the tests don't build: {status}");
        Ok(())
    }

    /// Keeps what was found where a person can look at it.
    pub fn keep(self) -> PathBuf {
        self.dir.keep()
    }
}

/// A live app that is no cell's.
pub struct Bystander {
    subject: Subject,
    containers: Vec<String>,
}

impl Bystander {
    pub fn start(stage: &Stage) -> Result<Self> {
        let how = Start {
            recipe: Some(BYSTANDER),
            tiers: Some("install"),
            flags: &["--keep"],
            ..Start::default()
        };
        let mut subject = Subject::start(stage, "bystander", stage.pr(), how)?;
        let path = subject.paths.run.join(results::write::RESULT_JSON);
        subject.until("the bystander to be live", || path.exists())?;
        let containers = containers(&subject)?;
        ensure!(!containers.is_empty(), "the bystander has no container");
        Ok(Self {
            subject,
            containers,
        })
    }

    /// The very containers that it had are there and running; then it goes, and leaves nothing.
    pub fn end(mut self, stage: &Stage) -> Result<()> {
        let now = containers(&self.subject)?;
        ensure!(
            now == self.containers,
            "the bystander was touched: it had {:?} and has {now:?}",
            self.containers
        );
        self.subject.reap(stage)?;
        self.subject.until_quiet()?;
        let left = self.subject.left()?;
        ensure!(left.is_empty(), "the bystander left {}", left.join(", "));
        let record = self.subject.record()?;
        ensure!(
            record.verdict == results::Verdict::Pass,
            "the bystander's verdict is {}: {}",
            record.verdict,
            record.verdict_reason
        );
        Ok(())
    }
}

/// Ids and names of the running containers of an app, its edge included.
fn containers(subject: &Subject) -> Result<Vec<String>> {
    let app = subject.app()?;
    let stack = app.stack();
    let output = Command::new("docker")
        .args(["ps", "--no-trunc", "--format={{.Names}} {{.ID}}"])
        .output()?;
    ensure!(output.status.success(), "docker ps: {}", output.status);
    let mut found: Vec<_> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| line.contains(stack.as_str()))
        .map(str::to_owned)
        .collect();
    found.sort();
    ensure!(
        look::objects(&app)?.len() >= found.len(),
        "docker lists less than it runs"
    );
    Ok(found)
}
