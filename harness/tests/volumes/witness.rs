//! What must stay as it was: a folder outside the volume, down to owners, times and attributes.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// All there is to know of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    mode: u32,
    owner: (u32, u32),
    links: u64,
    changed: (i64, i64),
    attributes: Vec<u8>,
    content: Vec<u8>,
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
        std::fs::write(folder.join("private"), "the host's secret").unwrap();
        std::fs::write(folder.join("deep/er/file"), "deep").unwrap();
        std::os::unix::fs::symlink("private", folder.join("link")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(folder.join("private"), mode).unwrap();
        let before = look(&folder);
        Self { folder, before }
    }

    /// How many files are new, gone or other than they were.
    pub fn harm(&self) -> usize {
        let now = look(&self.folder);
        let other = self
            .before
            .iter()
            .filter(|(path, fact)| now.get(*path) != Some(fact));
        let new = now.keys().filter(|path| !self.before.contains_key(*path));
        other.count() + new.count()
    }
}

fn look(folder: &Path) -> BTreeMap<PathBuf, Fact> {
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
            assert!(kind.is_dir() || kind.is_fifo(), "{}", path.display());
            Vec::new()
        };
        let mut attributes = vec![0; 4096];
        let length = rustix::fs::llistxattr(&path, &mut attributes).unwrap();
        attributes.truncate(length);
        let fact = Fact {
            mode: stat.mode(),
            owner: (stat.uid(), stat.gid()),
            links: stat.nlink(),
            // Of the status too: what was written and set back shows.
            changed: (stat.ctime(), stat.ctime_nsec()),
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
