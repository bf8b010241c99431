//! The folder of one executable: copies of what it may read, and a place where it may write.
//!
//! ```text
//! /tmp/cc-ci-tests-…/     ours; of others only the executable's group may enter
//!   tests/                a copy of the recipe's, not writable
//!   ca.pem                not writable
//!   work/                 the executable's own: working directory, HOME, TMPDIR
//!     app.env  state.json
//! ```
//!
//! Invariant: what the executable leaves there is read as what a stranger left.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{
    DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown as change_owner,
};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::Surroundings;

/// The user and group `nobody`: whom an executable runs as where we are root.
pub(super) const NOBODY: u32 = 65534;
/// As much of a `.env` is read back.
const LONGEST_ENV: u64 = 256 * 1024;
/// As much of `tests/` is copied.
const LARGEST_TESTS: u64 = 256 * 1024 * 1024;

pub(super) struct Room {
    dir: tempfile::TempDir,
    pub has_authority: bool,
}

impl Room {
    pub fn new(around: &Surroundings<'_>) -> io::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("cc-ci-tests-")
            .tempdir_in("/tmp")?;
        let room = Self {
            dir,
            has_authority: around.authority.is_some(),
        };
        let mut left = LARGEST_TESTS;
        copy_tree(&around.tree.join("tests"), &room.tests(), &mut left)?;
        if let Some(authority) = around.authority {
            copy(authority, &room.authority(), 0o440, Of::Us)?;
        }
        fs::DirBuilder::new().mode(0o700).create(room.work())?;
        copy(around.env_file, &room.env_file(), 0o600, Of::Them)?;
        // Operations before the first leave none.
        if around.state.exists() {
            copy(around.state, &room.state(), 0o600, Of::Them)?;
        }
        give(&room.work(), Of::Them)?;
        give(room.dir.path(), Of::Us)?;
        // Last: nobody else enters before all is as it should be.
        fs::set_permissions(room.dir.path(), Permissions::from_mode(0o750))?;
        Ok(room)
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn tests(&self) -> PathBuf {
        self.path().join("tests")
    }

    pub fn authority(&self) -> PathBuf {
        self.path().join("ca.pem")
    }

    pub fn work(&self) -> PathBuf {
        self.path().join("work")
    }

    pub fn env_file(&self) -> PathBuf {
        self.work().join("app.env")
    }

    pub fn state(&self) -> PathBuf {
        self.work().join("state.json")
    }

    /// Where the process between us and the executable says what came of it.
    pub fn report(&self) -> PathBuf {
        self.path().join("report")
    }

    /// The `.env` as the executable left it. The error says what it is instead.
    pub fn left_env(&self) -> Result<String, String> {
        let say = |error: io::Error| format!("the .env that it left: {error}");
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(self.env_file())
            .map_err(say)?;
        let what = file.metadata().map_err(say)?;
        if !what.is_file() || what.nlink() != 1 {
            return Err("the .env that it left is not a regular file of its own".to_owned());
        }
        let mut text = String::new();
        let mut bounded = file.take(LONGEST_ENV + 1);
        bounded.read_to_string(&mut text).map_err(say)?;
        if text.len() as u64 > LONGEST_ENV {
            return Err(format!(
                "the .env that it left has more than {LONGEST_ENV} bytes"
            ));
        }
        Ok(text)
    }

    /// Removes all of it.
    pub fn close(self) -> io::Result<()> {
        self.dir.close()
    }
}

/// Whose a file of the room is.
#[derive(Clone, Copy)]
enum Of {
    /// Ours; the executable's group may read it.
    Us,
    /// The executable's.
    Them,
}

fn give(path: &Path, of: Of) -> io::Result<()> {
    if !rustix::process::getuid().is_root() {
        return Ok(());
    }
    let owner = match of {
        Of::Us => 0,
        Of::Them => NOBODY,
    };
    change_owner(path, Some(owner), Some(NOBODY))
}

fn copy(from: &Path, to: &Path, mode: u32, of: Of) -> io::Result<()> {
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    io::copy(&mut File::open(from)?, &mut target)?;
    give(to, of)?;
    fs::set_permissions(to, Permissions::from_mode(mode))
}

/// Copies folders and regular files; anything else (links, pipes, devices) is left out.
fn copy_tree(from: &Path, to: &Path, left: &mut u64) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let what = entry.metadata()?;
        if what.is_dir() {
            copy_tree(&entry.path(), &target, left)?;
        } else if what.is_file() {
            *left = left.checked_sub(what.len()).ok_or_else(|| {
                io::Error::other(format!("tests/ has more than {LARGEST_TESTS} bytes"))
            })?;
            let mode = if what.mode() & 0o111 == 0 {
                0o440
            } else {
                0o550
            };
            copy(&entry.path(), &target, mode, Of::Us)?;
        }
    }
    give(to, Of::Us)?;
    fs::set_permissions(to, Permissions::from_mode(0o750))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rstest::rstest;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    /// What a hostile executable leaves in the place of its `.env`, and what is said of it.
    #[rstest]
    #[case::a_link(|path: &Path| symlink("/etc/shadow", path).unwrap(), "Too many levels of symbolic links")]
    #[case::a_hard_link(|path: &Path| fs::hard_link(path.with_file_name("state.json"), path).unwrap(), "not a regular file of its own")]
    #[case::a_pipe(|path: &Path| mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap(), "not a regular file of its own")]
    #[case::a_folder(|path: &Path| fs::create_dir(path).unwrap(), "not a regular file of its own")]
    #[case::nothing(|_: &Path| (), "No such file")]
    #[case::too_much(|path: &Path| fs::write(path, vec![b'x'; 300 * 1024]).unwrap(), "more than 262144 bytes")]
    #[case::no_text(|path: &Path| fs::write(path, [0xff]).unwrap(), "valid UTF-8")]
    fn a_left_env_that_is_no_file_of_its_own_is_refused(
        #[case] leave: fn(&Path),
        #[case] said: &str,
    ) {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("tests")).unwrap();
        let file = tree.path().join("file");
        fs::write(&file, "A=1\n").unwrap();
        let room = Room::new(&Surroundings {
            tree: tree.path(),
            recipe: &"custom-html".parse().unwrap(),
            domain: "x.ci.test",
            env_file: &file,
            state: &file,
            authority: None,
            proxy: None,
        })
        .unwrap();
        assert_eq!(room.left_env().unwrap(), "A=1\n");
        fs::remove_file(room.env_file()).unwrap();
        leave(&room.env_file());
        let error = room.left_env().unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}
