//! The runner of a run: nextest, in a process group of its own.
//!
//! Its own group, because a Ctrl-C at the terminal must reach us alone: we ask the run to stop, and
//! the runner goes on until the app is removed.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use harness::recipe::names::RecipeName;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use super::request::Request;
use crate::place;

pub const LOG: &str = "run.log";

pub struct Runner {
    pub child: Child,
    group: Option<Pid>,
}

impl Runner {
    pub fn signal_group(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It may have ended just now.
            let _ = kill_process_group(group, signal);
        }
    }
}

pub fn start(request: &Request, workspace: &Path, dir: &Path) -> Result<Runner> {
    let log = File::create(dir.join(LOG)).context("making the run's log")?;
    let mut command = Command::new("cargo");
    command
        .args(arguments(&request.recipe, workspace))
        .current_dir(workspace)
        .env("PATH", place::search_path())
        .env("CCCI_STATE_DIR", place::state())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0);
    for (name, value) in request.environment() {
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
    Ok(Runner { child, group })
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
