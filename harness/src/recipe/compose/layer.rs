//! What one compose file says, before it is merged with others: absent is not the same as default.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_yaml_ng::Value;

use super::model::{Grant, Mount, MountKind, Network, Object, Port, Volume};
use super::node::{Node, Shape};

/// Keys that Docker accepts in a service and swarm ignores.
const IGNORED: [&str; 16] = [
    "build",
    "cgroup_parent",
    "cgroupns_mode",
    "container_name",
    "depends_on",
    "devices",
    "domainname",
    "external_links",
    "ipc",
    "links",
    "mac_address",
    "pid",
    "restart",
    "security_opt",
    "shm_size",
    "userns_mode",
];

#[derive(Debug, Default)]
pub(super) struct Layer {
    pub has_version: bool,
    pub services: BTreeMap<String, ServiceLayer>,
    pub volumes: BTreeMap<String, Volume>,
    pub secrets: BTreeMap<String, Object>,
    pub configs: BTreeMap<String, Object>,
    pub networks: BTreeMap<String, Network>,
    pub notes: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct ServiceLayer {
    pub image: Option<String>,
    pub command: Option<Vec<String>>,
    pub entrypoint: Option<Vec<String>>,
    pub environment: BTreeMap<String, Option<String>>,
    pub env_files: Vec<String>,
    pub mounts: Vec<Mount>,
    pub tmpfs: Vec<String>,
    pub secrets: Vec<Grant>,
    pub configs: Vec<Grant>,
    pub networks: BTreeMap<String, Vec<String>>,
    pub labels: BTreeMap<String, String>,
    pub replicas: Option<u64>,
    pub mode: Option<String>,
    pub endpoint_mode: Option<String>,
    pub update_order: Option<String>,
    pub ports: Vec<Port>,
    pub health_test: Option<Vec<String>>,
    pub health_disabled: bool,
    pub stop_grace_period: Option<Duration>,
    pub privileged: bool,
    pub network_mode: Option<String>,
    pub cap_add: Vec<String>,
}

impl Layer {
    /// Reads the interpolated tree of one file; `raw` is the same before interpolation.
    pub fn read(tree: &Value, raw: &Value) -> Result<Self, Shape> {
        let mut layer = Self {
            has_version: tree.get("version").is_some(),
            ..Self::default()
        };
        if !tree.is_mapping() {
            return Err(Node::new(tree, "the file").wrong("a map with `services`"));
        }
        for (name, node) in section(tree, "services")? {
            for key in IGNORED {
                if node.get(key).is_some() {
                    layer
                        .notes
                        .push(format!("service `{name}`: swarm ignores `{key}`"));
                }
            }
            layer.services.insert(name, service(&node)?);
        }
        for (key, node) in section(tree, "volumes")? {
            layer.volumes.insert(key, volume(&node)?);
        }
        for (key, node) in section(tree, "networks")? {
            layer.networks.insert(key, network(&node)?);
        }
        for (kind, objects) in [
            ("secrets", &mut layer.secrets),
            ("configs", &mut layer.configs),
        ] {
            for (key, node) in section(tree, kind)? {
                let raw_name = raw.get(kind).and_then(|all| all.get(&key)).and_then(|one| {
                    let old = one
                        .get("external")
                        .and_then(|external| external.get("name"));
                    one.get("name").or(old)?.as_str().map(str::to_owned)
                });
                let (name, external) = external(&node)?;
                objects.insert(
                    key,
                    Object {
                        name,
                        raw_name,
                        external,
                        file: node.read("file", Node::text)?,
                    },
                );
            }
        }
        Ok(layer)
    }
}

fn section<'a>(tree: &'a Value, key: &str) -> Result<Vec<(String, Node<'a>)>, Shape> {
    match tree.get(key) {
        Some(value) => Node::new(value, key).entries(),
        None => Ok(Vec::new()),
    }
}

fn service(node: &Node<'_>) -> Result<ServiceLayer, Shape> {
    if !node.is_map() {
        return Err(node.wrong("a map"));
    }
    let empty = Value::Null;
    let none = || Node::new(&empty, "");
    let deploy = node.get("deploy").unwrap_or_else(none);
    let update = deploy.get("update_config").unwrap_or_else(none);
    let health = node.get("healthcheck").unwrap_or_else(none);
    Ok(ServiceLayer {
        image: node.read("image", Node::text)?,
        command: node.read("command", Node::words)?,
        entrypoint: node.read("entrypoint", Node::words)?,
        environment: pairs(node, "environment")?.into_iter().collect(),
        env_files: node.read("env_file", Node::texts)?.unwrap_or_default(),
        mounts: each(node, "volumes", mount)?,
        tmpfs: node.read("tmpfs", Node::texts)?.unwrap_or_default(),
        secrets: each(node, "secrets", grant)?,
        configs: each(node, "configs", grant)?,
        networks: node.read("networks", networks)?.unwrap_or_default(),
        labels: pairs(&deploy, "labels")?
            .into_iter()
            .map(|(key, value)| (key, value.unwrap_or_default()))
            .collect(),
        replicas: deploy.read("replicas", Node::number)?,
        mode: deploy.read("mode", Node::text)?,
        endpoint_mode: deploy.read("endpoint_mode", Node::text)?,
        update_order: update.read("order", Node::text)?,
        ports: each(node, "ports", ports)?.into_iter().flatten().collect(),
        health_test: health.read("test", Node::texts)?,
        health_disabled: health.read("disable", Node::flag)?.unwrap_or_default(),
        stop_grace_period: node.read("stop_grace_period", Node::duration)?,
        privileged: node.read("privileged", Node::flag)?.unwrap_or_default(),
        network_mode: node.read("network_mode", Node::text)?,
        cap_add: node.read("cap_add", Node::texts)?.unwrap_or_default(),
    })
}

fn pairs(node: &Node<'_>, key: &str) -> Result<Vec<(String, Option<String>)>, Shape> {
    Ok(node.read(key, Node::pairs)?.unwrap_or_default())
}

fn each<T>(
    node: &Node<'_>,
    key: &str,
    how: fn(&Node<'_>) -> Result<T, Shape>,
) -> Result<Vec<T>, Shape> {
    match node.get(key) {
        Some(list) => list.items()?.iter().map(how).collect(),
        None => Ok(Vec::new()),
    }
}

fn mount(node: &Node<'_>) -> Result<Mount, Shape> {
    if node.is_map() {
        let source = node.read("source", Node::text)?;
        let kind = node.read("type", Node::text)?.unwrap_or_default();
        let kind = match (kind.as_str(), source) {
            ("volume", Some(key)) => MountKind::Volume(key),
            ("volume", None) => MountKind::Anonymous,
            ("bind", Some(path)) => MountKind::Bind(path),
            ("tmpfs", _) => MountKind::Tmpfs,
            _ => return Err(node.wrong("a mount of type volume, bind (with a source) or tmpfs")),
        };
        let target = node.read("target", Node::text)?;
        return Ok(Mount {
            kind,
            target: target.ok_or_else(|| node.wrong("a mount with a target"))?,
            read_only: node.read("read_only", Node::flag)?.unwrap_or_default(),
        });
    }
    let text = node.text()?;
    let mut parts = text.split(':');
    let (source, target, options) = match (parts.next(), parts.next(), parts.next()) {
        (Some(target), None, _) => ("", target, ""),
        (Some(source), Some(target), options) => (source, target, options.unwrap_or_default()),
        (None, ..) => ("", "", ""),
    };
    if target.is_empty() || parts.next().is_some() {
        return Err(node.wrong("`source:target[:options]` or `target`"));
    }
    Ok(Mount {
        kind: match source.chars().next() {
            None => MountKind::Anonymous,
            Some('/' | '.' | '~') => MountKind::Bind(source.to_owned()),
            Some(_) => MountKind::Volume(source.to_owned()),
        },
        target: target.to_owned(),
        read_only: options.split(',').any(|option| option == "ro"),
    })
}

fn grant(node: &Node<'_>) -> Result<Grant, Shape> {
    if !node.is_map() {
        return Ok(Grant {
            source: node.text()?,
            target: None,
            mode: None,
        });
    }
    let source = node.read("source", Node::text)?;
    Ok(Grant {
        source: source.ok_or_else(|| node.wrong("a map with `source`"))?,
        target: node.read("target", Node::text)?,
        mode: node.read("mode", Node::mode)?,
    })
}

fn networks(node: &Node<'_>) -> Result<BTreeMap<String, Vec<String>>, Shape> {
    if !node.is_map() {
        return Ok(node
            .texts()?
            .into_iter()
            .map(|key| (key, Vec::new()))
            .collect());
    }
    node.entries()?
        .into_iter()
        .map(|(key, network)| {
            Ok((
                key,
                network.read("aliases", Node::texts)?.unwrap_or_default(),
            ))
        })
        .collect()
}

/// One entry may be a range of ports.
fn ports(node: &Node<'_>) -> Result<Vec<Port>, Shape> {
    if node.is_map() {
        return Ok(vec![Port {
            target: node
                .read("target", Node::number)?
                .ok_or_else(|| node.wrong("a port with a target"))?,
            published: node.read("published", Node::number)?,
            protocol: node
                .read("protocol", Node::text)?
                .unwrap_or_else(|| "tcp".to_owned()),
            mode: node.read("mode", Node::text)?,
        }]);
    }
    let text = node.text()?;
    let (addresses, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
    let mut parts = addresses.rsplit(':');
    let targets = range(parts.next().unwrap_or_default());
    let targets = targets.ok_or_else(|| node.wrong("`[published:]target[/protocol]`"))?;
    let published = match parts.next() {
        None | Some("") => None,
        Some(part) => {
            Some(range(part).ok_or_else(|| node.wrong("`[published:]target[/protocol]`"))?)
        }
    };
    Ok(targets
        .clone()
        .zip(0..)
        .map(|(target, index): (u16, u16)| Port {
            target,
            published: published
                .as_ref()
                .map(|published| published.start().saturating_add(index)),
            protocol: protocol.to_owned(),
            mode: None,
        })
        .collect())
}

fn range(text: &str) -> Option<std::ops::RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

/// `name`, and whether it is external; `external: {name: x}` is the old way of both.
fn external(node: &Node<'_>) -> Result<(Option<String>, bool), Shape> {
    let name = node.read("name", Node::text)?;
    match node.get("external") {
        None => Ok((name, false)),
        Some(external) if external.is_map() => {
            Ok((name.or(external.read("name", Node::text)?), true))
        }
        Some(external) => Ok((name, external.flag()?)),
    }
}

fn volume(node: &Node<'_>) -> Result<Volume, Shape> {
    let (name, external) = external(node)?;
    Ok(Volume {
        name,
        external,
        driver: node.read("driver", Node::text)?,
        driver_opts: pairs(node, "driver_opts")?
            .into_iter()
            .map(|(key, value)| (key, value.unwrap_or_default()))
            .collect(),
    })
}

fn network(node: &Node<'_>) -> Result<Network, Shape> {
    let (name, external) = external(node)?;
    Ok(Network {
        name,
        external,
        internal: node.read("internal", Node::flag)?.unwrap_or_default(),
    })
}
