//! Hooks: a recipe's own code before an operation, in a child of the keeper.
//!
//! Invariants: a hook that exits, aborts or hangs does not take the keeper with it; the child is
//! killed with its whole process group at its deadline, and with its keeper; it holds no lock of the
//! session. What it prints is kept back until it has ended: it may be what says a secret first.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use results::Outcome;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::time::error::Elapsed;

use super::client::Client;
use super::paths::Paths;
use super::request::Request;
use crate::fault::Fault;
use crate::printed::Tail;
use crate::site;
use crate::suite::{App, Generic, Hook, Suite, judge};
use crate::wait::Seconds;

/// The first argument that starts a suite's binary to run one hook.
pub const HOOK_ROLE: &str = "--cc-ci-hook";

/// Where the child writes what came of the hook: a hook that ends without a word writes nothing.
const OUTCOME: &str = "CCCI_HOOK_OUTCOME";

const RUNAWAY: Duration = Duration::from_secs(3600);
/// For what a hook printed just before it ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The child's side: runs the hook that the argument names.
pub fn run_hook<G: Generic>(suite: &Suite<G>, name: Option<OsString>) -> ExitCode {
    // Its keeper may be killed. Where the kernel won't see to it, the deadline below does.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let hook = Hook::ALL
        .into_iter()
        .find(|hook| name.as_deref() == Some(hook.name().as_ref()));
    let outcome = match hook.and_then(|hook| suite.hooks.get(&hook)) {
        None => Outcome::error("this suite has no such hook"),
        Some(test) => match connected(suite) {
            Err(fault) => fault.outcome(),
            Ok((runtime, app)) => {
                // The keeper has the deadline; this one only bounds a runaway without a keeper.
                runtime.block_on(judge(test.as_ref(), &app, RUNAWAY))
            }
        },
    };
    let written = std::env::var_os(OUTCOME)
        .map(PathBuf::from)
        .is_some_and(|path| {
            serde_json::to_vec(&outcome).is_ok_and(|json| std::fs::write(path, json).is_ok())
        });
    if written {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn connected<G: Generic>(suite: &Suite<G>) -> Result<(tokio::runtime::Runtime, App), Fault> {
    let request = Request::from_environment(&suite.recipe)?;
    let paths = Paths::new(&site::state_dir()?, &request.run_id);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::infra(format!("no runtime: {error}")))?;
    let view = runtime.block_on(async {
        let mut keeper = Client::connect(&paths)
            .await?
            .ok_or_else(|| Fault::infra("the session's keeper is gone"))?;
        keeper
            .look()
            .await?
            .ok_or_else(|| Fault::infra("there is no app yet"))
    })?;
    let app = App::new(*view, paths)?;
    Ok((runtime, app))
}

/// The keeper's side: starts this binary again for one hook and waits for what comes of it. Gives
/// that, and the end of what the hook printed: it may have values of secrets in it. `environment` is
/// given besides the keeper's own.
pub async fn start_hook(
    hook: Hook,
    deadline: Duration,
    private: &Path,
    environment: &[(&str, OsString)],
) -> (Outcome, String) {
    let outcome_file = private.join(format!("{}.outcome", hook.name()));
    let _ = std::fs::remove_file(&outcome_file);
    let mut child = match spawn(hook, &outcome_file, environment) {
        Ok(child) => child,
        Err(error) => {
            let text = format!("hook {} can't be started: {error}", hook.name());
            return (Outcome::error(text), String::new());
        }
    };
    let group = Group::of(&child);
    let stdout = child.stdout.take().map(Tail::of);
    let stderr = child.stderr.take().map(Tail::of);
    let status = tokio::time::timeout(deadline, child.wait()).await;
    drop(group);
    let mut printed = String::new();
    for stream in [stdout, stderr].into_iter().flatten() {
        // A process that left the group may hold it open for longer.
        printed.push_str(&stream.end(LAST_WORDS).await);
    }
    (
        came_of(hook, status, deadline, &outcome_file, private),
        printed,
    )
}

fn came_of(
    hook: Hook,
    status: Result<std::io::Result<ExitStatus>, Elapsed>,
    deadline: Duration,
    outcome_file: &Path,
    private: &Path,
) -> Outcome {
    let name = hook.name();
    let status = match status {
        Err(_) => {
            return Outcome::fail(format!("hook {name}: no end within {}", Seconds(deadline)));
        }
        Ok(Err(error)) => return Outcome::error(format!("hook {name}: {error}")),
        Ok(Ok(status)) => status,
    };
    let word = std::fs::read(outcome_file)
        .ok()
        .and_then(|json| serde_json::from_slice(&json).ok());
    match word {
        Some(Outcome::Fail { reason }) => Outcome::fail(format!("hook {name}: {reason}")),
        Some(Outcome::Error { reason }) => Outcome::error(format!("hook {name}: {reason}")),
        Some(outcome) => outcome,
        None => match writable(private) {
            Ok(()) => Outcome::fail(format!("hook {name} ended without a word: {status}")),
            // It may have had a word, and no room for it.
            Err(error) => Outcome::error(format!("hook {name}: {}: {error}", private.display())),
        },
    }
}

fn writable(dir: &Path) -> std::io::Result<()> {
    tempfile::tempfile_in(dir)?.write_all(&[0])
}

/// A hook's process and all that it started in its group: killed when this is dropped, also where
/// the run is given up while the hook goes on.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &tokio::process::Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

fn spawn(
    hook: Hook,
    outcome_file: &Path,
    environment: &[(&str, OsString)],
) -> std::io::Result<tokio::process::Child> {
    let mut command = tokio::process::Command::new("/proc/self/exe");
    command
        .arg(HOOK_ROLE)
        .arg(hook.name())
        .env(OUTCOME, outcome_file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    for (name, value) in environment {
        command.env(name, value);
    }
    command.spawn()
}
