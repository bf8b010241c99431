//! Whether what runs is what a commit's compose files ask for.
//!
//! A label is only what an engine wrote itself, so it proves nothing: image, environment, command,
//! mounts and configs are compared, service by service. What Docker and the engines add is let
//! pass: labels, `endpoint_mode`, port modes, a digest on an image, an image given by id, and the
//! app's environment on the service `app`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::live::{LiveService, sha256};
use crate::recipe::compose::{Mount, MountKind, Object, Service};
use crate::recipe::{Compose, StackName};

/// Set by an engine whose overlay is one of the selected files.
const SELECTION: &str = "COMPOSE_FILE";

/// What should run.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    pub stack: &'a StackName,
    pub compose: &'a Compose,
    /// The recipe's folder, for the content of configs.
    pub tree: &'a Path,
    /// Ids of images that were built here, by name.
    pub local_images: &'a BTreeMap<String, String>,
    /// What the compose files are filled in with: an engine may add it to the environment of the
    /// service `app`.
    pub variables: &'a BTreeMap<String, String>,
}

/// A line for every difference; none: the commit is live.
pub fn differences(expected: &Expected<'_>, live: &[LiveService]) -> Vec<String> {
    let mut found = Vec::new();
    let wanted = expected.compose.services.keys().collect::<BTreeSet<_>>();
    let there = live.iter().map(|live| &live.name).collect::<BTreeSet<_>>();
    for name in wanted.difference(&there) {
        found.push(format!("{name}: no such service runs"));
    }
    for name in there.difference(&wanted) {
        found.push(format!("{name}: the compose files have no such service"));
    }
    for live in live {
        if let Some(service) = expected.compose.services.get(&live.name) {
            expected.compare(service, live, &mut found);
        }
    }
    found
}

impl Expected<'_> {
    fn compare(&self, service: &Service, live: &LiveService, found: &mut Vec<String>) {
        let name = &live.name;
        let mut differs = |what: &str, expected: String, got: String| {
            found.push(format!("{name}: {what} is {got}, expected {expected}"));
        };
        if !self.is_image(&service.image, &live.image) {
            differs("image", service.image.clone(), live.image.clone());
        }
        for (what, expected, got) in [
            ("command", &service.command, &live.command),
            ("entrypoint", &service.entrypoint, &live.entrypoint),
        ] {
            if expected != got {
                differs(what, format!("{expected:?}"), format!("{got:?}"));
            }
        }
        let expected = self.mounts(service);
        let got = live
            .mounts
            .iter()
            .filter(|mount| {
                !service
                    .tmpfs
                    .iter()
                    .any(|path| same_path(path, &mount.target))
            })
            .map(|mount| {
                let source = mount.source.as_deref().unwrap_or_default();
                describe(&mount.kind, source, &mount.target, mount.read_only)
            })
            .collect::<BTreeSet<_>>();
        if !same_mounts(&expected, &got) {
            differs(
                "the set of mounts",
                format!("{expected:?}"),
                format!("{got:?}"),
            );
        }
        let expected = self.full_names(&self.compose.secrets, &service.secrets);
        let got = live.secrets.iter().cloned().collect::<BTreeSet<_>>();
        if expected != got {
            differs(
                "the set of secrets",
                format!("{expected:?}"),
                format!("{got:?}"),
            );
        }
        self.compare_env(service, live, found);
        self.compare_configs(service, live, found);
    }

    fn is_image(&self, expected: &str, live: &str) -> bool {
        if self.local_images.get(expected).is_some_and(|id| id == live) {
            return true;
        }
        let without_digest = live.split_once("@sha256:").map_or(live, |(name, _)| name);
        full_image(expected) == full_image(live)
            || full_image(expected) == full_image(without_digest)
    }

    /// Values are not shown: some are secrets.
    fn compare_env(&self, service: &Service, live: &LiveService, found: &mut Vec<String>) {
        let name = &live.name;
        for (key, value) in &service.environment {
            let got = live.env.get(key);
            match (value, got) {
                (Some(value), Some(Some(got))) if value == got => {}
                (None, None | Some(None)) => {}
                (_, None) => found.push(format!("{name}: environment lacks {key}")),
                _ => found.push(format!("{name}: environment has another value of {key}")),
            }
        }
        for key in live.env.keys() {
            let known = self.variables.contains_key(key) || key == SELECTION;
            let added = name == "app" && known;
            if !added && !service.environment.contains_key(key) {
                found.push(format!(
                    "{name}: environment has {key}, which is not asked for"
                ));
            }
        }
    }

    fn compare_configs(&self, service: &Service, live: &LiveService, found: &mut Vec<String>) {
        let name = &live.name;
        let expected = self.full_names(&self.compose.configs, &service.configs);
        let got = live
            .configs
            .iter()
            .map(|config| config.name.clone())
            .collect::<BTreeSet<_>>();
        if expected != got {
            found.push(format!(
                "{name}: the set of configs is {got:?}, expected {expected:?}"
            ));
        }
        for (key, object) in &self.compose.configs {
            let full = self.full_name(key, object);
            let Some(live) = live.configs.iter().find(|config| config.name == full) else {
                continue;
            };
            let Some(file) = object.file.as_ref().filter(|_| !object.external) else {
                continue;
            };
            match std::fs::read(self.tree.join(file)) {
                Ok(data) if live.sha256.as_deref() == Some(sha256(&data).as_str()) => {}
                Ok(_) => found.push(format!(
                    "{name}: config {full} has not the content of {file}"
                )),
                Err(error) => found.push(format!("{name}: config {full}: reading {file}: {error}")),
            }
        }
    }

    fn full_names(
        &self,
        objects: &BTreeMap<String, Object>,
        grants: &[crate::recipe::compose::Grant],
    ) -> BTreeSet<String> {
        grants
            .iter()
            .map(|grant| match objects.get(&grant.source) {
                Some(object) => self.full_name(&grant.source, object),
                None => self.stack.object(&grant.source),
            })
            .collect()
    }

    fn full_name(&self, key: &str, object: &Object) -> String {
        match &object.name {
            Some(name) => name.clone(),
            // Docker takes an external object by its key where it has no name.
            None if object.external => key.to_owned(),
            None => self.stack.object(key),
        }
    }

    fn mounts(&self, service: &Service) -> BTreeSet<String> {
        service
            .mounts
            .iter()
            .filter(|mount| {
                mount.kind != MountKind::Tmpfs
                    || !service
                        .tmpfs
                        .iter()
                        .any(|path| same_path(path, &mount.target))
            })
            .map(|mount| self.mount(mount))
            .collect()
    }

    fn mount(&self, mount: &Mount) -> String {
        let (kind, source) = match &mount.kind {
            MountKind::Volume(key) => ("volume", self.volume(key)),
            MountKind::Anonymous => ("volume", String::new()),
            MountKind::Bind(path) => ("bind", path.clone()),
            MountKind::Tmpfs => ("tmpfs", String::new()),
        };
        describe(kind, &source, &mount.target, mount.read_only)
    }

    fn volume(&self, key: &str) -> String {
        let volume = self.compose.volumes.get(key);
        match volume.and_then(|volume| volume.name.clone()) {
            Some(name) => name,
            None if volume.is_some_and(|volume| volume.external) => key.to_owned(),
            None => self.stack.object(key),
        }
    }
}

fn describe(kind: &str, source: &str, target: &str, read_only: bool) -> String {
    let source = match (kind, source) {
        // Docker makes a relative path absolute, from a folder that only the engine knows.
        ("bind", path) if !path.starts_with('/') => "./…",
        ("volume", "") => "anonymous",
        (_, source) => source,
    };
    let mode = if read_only { ":ro" } else { "" };
    format!("{kind} {source}:{}{mode}", target.trim_end_matches('/'))
}

/// Equal, but for the folder of a relative bind.
fn same_mounts(expected: &BTreeSet<String>, got: &BTreeSet<String>) -> bool {
    expected.len() == got.len()
        && expected.iter().all(|wanted| {
            got.contains(wanted)
                || wanted.strip_prefix("bind ./…").is_some_and(|tail| {
                    got.iter()
                        .any(|other| other.starts_with("bind ") && other.ends_with(tail))
                })
        })
}

/// A tmpfs may carry options after a colon.
fn same_path(tmpfs: &str, target: &str) -> bool {
    let path = tmpfs.split(':').next().unwrap_or_default();
    path.trim_end_matches('/') == target.trim_end_matches('/')
}

/// With registry, namespace and tag, as Docker fills them in.
fn full_image(name: &str) -> String {
    let (first, rest) = name.split_once('/').unwrap_or(("", name));
    let has_registry = first.contains(['.', ':']) || first == "localhost";
    let mut full = if has_registry {
        name.to_owned()
    } else if rest == name {
        format!("docker.io/library/{name}")
    } else {
        format!("docker.io/{name}")
    };
    if first == "index.docker.io" {
        full = format!("docker.io/{rest}");
    }
    if let Some(official) = full.strip_prefix("docker.io/")
        && !official.contains('/')
    {
        full = format!("docker.io/library/{official}");
    }
    let last = full.rsplit('/').next().unwrap_or_default();
    if !last.contains(':') && !last.contains('@') {
        full.push_str(":latest");
    }
    full
}

#[cfg(test)]
#[path = "differences_tests.rs"]
mod tests;
