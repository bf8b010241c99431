//! Several compose files as one, by the rules of Docker's stack loader as they were observed:
//! maps by key; mounts by target, ports by published port, grants by source; other lists are
//! appended; commands are replaced; false and empty never win over what is there.

use super::layer::{Layer, ServiceLayer};
use super::model::{Compose, Service};

impl Layer {
    /// Lays `over` on top of this.
    pub fn merge(&mut self, over: Self) {
        for (name, service) in over.services {
            self.services.entry(name).or_default().merge(service);
        }
        self.volumes.extend(over.volumes);
        self.secrets.extend(over.secrets);
        self.configs.extend(over.configs);
        self.networks.extend(over.networks);
    }
}

impl ServiceLayer {
    fn merge(&mut self, over: Self) {
        replace(&mut self.image, over.image);
        replace(&mut self.command, over.command);
        replace(&mut self.entrypoint, over.entrypoint);
        self.environment.extend(over.environment);
        by_key(&mut self.mounts, over.mounts, |mount| mount.target.clone());
        self.tmpfs.extend(over.tmpfs);
        by_key(&mut self.secrets, over.secrets, |grant| {
            grant.source.clone()
        });
        by_key(&mut self.configs, over.configs, |grant| {
            grant.source.clone()
        });
        self.networks.extend(over.networks);
        self.labels.extend(over.labels);
        replace(&mut self.replicas, over.replicas);
        replace(&mut self.mode, over.mode);
        replace(&mut self.endpoint_mode, over.endpoint_mode);
        replace(&mut self.update_order, over.update_order);
        by_key(&mut self.ports, over.ports, |port| port.published);
        replace(&mut self.health_test, over.health_test);
        self.health_disabled |= over.health_disabled;
        replace(&mut self.stop_grace_period, over.stop_grace_period);
        self.privileged |= over.privileged;
        replace(&mut self.network_mode, over.network_mode);
        self.cap_add.extend(over.cap_add);
    }

    fn finish(self) -> Service {
        let tested = self
            .health_test
            .is_some_and(|test| test.first().is_some_and(|first| first != "NONE"));
        Service {
            image: self.image.unwrap_or_default(),
            command: self.command.unwrap_or_default(),
            entrypoint: self.entrypoint.unwrap_or_default(),
            environment: self.environment,
            mounts: self.mounts,
            tmpfs: self.tmpfs,
            secrets: self.secrets,
            configs: self.configs,
            networks: self.networks,
            labels: self.labels,
            replicas: self.replicas.unwrap_or(1),
            global: self.mode.as_deref() == Some("global"),
            endpoint_mode: self.endpoint_mode,
            update_order: self.update_order,
            ports: self.ports,
            has_healthcheck: tested && !self.health_disabled,
            stop_grace_period: self.stop_grace_period,
            privileged: self.privileged,
            network_mode: self.network_mode,
            cap_add: self.cap_add,
        }
    }
}

impl From<Layer> for Compose {
    fn from(layer: Layer) -> Self {
        Self {
            services: layer
                .services
                .into_iter()
                .map(|(name, service)| (name, service.finish()))
                .collect(),
            volumes: layer.volumes,
            secrets: layer.secrets,
            configs: layer.configs,
            networks: layer.networks,
            images_by_file: std::collections::BTreeMap::new(),
            has_version: Vec::new(),
            notes: layer.notes,
        }
    }
}

fn replace<T>(base: &mut Option<T>, over: Option<T>) {
    if over.is_some() {
        *base = over;
    }
}

fn by_key<T, K: PartialEq>(base: &mut Vec<T>, over: Vec<T>, key: fn(&T) -> K) {
    if base.is_empty() {
        *base = over;
        return;
    }
    for item in over {
        base.retain(|old| key(old) != key(&item));
        base.push(item);
    }
}
