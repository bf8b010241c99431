//! A program of the host's run as root where nothing of the host is: on files that a stranger
//! changes meanwhile.
//!
//! It sees a root of its own, read-only, with the folders it was given and no others: no `/proc`,
//! no devices, no network, no other process. A link in such a folder, whenever it came there, leads to a place in the
//! jail.
//!
//! Invariants: each folder is the one that an open descriptor stands for, not what its path leads
//! to by then; what is not given to be written can't be; no set-id file and no device of a given
//! folder has an effect; the program has the capabilities it was given and can gain none; all that
//! it starts ends with it.
//!
//! The walls are the thread's that starts the program: a thread of its own, which ends with that.
//! Mounts, root and capabilities are a thread's own in Linux, so the rest of the process keeps its.
//!
//! This room must not know: what the program does, volumes, Docker.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;

use nix::sched::CloneFlags;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags,
};
use rustix::thread::{CapabilitySet, CapabilitySets};
use tokio::process::{Child, Command};

/// What the system's programs are linked with, where it is there.
const LIBRARIES: [&str; 6] = [
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/nix/store",
];
const PROGRAMS: [&str; 4] = [
    "/usr/local/bin",
    "/usr/bin",
    "/bin",
    "/run/current-system/sw/bin",
];
/// Where the jail is put together: there in every system. Only the jail's own mounts show it.
const SITE: &str = "/usr";

#[derive(Debug, thiserror::Error)]
pub enum JailError {
    #[error("there is no `{0}` in {places}", places = PROGRAMS.join(", "))]
    NoProgram(String),
    #[error("a jail for a program: {step}")]
    Step {
        step: String,
        #[source]
        source: io::Error,
    },
}

impl JailError {
    /// With what the system said.
    pub fn whole(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    ReadOnly,
    ReadWrite,
}

/// What a program will see.
#[derive(Debug)]
pub struct Jail {
    /// As it was asked for: some look at the name they are called by.
    name: String,
    program: PathBuf,
    binds: Vec<Bind>,
    /// Links of the host's root, as `/lib` may be.
    links: Vec<(PathBuf, PathBuf)>,
    capabilities: CapabilitySet,
}

#[derive(Debug)]
struct Bind {
    /// A mount that nobody else has.
    mount: OwnedFd,
    inside: PathBuf,
    access: Access,
    is_folder: bool,
    may_execute: bool,
}

impl Jail {
    /// For a program of the system, found by its name, with what it is linked with.
    pub fn of(program: &str) -> Result<Self, JailError> {
        let found = PROGRAMS.iter().map(|dir| Path::new(dir).join(program));
        let found = found.filter_map(|path| path.canonicalize().ok());
        let found = found.into_iter().find(|path| path.is_file());
        let name = program.to_owned();
        let program = found.ok_or_else(|| JailError::NoProgram(name.clone()))?;
        let mut jail = Self {
            name,
            program: program.clone(),
            binds: Vec::new(),
            links: Vec::new(),
            capabilities: CapabilitySet::empty(),
        };
        for library in LIBRARIES.map(Path::new) {
            if let Ok(to) = std::fs::read_link(library) {
                jail.links.push((library.to_owned(), to));
            } else if library.is_dir() {
                jail.system(library)?;
            }
        }
        if !LIBRARIES.iter().any(|library| program.starts_with(library)) {
            jail.system(&program)?;
        }
        Ok(jail)
    }

    /// What it may do beyond an ordinary user; nothing, where nothing is said.
    pub fn capabilities(self, capabilities: CapabilitySet) -> Self {
        Self {
            capabilities,
            ..self
        }
    }

    /// Shows an open file or folder at a place in the jail, which is absolute. Of mounts below it
    /// nothing is seen.
    pub fn bind(
        mut self,
        outside: BorrowedFd<'_>,
        inside: &str,
        access: Access,
    ) -> Result<Self, JailError> {
        self.binds
            .push(Bind::new(outside, Path::new(inside), access)?);
        Ok(self)
    }

    /// Starts the program, with an empty environment but for `LC_ALL`, and with no input and output
    /// but what `change` gives it. (`Stdio::null` would be looked for in the jail.) Ends with its
    /// handle.
    pub async fn start(
        self,
        change: impl FnOnce(&mut Command) + Send + 'static,
    ) -> Result<Child, JailError> {
        let runtime = tokio::runtime::Handle::current();
        let null = || {
            let opened = File::options().read(true).write(true).open("/dev/null");
            opened.map_err(|error| step("/dev/null", error))
        };
        let streams = [null()?, null()?, null()?];
        let (say, started) = tokio::sync::oneshot::channel();
        let thread = std::thread::Builder::new().name("jail".to_owned());
        let spawned = thread.spawn(move || {
            let child = self.enter().and_then(|()| {
                let mut command = Command::new(&self.program);
                let [stdin, stdout, stderr] = streams;
                command.stdin(stdin).stdout(stdout).stderr(stderr);
                command.arg0(&self.name);
                change(&mut command);
                command.env_clear().env("LC_ALL", "C").current_dir("/");
                let _runtime = runtime.enter();
                let child = command.kill_on_drop(true).spawn();
                child.map_err(|error| step(format!("starting {}", self.program.display()), error))
            });
            // Whoever asked may be gone: then the program goes, too.
            let _ = say.send(child);
        });
        spawned.map_err(|error| step("a thread", error))?;
        let gone = |_| step("a thread", io::Error::other("it ended without a word"));
        started.await.map_err(gone)?
    }

    fn system(&mut self, path: &Path) -> Result<(), JailError> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty());
        let opened = opened.map_err(|errno| step(path.display(), errno))?;
        let mut bind = Bind::new(opened.as_fd(), path, Access::ReadOnly)?;
        bind.may_execute = true;
        self.binds.push(bind);
        Ok(())
    }

    /// Makes the calling thread see the jail, and nothing else, for good.
    fn enter(&self) -> Result<(), JailError> {
        leave_the_host()?;
        let root = empty_root()?;
        rustix::mount::move_mount(
            &root,
            "",
            CWD,
            SITE,
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )
        .map_err(|errno| step("its root", errno))?;
        for bind in &self.binds {
            bind.put(root.as_fd())
                .map_err(|errno| step(bind.inside.display(), errno))?;
        }
        for (link, to) in &self.links {
            make_folders(root.as_fd(), link.parent())
                .and_then(|()| rustix::fs::symlinkat(to, &root, below(link)))
                .map_err(|errno| step(link.display(), errno))?;
        }
        rustix::process::fchdir(&root)
            .and_then(|()| rustix::process::pivot_root(".", "."))
            // The host's root lies on top of the new one now.
            .and_then(|()| rustix::mount::unmount(".", UnmountFlags::DETACH))
            .and_then(|()| rustix::process::chdir("/"))
            .map_err(|errno| step("changing the root", errno))?;
        for bind in &self.binds {
            bind.restrict()
                .map_err(|errno| step(bind.inside.display(), errno))?;
        }
        remount("/", MountFlags::RDONLY | MountFlags::NOEXEC)
            .map_err(|errno| step("its root", errno))?;
        keep_only(self.capabilities).map_err(|errno| step("capabilities", errno))
    }
}

impl Bind {
    fn new(outside: BorrowedFd<'_>, inside: &Path, access: Access) -> Result<Self, JailError> {
        let name = |errno| step(inside.display(), errno);
        let stat = rustix::fs::fstat(outside).map_err(name)?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH;
        Ok(Self {
            mount: rustix::mount::open_tree(outside, "", flags).map_err(name)?,
            inside: inside.to_owned(),
            access,
            is_folder: FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
            may_execute: false,
        })
    }

    fn put(&self, root: BorrowedFd<'_>) -> rustix::io::Result<()> {
        if self.is_folder {
            make_folders(root, Some(&self.inside))?;
        } else {
            make_folders(root, self.inside.parent())?;
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::openat(root, below(&self.inside), flags, Mode::empty())?;
        }
        rustix::mount::move_mount(
            &self.mount,
            "",
            root,
            below(&self.inside),
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )
    }

    fn restrict(&self) -> rustix::io::Result<()> {
        // A copy of a shared mount is in its group.
        rustix::mount::mount_change(&self.inside, MountPropagationFlags::PRIVATE)?;
        let mut flags = MountFlags::empty();
        flags.set(MountFlags::RDONLY, self.access == Access::ReadOnly);
        flags.set(MountFlags::NOEXEC, !self.may_execute);
        remount(&self.inside, flags)
    }
}

/// Whether this process may put programs into jails: as root, where a container does not forbid it.
pub fn is_possible() -> bool {
    static POSSIBLE: LazyLock<bool> = LazyLock::new(|| {
        let tried = std::thread::spawn(|| {
            leave_the_host()?;
            empty_root().map(drop)
        });
        tried.join().is_ok_and(|tried| tried.is_ok())
    });
    *POSSIBLE
}

/// Gives the thread mounts and a network of its own, and its children processes. What is mounted from here on is seen by nobody
/// else.
fn leave_the_host() -> Result<(), JailError> {
    let own = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC;
    nix::sched::unshare(own).map_err(|errno| step("mounts and a network of its own", errno))?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).map_err(|errno| step("private mounts", errno))
}

fn empty_root() -> Result<OwnedFd, JailError> {
    let make = || {
        let tmpfs = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_set_string(&tmpfs, "size", "64k")?;
        rustix::mount::fsconfig_set_string(&tmpfs, "mode", "0755")?;
        rustix::mount::fsconfig_create(&tmpfs)?;
        rustix::mount::fsmount(
            &tmpfs,
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID,
        )
    };
    make().map_err(|errno| step("an empty root", errno))
}

/// With the flags that every mount of a jail has.
fn remount(path: impl rustix::path::Arg, flags: MountFlags) -> rustix::io::Result<()> {
    let flags = flags | MountFlags::BIND | MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount_remount(path, flags, "")
}

/// Takes all other capabilities from the thread, and from all that it will start.
fn keep_only(kept: CapabilitySet) -> rustix::io::Result<()> {
    // In the order of their numbers; the first that this kernel does not know ends them.
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::capability_is_in_bounding_set(capability) {
            Ok(true) if !kept.contains(capability) => {
                rustix::thread::remove_capability_from_bounding_set(capability)?;
            }
            Ok(_) => {}
            Err(rustix::io::Errno::INVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    rustix::thread::clear_ambient_capability_set()?;
    let had = rustix::thread::capabilities(None)?.permitted;
    let sets = CapabilitySets {
        effective: kept & had,
        permitted: kept & had,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets)?;
    rustix::thread::set_no_new_privs(true)
}

fn make_folders(root: BorrowedFd<'_>, path: Option<&Path>) -> rustix::io::Result<()> {
    let mut folder = PathBuf::new();
    for part in path.into_iter().flat_map(Path::components) {
        let Component::Normal(part) = part else {
            continue;
        };
        folder.push(part);
        match rustix::fs::mkdirat(root, &folder, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Of an absolute path, relative to a root.
fn below(path: &Path) -> &OsStr {
    path.strip_prefix("/").unwrap_or(path).as_os_str()
}

fn step(step: impl std::fmt::Display, source: impl Into<io::Error>) -> JailError {
    JailError::Step {
        step: step.to_string(),
        source: source.into(),
    }
}

#[cfg(test)]
#[path = "jail_tests.rs"]
mod tests;
