//! What a merged compose file says of the app: names, and the labels of Co-op Cloud.

use std::collections::BTreeSet;
use std::time::Duration;

use super::model::{Compose, MountKind};
use crate::recipe::StackName;

/// In seconds.
const DAY: u64 = 86_400;

impl Compose {
    /// The short names of all services.
    pub fn service_names(&self) -> BTreeSet<&str> {
        self.services.keys().map(String::as_str).collect()
    }

    /// The full name of a declared volume.
    pub fn volume_name(&self, key: &str, stack: &StackName) -> Option<String> {
        let volume = self.volumes.get(key)?;
        Some(match &volume.name {
            Some(name) => name.clone(),
            None if volume.external => key.to_owned(),
            None => stack.object(key),
        })
    }

    /// Keys of the stack's own volumes that a service mounts. Docker makes no others.
    pub fn mounted_volumes(&self) -> BTreeSet<&str> {
        self.services
            .values()
            .flat_map(|service| &service.mounts)
            .filter_map(|mount| match &mount.kind {
                MountKind::Volume(key) => Some(key.as_str()),
                _ => None,
            })
            .filter(|key| {
                self.volumes
                    .get(*key)
                    .is_some_and(|volume| !volume.external)
            })
            .collect()
    }

    /// How long the recipe wants to be waited for: a day at most, so that no sum of it overflows. A
    /// value that is no number counts as none.
    pub fn recipe_timeout(&self, stack: &StackName) -> Option<Duration> {
        let seconds = self.label(stack, "timeout")?.trim().parse::<u64>().ok()?;
        Some(Duration::from_secs(seconds.min(DAY)))
    }

    /// The version that the recipe says it is.
    pub fn declared_version(&self, stack: &StackName) -> Option<&str> {
        self.label(stack, "version")
    }

    /// `coop-cloud.<stack>.<name>`, looked for on the service `app` first.
    fn label(&self, stack: &StackName, name: &str) -> Option<&str> {
        let key = format!("coop-cloud.{stack}.{name}");
        let app = self.services.get("app").into_iter();
        app.chain(self.services.values())
            .find_map(|service| service.labels.get(&key))
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}
