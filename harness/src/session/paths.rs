//! Where the files of a run are.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

pub use results::log::EVENTS;
use results::stop::CANCEL;
use sha2::{Digest, Sha256};

use super::trust;
use crate::fault::Fault;
use crate::recipe::RunId;

/// The folders of one run.
#[derive(Debug, Clone)]
pub struct Paths {
    pub state: PathBuf,
    /// `runs/<run id>`: the record, for everyone who may read the state directory.
    pub run: PathBuf,
    /// `sessions/<run id>`, 0700: what nobody else may read; goes with the teardown.
    pub private: PathBuf,
    /// The keeper's socket.
    pub socket: PathBuf,
}

impl Paths {
    pub fn new(state: &Path, run_id: &RunId) -> Self {
        let mut digest = Sha256::new();
        digest.update(state.as_os_str().as_encoded_bytes());
        digest.update([0]);
        digest.update(run_id.as_str());
        let name: String = digest
            .finalize()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let name = format!("{name}.sock");
        // Where none is short enough, `check_socket` says so.
        let folder = trust::socket_folder(state, name.len()).unwrap_or_else(|| state.to_owned());
        Self {
            state: state.to_owned(),
            run: state.join("runs").join(run_id.as_str()),
            private: state.join("sessions").join(run_id.as_str()),
            socket: folder.join(name),
        }
    }

    pub fn events(&self) -> PathBuf {
        self.run.join(EVENTS)
    }

    /// A file whose presence asks the run to stop; its content says who asks.
    pub fn cancel_request(&self) -> PathBuf {
        self.run.join(CANCEL)
    }

    pub fn log(&self) -> PathBuf {
        self.run.join("run.log")
    }

    pub fn evidence(&self) -> PathBuf {
        self.run.join("evidence")
    }

    /// Held by the keeper for life.
    pub fn keeper_lock(&self) -> PathBuf {
        self.private.join("keeper.lock")
    }

    pub fn env_file(&self) -> PathBuf {
        self.private.join("app.env")
    }

    /// What the engine `abra` keeps.
    pub fn abra(&self) -> PathBuf {
        self.private.join("abra")
    }

    /// Values of secrets, by short name.
    pub fn secrets(&self) -> PathBuf {
        self.private.join("secrets.json")
    }

    /// What operations and hooks learned: JSON, by key.
    pub fn operation_state(&self) -> PathBuf {
        self.private.join("state.json")
    }

    /// Makes the folders that are shared by runs, and the run's own.
    pub fn create(&self) -> Result<(), Fault> {
        let shared = [
            self.state.join("runs"),
            self.state.join("sessions"),
            self.run.clone(),
        ];
        for dir in shared {
            // Not writable for others, whatever the mask is: what they put there would count.
            let made = fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(&dir);
            made.map_err(|error| unwritable(&dir, &error))?;
        }
        let folder = self.socket_folder();
        self.check_socket()?;
        create_private(folder).map_err(|error| no_sockets(folder, &error))
    }

    /// Whether a keeper's socket can be there, and nobody else can have made it.
    pub fn check_socket(&self) -> Result<(), Fault> {
        let folder = self.socket_folder();
        let length = self.socket.as_os_str().len();
        if length > LONGEST_SOCKET {
            let why = format!("{length} bytes of a socket's path, where {LONGEST_SOCKET} may be");
            return Err(no_sockets(folder, &io::Error::other(why)));
        }
        match trust::only_ours(folder) {
            // No keeper was there yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            checked => checked.map_err(|error| no_sockets(folder, &error)),
        }
    }

    fn socket_folder(&self) -> &Path {
        self.socket.parent().unwrap_or(&self.state)
    }
}

/// The kernel takes no more.
pub const LONGEST_SOCKET: usize = 107;

fn no_sockets(folder: &Path, error: &io::Error) -> Fault {
    Fault::usage(format!(
        "no place for sockets: {}: {error}; set XDG_RUNTIME_DIR or CCCI_STATE_DIR to a short path of \
         a folder that this account owns and nobody else may write",
        folder.display()
    ))
}

fn unwritable(dir: &Path, error: &io::Error) -> Fault {
    Fault::usage(format!(
        "the state directory can't be written: {}: {error}; set CCCI_STATE_DIR to a directory that you own",
        dir.display()
    ))
}

/// A folder of mode 0700 that is ours, made here or before.
fn create_private(dir: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(dir)?;
    let ours = found.is_dir() && found.uid() == trust::own_uid() && found.mode() & 0o077 == 0;
    if ours {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "is not a directory of mode 0700 that belongs to this user; remove it",
        ))
    }
}
