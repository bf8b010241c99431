//! The runner of a run: nextest, in a process group of its own.
//!
//! Its own group, because a Ctrl-C at the terminal must reach us alone: we ask the run to stop, and
//! the runner goes on until the app is removed.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use harness::recipe::names::RecipeName;
use harness::session::paths::Paths;
use harness::session::request::Request;
use harness::site::{SITE_VARIABLE, STATE_VARIABLE};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::log;
use crate::place;

/// An orphan of the runner's may hold its output open for longer.
const LAST_WORDS: Duration = Duration::from_secs(2);

pub struct Runner {
    pub child: Child,
    group: Option<Pid>,
    logged: oneshot::Receiver<()>,
}

impl Runner {
    pub fn signal_group(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It may have ended just now.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Returns when all that it printed is in the log.
    pub async fn logged(self) {
        let _ = tokio::time::timeout(LAST_WORDS, self.logged).await;
    }
}

/// The tests of a run, where they are neither the recipe's own nor those for any recipe: a test
/// binary of the workspace, as nextest names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSuite {
    package: String,
    test: String,
}

impl FromStr for NamedSuite {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_alphanumeric())
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        };
        match text.split_once("::") {
            Some((package, test)) if is_name(package) && is_name(test) => Ok(Self {
                package: package.to_owned(),
                test: test.to_owned(),
            }),
            _ => Err("is not <package>::<test binary>".to_owned()),
        }
    }
}

pub fn start(
    request: &Request,
    suite: Option<&NamedSuite>,
    site: Option<&Path>,
    workspace: &Path,
    paths: &Paths,
) -> Result<Runner> {
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .open(paths.log())
        .context("making the run's log")?;
    let (from, to) = std::io::pipe().context("making a pipe")?;
    let mut command = Command::new("cargo");
    command
        .args(arguments(&request.recipe, suite, workspace))
        .current_dir(workspace)
        .env("PATH", place::search_path())
        .env(STATE_VARIABLE, &paths.state)
        .stdin(Stdio::null())
        .stdout(to.try_clone()?)
        .stderr(to)
        .process_group(0);
    for name in place::variables_of_a_package() {
        command.env_remove(name);
    }
    if let Some(site) = site {
        command.env(SITE_VARIABLE, site);
    }
    for (name, value) in request.to_environment() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let child = command.spawn().context("starting cargo nextest")?;
    let group = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    Ok(Runner {
        child,
        group,
        logged: log::copy(from, log, paths.secrets()),
    })
}

/// The suite that is named, else the recipe's own crate, else the suite that holds for any recipe.
pub fn arguments(recipe: &RecipeName, suite: Option<&NamedSuite>, workspace: &Path) -> Vec<String> {
    let own = workspace
        .join("recipes")
        .join(recipe.as_str())
        .join("Cargo.toml")
        .is_file();
    let mut arguments = vec![
        "nextest".to_owned(),
        "run".to_owned(),
        "--locked".to_owned(),
    ];
    let (package, test) = match suite {
        Some(suite) => (suite.package.clone(), Some(suite.test.as_str())),
        None if own => (format!("recipe-{recipe}"), None),
        None => ("generic-tests".to_owned(), Some("generic")),
    };
    arguments.extend(["-p".to_owned(), package]);
    arguments.extend(
        test.into_iter()
            .flat_map(|test| ["--test".to_owned(), test.to_owned()]),
    );
    arguments
}
