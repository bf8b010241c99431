//! Processes by identity, and how a session knows that it is over.
//!
//! A process is its id together with its start time, so that an id which was given again is never
//! taken for the process that had it before.

use std::fmt;
use std::fs;
use std::os::fd::OwnedFd;
use std::str::FromStr;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::unix::AsyncFd;

/// One process, for as long as the kernel knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessId {
    pid: i32,
    /// Field 22 of `/proc/<pid>/stat`: clock ticks since boot.
    start: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no process: expected `<pid>:<start time>`")]
pub struct BadProcessId(String);

impl ProcessId {
    /// None: there is no such process (any more).
    pub fn of(pid: i32) -> Option<Self> {
        let start = stat_field(pid, 22)?.parse().ok()?;
        Some(Self { pid, start })
    }

    pub fn current() -> Self {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        Self::of(pid).expect("a running process has an entry in /proc")
    }

    pub fn pid(self) -> i32 {
        self.pid
    }

    /// A descriptor that becomes readable when the process ends. None: it has ended already.
    pub fn pidfd(self) -> Option<OwnedFd> {
        let fd = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::NONBLOCK).ok()?;
        // Opened first, compared after: the descriptor is of the process that we mean, or the id
        // was given again before it was opened.
        (Self::of(self.pid) == Some(self)).then_some(fd)
    }

    /// Sends a signal, to this very process and never to one that took its id.
    pub fn signal(self, signal: Signal) {
        if let Some(fd) = self.pidfd() {
            // Gone in between: nobody is left to be told.
            let _ = pidfd_send_signal(fd, signal);
        }
    }

    pub fn kill(self) {
        self.signal(Signal::KILL);
    }

    /// Returns when the process has ended.
    pub async fn ended(self) {
        let Some(fd) = self.pidfd() else { return };
        #[expect(
            deprecated,
            reason = "an owned descriptor stays open for as long as it is watched"
        )]
        let watched = AsyncFd::new(fd);
        if let Ok(fd) = watched {
            let _ = fd.readable().await;
        }
    }

    /// All that come of this process and are alive, whatever group or session they went to.
    pub(crate) fn descendants(self) -> Vec<Self> {
        let entries = fs::read_dir("/proc").into_iter().flatten();
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut rest: Vec<(i32, Self)> = pids
            .filter_map(|pid| Some((stat_field(pid, 4)?.parse().ok()?, Self::of(pid)?)))
            .collect();
        let mut found = vec![self];
        let mut next = 0;
        while let Some(parent) = found.get(next).copied() {
            let children = rest.extract_if(.., |(of, _)| *of == parent.pid);
            found.extend(children.map(|(_, child)| child));
            next += 1;
        }
        found.split_off(1)
    }

    pub fn parent(self) -> Option<Self> {
        Self::of(stat_field(self.pid, 4)?.parse().ok()?)
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.pid, self.start)
    }
}

impl FromStr for ProcessId {
    type Err = BadProcessId;

    fn from_str(text: &str) -> Result<Self, BadProcessId> {
        let parse = || {
            let (pid, start) = text.split_once(':')?;
            Some(Self {
                pid: pid.parse().ok()?,
                start: start.parse().ok()?,
            })
        };
        parse().ok_or_else(|| BadProcessId(text.to_owned()))
    }
}

/// A field of `/proc/<pid>/stat`, counted from 1 as in proc(5). The command's name may hold spaces
/// and brackets, so fields are counted from its last bracket.
fn stat_field(pid: i32, field: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = stat.rsplit_once(')')?;
    // A zombie has ended, whatever its parent does about it.
    if after.split_whitespace().next()? == "Z" {
        return None;
    }
    after.split_whitespace().nth(field - 3).map(str::to_owned)
}

/// Descriptors that whoever started us left open are not ours to hold.
pub(crate) fn close_inherited() {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return;
    };
    let open: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in open {
        // The listing's own descriptor is closed already, which is what was wanted.
        let _ = nix::unistd::close(fd);
    }
}

/// The variable that nextest gives every test, the same for one run of the runner.
pub const NEXTEST_RUN_ID: &str = "NEXTEST_RUN_ID";

/// The process whose end ends the run: the first ancestor that does not have this run's
/// `NEXTEST_RUN_ID` (a wrapper may stand between), or this process where nextest is not the runner.
pub fn runner() -> ProcessId {
    let me = ProcessId::current();
    let Ok(run_id) = std::env::var(NEXTEST_RUN_ID) else {
        return me;
    };
    let ours = format!("{NEXTEST_RUN_ID}={run_id}").into_bytes();
    let mut process = me;
    while let Some(parent) = process.parent() {
        process = parent;
        // An environment that can't be read belongs to somebody else: not a wrapper of ours.
        let environ = fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
        if !environ.split(|byte| *byte == 0).any(|entry| entry == ours) {
            return process;
        }
    }
    process
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_id_and_start_time() {
        let me = ProcessId::current();
        assert_eq!(me.to_string().parse::<ProcessId>().unwrap(), me);
        assert!(me.pidfd().is_some());
        let reused = ProcessId {
            start: me.start + 1,
            ..me
        };
        assert!(
            reused.pidfd().is_none(),
            "another process with our id is not us"
        );
    }

    #[tokio::test]
    async fn the_end_of_a_process_is_noticed() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let id = ProcessId::of(i32::try_from(child.id()).unwrap()).unwrap();
        id.kill();
        tokio::time::timeout(std::time::Duration::from_secs(5), id.ended())
            .await
            .unwrap();
        child.wait().unwrap();
        assert!(id.pidfd().is_none());
    }
}
