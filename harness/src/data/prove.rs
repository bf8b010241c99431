//! Looks at markers again, and says in words what is wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Marker, MarkerKind, Seeded, by_volume, parsed};
use crate::fault::Fault;
use crate::snapshot::{Kind, MARKER_PREFIX, Volume, Volumes};

/// A marker's content is a few bytes; another file in its place may be of any size.
const READ_LIMIT: u64 = 64 * 1024;

/// How many names of files a text has.
const SHOWN_NAMES: usize = 5;

/// Looks for every marker, byte for byte. `when` completes "the file that cc-ci wrote …":
/// `before the upgrade`. `renamed` says which volume stands in the place of another now.
pub async fn prove_present(
    volumes: &Volumes,
    seeded: &Seeded,
    when: &str,
    renamed: &BTreeMap<String, String>,
) -> Result<Vec<Finding>, Fault> {
    examine(volumes, seeded, renamed, async |volume, marker| {
        let Some(expected) = marker.content() else {
            return Ok(None);
        };
        Ok(match read(volume, marker).await? {
            Some(content) if content == expected.as_bytes() => None,
            Some(_) => Some(format!(
                "the file that cc-ci wrote {when} has other content now"
            )),
            None => {
                let what = match renamed.get(&marker.volume) {
                    None => format!("the file that cc-ci wrote {when} is gone"),
                    Some(now) => format!(
                        "volume {now} is there now, and the file that cc-ci wrote {when} is not in it"
                    ),
                };
                Some(format!("{what} ({})", beside(volume, marker).await?))
            }
        })
    })
    .await
}

/// What is where the marker was, in words.
async fn beside(volume: &Volume, marker: &Marker) -> Result<String, Fault> {
    let path = parsed(&marker.path)?;
    let Some((folder, _)) = path.split() else {
        return Ok("it was the volume itself".to_owned());
    };
    if volume.kind(&folder).await? != Kind::Directory {
        return Ok("and so is its folder".to_owned());
    }
    let mut names = volume.list(&folder, SHOWN_NAMES + 3).await?;
    names.retain(|name| !name.starts_with(MARKER_PREFIX));
    if names.is_empty() {
        return Ok("nothing is there".to_owned());
    }
    let more = if names.len() > SHOWN_NAMES {
        ", …"
    } else {
        ""
    };
    names.truncate(SHOWN_NAMES);
    Ok(format!("there is: {}{more}", names.join(", ")))
}

/// Asserts that the mutation is there before the restore: else the restore would prove nothing.
pub async fn prove_mutated(volumes: &Volumes, seeded: &Seeded) -> Result<Vec<Finding>, Fault> {
    examine(volumes, seeded, &BTreeMap::new(), async |volume, marker| {
        Ok(match &marker.kind {
            MarkerKind::Changed {
                changed: Some(changed),
                ..
            } => {
                let there = read(volume, marker).await?;
                (there.as_deref() != Some(changed.as_bytes())).then(|| {
                    "the change that cc-ci made before the restore did not stay".to_owned()
                })
            }
            MarkerKind::Deleted { deleted: true, .. } => read(volume, marker).await?.map(|_| {
                "the file that cc-ci deleted before the restore came back by itself".to_owned()
            }),
            MarkerKind::Existing {
                mutated: Some(sums),
            } => (checksum(volume, marker).await?.as_ref() != Some(&sums.after)).then(|| {
                "the file that cc-ci changed before the restore was written by the app meanwhile"
                    .to_owned()
            }),
            _ => None,
        })
    })
    .await
}

/// Asserts after the restore that everything is as it was at the backup.
pub async fn prove_undone(volumes: &Volumes, seeded: &Seeded) -> Result<Vec<Finding>, Fault> {
    examine(volumes, seeded, &BTreeMap::new(), async |volume, marker| {
        Ok(match &marker.kind {
            MarkerKind::Changed { content, changed: Some(changed) } => {
                match read(volume, marker).await? {
                    Some(there) if there == content.as_bytes() => None,
                    Some(there) if there == changed.as_bytes() => Some(
                        "the restore did not undo the change that cc-ci made to a file after the backup"
                            .to_owned(),
                    ),
                    Some(_) => Some(
                        "after the restore a file has content that it did not have at the backup"
                            .to_owned(),
                    ),
                    None => Some("after the restore a file that was backed up is gone".to_owned()),
                }
            }
            MarkerKind::Deleted { content, deleted: true } => {
                match read(volume, marker).await? {
                    Some(there) if there == content.as_bytes() => None,
                    Some(_) => Some(
                        "after the restore a file has content that it did not have at the backup"
                            .to_owned(),
                    ),
                    None => Some(
                        "the restore did not bring back the file that cc-ci deleted after the backup"
                            .to_owned(),
                    ),
                }
            }
            MarkerKind::Existing { mutated: Some(sums) } => {
                match checksum(volume, marker).await? {
                    Some(sum) if sum == sums.before => None,
                    Some(sum) if sum == sums.after => Some(format!(
                        "the restore did not undo the change that cc-ci made to `{}` after the backup",
                        marker.path
                    )),
                    Some(_) => Some(format!(
                        "after the restore `{}` has content that it did not have at the backup",
                        marker.path
                    )),
                    None => Some(format!("after the restore `{}` is gone", marker.path)),
                }
            }
            _ => None,
        })
    })
    .await
}

/// Looks after a restore for what it may do or leave undone, and gives notes on it: files that were
/// added may stay, and dumps that hooks had taken away may be back.
pub async fn after_restore(volumes: &Volumes, seeded: &mut Seeded) -> Result<Vec<String>, Fault> {
    let (mut added, mut notes) = (BTreeSet::new(), Vec::new());
    for (name, markers) in by_volume(&mut seeded.markers) {
        let Some(volume) = volumes.find(&name).await? else {
            continue;
        };
        let mut done = Ok(());
        for marker in markers {
            let is_file = async || Ok(volume.kind(&parsed(&marker.path)?).await? == Kind::File);
            let there: Result<bool, Fault> = is_file().await;
            let place = marker.place();
            match (&mut marker.kind, there) {
                (_, Err(fault)) => done = done.and(Err(fault)),
                (MarkerKind::Added { added: true }, Ok(true)) => {
                    added.insert(marker.key.clone().unwrap_or_else(|| name.clone()));
                }
                (MarkerKind::TakenAway { back }, Ok(there)) => {
                    *back = there;
                    if !there {
                        notes.push(format!(
                            "{place}: `{}` is there neither after the backup nor after the restore, so that no file proves it; hooks may take it away each time, and then the recipe's own tests can prove it",
                            marker.path
                        ));
                    }
                }
                (_, Ok(_)) => {}
            }
        }
        volume.close().await?;
        done?;
    }
    if !added.is_empty() {
        let keys: Vec<String> = added.iter().map(|key| format!("`{key}`")).collect();
        notes.push(format!(
            "a file that was added after the backup is still there after the restore, which overwrites and never wipes: volume {}",
            keys.join(", ")
        ));
    }
    Ok(notes)
}

/// Asks `look` for each marker what is wrong with it.
async fn examine(
    volumes: &Volumes,
    seeded: &Seeded,
    renamed: &BTreeMap<String, String>,
    look: impl AsyncFn(&Volume, &Marker) -> Result<Option<String>, Fault>,
) -> Result<Vec<Finding>, Fault> {
    let mut findings = Vec::new();
    let mut markers = seeded.markers.clone();
    for (name, markers) in by_volume(&mut markers) {
        let name = renamed.get(&name).unwrap_or(&name);
        let finding = |marker: &Marker, what: String| Finding {
            volume: name.clone(),
            path: marker.path.clone(),
            text: format!("{}: {what}", marker.place()),
        };
        let Some(volume) = volumes.find(name).await? else {
            let what = format!("the volume {name} is gone, and its data with it");
            findings.extend(markers.first().map(|marker| finding(marker, what)));
            continue;
        };
        let mut failed = None;
        for marker in markers {
            match look(&volume, marker).await {
                Ok(what) => findings.extend(what.map(|what| finding(marker, what))),
                Err(fault) => failed = failed.or(Some(fault)),
            }
        }
        volume.close().await?;
        if let Some(fault) = failed {
            return Err(fault);
        }
    }
    Ok(findings)
}

async fn read(volume: &Volume, marker: &Marker) -> Result<Option<Vec<u8>>, Fault> {
    let path = parsed(&marker.path)?;
    match volume.kind(&path).await? {
        Kind::File => volume.read(&path, READ_LIMIT).await.map(Some),
        _ => Ok(None),
    }
}

async fn checksum(volume: &Volume, marker: &Marker) -> Result<Option<String>, Fault> {
    let path = parsed(&marker.path)?;
    match volume.kind(&path).await? {
        Kind::File => volume.checksum(&path).await.map(Some),
        _ => Ok(None),
    }
}
