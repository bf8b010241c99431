//! What a task's container may have.

use serde_json::Value;

use super::allow::{CAPABILITIES, capability};
use super::body::{Judging, Shape, Table, entries, is_absent, items, text};
use super::finding::quoted;
use super::{labels, mounts, objects};

/// Docker's own: what each container has where nothing is said.
const DEFAULT_CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Each network namespace, and each IPC namespace, has its own.
const SYSCTLS: [&str; 7] = [
    "fs.mqueue.",
    "kernel.msg",
    "kernel.sem",
    "kernel.shm",
    "net.core.somaxconn",
    "net.ipv4.",
    "net.ipv6.",
];

/// What a process may be limited to without any effect outside. Memory that is locked counts as the
/// container's, which has a ceiling.
const ULIMITS: [&str; 9] = [
    "as", "core", "cpu", "data", "fsize", "memlock", "nproc", "rss", "stack",
];

/// The kernel's own ceiling of open files where nobody changed it.
const MOST_FILES: i64 = 1 << 20;

pub(super) const CONTAINER: &Table = &[
    ("Image", Shape::By(image)),
    (
        "Labels",
        Shape::By(|judging, _, value| labels::judge(judging, "labels", value)),
    ),
    ("Command", Shape::Scalars),
    ("Args", Shape::Scalars),
    // Looked at with the networks.
    ("Hostname", Shape::Scalar),
    ("Env", Shape::Scalars),
    ("Dir", Shape::Scalar),
    ("User", Shape::Scalar),
    ("Groups", Shape::Scalars),
    ("TTY", Shape::Scalar),
    ("OpenStdin", Shape::Scalar),
    ("StopSignal", Shape::Scalar),
    ("StopGracePeriod", Shape::Scalar),
    ("ReadOnly", Shape::Scalar),
    (
        "Healthcheck",
        Shape::Keys(&[
            ("Test", Shape::Scalars),
            ("Interval", Shape::Scalar),
            ("Timeout", Shape::Scalar),
            ("StartPeriod", Shape::Scalar),
            ("StartInterval", Shape::Scalar),
            ("Retries", Shape::Scalar),
        ]),
    ),
    ("Init", Shape::Scalar),
    // Both are files inside the container.
    ("Hosts", Shape::Scalars),
    (
        "DNSConfig",
        Shape::Keys(&[
            ("Nameservers", Shape::Scalars),
            ("Search", Shape::Scalars),
            ("Options", Shape::Scalars),
        ]),
    ),
    ("CapabilityDrop", Shape::Scalars),
    ("CapabilityAdd", Shape::By(capabilities)),
    ("Sysctls", Shape::By(sysctls)),
    ("Ulimits", Shape::By(ulimits)),
    ("Privileges", Shape::By(privileges)),
    ("Isolation", Shape::By(isolation)),
    ("OomScoreAdj", Shape::By(oom_score)),
    ("Mounts", Shape::By(mounts::judge)),
    ("Secrets", Shape::By(objects::secrets_used)),
    ("Configs", Shape::By(objects::configs_used)),
];

/// The engine asks an image's registry from its own place in the network: a name that anybody could
/// look up is as good as any, and an address or a name of a private network is not.
fn image(judging: &mut Judging<'_>, path: &str, value: &Value) {
    let Some(image) = value.as_str() else {
        return judging.unknown(path);
    };
    let Some((host, _)) = image.split_once('/') else {
        return;
    };
    if !host.contains(['.', ':']) && host != "localhost" || is_public(host) {
        return;
    }
    let host = quoted(host);
    let message = format!(
        "has an image of the registry `{host}`, which this host would ask in its own network"
    );
    judging.site(format!("registry:{host}"), "image", image, message);
}

fn is_public(host: &str) -> bool {
    // What the kit builds has a name that no registry has.
    const KIT: &str = "cc-ci.local";
    const PRIVATE: [&str; 11] = [
        "arpa",
        "corp",
        "example",
        "home",
        "internal",
        "intranet",
        "invalid",
        "lan",
        "local",
        "localhost",
        "test",
    ];
    let plain = |label: &str| {
        let sign = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(sign)
    };
    let labels: Vec<&str> = host.split('.').collect();
    let last = labels
        .last()
        .copied()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let named = last.bytes().any(|byte| byte.is_ascii_alphabetic());
    let is_name = labels.len() > 1 && labels.iter().all(|label| plain(label)) && named;
    host == KIT || is_name && !PRIVATE.contains(&last.as_str())
}

fn capabilities(judging: &mut Judging<'_>, path: &str, value: &Value) {
    for item in items(value) {
        let Some(written) = item.as_str() else {
            judging.unknown(path);
            continue;
        };
        let name = capability(written);
        if DEFAULT_CAPABILITIES.contains(&name.as_str()) {
            continue;
        }
        if CAPABILITIES.contains(&name.as_str()) || name == "ALL" {
            let message = format!("adds the capability {name}");
            judging.site(format!("capability:{name}"), "cap_add", &name, message);
        } else {
            let written = quoted(written);
            let message = format!("adds `{written}`, which is no capability of Linux");
            judging.recipe("capability", "cap_add", &written, message);
        }
    }
}

fn sysctls(judging: &mut Judging<'_>, path: &str, value: &Value) {
    judging.shape(path, value, &Shape::Map);
    for (key, _) in entries(value) {
        // The runtime makes a path of the name.
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        let is_name = key.chars().all(plain) && !key.contains("..");
        let inside = SYSCTLS.iter().any(|known| key.starts_with(known));
        if !is_name {
            let message = format!(
                "sets `{}`, which is no name of a kernel setting",
                quoted(key)
            );
            judging.recipe("sysctl", "sysctls", key, message);
        } else if !inside {
            let message = format!(
                "sets the kernel's `{}`, which is the whole host's",
                quoted(key)
            );
            judging.site(format!("sysctl:{}", quoted(key)), "sysctls", key, message);
        }
    }
}

fn ulimits(judging: &mut Judging<'_>, path: &str, value: &Value) {
    const ULIMIT: &Table = &[
        ("Name", Shape::Scalar),
        ("Hard", Shape::Scalar),
        ("Soft", Shape::Scalar),
    ];
    for limit in items(value) {
        judging.keys(path, limit, ULIMIT);
        let name = text(limit, "Name");
        let few = |key: &str| match &limit[key] {
            Value::Null => true,
            number => number
                .as_i64()
                .is_some_and(|n| (0..=MOST_FILES).contains(&n)),
        };
        let fine = ULIMITS.contains(&name) || (name == "nofile" && few("Hard") && few("Soft"));
        if !fine {
            let name = quoted(name);
            let message =
                format!("sets the limit `{name}` higher than a host that is shared gives");
            judging.site(format!("ulimit:{name}"), "ulimits", &name, message);
        }
    }
}

fn privileges(judging: &mut Judging<'_>, path: &str, value: &Value) {
    const PROFILE: &Table = &[("Mode", Shape::Scalar)];
    let Some(object) = value.as_object() else {
        return judging.unknown(path);
    };
    for (key, value) in object.iter().filter(|(_, value)| !is_absent(value)) {
        let default = value["Mode"] == "default";
        match key.as_str() {
            "NoNewPrivileges" if value.is_boolean() => {}
            "Seccomp" | "AppArmor" if default => {
                judging.keys(&format!("{path}.{key}"), value, PROFILE);
            }
            "Seccomp" | "AppArmor" | "SELinuxContext" => {
                let kind = key.to_lowercase().replace("context", "");
                let message = format!("changes the {kind} profile that keeps it in its container");
                judging.site(format!("security-opt:{kind}"), "security_opt", "", message);
            }
            "CredentialSpec" => {
                let message = "has a credential spec, which is the host's".to_owned();
                judging.site("credential-spec", "credential_spec", "", message);
            }
            _ => judging.unknown(&format!("{path}.{key}")),
        }
    }
}

fn isolation(judging: &mut Judging<'_>, _: &str, value: &Value) {
    if value.as_str() != Some("default") {
        let kind = quoted(value.as_str().unwrap_or("?"));
        let message = format!("asks for the isolation `{kind}`");
        judging.site(format!("isolation:{kind}"), "isolation", &kind, message);
    }
}

fn oom_score(judging: &mut Judging<'_>, _: &str, value: &Value) {
    if value.as_i64().is_none_or(|score| score < 0) {
        let message = "asks to outlive others when memory runs out".to_owned();
        judging.site("oom-score", "oom_score_adj", "", message);
    }
}
