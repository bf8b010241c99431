//! The runner of a run: nextest, in a process group of its own.
//!
//! Its own group, because a Ctrl-C at the terminal must reach us alone: we ask the run to stop, and
//! the runner goes on until the app is removed.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::Stdio;
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

pub fn start(
    request: &Request,
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
        .args(arguments(&request.recipe, workspace))
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

/// The recipe's own crate, or the suite that holds for any recipe.
pub fn arguments(recipe: &RecipeName, workspace: &Path) -> Vec<String> {
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
    if own {
        arguments.extend(["-p".to_owned(), format!("recipe-{recipe}")]);
    } else {
        arguments.extend(["-p", "generic-tests", "--test", "generic"].map(str::to_owned));
    }
    arguments
}
