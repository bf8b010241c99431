//! Kernel locks in one host-wide place per Docker engine: one per app domain, one per slot.
//!
//! Invariants: a run registers its app's domain here before its first object in the swarm; it is
//! dead when nobody holds the lock of that file, and only then may somebody else touch the app.
//! There are no pid files and no ages.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::recipe::{AppDomain, RecipeName, RunId, StackName};

/// What must be known of an app to remove it when its run is dead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    pub run_id: RunId,
    pub recipe: RecipeName,
    pub domain: AppDomain,
    pub stack: StackName,
    pub engine: String,
    /// The session's private folder, removed with the app.
    pub private: PathBuf,
    /// The keeper's socket, likewise.
    pub socket: PathBuf,
    /// The run's folder, for the record.
    pub run: PathBuf,
}

/// The locks of one Docker engine, shared by all users of the host.
#[derive(Debug, Clone)]
pub struct Registry {
    dir: PathBuf,
}

/// What asking for a lock gave.
pub enum Lock {
    /// Ours now. The registration is what a dead run left, if one did.
    Ours(Held, Option<Registration>),
    /// Somebody else's; none: held, but not registered yet.
    Theirs(Option<Registration>),
}

/// A lock that is held for as long as this value, or a child that inherited its descriptor, lives.
pub struct Held {
    file: Arc<OwnedFd>,
    path: PathBuf,
}

impl Registry {
    /// `/var/tmp` is kept over a reboot, as stacks are, and every user may write there.
    pub fn of_engine(engine_id: &str) -> Result<Self, Fault> {
        let id: String = engine_id
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(24)
            .collect();
        Self::at(Path::new("/var/tmp").join(format!("cc-ci-{id}")))
    }

    pub fn at(dir: PathBuf) -> Result<Self, Fault> {
        let fault = |error: io::Error| {
            Fault::infra(format!("locks can't be kept in {}: {error}", dir.display()))
        };
        if let Err(error) = fs::create_dir(&dir) {
            if error.kind() != io::ErrorKind::AlreadyExists {
                return Err(fault(error));
            }
        } else {
            fs::set_permissions(&dir, fs::Permissions::from_mode(0o1777)).map_err(fault)?;
        }
        if !fs::symlink_metadata(&dir).map_err(fault)?.is_dir() {
            return Err(fault(io::Error::other("is not a directory; remove it")));
        }
        Ok(Self { dir })
    }

    /// Tries for the lock of an app's domain.
    pub fn app(&self, domain: &AppDomain) -> Result<Lock, Fault> {
        self.lock(&format!("app-{domain}.json"))
    }

    /// Tries for the lock of an app that is registered. None: it is not, any more. Whoever only
    /// looks must not make a registration of what was removed a moment ago.
    pub fn registered_app(&self, domain: &AppDomain) -> Result<Option<Lock>, Fault> {
        self.try_lock(&format!("app-{domain}.json"), open_existing)
    }

    /// Tries for one of the first `slots` slots. None: all are taken; by whom, as far as is known.
    pub fn slot(&self, slots: u32) -> Result<Result<Held, Vec<Registration>>, Fault> {
        let mut holders = Vec::new();
        for slot in 0..slots {
            match self.lock(&format!("slot-{slot}.json"))? {
                Lock::Ours(held, before) => {
                    if before.is_some() {
                        // Until we say who we are, nobody waits behind who had it before.
                        held.clear()?;
                    }
                    return Ok(Ok(held));
                }
                Lock::Theirs(holder) => holders.extend(holder),
            }
        }
        Ok(Err(holders))
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

    fn lock(&self, name: &str) -> Result<Lock, Fault> {
        loop {
            if let Some(lock) = self.try_lock(name, open)? {
                return Ok(lock);
            }
        }
    }

    /// None: there is no such file.
    fn try_lock(
        &self,
        name: &str,
        open: impl Fn(&Path) -> io::Result<File>,
    ) -> Result<Option<Lock>, Fault> {
        let path = self.dir.join(name);
        let fault = |error: io::Error| Fault::infra(format!("lock {}: {error}", path.display()));
        loop {
            let file = match open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                opened => opened.map_err(fault)?,
            };
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Ok(Some(Lock::Theirs(read(&file))));
                }
                Err(error) => return Err(fault(error.into())),
            }
            // Whoever held it before us may have removed the file: then this is nobody's lock.
            let same = fs::metadata(&path)
                .is_ok_and(|now| file.metadata().is_ok_and(|ours| ours.ino() == now.ino()));
            if same {
                let before = read(&file);
                let file = Arc::new(file.into());
                return Ok(Some(Lock::Ours(Held { file, path }, before)));
            }
        }
    }
}

impl Held {
    /// Says what the lock is for, on disk before anything else happens.
    pub fn register(&self, registration: &Registration) -> Result<(), Fault> {
        let write = || -> io::Result<()> {
            let mut file = File::from(self.file.try_clone()?);
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(&serde_json::to_vec(registration)?)?;
            file.sync_all()
        };
        write().map_err(|error| Fault::infra(format!("{}: {error}", self.path.display())))
    }

    /// Whether nobody registered with this lock.
    pub fn says_nothing(&self) -> bool {
        rustix::fs::fstat(&self.file).is_ok_and(|stat| stat.st_size == 0)
    }

    fn clear(&self) -> Result<(), Fault> {
        let cleared = self
            .file
            .try_clone()
            .and_then(|file| File::from(file).set_len(0));
        cleared.map_err(|error| Fault::infra(format!("{}: {error}", self.path.display())))
    }

    /// For children that change the swarm: while one of them lives, so does the lock.
    pub fn descriptor(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.file)
    }

    /// Takes the registration away, with the lock still held.
    pub fn forget(self) -> Result<(), Fault> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Fault::infra(format!("{}: {error}", self.path.display())))
            }
            _ => Ok(()),
        }
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

fn plain() -> OpenOptions {
    let flags = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags);
    options
}

fn read(mut file: &File) -> Option<Registration> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> (tempfile::TempDir, Registry) {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::at(dir.path().join("locks")).unwrap();
        (dir, registry)
    }

    fn registration(domain: &AppDomain) -> Registration {
        Registration {
            run_id: "run-1".parse().unwrap(),
            recipe: "custom-html".parse().unwrap(),
            domain: domain.clone(),
            stack: domain.stack(),
            engine: "stack".to_owned(),
            private: "sessions/run-1".into(),
            socket: "run-1.sock".into(),
            run: "runs/run-1".into(),
        }
    }

    #[test]
    fn a_live_run_is_named_and_a_dead_one_is_handed_over() {
        let (_dir, registry) = registry();
        let domain: AppDomain = "cust-123456.ci.test".parse().unwrap();
        let Lock::Ours(held, None) = registry.app(&domain).unwrap() else {
            panic!("free")
        };
        held.register(&registration(&domain)).unwrap();
        let Lock::Theirs(Some(holder)) = registry.app(&domain).unwrap() else {
            panic!("live")
        };
        assert_eq!(holder, registration(&domain));
        assert_eq!(registry.registered().unwrap(), vec![domain.clone()]);
        drop(held);
        let Lock::Ours(held, Some(dead)) = registry.app(&domain).unwrap() else {
            panic!("dead")
        };
        assert_eq!(dead, registration(&domain));
        held.forget().unwrap();
        assert!(registry.registered().unwrap().is_empty());
    }

    #[test]
    fn looking_for_a_registration_makes_none() {
        let (_dir, registry) = registry();
        let domain: AppDomain = "cust-123456.ci.test".parse().unwrap();
        assert!(registry.registered_app(&domain).unwrap().is_none());
        assert!(registry.registered().unwrap().is_empty());
        let Lock::Ours(held, None) = registry.app(&domain).unwrap() else {
            panic!("free")
        };
        let seen = registry.registered_app(&domain).unwrap();
        assert!(matches!(seen, Some(Lock::Theirs(None))));
        drop(held);
        let seen = registry.registered_app(&domain).unwrap();
        assert!(matches!(seen, Some(Lock::Ours(held, None)) if held.says_nothing()));
    }

    #[test]
    fn a_child_that_inherited_the_lock_keeps_it() {
        let (_dir, registry) = registry();
        let domain: AppDomain = "cust-123456.ci.test".parse().unwrap();
        let Lock::Ours(held, _) = registry.app(&domain).unwrap() else {
            panic!("free")
        };
        let inherited = held.descriptor();
        drop(held);
        assert!(matches!(registry.app(&domain).unwrap(), Lock::Theirs(_)));
        drop(inherited);
        assert!(matches!(registry.app(&domain).unwrap(), Lock::Ours(..)));
    }

    #[test]
    fn there_are_as_many_slots_as_the_site_says() {
        let (_dir, registry) = registry();
        let first = registry.slot(2).unwrap();
        let second = registry.slot(2).unwrap();
        assert!(first.is_ok() && second.is_ok());
        assert!(registry.slot(2).unwrap().is_err());
        drop(first);
        assert!(registry.slot(2).unwrap().is_ok());
    }

    #[test]
    fn nobody_waits_behind_a_run_that_had_the_slot_before() {
        let (_dir, registry) = registry();
        let domain: AppDomain = "cust-123456.ci.test".parse().unwrap();
        let Ok(before) = registry.slot(1).unwrap() else {
            panic!("free")
        };
        before.register(&registration(&domain)).unwrap();
        drop(before);
        let _now = registry.slot(1).unwrap();
        let Err(holders) = registry.slot(1).unwrap() else {
            panic!("taken")
        };
        assert_eq!(holders, []);
    }
}
