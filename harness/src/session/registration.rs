//! What a run says of itself in the file that it locks, and how much of it is believed.
//!
//! Invariant: nothing that is removed is named by the file. Stack and folders are derived from the
//! domain, which is the file's name too, and from state directory and run id.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::paths::Paths;
use super::trust::{self, own_uid};
use crate::recipe::{AppDomain, RecipeName, RunId, StackName};

/// As much of a file is read.
const LONGEST: u64 = 16 * 1024;

/// What must be known of an app to remove it when its run is dead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    pub run_id: RunId,
    pub recipe: RecipeName,
    pub domain: AppDomain,
    pub engine: String,
    /// The state directory of the run.
    pub state: PathBuf,
}

impl Registration {
    pub fn stack(&self) -> StackName {
        self.domain.stack()
    }

    pub fn paths(&self) -> Paths {
        Paths::new(&self.state, &self.run_id)
    }

    /// The run's folders, if nobody else can have put something there. None: the state directory
    /// is gone. The error says what is wrong with it.
    pub fn folders(&self) -> io::Result<Option<Paths>> {
        match trust::only_ours(&self.state) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        if fs::metadata(&self.state)?.uid() != own_uid() {
            let text = format!("{} is not this account's", self.state.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        Ok(Some(self.paths()))
    }
}

/// What the file of a lock says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Nobody registered with it.
    Nothing,
    Ours(Registration),
    /// Another account's: shown, and never acted upon.
    Anothers {
        uid: u32,
        registration: Option<Registration>,
    },
    /// It can't be believed: why.
    Refused(String),
}

impl Said {
    /// Whoever it is that has the lock, for people.
    pub fn registration(&self) -> Option<&Registration> {
        match self {
            Self::Ours(registration) => Some(registration),
            Self::Anothers { registration, .. } => registration.as_ref(),
            Self::Nothing | Self::Refused(_) => None,
        }
    }
}

/// Reads the file at `path`, which is the lock of `domain`.
pub fn read(file: &File, path: &Path, domain: &AppDomain) -> Said {
    let refused = |why: &str| {
        let path = path.display();
        Said::Refused(format!("{path} {why}"))
    };
    let found = match file.metadata() {
        Ok(found) => found,
        Err(error) => return refused(&format!("can't be read ({error})")),
    };
    if !found.is_file() {
        return refused("is no regular file");
    }
    if found.nlink() > 1 {
        return refused("has a second name");
    }
    let uid = found.uid();
    if !trust::is_closed(&found, uid) {
        return refused("may be written by other accounts");
    }
    if found.len() == 0 {
        return Said::Nothing;
    }
    let registration = match content(file) {
        Some(registration) if registration.domain != *domain => {
            return refused(&format!("registers {}", registration.domain));
        }
        registration => registration,
    };
    if uid != own_uid() {
        return Said::Anothers { uid, registration };
    }
    registration.map_or_else(|| refused("can't be understood"), Said::Ours)
}

fn content(mut file: &File) -> Option<Registration> {
    file.rewind().ok()?;
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}
