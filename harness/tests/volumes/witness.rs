//! What must stay as it was: a folder outside the volume, down to owners, times and attributes.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What no app may ever have.
pub const SECRET: &[u8] = b"the host's secret";

/// All there is to know of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    mode: u32,
    owner: (u32, u32),
    links: u64,
    device: u64,
    is_sparse: bool,
    changed: (i64, i64),
    attributes: Vec<u8>,
    content: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// Of the status too: what was written and set back shows.
    OfStatus,
    OfContent,
}

/// A folder with a file, a private one, a folder and a link in it, and what is known of each.
pub struct Witness {
    pub folder: PathBuf,
    before: BTreeMap<PathBuf, Fact>,
}

impl Witness {
    pub fn new(folder: PathBuf) -> Self {
        std::fs::create_dir_all(folder.join("deep/er")).unwrap();
        std::fs::write(folder.join("0"), "the host's own").unwrap();
        std::fs::write(folder.join("private"), SECRET).unwrap();
        std::fs::write(folder.join("deep/er/file"), "deep").unwrap();
        std::os::unix::fs::symlink("private", folder.join("link")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(folder.join("private"), mode).unwrap();
        let before = look(&folder, Times::OfStatus);
        Self { folder, before }
    }

    /// How many files are new, gone or other than they were.
    pub fn harm(&self) -> usize {
        let now = look(&self.folder, Times::OfStatus);
        let other = self
            .before
            .iter()
            .filter(|(path, fact)| now.get(*path) != Some(fact));
        let new = now.keys().filter(|path| !self.before.contains_key(*path));
        other.count() + new.count()
    }
}

pub fn look(folder: &Path, times: Times) -> BTreeMap<PathBuf, Fact> {
    let mut facts = BTreeMap::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(path) = todo.pop() {
        let stat = std::fs::symlink_metadata(&path).unwrap();
        let kind = stat.file_type();
        let content = if kind.is_file() {
            std::fs::read(&path).unwrap()
        } else if kind.is_symlink() {
            std::fs::read_link(&path)
                .unwrap()
                .into_os_string()
                .into_encoded_bytes()
        } else {
            Vec::new()
        };
        let mut attributes = vec![0; 4096];
        let length = rustix::fs::llistxattr(&path, &mut attributes).unwrap();
        attributes.truncate(length);
        let fact = Fact {
            mode: stat.mode(),
            owner: (stat.uid(), stat.gid()),
            links: stat.nlink(),
            device: stat.rdev(),
            is_sparse: stat.blocks() * 512 < stat.len() / 2,
            changed: match times {
                Times::OfStatus => (stat.ctime(), stat.ctime_nsec()),
                Times::OfContent => (stat.mtime(), stat.mtime_nsec()),
            },
            attributes,
            content,
        };
        facts.insert(path.clone(), fact);
        if kind.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            todo.extend(entries.map(|entry| entry.unwrap().path()));
        }
    }
    facts
}
