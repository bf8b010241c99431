//! One executable of `tests/`, in surroundings of its own.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use results::Outcome;
use tokio::process::Child;

use super::confine::{CONFINE_ROLE, Ending, Files, Report, Walls};
use super::room::Room;
use crate::evidence::Piece;
use crate::fault::Fault;
use crate::printed::Tail;
use crate::recipe::RecipeName;
use crate::wait::Seconds;

/// Exit status by which a test says that it does not apply.
const SKIP: i32 = 77;
/// How much of its last line is a reason.
const LONGEST_REASON: usize = 400;
/// How long the end of all its processes may take.
const ENDED_WITHIN: Duration = Duration::from_secs(20);

/// What a repo-local executable is given.
pub struct Surroundings<'a> {
    pub tree: &'a Path,
    pub recipe: &'a RecipeName,
    pub domain: &'a str,
    pub env_file: &'a Path,
    /// JSON of what operations learned.
    pub state: &'a Path,
    pub authority: Option<&'a Path>,
    /// The port at which the proxy answers: the only one that may be connected to. None: no port.
    pub proxy: Option<u16>,
}

/// What came of one.
#[derive(Debug)]
pub struct Ran {
    pub outcome: Outcome,
    /// The end of its output, for people.
    pub output: String,
    /// The app's `.env` as it left it, or what is wrong with that.
    pub env: Result<String, String>,
}

/// Runs one executable of `tests/`: exit 0 passes, 77 skips with the last line as the reason,
/// anything else fails. Dropped before its end, it kills what it started.
pub async fn run(path: &Path, around: &Surroundings<'_>, deadline: Duration) -> Result<Ran, Fault> {
    let name = format!("tests/{}", path.display());
    let fault = |error: io::Error| Fault::infra(format!("{name}: {error}"));
    let room = Room::new(around).map_err(fault)?;
    let mut child = start(path, &room, around).map_err(fault)?;
    // Whoever holds the other end is told by its end to kill all that comes of the executable.
    let lifeline = child.stdin.take();
    let stdout = child.stdout.take().map(Tail::of);
    let stderr = child.stderr.take().map(Tail::of);
    let in_time = tokio::time::timeout(deadline, child.wait()).await.is_ok();
    drop(lifeline);
    match tokio::time::timeout(ENDED_WITHIN, child.wait()).await {
        Ok(status) => status.map_err(fault)?,
        Err(_) => {
            let text = format!("{name}: its processes did not end when they were killed");
            return Err(Fault::infra(text));
        }
    };
    let report: Option<Report> = std::fs::read(room.report())
        .ok()
        .and_then(|json| serde_json::from_slice(&json).ok());
    let report = report
        .ok_or_else(|| Fault::infra(format!("{name}: who was to run it ended without a word")))?;
    let mut output = about(report.walls);
    let mut said = String::new();
    for part in [stdout, stderr].into_iter().flatten() {
        said.push_str(&part.end(ENDED_WITHIN).await);
    }
    output.push_str(&said);
    let outcome = match report.ending {
        Ending::NotConfined(error) => Outcome::error(format!("{name}: {error}")),
        _ if !in_time => Outcome::fail(format!("{name}: no end within {}", Seconds(deadline))),
        Ending::NotStarted(error) => Outcome::fail(format!("{name} can't be started: {error}")),
        Ending::Status(raw) => judge(ExitStatus::from_raw(raw), &said),
    };
    let env = room.left_env();
    room.close().map_err(fault)?;
    Ok(Ran {
        outcome,
        output,
        env,
    })
}

/// What an executable printed, under a name of its own.
pub fn output_of(path: &Path, output: String) -> Piece {
    let name = format!("repo-local-{}.txt", path.display());
    Piece::new(name.replace('/', "-"), output)
}

fn start(path: &Path, room: &Room, around: &Surroundings<'_>) -> io::Result<Child> {
    let mut command = std::process::Command::new("/proc/self/exe");
    command
        .arg(CONFINE_ROLE)
        .args([room.report(), room.work(), room.path().to_owned()])
        .arg(room.tests().join(path))
        .args(around.proxy.map(|port| port.to_string()))
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", room.work())
        .env("TMPDIR", room.work())
        .env("CCCI_RECIPE", around.recipe.as_str())
        .env("CCCI_APP_DOMAIN", around.domain)
        .env("CCCI_APP_ENV", room.env_file())
        .env("CCCI_STATE", room.state())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A signal for the runner's group must not take away the one who cleans up.
        .process_group(0);
    if room.has_authority {
        command.env("CCCI_CA", room.authority());
    }
    tokio::process::Command::from(command).spawn()
}

/// What is missing on this kernel.
fn about(walls: Walls) -> String {
    let files = match walls.files {
        Files::Confined => "",
        Files::Partly => "(cc-ci: this kernel's Landlock knows only a part of the rights)\n",
        Files::Free => {
            "(cc-ci: this kernel has no Landlock: only its user keeps it to its folder)\n"
        }
    };
    let ports = match walls.ports {
        true => "",
        false => {
            "(cc-ci: this kernel's Landlock knows no ports: it may connect to any, and bind any)\n"
        }
    };
    format!("{files}{ports}")
}

fn judge(status: ExitStatus, output: &str) -> Outcome {
    let last = output
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("no output");
    let last: String = last.chars().take(LONGEST_REASON).collect();
    match (status.code(), status.signal()) {
        (Some(0), _) => Outcome::Pass,
        (Some(SKIP), _) => Outcome::skip(last),
        (Some(code), _) => Outcome::fail(format!("exit {code}: {last}")),
        (None, signal) => Outcome::fail(format!("ended by signal {}: {last}", signal.unwrap_or(0))),
    }
}
