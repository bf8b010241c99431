//! Kernel locks in one host-wide place per Docker engine: one per app domain, one per slot.
//!
//! Invariants: a run registers its app's domain here before its first object in the swarm; it is
//! dead when nobody holds the lock of that file, and only then may its own account touch the app.
//! There are no pid files and no ages. Only who may use the engine can make a file here.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, OFlags, flock};

use super::registration::read;
pub use super::registration::{Registration, Said};
use super::registry_folder;
pub use super::registry_folder::Group;
use super::trust::{is_closed, own_uid};
use crate::fault::Fault;
use crate::recipe::AppDomain;
use crate::swarm::{Before, Objects, Swarm};

/// A note of what was there before has less: some hundred thousand objects.
const LONGEST_NOTE: u64 = 32 * 1024 * 1024;

/// The locks of one Docker engine, shared by all accounts that may use it.
#[derive(Debug, Clone)]
pub struct Registry {
    dir: PathBuf,
}

/// What asking for a lock gave.
pub enum Lock {
    /// Ours now; what its file says a dead run left.
    Ours(Held, Said),
    Theirs(Said),
}

/// A lock that is held for as long as this value, or a child that inherited its descriptor, lives.
pub struct Held {
    file: Arc<OwnedFd>,
    path: PathBuf,
}

/// Something in the registry that only a person can judge, or that waits for its removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled {
    pub what: String,
    /// What to do about it.
    pub mend: String,
}

impl std::fmt::Display for Unsettled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; {}", self.what, self.mend)
    }
}

impl Registry {
    /// `/var/tmp` is kept over a reboot, as stacks are.
    pub fn of_engine(swarm: &Swarm) -> Result<Self, Fault> {
        let id: String = swarm
            .engine_id()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(24)
            .collect();
        let dir = Path::new("/var/tmp").join(format!("cc-ci-{id}"));
        Self::at(dir, Group::of_socket(swarm.socket()))
    }

    pub fn at(dir: PathBuf, group: Group) -> Result<Self, Fault> {
        registry_folder::make(&dir, group).map_err(|error| {
            Fault::infra(format!("locks can't be kept in {}: {error}", dir.display()))
        })?;
        Ok(Self { dir })
    }

    /// Tries for the lock of an app's domain.
    pub fn app(&self, domain: &AppDomain) -> Result<Lock, Fault> {
        loop {
            let Some(lock) = self.try_app(domain, open)? else {
                continue;
            };
            match lock {
                // An empty file of an account whose run ended before it could register: it says
                // nothing, and we could not write there.
                Lock::Ours(held, Said::Nothing) if !held.is_ours() => held.forget()?,
                lock => return Ok(lock),
            }
        }
    }

    /// Tries for the lock of an app that is registered. None: it is not, any more. Whoever only
    /// looks must not make a registration of what was removed a moment ago.
    pub fn registered_app(&self, domain: &AppDomain) -> Result<Option<Lock>, Fault> {
        self.try_app(domain, open_existing)
    }

    /// Tries for one of the first `slots` slots. None: all are taken.
    pub fn slot(&self, slots: u32) -> Result<Option<Held>, Fault> {
        for slot in 0..slots {
            let path = self.dir.join(format!("slot-{slot}.json"));
            // A slot's file stays, so it is there for whoever looks.
            match self.try_lock(&path, open)? {
                Some(Tried::Ours(file)) => {
                    return Ok(Some(Held {
                        file: Arc::new(file.into()),
                        path,
                    }));
                }
                Some(Tried::Theirs(_)) | None => {}
            }
        }
        Ok(None)
    }

    /// The runs that are live, whosever they are: who has a slot has registered.
    pub fn live(&self) -> Result<Vec<Registration>, Fault> {
        let mut live = Vec::new();
        for domain in self.registered()? {
            if let Ok(Some(Lock::Theirs(said))) = self.registered_app(&domain) {
                live.extend(said.registration().cloned());
            }
        }
        Ok(live)
    }

    /// Domains that were registered and not removed yet, live or dead.
    pub fn registered(&self) -> Result<Vec<AppDomain>, Fault> {
        let entries = fs::read_dir(&self.dir).map_err(|error| {
            Fault::infra(format!(
                "locks can't be read in {}: {error}",
                self.dir.display()
            ))
        })?;
        Ok(entries
            .filter_map(|entry| {
                let name = entry.ok()?.file_name().into_string().ok()?;
                name.strip_prefix("app-")?
                    .strip_suffix(".json")?
                    .parse()
                    .ok()
            })
            .collect())
    }

    /// What dead runs left, and what is not believed.
    pub fn unsettled(&self) -> Result<Vec<Unsettled>, Fault> {
        let mut found = Vec::new();
        for domain in self.registered()? {
            let said = match self.registered_app(&domain) {
                Ok(Some(Lock::Ours(_, said))) => said,
                Ok(Some(Lock::Theirs(said @ Said::Refused(_)))) => said,
                Ok(Some(Lock::Theirs(_)) | None) => continue,
                Err(fault) => Said::Refused(fault.to_string()),
            };
            found.extend(self.of_dead(&domain, said));
        }
        Ok(found)
    }

    /// What is to be said of a file that nobody holds. None: nothing.
    pub fn of_dead(&self, domain: &AppDomain, said: Said) -> Option<Unsettled> {
        let file = self.dir.join(format!("app-{domain}.json"));
        let unsettled = |what: String, mend: String| Some(Unsettled { what, mend });
        match said {
            Said::Nothing => None,
            Said::Ours(dead) => unsettled(
                format!(
                    "the app {domain} of the dead run {} is still there",
                    dead.run_id
                ),
                format!(
                    "CCCI_STATE_DIR={} cargo xtask reap {}",
                    dead.state.display(),
                    dead.run_id
                ),
            ),
            Said::Anothers { uid, registration } => {
                let run = registration.map_or_else(|| "?".to_owned(), |it| it.run_id.to_string());
                unsettled(
                    format!(
                        "the app {domain} of the dead run {run} is another account's (uid {uid})"
                    ),
                    format!(
                        "as that account: cargo xtask reap {run}; or where it is gone: docker stack \
                         rm {}, then rm {}",
                        domain.stack(),
                        file.display()
                    ),
                )
            }
            Said::Refused(why) => {
                let mend = format!("look at it, then: rm {}", file.display());
                unsettled(why, mend)
            }
        }
    }

    /// None: there is no such file.
    fn try_app(
        &self,
        domain: &AppDomain,
        open: impl Fn(&Path) -> io::Result<File>,
    ) -> Result<Option<Lock>, Fault> {
        let path = self.dir.join(format!("app-{domain}.json"));
        Ok(self.try_lock(&path, open)?.map(|tried| match tried {
            Tried::Ours(file) => {
                let said = read(&file, &path, domain);
                let file = Arc::new(file.into());
                Lock::Ours(Held { file, path }, said)
            }
            Tried::Theirs(file) => Lock::Theirs(read(&file, &path, domain)),
        }))
    }

    /// None: there is no such file.
    fn try_lock(
        &self,
        path: &Path,
        open: impl Fn(&Path) -> io::Result<File>,
    ) -> Result<Option<Tried>, Fault> {
        let fault = |error: io::Error| Fault::infra(format!("lock {}: {error}", path.display()));
        loop {
            let file = match open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                opened => opened.map_err(fault)?,
            };
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(Some(Tried::Theirs(file))),
                Err(error) => return Err(fault(error.into())),
            }
            // Whoever held it before us may have removed the file: then this is nobody's lock.
            let same = fs::symlink_metadata(path)
                .is_ok_and(|now| file.metadata().is_ok_and(|ours| ours.ino() == now.ino()));
            if same {
                return Ok(Some(Tried::Ours(file)));
            }
        }
    }
}

enum Tried {
    Ours(File),
    Theirs(File),
}

impl Held {
    /// Says what the lock is for, and what was there before, on disk before anything else happens.
    pub fn register(&self, registration: &Registration, before: &Before) -> Result<(), Fault> {
        let write = || -> io::Result<()> {
            let note = self.note();
            remove(&note)?;
            if let Before::Noted(objects) = before {
                let mut file = plain()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&note)?;
                file.write_all(&serde_json::to_vec(objects.as_ref())?)?;
                file.sync_all()?;
            }
            let mut file = File::from(self.file.try_clone()?);
            file.set_len(0)?;
            io::Seek::rewind(&mut file)?;
            file.write_all(&serde_json::to_vec(registration)?)?;
            file.sync_all()
        };
        write().map_err(|error| Fault::infra(format!("{}: {error}", self.path.display())))
    }

    /// What was there before the app that is registered. A note that anybody else could have
    /// written is none.
    pub fn before(&self) -> Before {
        let noted = || -> io::Result<Option<Objects>> {
            let file = plain().open(self.note())?;
            let found = file.metadata()?;
            let closed = is_closed(&found, own_uid()) && found.is_file() && found.nlink() == 1;
            let mut text = Vec::new();
            file.take(LONGEST_NOTE).read_to_end(&mut text)?;
            Ok(serde_json::from_slice(&text).ok().filter(|_| closed))
        };
        match noted() {
            Ok(Some(objects)) => Before::Noted(Arc::new(objects)),
            Ok(None) | Err(_) => Before::Unknown,
        }
    }

    fn note(&self) -> PathBuf {
        self.path.with_extension("before")
    }

    /// Whether its file is this account's, which alone can register with it.
    fn is_ours(&self) -> bool {
        rustix::fs::fstat(&self.file).is_ok_and(|stat| stat.st_uid == own_uid())
    }

    /// For children that change the swarm: while one of them lives, so does the lock.
    pub fn descriptor(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.file)
    }

    /// Takes the registration away, with the lock still held.
    pub fn forget(self) -> Result<(), Fault> {
        remove(&self.path)
            .and_then(|()| remove(&self.note()))
            .map_err(|error| Fault::infra(format!("{}: {error}", self.path.display())))
    }
}

/// Removes a file; one that is gone already is no fault.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Opens without creating first: in a sticky folder the kernel refuses `O_CREAT` on a file that
/// belongs to somebody else.
fn open(path: &Path) -> io::Result<File> {
    match open_existing(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => plain()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(path),
        other => other,
    }
}

fn open_existing(path: &Path) -> io::Result<File> {
    match plain().write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => plain().open(path),
        other => other,
    }
}

/// No link is followed, and no pipe is waited for.
fn plain() -> OpenOptions {
    let mut options = OpenOptions::new();
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.read(true).custom_flags(flags.bits().cast_signed());
    options
}

#[cfg(test)]
#[path = "locks_tests.rs"]
mod tests;
