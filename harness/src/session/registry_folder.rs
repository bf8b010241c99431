//! The folder of an engine's locks: made by whichever account comes first, believed by all that may
//! use the engine, closed to all others.
//!
//! Who may use Docker's socket is root's equal on that engine, so the socket's group says who may
//! take part. A folder with that group can only have been made by one of them: the kernel lets
//! nobody give a folder to a group that he is not in.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::trust::own_uid;

/// Set-group-id, so that files are the group's; sticky, so that nobody takes another's file away.
const OF_GROUP: u32 = 0o3770;
const OF_ONE: u32 = 0o700;
const MODES: u32 = 0o7777;

/// Who may use an engine's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Members of this group, and root.
    Of(u32),
    /// The owner alone, and root.
    Nobody,
}

impl Group {
    pub fn of_socket(socket: &Path) -> Self {
        match fs::metadata(socket) {
            Ok(found) if found.mode() & 0o020 != 0 && found.gid() != 0 => Self::Of(found.gid()),
            _ => Self::Nobody,
        }
    }

    fn mode(self) -> u32 {
        match self {
            Self::Of(_) => OF_GROUP,
            Self::Nobody => OF_ONE,
        }
    }

    fn gid(self) -> Option<u32> {
        match self {
            Self::Of(gid) => Some(gid),
            Self::Nobody => None,
        }
    }
}

/// Makes the folder, or looks whether the one that is there can be believed.
pub fn make(dir: &Path, group: Group) -> io::Result<()> {
    match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(_) => return check(dir, group),
    }
    // Seen by others only once it is as it must be.
    let draft = tempfile::Builder::new()
        .prefix(".cc-ci-")
        .tempdir_in(dir.parent().unwrap_or(Path::new("/")))?;
    close(draft.path(), group)?;
    match renameat_with(CWD, draft.path(), CWD, dir, RenameFlags::NOREPLACE) {
        Ok(()) => {
            let _moved = draft.keep();
            Ok(())
        }
        // Somebody was faster.
        Err(rustix::io::Errno::EXIST) => check(dir, group),
        Err(error) => Err(error.into()),
    }
}

fn close(dir: &Path, group: Group) -> io::Result<()> {
    chown(dir, None, group.gid()).map_err(|error| {
        let gid = group.gid().unwrap_or_default();
        let text = format!(
            "{error}: this account is not in the group of Docker's socket (gid {gid}); join it, or \
             have root run a first time"
        );
        io::Error::new(error.kind(), text)
    })?;
    fs::set_permissions(dir, Permissions::from_mode(group.mode()))
}

fn check(dir: &Path, group: Group) -> io::Result<()> {
    let found = fs::symlink_metadata(dir)?;
    if !found.is_dir() {
        return Err(io::Error::other("is not a directory; remove it"));
    }
    let (mode, gid) = (found.mode() & MODES, Some(found.gid()));
    let as_made = mode == group.mode() && (group == Group::Nobody || gid == group.gid());
    if found.uid() == own_uid() {
        return if as_made { Ok(()) } else { close(dir, group) };
    }
    if as_made && (found.uid() == 0 || group != Group::Nobody) {
        return Ok(());
    }
    let text = format!(
        "it is of another account (uid {}) that need not be one that may use Docker: look at it, \
         then as root: rm -r {}",
        found.uid(),
        dir.display()
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}
