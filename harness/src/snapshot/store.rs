//! Snapshots in a directory: `<store>/<id>/` with one tar per volume and `meta.json`.
//!
//! A snapshot is written under a temporary name and renamed as one. Its id is the hash of its meta
//! data, which hold the checksums of the archives: what was altered or cut is noticed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::archive::{self, Made};
use super::meta::{ArchivedVolume, Snapshot, SnapshotId, Tally};
use super::path::InnerPath;
use super::volume::{Volume, Volumes};
use crate::fault::Fault;

/// What to take of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Full name of the volume.
    pub volume: String,
    /// Key of the volume in the compose file.
    pub key: String,
    /// Relative to the volume's root, as labels have them; empty: all of it.
    pub paths: Vec<String>,
}

/// How a snapshot is written back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restore {
    /// Over what is there: what was added since stays.
    Overwrite,
    /// Each volume is emptied first.
    EmptyFirst,
}

/// A directory of snapshots.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

const META: &str = "meta.json";

impl Store {
    /// Opens a store; the directory is made, readable by nobody else, if it is not there.
    pub fn open(dir: &Path) -> Result<Self, Fault> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|error| at(dir, &error))?;
        Ok(Self {
            dir: dir.to_owned(),
        })
    }

    /// Takes a snapshot. A path that is not there is recorded as such; whether that, or an empty
    /// snapshot, is a failure is the caller's to say.
    pub async fn create(
        &self,
        volumes: &Volumes,
        stack: &str,
        selections: &[Selection],
        facts: BTreeMap<String, String>,
    ) -> Result<Snapshot, Fault> {
        let directory = tempfile::Builder::new()
            .prefix(".partial-")
            .tempdir_in(&self.dir)
            .map_err(|error| at(&self.dir, &error))?;
        let mut snapshot = Snapshot {
            id: SnapshotId(String::new()),
            time: Timestamp::now(),
            stack: stack.to_owned(),
            facts,
            volumes: Vec::new(),
            warnings: Vec::new(),
        };
        for (number, selection) in selections.iter().enumerate() {
            let volume = volumes.open(&selection.volume).await?;
            let archive = directory.path().join(format!("{number}.tar"));
            let taken = take(&volume, selection, &archive).await;
            volume.close().await?;
            let (taken, warnings) = taken?;
            snapshot.volumes.push(taken);
            snapshot.warnings.extend(
                warnings
                    .into_iter()
                    .map(|line| format!("volume {}: {line}", selection.volume)),
            );
        }
        snapshot.id = snapshot.expected_id();
        let meta = directory.path().join(META);
        std::fs::write(&meta, snapshot.to_json()).map_err(|error| at(&meta, &error))?;
        let home = self.home(&snapshot.id);
        std::fs::rename(directory.path(), &home).map_err(|error| at(&home, &error))?;
        // Its name is gone with the rename: nothing is left to remove.
        let _renamed = directory.keep();
        Ok(snapshot)
    }

    pub fn load(&self, id: &SnapshotId) -> Result<Snapshot, Fault> {
        let path = self.home(id).join(META);
        let text = std::fs::read(&path)
            .map_err(|error| Fault::infra(format!("snapshot {}: {error}", id.short())))?;
        let snapshot: Snapshot =
            serde_json::from_slice(&text).map_err(|error| at(&path, &error))?;
        if snapshot.id != *id || snapshot.expected_id() != *id {
            return Err(damaged(id, "its meta data were altered"));
        }
        Ok(snapshot)
    }

    /// Writes volumes back, after the checksums of all of them were verified. Volumes that are not
    /// in the snapshot are left alone.
    pub async fn restore(
        &self,
        volumes: &Volumes,
        id: &SnapshotId,
        how: Restore,
    ) -> Result<Snapshot, Fault> {
        let snapshot = self.load(id)?;
        self.verify(&snapshot).await?;
        for archived in &snapshot.volumes {
            let volume = volumes.open(&archived.name).await?;
            let archive = self.home(id).join(&archived.archive);
            let put = put_back(&volume, archived, &archive, how).await;
            volume.close().await?;
            put?;
        }
        Ok(snapshot)
    }

    /// Removes a snapshot; one that is not there is none to remove.
    pub fn remove(&self, id: &SnapshotId) -> Result<(), Fault> {
        let home = self.home(id);
        match std::fs::remove_dir_all(&home) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(&home, &error)),
            _ => Ok(()),
        }
    }

    /// The ids of all snapshots, sorted.
    pub fn ids(&self) -> Result<Vec<SnapshotId>, Fault> {
        let mut ids = Vec::new();
        for entry in std::fs::read_dir(&self.dir).map_err(|error| at(&self.dir, &error))? {
            let entry = entry.map_err(|error| at(&self.dir, &error))?;
            ids.extend(
                entry
                    .file_name()
                    .to_str()
                    .and_then(|name| name.parse().ok()),
            );
        }
        ids.sort_unstable();
        Ok(ids)
    }

    async fn verify(&self, snapshot: &Snapshot) -> Result<(), Fault> {
        for archived in &snapshot.volumes {
            let archive = self.home(&snapshot.id).join(&archived.archive);
            let digest = blocking(move || archive::digest(&archive))
                .await?
                .map_err(|error| damaged(&snapshot.id, error))?;
            if digest.checksum != archived.checksum || digest.bytes != archived.archive_bytes {
                let what = format!("the archive of volume {} was altered", archived.name);
                return Err(damaged(&snapshot.id, what));
            }
        }
        Ok(())
    }

    fn home(&self, id: &SnapshotId) -> PathBuf {
        self.dir.join(&id.0)
    }
}

async fn take(
    volume: &Volume,
    selection: &Selection,
    archive: &Path,
) -> Result<(ArchivedVolume, Vec<String>), Fault> {
    let paths = parse(volume, &selection.paths).await?;
    let mut members = Vec::new();
    for path in &paths {
        if path.is_root() || volume.is_there(path).await? {
            members.push(path.as_path().display().to_string());
        }
    }
    let file = std::fs::File::create_new(archive).map_err(|error| at(archive, &error))?;
    let (end, ended) = std::sync::mpsc::channel();
    let scanned = {
        let (archive, mut tally) = (archive.to_owned(), Tally::new(&paths));
        blocking(move || {
            let digest = archive::scan(&archive, ended, |member| tally.add(&member))?;
            Ok::<_, std::io::Error>((digest, tally))
        })
    };
    let (made, scanned) = tokio::join!(
        async {
            let made = volume.pack(&members, file).await;
            drop(end);
            made
        },
        scanned
    );
    let (code, said) = made?;
    let warnings = match archive::judge(code, &said) {
        Made::WithWarnings(lines) => lines,
        Made::Failed(why) => {
            return Err(Fault::infra(format!(
                "snapshot of volume {}: {why}",
                volume.name()
            )));
        }
    };
    let (digest, tally) = scanned?.map_err(|error| at(archive, &error))?;
    Ok((tally.into_volume(selection, archive, digest), warnings))
}

async fn put_back(
    volume: &Volume,
    archived: &ArchivedVolume,
    archive: &Path,
    how: Restore,
) -> Result<(), Fault> {
    let paths: Vec<String> = archived
        .paths
        .iter()
        .map(|path| path.path.clone())
        .collect();
    if how == Restore::EmptyFirst {
        volume.empty().await?;
    }
    parse(volume, &paths).await?;
    let file = std::fs::File::open(archive).map_err(|error| at(archive, &error))?;
    let (code, said) = volume.unpack(file).await?;
    if code == 0 {
        Ok(())
    } else {
        let said = said.trim().replace('\n', "; ");
        Err(Fault::infra(format!(
            "restore of volume {}: `tar` ended with {code}: {said}",
            volume.name()
        )))
    }
}

/// Parses paths. One with a symbolic link on its way is refused: `tar` would follow it.
async fn parse(volume: &Volume, texts: &[String]) -> Result<Vec<InnerPath>, Fault> {
    let mut paths = Vec::new();
    for text in texts {
        let path: InnerPath = text.parse().map_err(|error| {
            Fault::recipe(format!("a path of volume {}: {error}", volume.name()))
        })?;
        if let Some((parent, _)) = path.split()
            && volume.is_reached_by_links(&parent).await?
        {
            return Err(Fault::recipe(format!(
                "volume {}: a symbolic link stands on the way to `{path}`; name the place itself",
                volume.name()
            )));
        }
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    if paths.is_empty() || paths.contains(&InnerPath::root()) {
        paths = vec![InnerPath::root()];
    }
    Ok(paths)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Fault::infra(format!("a worker thread: {error}")))
}

fn at(path: &Path, error: &dyn fmt::Display) -> Fault {
    Fault::infra(format!("{}: {error}", path.display()))
}

fn damaged(id: &SnapshotId, what: impl fmt::Display) -> Fault {
    Fault::infra(format!("snapshot {} is damaged: {what}", id.short()))
}
