//! Backups of the stack engine: snapshots of volumes in a folder of the session.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;

use super::Data;
use crate::engine::Backup;
use crate::fault::Fault;
use crate::recipe::StackName;
use crate::recipe::compose::VolumeBackup;
use crate::snapshot::{Restore, Selection, SnapshotId, Store, Volumes};

/// A store of snapshots, and access to the volumes that they are of.
pub struct Snapshots {
    store: Store,
    volumes: Volumes,
}

impl Snapshots {
    pub fn open(dir: &Path, volumes: Volumes) -> Result<Self, Fault> {
        Ok(Self {
            store: Store::open(dir)?,
            volumes,
        })
    }
}

#[async_trait]
impl Data for Snapshots {
    async fn save(&self, stack: &StackName, volumes: &[VolumeBackup]) -> Result<Backup, Fault> {
        let selections: Vec<Selection> = volumes.iter().map(Selection::from).collect();
        let snapshot = self
            .store
            .create(&self.volumes, stack.as_str(), &selections, BTreeMap::new())
            .await?;
        Ok(snapshot.to_backup())
    }

    async fn load(&self, stack: &StackName, snapshot: &str) -> Result<(), Fault> {
        let id: SnapshotId = snapshot
            .parse()
            .map_err(|error| Fault::infra(format!("{error}")))?;
        let of = self.store.load(&id)?.stack;
        if of != stack.as_str() {
            let id = id.short();
            return Err(Fault::infra(format!(
                "snapshot {id} is of {of}, and not of {stack}"
            )));
        }
        self.store
            .restore(&self.volumes, &id, Restore::Overwrite)
            .await?;
        Ok(())
    }

    async fn forget(&self, _: &StackName) -> Result<(), Fault> {
        self.store
            .ids()?
            .iter()
            .try_for_each(|id| self.store.remove(id))
    }
}

impl From<&VolumeBackup> for Selection {
    fn from(volume: &VolumeBackup) -> Self {
        Self {
            volume: volume.name.clone(),
            key: volume.key.clone(),
            paths: volume.paths.clone(),
        }
    }
}
