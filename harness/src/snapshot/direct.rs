//! A volume's files through the host's file system.
//!
//! Every look-up is one `openat2` below the volume's root, so that a link which changes meanwhile
//! can't lead out of it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;

use super::path::InnerPath;
use super::volume::{Kind, escapes, missing};
use crate::fault::Fault;

pub(super) struct Direct {
    root: PathBuf,
    fd: OwnedFd,
}

impl Direct {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(Self {
            root: root.to_owned(),
            fd: rustix::fs::open(root, flags, Mode::empty())?,
        })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn kind(&self, path: &InnerPath) -> Result<Kind, Fault> {
        let fd = match self.open_at(path, OFlags::PATH, ResolveFlags::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Kind::Missing),
            Err(errno) => return Err(fault(errno, path)),
        };
        Ok(match self.file_type(&fd, path)? {
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
        self.file(path)?
            .take(limit)
            .read_to_end(&mut content)
            .map_err(|error| infra(&error, path))?;
        Ok(content)
    }

    pub(super) fn checksum(&self, path: &InnerPath) -> Result<String, Fault> {
        let mut hasher = blake3::Hasher::new();
        hasher
            .update_reader(self.file(path)?)
            .map_err(|error| infra(&error, path))?;
        Ok(hasher.finalize().to_string())
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

    pub(super) fn append(&self, path: &InnerPath, content: &[u8]) -> Result<(), Fault> {
        let fd = self
            .open_at(path, OFlags::WRONLY | OFlags::APPEND, ResolveFlags::empty())
            .map_err(|errno| fault(errno, path))?;
        File::from(fd)
            .write_all(content)
            .map_err(|error| infra(&error, path))
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

    pub(super) fn list(&self, path: &InnerPath) -> Result<Vec<String>, Fault> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let names = self
            .open_at(path, flags, ResolveFlags::empty())
            .and_then(rustix::fs::Dir::new)
            .and_then(|entries| {
                entries
                    .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                    .filter(|name| !matches!(name.as_deref(), Ok("." | "..")))
                    .collect::<rustix::io::Result<Vec<_>>>()
            });
        names.map_err(|errno| fault(errno, path))
    }

    /// Removes all that is in the volume; the root stays.
    pub(super) fn empty(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.root)? {
            let entry = entry?;
            // Never follows a link, whatever changes meanwhile.
            if entry.file_type()?.is_dir() {
                std::fs::remove_dir_all(entry.path())?;
            } else {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
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
            resolve | ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
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

    /// Opens a regular file; anything else (a pipe would block) is refused.
    fn file(&self, path: &InnerPath) -> Result<File, Fault> {
        let fd = self
            .open_at(
                path,
                OFlags::RDONLY | OFlags::NONBLOCK,
                ResolveFlags::empty(),
            )
            .map_err(|errno| fault(errno, path))?;
        match self.file_type(&fd, path)? {
            FileType::RegularFile => Ok(File::from(fd)),
            _ => Err(Fault::recipe(format!("`{path}` is no regular file"))),
        }
    }

    fn file_type(&self, fd: &OwnedFd, path: &InnerPath) -> Result<FileType, Fault> {
        let stat = rustix::fs::fstat(fd).map_err(|errno| fault(errno, path))?;
        Ok(FileType::from_raw_mode(stat.st_mode))
    }
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
