//! What is mounted: the app's own volumes, memory, and nothing of the host.

use serde_json::Value;

use super::body::{Judging, Shape, Table, entries, is_empty, items, text};
use super::finding::quoted;
use super::labels;

/// What a local volume's memory may be told; anything else is a mount of the host's kernel.
const MEMORY_OPTIONS: [&str; 8] = [
    "size=",
    "mode=",
    "uid=",
    "gid=",
    "nr_inodes=",
    "noexec",
    "nosuid",
    "nodev",
];

/// Folders below which the engine, or the whole host, is reached.
const ENGINES: [&str; 7] = [
    "/proc",
    "/run/containerd",
    "/run/docker",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/run/containerd",
    "/var/run/docker",
];

pub(super) fn judge(judging: &mut Judging<'_>, path: &str, value: &Value) {
    for mount in items(value) {
        one(judging, path, mount);
    }
}

fn one(judging: &mut Judging<'_>, path: &str, mount: &Value) {
    const VOLUME: &Table = &[
        ("Type", Shape::Scalar),
        ("Source", Shape::Scalar),
        ("Target", Shape::Scalar),
        ("ReadOnly", Shape::Scalar),
        ("Consistency", Shape::Scalar),
        (
            "VolumeOptions",
            Shape::Keys(&[
                ("NoCopy", Shape::Scalar),
                (
                    "Labels",
                    Shape::By(|judging, _, value| labels::judge(judging, "volumes", value)),
                ),
                ("Subpath", Shape::By(subpath)),
                ("DriverConfig", Shape::By(driver)),
            ]),
        ),
    ];
    const TMPFS: &Table = &[
        ("Type", Shape::Scalar),
        ("Target", Shape::Scalar),
        ("ReadOnly", Shape::Scalar),
        ("Consistency", Shape::Scalar),
        // Without a size it is half of the host's memory, so that no size is worse than none.
        (
            "TmpfsOptions",
            Shape::Keys(&[("SizeBytes", Shape::Scalar), ("Mode", Shape::Scalar)]),
        ),
    ];
    const BIND: &Table = &[
        ("Type", Shape::Scalar),
        ("Source", Shape::Scalar),
        ("Target", Shape::Scalar),
        ("ReadOnly", Shape::Scalar),
        ("Consistency", Shape::Scalar),
        (
            "BindOptions",
            Shape::Keys(&[
                ("Propagation", Shape::By(propagation)),
                ("CreateMountpoint", Shape::Scalar),
                ("NonRecursive", Shape::Scalar),
            ]),
        ),
    ];
    let source = text(mount, "Source");
    match text(mount, "Type") {
        "volume" => {
            judging.keys(path, mount, VOLUME);
            if !source.is_empty() && !judging.is_own(source) {
                let message = format!(
                    "mounts the volume `{}`, which is not of this app; its name has to begin with `${{STACK_NAME}}_`",
                    quoted(source)
                );
                judging.recipe("foreign-volume", "volumes", source, message);
            }
        }
        "tmpfs" => judging.keys(path, mount, TMPFS),
        "bind" => {
            judging.keys(path, mount, BIND);
            bind(judging, source, text(mount, "Target"));
        }
        other => {
            let kind = quoted(other);
            let message = format!("has a mount of the type `{kind}`");
            judging.site(format!("mount-type:{kind}"), "volumes", source, message);
        }
    }
}

fn bind(judging: &mut Judging<'_>, source: &str, target: &str) {
    let (shown, target) = (quoted(source), quoted(target));
    if reaches_docker(source) {
        let message = format!("mounts `{shown}`: whoever has Docker's socket has the host");
        judging.site("docker-socket", "volumes", source, message);
    } else {
        let message =
            format!("mounts `{shown}` of the host at `{target}`; use a volume or a config");
        judging.site(format!("host-bind:{shown}"), "volumes", source, message);
    }
}

/// Docker's socket, or a folder that holds it or the engine's files.
fn reaches_docker(path: &str) -> bool {
    let path = clean(path);
    path.ends_with("docker.sock")
        || matches!(
            path.as_str(),
            "/" | "/run" | "/var" | "/var/run" | "/var/lib"
        )
        || ENGINES.iter().any(|engine| {
            path.strip_prefix(engine)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-'))
        })
}

/// The path without `.`, `..` and doubled slashes.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    format!("/{}", parts.join("/"))
}

fn propagation(judging: &mut Judging<'_>, _: &str, value: &Value) {
    let kind = value.as_str().unwrap_or("?");
    // What the container mounts there would be mounted on the host.
    if !["private", "rprivate", "slave", "rslave"].contains(&kind) {
        let kind = quoted(kind);
        let message = format!("mounts with the propagation `{kind}`");
        judging.site(
            format!("bind-propagation:{kind}"),
            "volumes",
            &kind,
            message,
        );
    }
}

fn subpath(judging: &mut Judging<'_>, path: &str, value: &Value) {
    let inside = value
        .as_str()
        .is_some_and(|text| !text.starts_with('/') && text.split('/').all(|part| part != ".."));
    if !inside {
        judging.unknown(path);
    }
}

/// Only plain local volumes, and local ones in memory.
fn driver(judging: &mut Judging<'_>, path: &str, value: &Value) {
    judging.keys(
        path,
        value,
        &[("Name", Shape::Scalar), ("Options", Shape::Map)],
    );
    let name = text(value, "Name");
    if !["", "local"].contains(&name) {
        let name = quoted(name);
        let message = format!("has a volume of the driver `{name}`");
        judging.site(format!("volume-driver:{name}"), "volumes", &name, message);
    } else if !is_plain(&value["Options"]) {
        let options: Vec<String> = entries(&value["Options"])
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("?")))
            .collect();
        let message = format!(
            "has a volume with the mount options `{}`, which are the host's; use a plain volume",
            quoted(&options.join(", "))
        );
        let device = text(&value["Options"], "device").to_owned();
        judging.recipe("volume-options", "volumes", &device, message);
    }
}

fn is_plain(options: &Value) -> bool {
    if is_empty(options) {
        return true;
    }
    let memory =
        text(options, "type") == "tmpfs" && ["tmpfs", ""].contains(&text(options, "device"));
    // The swarm fills templates in: one could become anything.
    let plain = |c: char| c.is_ascii_alphanumeric() || "=_%".contains(c);
    let is_known = |option: &str| {
        MEMORY_OPTIONS
            .iter()
            .any(|known| match known.strip_suffix('=') {
                Some(_) => option.starts_with(known) && option.chars().all(plain),
                None => option == *known,
            })
    };
    let known = text(options, "o")
        .split(',')
        .all(|option| option.is_empty() || is_known(option));
    let keys = entries(options).all(|(key, _)| ["type", "device", "o"].contains(&key.as_str()));
    memory && known && keys
}
