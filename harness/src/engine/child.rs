//! A program that changes the swarm, as a child process.
//!
//! Invariants: it holds the app's lock, so that a reaper can wait for it or kill it; it does not
//! outlive its deadline, and what it started does not either; it sees nothing of our environment
//! but what it is given.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use command_fds::CommandFdExt;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::confine::Confined;
use crate::fault::Fault;

/// Of each stream; what comes after is read and dropped.
const LARGEST_OUTPUT: u64 = 1024 * 1024;

/// How a child ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// Runs a command on pipes to its end; `confined`: with no more of this host than that.
pub async fn run(
    command: Command,
    lock: Option<&OwnedFd>,
    confined: Option<Confined>,
    program: &str,
    deadline: Duration,
) -> Result<Ended, Fault> {
    let mut command = prepared(command, lock)?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = match confined {
        Some(confined) => confined.start(command, program).await?,
        None => started(command, program)?,
    };
    let streams = (child.stdout.take(), child.stderr.take());
    let (Some(stdout), Some(stderr)) = streams else {
        return Err(Fault::infra(format!("`{program}` has no pipes")));
    };
    let group = Group::of(&child);
    let whole = async {
        let (stdout, stderr, status) = tokio::join!(read(stdout), read(stderr), child.wait());
        Ok::<_, std::io::Error>(Ended {
            status: status?,
            stdout: stdout?,
            stderr: stderr?,
        })
    };
    match tokio::time::timeout(deadline, whole).await {
        Ok(Ok(ended)) => {
            group.over();
            Ok(ended)
        }
        Ok(Err(error)) => Err(Fault::infra(format!("waiting for `{program}`: {error}"))),
        Err(_) => Err(too_long(program, deadline)),
    }
}

/// The command with the app's lock, in a group of its own.
pub fn prepared(mut command: Command, lock: Option<&OwnedFd>) -> Result<Command, Fault> {
    command.process_group(0).kill_on_drop(true);
    if let Some(lock) = lock {
        let lock = lock
            .try_clone()
            .map_err(|error| Fault::infra(format!("passing the app's lock on: {error}")))?;
        command.preserved_fds(vec![lock]);
    }
    Ok(command)
}

pub fn started(mut command: Command, program: &str) -> Result<Child, Fault> {
    command
        .spawn()
        .map_err(|error| Fault::infra(format!("starting `{program}`: {error}")))
}

pub fn too_long(program: &str, deadline: Duration) -> Fault {
    let seconds = deadline.as_secs();
    Fault::infra(format!("`{program}` did not end within {seconds} s"))
}

/// The program of that name on our path, or at that place.
pub fn on_path(program: &Path) -> Option<PathBuf> {
    let fits = |path: PathBuf| {
        use std::os::unix::fs::PermissionsExt;
        let found = path.metadata().ok()?;
        let fits = found.is_file() && found.permissions().mode() & 0o111 != 0;
        fits.then_some(path)
    };
    if program.components().count() > 1 {
        return fits(program.to_owned());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find_map(fits)
}

/// The child's process group, killed where it is dropped before the child has ended.
pub struct Group(Option<Pid>);

impl Group {
    pub fn of(child: &Child) -> Self {
        Self(child.id().map(|id| Pid::from_raw(id.cast_signed())))
    }

    /// The child has ended by itself: its id may be somebody else's by now.
    pub fn over(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may be gone by itself in this moment.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

async fn read(mut from: impl AsyncRead + Unpin) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    (&mut from)
        .take(LARGEST_OUTPUT)
        .read_to_end(&mut kept)
        .await?;
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    Ok(kept)
}
