//! What is known of a snapshot: its id, and what each of its archives holds.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::archive::{Digest, MARKER_PREFIX, Member, MemberKind};
use super::path::InnerPath;
use super::store::Selection;
use crate::engine::{BackedUpPath, Backup};

/// 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotId(pub(super) String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no snapshot id: 64 hexadecimal digits")]
pub struct NoSnapshotId(String);

/// The meta data of a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub id: SnapshotId,
    pub time: Timestamp,
    pub stack: String,
    /// What the caller wants to remember: version, commit.
    pub facts: BTreeMap<String, String>,
    pub volumes: Vec<ArchivedVolume>,
    /// What `tar` noticed: files that changed or vanished while they were read.
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedVolume {
    pub name: String,
    pub key: String,
    /// Name of the archive in the snapshot's directory.
    pub archive: String,
    pub archive_bytes: u64,
    /// BLAKE3 of the archive.
    pub checksum: String,
    pub paths: Vec<ArchivedPath>,
    /// Regular files, a hard-linked one counted once, without cc-ci's own markers.
    pub files: u64,
    /// Bytes of their content, holes included.
    pub bytes: u64,
    /// Marker files of cc-ci.
    pub markers: u64,
}

/// A path that was asked for, as the archive has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedPath {
    /// Empty: the whole volume.
    pub path: String,
    pub present: bool,
    pub is_file: bool,
    pub files: u64,
    pub bytes: u64,
}

impl Snapshot {
    /// Regular files without cc-ci's own markers.
    pub fn files(&self) -> u64 {
        self.volumes.iter().map(|volume| volume.files).sum()
    }

    /// Bytes of their content. 0: an empty snapshot.
    pub fn bytes(&self) -> u64 {
        self.volumes.iter().map(|volume| volume.bytes).sum()
    }

    pub fn to_backup(&self) -> Backup {
        let paths = self.volumes.iter().flat_map(|volume| {
            volume.paths.iter().map(|path| BackedUpPath {
                volume: volume.name.clone(),
                key: volume.key.clone(),
                path: path.path.clone(),
                present: path.present,
                is_file: path.is_file,
                bytes: path.bytes,
            })
        });
        Backup {
            snapshot: self.id.0.clone(),
            bytes: self.bytes(),
            files: self.files(),
            paths: paths.collect(),
        }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a snapshot has string keys only")
    }

    pub(super) fn expected_id(&self) -> SnapshotId {
        let nameless = Self {
            id: SnapshotId(String::new()),
            ..self.clone()
        };
        SnapshotId(blake3::hash(&nameless.to_json()).to_string())
    }
}

impl SnapshotId {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 8 digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..8]
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for SnapshotId {
    type Err = NoSnapshotId;

    fn from_str(text: &str) -> Result<Self, NoSnapshotId> {
        let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() == 64 && digits {
            Ok(Self(text.to_owned()))
        } else {
            Err(NoSnapshotId(text.to_owned()))
        }
    }
}

impl TryFrom<String> for SnapshotId {
    type Error = NoSnapshotId;

    fn try_from(text: String) -> Result<Self, NoSnapshotId> {
        text.parse()
    }
}

impl From<SnapshotId> for String {
    fn from(id: SnapshotId) -> Self {
        id.0
    }
}

/// Counts what an archive holds, in all and by the path that was asked for.
pub(super) struct Tally {
    paths: Vec<ArchivedPath>,
    files: u64,
    bytes: u64,
    markers: u64,
}

impl Tally {
    pub(super) fn new(paths: &[InnerPath]) -> Self {
        let paths = paths.iter().map(|path| ArchivedPath {
            path: path.as_str().to_owned(),
            present: false,
            is_file: false,
            files: 0,
            bytes: 0,
        });
        Self {
            paths: paths.collect(),
            files: 0,
            bytes: 0,
            markers: 0,
        }
    }

    pub(super) fn add(&mut self, member: &Member) {
        let name = member.path.file_name().unwrap_or_default();
        let is_marker = name
            .as_encoded_bytes()
            .starts_with(MARKER_PREFIX.as_bytes());
        let is_file = member.kind == MemberKind::File;
        let counts = is_file && !is_marker;
        self.markers += u64::from(is_file && is_marker);
        self.files += u64::from(counts);
        self.bytes += if counts { member.bytes } else { 0 };
        for path in &mut self.paths {
            if member.path.starts_with(&path.path) {
                path.present = true;
                path.is_file |= is_file && member.path == Path::new(&path.path);
                path.files += u64::from(counts);
                path.bytes += if counts { member.bytes } else { 0 };
            }
        }
    }

    pub(super) fn into_volume(
        self,
        selection: &Selection,
        archive: &Path,
        digest: Digest,
    ) -> ArchivedVolume {
        let name = archive.file_name().unwrap_or_default();
        ArchivedVolume {
            name: selection.volume.clone(),
            key: selection.key.clone(),
            archive: name.to_string_lossy().into_owned(),
            archive_bytes: digest.bytes,
            checksum: digest.checksum,
            paths: self.paths,
            files: self.files,
            bytes: self.bytes,
            markers: self.markers,
        }
    }
}
