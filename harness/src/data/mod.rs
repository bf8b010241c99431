//! Markers: files that cc-ci writes into an app's volumes, to see whether an upgrade keeps them and
//! whether a restore brings them back.
//!
//! The pattern: [`seed`], back up, [`mutate`], [`prove_mutated`], restore, [`prove_undone`],
//! [`clean`]; for an upgrade [`seed`] and [`prove_present`]. Nothing is proved by an empty
//! [`Seeded`]: ask [`Seeded::proves_restore`] and say so.
//!
//! Markers go only into local, writable volumes that a running task mounts: in another one they
//! would stop Docker's copy of the image's files; a note says which are left out. A labelled path
//! that is a file holds no marker: the file itself is changed. A file that is added after the
//! backup may stay: a restore overwrites and never wipes.
//!
//! What an upgrade did to the places of volumes is [`moves`].
//!
//! This room must not know: engines, tiers, verdicts.

mod moves;
mod prove;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::snapshot::{InnerPath, Kind, MARKER_PREFIX, Selection, Volume, Volumes};
use crate::swarm::MountedVolume;

pub use moves::{Moves, moves};
pub use prove::{after_restore, prove_mutated, prove_present, prove_undone};

/// What was written where.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seeded {
    pub markers: Vec<Marker>,
    /// Where nothing could be written, and why: worth a note, without a bearing on a verdict.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Full name of the volume.
    pub volume: String,
    pub key: Option<String>,
    pub service: String,
    pub target: String,
    /// Relative to the volume's root.
    pub path: String,
    pub kind: MarkerKind,
    /// Whether the backup covers it.
    pub covered: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MarkerKind {
    /// A file of ours; `changed` is its other content once it was mutated.
    Changed {
        content: String,
        changed: Option<String>,
    },
    /// A file of ours that the mutation deletes.
    Deleted { content: String, deleted: bool },
    /// A file of ours that the mutation adds where there was none.
    Added { added: bool },
    /// A labelled path that is, or may become, a file of the app: its checksums before and after
    /// the mutation, where it was mutated.
    Existing { mutated: Option<Checksums> },
    /// A labelled path where nothing was when the mutation came, as where a hook behind the backup
    /// takes the dump away; `back`: it was a file after the restore.
    TakenAway { back: bool },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksums {
    pub before: String,
    pub after: String,
}

/// What was found and should not be, in words for the recipe's maintainer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub volume: String,
    pub path: String,
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl Seeded {
    /// Whether any marker tells if data survive.
    pub fn proves_presence(&self) -> bool {
        self.markers.iter().any(|marker| marker.content().is_some())
    }

    /// Whether anything was mutated that a restore has to undo.
    pub fn proves_restore(&self) -> bool {
        self.markers.iter().any(Marker::is_mutated)
    }
}

/// Writes two marker files into every volume, or into every labelled directory of those that
/// `covered` names by paths.
pub async fn seed(
    volumes: &Volumes,
    mounts: &[MountedVolume],
    covered: &[Selection],
) -> Result<Seeded, Fault> {
    let mut seeded = Seeded::default();
    let mut by_volume = BTreeMap::<&str, Vec<&MountedVolume>>::new();
    for mount in mounts {
        by_volume.entry(&mount.volume).or_default().push(mount);
    }
    for mounts in by_volume.into_values() {
        let usable = |mount: &&&MountedVolume| !mount.read_only && mount.driver == "local";
        let Some(mount) = mounts.iter().find(usable) else {
            seeded
                .notes
                .extend(mounts.first().map(|mount| not_written(mount)));
            continue;
        };
        let volume = volumes.open(&mount.volume).await?;
        let done = seed_volume(&volume, mount, covered, &mut seeded).await;
        volume.close().await?;
        done?;
    }
    Ok(seeded)
}

fn not_written(mount: &MountedVolume) -> String {
    let why = if mount.read_only {
        "it is mounted read-only".to_owned()
    } else {
        format!("its driver is `{}`", mount.driver)
    };
    let MountedVolume {
        volume,
        key,
        service,
        target,
        ..
    } = mount;
    let volume = key.as_ref().unwrap_or(volume);
    format!(
        "volume `{volume}` at {target} (service {service}): {why}, so cc-ci writes nothing there, and nothing proves that it keeps its content"
    )
}

/// Changes and deletes what the backup covers, so that a restore which does nothing is seen.
pub async fn mutate(volumes: &Volumes, seeded: &mut Seeded) -> Result<(), Fault> {
    for (name, markers) in by_volume(&mut seeded.markers) {
        let volume = volumes.open(&name).await?;
        let done = mutate_volume(&volume, markers, &mut seeded.notes).await;
        volume.close().await?;
        done?;
    }
    Ok(())
}

/// Removes our own files; those that are gone, with their volume or without, are no fault.
pub async fn clean(volumes: &Volumes, seeded: &Seeded) -> Result<(), Fault> {
    let mut markers = seeded.markers.clone();
    for (name, markers) in by_volume(&mut markers) {
        let Some(volume) = volumes.find(&name).await? else {
            continue;
        };
        let mut done = Ok(());
        for marker in markers.iter().filter(|marker| marker.is_ours()) {
            done = done.and(volume.remove(&parsed(&marker.path)?).await.map(drop));
        }
        volume.close().await?;
        done?;
    }
    Ok(())
}

impl Marker {
    /// What the file of ours had in it; none for a file of the app.
    fn content(&self) -> Option<&str> {
        match &self.kind {
            MarkerKind::Changed { content, .. } | MarkerKind::Deleted { content, .. } => {
                Some(content)
            }
            MarkerKind::Added { .. }
            | MarkerKind::Existing { .. }
            | MarkerKind::TakenAway { .. } => None,
        }
    }

    fn is_ours(&self) -> bool {
        !matches!(
            self.kind,
            MarkerKind::Existing { .. } | MarkerKind::TakenAway { .. }
        )
    }

    /// In a way that a restore has to undo.
    fn is_mutated(&self) -> bool {
        match &self.kind {
            MarkerKind::Added { .. } => false,
            MarkerKind::TakenAway { back } => *back,
            MarkerKind::Changed { changed, .. } => changed.is_some(),
            MarkerKind::Deleted { deleted, .. } => *deleted,
            MarkerKind::Existing { mutated } => mutated.is_some(),
        }
    }

    fn place(&self) -> String {
        let volume = self.key.as_deref().unwrap_or(&self.volume);
        let Self {
            service, target, ..
        } = self;
        let folder = self.path.rsplit_once('/').filter(|_| self.is_ours());
        let folder = folder.map(|(folder, _)| format!(", in `{folder}`"));
        let folder = folder.unwrap_or_default();
        format!("volume `{volume}` at {target} (service {service}){folder}")
    }
}

async fn seed_volume(
    volume: &Volume,
    mount: &MountedVolume,
    covered: &[Selection],
    seeded: &mut Seeded,
) -> Result<(), Fault> {
    let marker = |path: String, kind, covered| Marker {
        volume: mount.volume.clone(),
        key: mount.key.clone(),
        service: mount.service.clone(),
        target: mount.target.clone(),
        path,
        kind,
        covered,
    };
    let selection = covered.iter().find(|one| one.volume == mount.volume);
    let mut paths: Vec<&str> = selection
        .iter()
        .flat_map(|selection| selection.paths.iter().map(String::as_str))
        .collect();
    if paths.is_empty() {
        paths.push("");
    }
    for path in paths {
        let path =
            parsed(path).map_err(|fault| fault.context(format_args!("volume {}", mount.volume)))?;
        match volume.kind(&path).await? {
            Kind::Directory => {
                let random = format!("{:016x}", rand::random::<u64>());
                for (end, kind) in [
                    ("a", MarkerKind::Changed { content: content(), changed: None }),
                    ("b", MarkerKind::Deleted { content: content(), deleted: false }),
                    ("c", MarkerKind::Added { added: false }),
                ] {
                    let name = format!("{MARKER_PREFIX}{random}-{end}");
                    let place = path.join(&name).map_err(|error| Fault::recipe(error.to_string()))?;
                    let marker = marker(place.as_str().to_owned(), kind, selection.is_some());
                    if let Some(content) = marker.content() {
                        volume.write(&place, content.as_bytes()).await?;
                    }
                    seeded.markers.push(marker);
                }
            }
            // A dump that the hook before the backup makes is not there yet: looked at again by
            // the mutation.
            Kind::File | Kind::Missing => seeded.markers.push(marker(
                path.as_str().to_owned(),
                MarkerKind::Existing { mutated: None },
                selection.is_some(),
            )),
            Kind::Other => seeded.notes.push(format!(
                "volume {}: `{path}` is neither a file nor a directory, so that nothing proves its restore",
                mount.volume
            )),
        }
    }
    Ok(())
}

async fn mutate_volume(
    volume: &Volume,
    markers: Vec<&mut Marker>,
    notes: &mut Vec<String>,
) -> Result<(), Fault> {
    for marker in markers.into_iter().filter(|marker| marker.covered) {
        let path = parsed(&marker.path)?;
        let place = marker.place();
        match &mut marker.kind {
            MarkerKind::Changed { changed, .. } => {
                let other = content();
                volume.write(&path, other.as_bytes()).await?;
                *changed = Some(other);
            }
            MarkerKind::Deleted { deleted, .. } => {
                volume.remove(&path).await?;
                *deleted = true;
            }
            MarkerKind::Added { added } => {
                volume.write(&path, content().as_bytes()).await?;
                *added = true;
            }
            MarkerKind::Existing { mutated } => match volume.kind(&path).await? {
                Kind::File => {
                    let before = volume.checksum(&path).await?;
                    volume.append(&path, content().as_bytes()).await?;
                    let after = volume.checksum(&path).await?;
                    *mutated = Some(Checksums { before, after });
                }
                Kind::Missing => marker.kind = MarkerKind::TakenAway { back: false },
                Kind::Directory | Kind::Other => notes.push(format!(
                    "{place}: `{path}` is no file after the backup, so that nothing proves its restore"
                )),
            },
            MarkerKind::TakenAway { .. } => {}
        }
    }
    Ok(())
}

fn by_volume(markers: &mut [Marker]) -> BTreeMap<String, Vec<&mut Marker>> {
    let mut volumes = BTreeMap::<_, Vec<_>>::new();
    for marker in markers {
        volumes
            .entry(marker.volume.clone())
            .or_default()
            .push(marker);
    }
    volumes
}

fn parsed(path: &str) -> Result<InnerPath, Fault> {
    path.parse()
        .map_err(|error: crate::snapshot::InnerPathError| Fault::recipe(error.to_string()))
}

fn content() -> String {
    format!("cc-ci {:032x}\n", rand::random::<u128>())
}

#[cfg(test)]
mod tests;
