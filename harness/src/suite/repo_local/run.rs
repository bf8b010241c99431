//! One executable of `tests/`, in surroundings of its own.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use results::Outcome;
use tokio::io::AsyncReadExt;

use super::shown;
use crate::fault::Fault;
use crate::recipe::RecipeName;
use crate::wait::Seconds;

/// Exit status by which a test says that it does not apply.
const SKIP: i32 = 77;
/// The user and group `nobody`.
const NOBODY: u32 = 65534;
/// How much of a test's output is kept: its end.
const KEPT_OUTPUT: usize = 64 * 1024;

/// What a repo-local executable is given.
pub struct Surroundings<'a> {
    pub tree: &'a Path,
    pub recipe: &'a RecipeName,
    pub domain: &'a str,
    pub env_file: &'a Path,
    /// JSON of what operations learned.
    pub state: &'a Path,
    pub authority: Option<&'a Path>,
}

/// Runs one executable of `tests/`: exit 0 passes, 77 skips with the last line as the reason,
/// anything else fails. Gives the outcome and the end of the output.
pub async fn run(
    path: &Path,
    around: &Surroundings<'_>,
    deadline: Duration,
) -> Result<(Outcome, String), Fault> {
    let fault = |error: io::Error| Fault::infra(format!("tests/{}: {error}", shown(path)));
    let dir = copies(around).map_err(fault)?;
    let mut command = std::process::Command::new(dir.path().join("tests").join(path));
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", dir.path())
        .env("CCCI_RECIPE", around.recipe.as_str())
        .env("CCCI_APP_DOMAIN", around.domain)
        .env("CCCI_APP_ENV", dir.path().join("app.env"))
        .env("CCCI_STATE", dir.path().join("state.json"))
        .current_dir(dir.path().join("tests"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    if around.authority.is_some() {
        command.env("CCCI_CA", dir.path().join("ca.pem"));
    }
    if rustix::process::getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut child = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn()
        .map_err(fault)?;
    let group = child
        .id()
        .and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
    let stdout = child.stdout.take().map(tail);
    let stderr = child.stderr.take().map(tail);
    let status = tokio::time::timeout(deadline, child.wait()).await;
    // Whatever the test left running goes with it.
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let mut output = String::new();
    for part in [stdout, stderr].into_iter().flatten() {
        // A descendant that left the group may hold the stream: its end is not waited for.
        let read = tokio::time::timeout(Duration::from_secs(2), part).await;
        output.push_str(&read.map(Result::unwrap_or_default).unwrap_or_default());
    }
    let outcome = match status {
        Err(_) => Outcome::fail(format!(
            "tests/{}: no end within {}",
            shown(path),
            Seconds(deadline)
        )),
        Ok(status) => judge(status.map_err(fault)?, &output),
    };
    Ok((outcome, output))
}

fn judge(status: ExitStatus, output: &str) -> Outcome {
    let last = output
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("no output");
    match (status.code(), status.signal()) {
        (Some(0), _) => Outcome::Pass,
        (Some(SKIP), _) => Outcome::skip(last),
        (Some(code), _) => Outcome::fail(format!("exit {code}: {last}")),
        (None, signal) => Outcome::fail(format!("ended by signal {}: {last}", signal.unwrap_or(0))),
    }
}

/// The end of a stream, read to its end whatever its length.
fn tail(
    mut stream: impl tokio::io::AsyncRead + Unpin + Send + 'static,
) -> tokio::task::JoinHandle<String> {
    tokio::spawn(async move {
        let mut kept = Vec::new();
        let mut chunk = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = stream.read(&mut chunk).await {
            kept.extend_from_slice(&chunk[..read]);
            if kept.len() > 2 * KEPT_OUTPUT {
                kept.drain(..kept.len() - KEPT_OUTPUT);
            }
        }
        String::from_utf8_lossy(&kept[kept.len().saturating_sub(KEPT_OUTPUT)..]).into_owned()
    })
}

/// A folder with copies of what the executable may see, owned by the user that it runs as.
fn copies(around: &Surroundings<'_>) -> io::Result<tempfile::TempDir> {
    let dir = tempfile::Builder::new()
        .prefix("cc-ci-tests-")
        .tempdir_in("/tmp")?;
    copy_tree(&around.tree.join("tests"), &dir.path().join("tests"))?;
    let files = [
        (Some(around.env_file), "app.env"),
        (Some(around.state), "state.json"),
        (around.authority, "ca.pem"),
    ];
    for (from, name) in files {
        if let Some(from) = from {
            let to = dir.path().join(name);
            fs::copy(from, &to)?;
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600))?;
            give_away(&to)?;
        }
    }
    give_away(dir.path())?;
    Ok(dir)
}

/// Copies folders and regular files; anything else (links, pipes, devices) is left out.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let what = entry.file_type()?;
        if what.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if what.is_file() {
            fs::copy(entry.path(), &target)?;
            give_away(&target)?;
        }
    }
    give_away(to)
}

fn give_away(path: &Path) -> io::Result<()> {
    if rustix::process::getuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY))?;
    }
    Ok(())
}
