//! What the backup labels of a recipe ask for, in the form that backup-bot-two reads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::error::ComposeError;
use super::model::{Compose, MountKind, Service};
use crate::recipe::StackName;

const PREFIX: &str = "backupbot.";

/// What a backup of the stack takes, and which commands run around it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BackupPlan {
    pub hooks: Vec<ServiceHooks>,
    pub volumes: Vec<VolumeBackup>,
    /// Labels that no tool reads, or that say less than it seems.
    pub notes: Vec<String>,
}

/// The hooks of one service; each runs in the running container of that service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceHooks {
    pub service: String,
    pub before_backup: Option<String>,
    pub after_backup: Option<String>,
    pub before_restore: Option<String>,
    pub after_restore: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeBackup {
    /// Key in the compose file.
    pub key: String,
    /// Full name in the swarm.
    pub name: String,
    /// Relative to the volume's root; empty: the whole volume.
    pub paths: Vec<String>,
}

impl Compose {
    /// Whether a service turns backup on.
    pub fn backup_capable(&self) -> bool {
        self.services
            .values()
            .any(|service| switch(&service.labels) == Some(true))
    }

    /// What the labels ask for; none where no service turns backup on. Turned on by one service,
    /// backup takes all volumes that the stack mounts, but for those that a label leaves out; the
    /// labels of a service that says `false` don't count.
    pub fn backup_plan(&self, stack: &StackName) -> Result<Option<BackupPlan>, ComposeError> {
        if !self.backup_capable() {
            return Ok(None);
        }
        let mut plan = BackupPlan::default();
        let mounted = self.mounted_volumes();
        let mut left_out = BTreeSet::new();
        let mut paths = BTreeMap::<&str, Vec<String>>::new();
        for (name, service) in &self.services {
            let mut hooks = ServiceHooks {
                service: name.clone(),
                ..ServiceHooks::default()
            };
            let off = switch(&service.labels) == Some(false);
            for (label, value) in &service.labels {
                let Some(what) = label.strip_prefix(PREFIX).filter(|what| *what != "backup") else {
                    continue;
                };
                if off {
                    plan.notes.push(format!(
                        "service `{name}`: `{label}` doesn't count, as `backupbot.backup` is false there"
                    ));
                    continue;
                }
                let hook = match what {
                    "backup.pre-hook" => &mut hooks.before_backup,
                    "backup.post-hook" => &mut hooks.after_backup,
                    "restore.pre-hook" => &mut hooks.before_restore,
                    "restore.post-hook" => &mut hooks.after_restore,
                    _ => {
                        match volume_label(what) {
                            Some((key, _)) if !mounted.contains(key) => {
                                plan.notes.push(format!(
                                    "service `{name}`: `{label}` names no volume that the stack mounts"
                                ));
                            }
                            Some((key, None)) if is_false(value) => {
                                left_out.insert(key);
                            }
                            Some((_, None)) => {}
                            Some((key, Some("path"))) => {
                                let these =
                                    paths_of(value).map_err(|path| ComposeError::BackupPath {
                                        service: name.clone(),
                                        label: label.clone(),
                                        path,
                                    })?;
                                paths.entry(key).or_default().extend(these);
                            }
                            None if what == "backup.path" => {
                                return Err(ComposeError::FirstFormOfLabels {
                                    service: name.clone(),
                                    instead: in_place_of(value, service),
                                });
                            }
                            _ => plan
                                .notes
                                .push(format!("service `{name}`: no tool reads `{label}`")),
                        }
                        continue;
                    }
                };
                *hook = Some(value.clone()).filter(|command| !command.trim().is_empty());
            }
            let none = ServiceHooks {
                service: name.clone(),
                ..ServiceHooks::default()
            };
            if hooks != none {
                plan.hooks.push(hooks);
            }
        }
        plan.volumes = mounted
            .into_iter()
            .filter(|key| !left_out.contains(key))
            .filter_map(|key| {
                let mut paths = paths.remove(key).unwrap_or_default();
                if paths.iter().any(String::is_empty) {
                    paths.clear();
                }
                Some(VolumeBackup {
                    key: key.to_owned(),
                    name: self.volume_name(key, stack)?,
                    paths,
                })
            })
            .collect();
        Ok(Some(plan))
    }
}

/// What to write in place of a label of the first form, which has paths of the container.
fn in_place_of(paths: &str, service: &Service) -> String {
    let paths = paths.split(',').map(str::trim);
    let labels: Vec<String> = paths
        .filter(|path| !path.is_empty())
        .map(|path| {
            // The innermost mount has the path.
            let mounts = service.mounts.iter().filter_map(|mount| {
                let MountKind::Volume(key) = &mount.kind else {
                    return None;
                };
                let inner = Path::new(path).strip_prefix(&mount.target).ok()?;
                Some((mount.target.len(), key, inner))
            });
            match mounts.max_by_key(|(length, ..)| *length) {
                None => format!("`{path}` is in no volume that the service mounts: have it in one"),
                Some((_, key, inner)) if inner.as_os_str().is_empty() => {
                    format!("leave it out for `{path}`: volume `{key}` is taken as a whole")
                }
                Some((_, key, inner)) => format!(
                    "write `backupbot.backup.volumes.{key}.path={}` for `{path}`",
                    inner.display()
                ),
            }
        })
        .collect();
    labels.join("; ")
}

/// `backup.volumes.<volume>[.<rest>]`.
fn volume_label(what: &str) -> Option<(&str, Option<&str>)> {
    let name = what.strip_prefix("backup.volumes.")?;
    Some(match name.split_once('.') {
        Some((key, rest)) => (key, Some(rest)),
        None => (name, None),
    })
}

/// The paths of a label, or the first one that leaves the volume.
fn paths_of(value: &str) -> Result<Vec<String>, String> {
    let mut paths = Vec::new();
    for path in value
        .split(',')
        .map(str::trim)
        .filter(|path| !path.is_empty())
    {
        if path.split('/').any(|part| part == "..") {
            return Err(path.to_owned());
        }
        let path = path.trim_start_matches("./").trim_matches('/');
        paths.push(path.to_owned());
    }
    Ok(paths)
}

fn switch(labels: &BTreeMap<String, String>) -> Option<bool> {
    labels.get("backupbot.backup").map(|value| {
        matches!(
            value.trim().to_ascii_lowercase().as_str(),
            "true" | "1" | "yes" | "on"
        )
    })
}

fn is_false(value: &str) -> bool {
    matches!(
        value.trim().to_ascii_lowercase().as_str(),
        "false" | "0" | "no" | "off"
    )
}
