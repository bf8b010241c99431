//! A volume's files through the host's file system, while an app changes them.
//!
//! Invariants: every look-up starts at the volume's open root and is one `openat2` below it, so that
//! a link which changes meanwhile can't lead out; nothing but a regular file or a folder is ever
//! opened, as opening a pipe waits and opening a device is an act; whoever works on trees of files
//! does it in a jail.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Uid};
use rustix::io::Errno;
use rustix::thread::CapabilitySet;
use tokio::process::Command;

use super::archive::{CREATE, EXTRACT};
use super::path::InnerPath;
use super::volume::{Kind, escapes, missing, several_names};
use crate::fault::Fault;
use crate::jail::{Access, Jail};

/// Where `tar` sees the volume.
const INSIDE: &str = "/volume";
const READ_AT_ONCE: usize = 1 << 20;

pub(super) struct Direct {
    fd: OwnedFd,
}

impl Direct {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(Self {
            fd: rustix::fs::open(root, flags, Mode::empty())?,
        })
    }

    pub(super) fn kind(&self, path: &InnerPath) -> Result<Kind, Fault> {
        let fd = match self.open_at(path, OFlags::PATH, ResolveFlags::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Kind::Missing),
            Err(errno) => return Err(fault(errno, path)),
        };
        Ok(match file_type(&stat(&fd, path)?) {
            FileType::Directory => Kind::Directory,
            FileType::RegularFile => Kind::File,
            _ => Kind::Other,
        })
    }

    pub(super) fn is_reached_by_links(&self, path: &InnerPath) -> Result<bool, Fault> {
        match self.open_at(path, OFlags::PATH, ResolveFlags::NO_SYMLINKS) {
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(Errno::LOOP) => Ok(true),
            Err(errno) => Err(fault(errno, path)),
        }
    }

    pub(super) fn read(&self, path: &InnerPath, limit: u64) -> Result<Vec<u8>, Fault> {
        let mut content = Vec::new();
        self.file(path, OFlags::RDONLY)?
            .take(limit)
            .read_to_end(&mut content)
            .map_err(|error| infra(&error, path))?;
        Ok(content)
    }

    /// Given up with the future: a file of holes may be larger than any disk.
    pub(super) async fn checksum(&self, path: &InnerPath) -> Result<String, Fault> {
        let mut file = self.file(path, OFlags::RDONLY)?;
        let mut hasher = blake3::Hasher::new();
        let mut part = vec![0; READ_AT_ONCE];
        loop {
            match file.read(&mut part).map_err(|error| infra(&error, path))? {
                0 => return Ok(hasher.finalize().to_string()),
                read => hasher.update(&part[..read]),
            };
            tokio::task::yield_now().await;
        }
    }

    /// Written beside it, with the directory's owner, and renamed: a reader sees all or nothing.
    pub(super) fn write(&self, path: &InnerPath, content: &[u8]) -> Result<(), Fault> {
        let (directory, name) = self.directory_of(path)?;
        let owner = rustix::fs::fstat(&directory).map_err(|errno| fault(errno, path))?;
        let temporary = format!("{}tmp-{:016x}", super::MARKER_PREFIX, rand::random::<u64>());
        let put = || -> io::Result<()> {
            let mut file = File::from(rustix::fs::openat(
                &directory,
                &*temporary,
                OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::from_raw_mode(0o644),
            )?);
            file.write_all(content)?;
            rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
            let (uid, gid) = (Uid::from_raw(owner.st_uid), Gid::from_raw(owner.st_gid));
            rustix::fs::fchown(&file, Some(uid), Some(gid))?;
            rustix::fs::renameat(&directory, &*temporary, &directory, name)?;
            Ok(())
        };
        put().map_err(|error| {
            // It may not be there: what matters is the error that came first.
            let _gone = rustix::fs::unlinkat(&directory, &*temporary, AtFlags::empty());
            infra(&error, path)
        })
    }

    /// In place: a file of several names is left alone, as it may be more than it seems.
    pub(super) fn append(&self, path: &InnerPath, content: &[u8]) -> Result<(), Fault> {
        let mut file = self.file(path, OFlags::WRONLY | OFlags::APPEND)?;
        if stat(&file, path)?.st_nlink > 1 {
            return Err(several_names(path));
        }
        file.write_all(content).map_err(|error| infra(&error, path))
    }

    pub(super) fn remove(&self, path: &InnerPath) -> Result<bool, Fault> {
        if self.kind(path)? == Kind::Missing {
            return Ok(false);
        }
        let (directory, name) = self.directory_of(path)?;
        match rustix::fs::unlinkat(&directory, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(fault(errno, path)),
        }
    }

    /// Whether anything is there, a link that leads nowhere included.
    pub(super) fn is_there(&self, path: &InnerPath) -> Result<bool, Fault> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        match self.open_at(path, flags, ResolveFlags::empty()) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(errno) => Err(fault(errno, path)),
        }
    }

    /// The first `limit` names by their order, however many there are.
    pub(super) fn list(&self, path: &InnerPath, limit: usize) -> Result<Vec<String>, Fault> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let first = || {
            let mut first = BTreeSet::new();
            let folder = self.open_at(path, flags, ResolveFlags::empty())?;
            for entry in rustix::fs::Dir::new(folder)? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                if name != "." && name != ".." {
                    first.insert(name);
                }
                if first.len() > limit {
                    first.pop_last();
                }
            }
            Ok(first.into_iter().collect())
        };
        first().map_err(|errno| fault(errno, path))
    }

    /// Removes all that is in the volume; the root stays.
    pub(super) async fn empty(&self) -> Result<(), Fault> {
        let access = Access::ReadWrite;
        let (code, said) = self
            .jailed("find", access, |find| {
                find.args([INSIDE, "-mindepth", "1", "-delete"]);
            })
            .await?;
        if code == 0 {
            return Ok(());
        }
        let said = said.lines().next().unwrap_or("it said nothing");
        Err(Fault::infra(format!("could not be emptied: {said}")))
    }

    pub(super) async fn pack(
        &self,
        members: &[String],
        archive: File,
    ) -> Result<(i64, String), Fault> {
        self.tar(&CREATE, members.to_vec(), Access::ReadOnly, |tar| {
            tar.stdout(archive);
        })
        .await
    }

    pub(super) async fn unpack(&self, archive: File) -> Result<(i64, String), Fault> {
        self.tar(&EXTRACT, Vec::new(), Access::ReadWrite, |tar| {
            tar.stdin(archive);
        })
        .await
    }

    async fn tar(
        &self,
        options: &'static [&'static str],
        members: Vec<String>,
        access: Access,
        streams: impl FnOnce(&mut Command) + Send + 'static,
    ) -> Result<(i64, String), Fault> {
        self.jailed("tar", access, move |tar| {
            // First, for it counts for what follows.
            tar.arg(format!("--directory={INSIDE}"))
                .args(options)
                .arg("--")
                .args(members);
            streams(tar);
        })
        .await
    }

    /// Runs a program at the mercy of an app's links: it sees the volume, and no other folder. Exit
    /// code, and what it said.
    async fn jailed(
        &self,
        program: &str,
        access: Access,
        change: impl FnOnce(&mut Command) + Send + 'static,
    ) -> Result<(i64, String), Fault> {
        // What makes a file what it was: owner, mode, kind, a program's capabilities.
        let capabilities = CapabilitySet::CHOWN
            | CapabilitySet::DAC_OVERRIDE
            | CapabilitySet::FOWNER
            | CapabilitySet::FSETID
            | CapabilitySet::MKNOD
            | CapabilitySet::SETFCAP;
        let started = async {
            let jail = Jail::of(program)?.capabilities(capabilities);
            let jail = jail.bind(self.fd.as_fd(), INSIDE, access)?;
            jail.start(move |command| {
                command.stderr(Stdio::piped());
                change(command);
            })
            .await
        };
        let child = started.await.map_err(|error| Fault::infra(error.whole()))?;
        let output = child.wait_with_output().await;
        let output = output.map_err(|error| Fault::infra(format!("`{program}`: {error}")))?;
        let code = output.status.code().map_or(-1, i64::from);
        Ok((code, String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    fn open_at(
        &self,
        path: &InnerPath,
        flags: OFlags,
        resolve: ResolveFlags,
    ) -> rustix::io::Result<OwnedFd> {
        rustix::fs::openat2(
            &self.fd,
            path.as_path(),
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve | ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV,
        )
    }

    fn directory_of<'a>(&self, path: &'a InnerPath) -> Result<(OwnedFd, &'a str), Fault> {
        let (parent, name) = path
            .split()
            .ok_or_else(|| Fault::infra("the root of a volume is no file"))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let directory = self
            .open_at(&parent, flags, ResolveFlags::empty())
            .map_err(|errno| fault(errno, &parent))?;
        Ok((directory, name))
    }

    /// Opens a regular file. What it is, is looked at before it is opened.
    fn file(&self, path: &InnerPath, flags: OFlags) -> Result<File, Fault> {
        let seen = self
            .open_at(path, OFlags::PATH, ResolveFlags::empty())
            .map_err(|errno| fault(errno, path))?;
        if file_type(&stat(&seen, path)?) != FileType::RegularFile {
            return Err(Fault::recipe(format!("`{path}` is no regular file")));
        }
        // The very file that was looked at, whatever its path leads to by now.
        let flags = flags | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::open(proc_path(&seen), flags, Mode::empty());
        opened
            .map(File::from)
            .map_err(|errno| infra(&errno.into(), path))
    }
}

/// What the kernel has for an open file, of any kind.
fn proc_path(fd: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
}

fn stat(fd: impl AsFd, path: &InnerPath) -> Result<Stat, Fault> {
    rustix::fs::fstat(fd).map_err(|errno| fault(errno, path))
}

fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn fault(errno: Errno, path: &InnerPath) -> Fault {
    match errno {
        Errno::XDEV | Errno::LOOP => escapes(path),
        Errno::NOENT | Errno::NOTDIR => missing(path),
        errno => infra(&errno.into(), path),
    }
}

fn infra(error: &io::Error, path: &InnerPath) -> Fault {
    Fault::infra(format!("`{path}`: {error}"))
}
