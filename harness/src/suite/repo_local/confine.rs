//! The process between a session and an executable of a stranger: takes away what it may not have,
//! starts it, and ends all that comes of it.
//!
//! It is this binary in a role of its own. In a process of its own it can give up rights for good,
//! and orphans of the executable, in whatever process group or session, become its children.
//!
//! Invariants: no descendant of the executable outlives this process, unless this one is killed
//! itself; and no inherited descriptor but the output reaches it. When standard input ends, whoever
//! started this is gone or has had enough: everything is killed.

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, NetPort, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::io::Errno;
use rustix::process::{
    Resource, Rlimit, WaitOptions, getpid, getuid, set_child_subreaper, setrlimit, wait,
};
use serde::{Deserialize, Serialize};

use super::network::close_ways_around_ports;
use super::room::NOBODY;
use crate::session::lifetime::{ProcessId, close_inherited};

/// The first argument that starts a suite's binary in this role; then come the report's file, the
/// folder to write in, the folder to read, the executable, and the port to connect to, if any.
pub const CONFINE_ROLE: &str = "--cc-ci-confine";

/// What the system's programs need to be read, where it is there.
const READABLE: [&str; 14] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc",
    "/opt",
    "/nix/store",
    "/run/current-system",
    "/run/systemd/resolve",
    "/proc",
    "/sys",
    "/dev",
];
const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];

/// The largest file that an executable may write.
const LARGEST_FILE: u64 = 1024 * 1024 * 1024;
/// As many processes and threads `nobody` may have on this machine, ours and others.
const PROCESSES: u64 = 2048;

/// What came of an executable.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Report {
    pub ending: Ending,
    pub walls: Walls,
}

/// What the kernel keeps it from, besides what its user may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Walls {
    pub files: Files,
    /// Whether it is kept to the port that it was given.
    pub ports: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ending {
    /// A status as wait(2) gives it.
    Status(i32),
    /// It could not be started: that is its own fault.
    NotStarted(String),
    /// It could not be confined: that is not.
    NotConfined(String),
}

/// How far it is kept to its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Files {
    Confined,
    /// An older kernel, which knows fewer rights.
    Partly,
    /// A kernel without Landlock.
    Free,
}

/// The role.
pub fn confine(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    close_inherited();
    let (Some(report), Some(work), Some(room), Some(executable)) = (
        arguments.next(),
        arguments.next(),
        arguments.next(),
        arguments.next(),
    ) else {
        return ExitCode::FAILURE;
    };
    // Opened before the rights are given up.
    let report = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(report);
    let Ok(report) = report else {
        return ExitCode::FAILURE;
    };
    let Ok(port) = arguments.next().map(|port| port_of(&port)).transpose() else {
        return ExitCode::FAILURE;
    };
    let may = May {
        work: Path::new(&work),
        room: Path::new(&room),
        port,
    };
    let found = run(&may, Path::new(&executable));
    match serde_json::to_writer(report, &found) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What an executable may have.
struct May<'a> {
    /// To write in.
    work: &'a Path,
    /// To read.
    room: &'a Path,
    /// To connect to.
    port: Option<u16>,
}

fn port_of(text: &OsStr) -> Result<u16, ExitCode> {
    let number = text.to_str().and_then(|text| text.parse().ok());
    number.ok_or(ExitCode::FAILURE)
}

fn run(may: &May<'_>, executable: &Path) -> Report {
    let walls = match give_up_rights(may) {
        Ok(walls) => walls,
        Err(error) => {
            return Report {
                ending: Ending::NotConfined(error),
                walls: Walls {
                    files: Files::Free,
                    ports: false,
                },
            };
        }
    };
    let mut command = Command::new(executable);
    command
        .current_dir(may.work)
        .stdin(Stdio::null())
        .process_group(0);
    if getuid().is_root() {
        // Supplementary groups go with it.
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            return Report {
                ending: Ending::NotStarted(error.to_string()),
                walls,
            };
        }
    };
    let watch = std::thread::Builder::new().spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        end_descendants();
    });
    let ending = match (watch, child.wait()) {
        (Ok(_), Ok(status)) => {
            use std::os::unix::process::ExitStatusExt;
            Ending::Status(status.into_raw())
        }
        (Err(error), _) | (_, Err(error)) => Ending::NotConfined(error.to_string()),
    };
    reap_all();
    Report { ending, walls }
}

fn give_up_rights(may: &May<'_>) -> Result<Walls, String> {
    let say = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
    set_child_subreaper(Some(getpid())).map_err(|error| say("subreaper", &error))?;
    let mut limits = vec![(Resource::Core, 0), (Resource::Fsize, LARGEST_FILE)];
    if getuid().is_root() {
        // Counted by user: only for a user who has little else.
        limits.push((Resource::Nproc, PROCESSES));
        let (out, err) = (io::stdout(), io::stderr());
        for stream in [out.as_fd(), err.as_fd()] {
            // So that `/dev/stderr` can be opened; a file of ours is none of theirs.
            let what = rustix::fs::fstat(stream).map_err(|error| say("output", &error))?;
            if rustix::fs::FileType::from_raw_mode(what.st_mode) == rustix::fs::FileType::Fifo {
                let nobody = rustix::fs::Uid::from_raw(NOBODY);
                rustix::fs::fchown(stream, Some(nobody), None)
                    .map_err(|error| say("output", &error))?;
            }
        }
    }
    for (resource, most) in limits {
        let both = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, both).map_err(|error| say("limits", &error))?;
    }
    let walls = landlock(may).map_err(|error| say("Landlock", &error))?;
    close_ways_around_ports().map_err(|error| say("seccomp", &error))?;
    Ok(walls)
}

/// From here on this process and its children read the system and their room, write in their folder
/// only, connect to their port only, and bind none. Privileges can't be gained again.
fn landlock(may: &May<'_>) -> Result<Walls, RulesetError> {
    let all = ABI::V6;
    let read = AccessFs::from_read(all);
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    let port = may
        .port
        .map(|port| Ok::<_, RulesetError>(NetPort::new(port, AccessNet::ConnectTcp)));
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(all))?
        .handle_access(AccessNet::from_all(all))?
        .scope(Scope::from_all(all))?
        .create()?
        .add_rules(path_beneath_rules(READABLE, read))?
        .add_rules(path_beneath_rules([may.room], read))?
        .add_rules(path_beneath_rules(DEVICES, device))?
        .add_rules(path_beneath_rules([may.work], AccessFs::from_all(all)))?
        .add_rules(port)?
        .restrict_self()?;
    let files = match status.ruleset {
        RulesetStatus::FullyEnforced => Files::Confined,
        RulesetStatus::PartiallyEnforced => Files::Partly,
        RulesetStatus::NotEnforced => Files::Free,
    };
    let knows_ports = matches!(
        status.landlock,
        LandlockStatus::Available { effective_abi, .. } if effective_abi >= ABI::V4
    );
    Ok(Walls {
        files,
        ports: knows_ports && files != Files::Free,
    })
}

/// Kills what is left and takes its end, until there is nothing.
fn reap_all() {
    loop {
        end_descendants();
        match wait(WaitOptions::empty()) {
            Err(Errno::CHILD) => return,
            Err(_) => {}
            Ok(_) => while matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {},
        }
    }
}

fn end_descendants() {
    for process in ProcessId::current().descendants() {
        process.kill();
    }
}
