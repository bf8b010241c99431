//! What a site allows by name.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::finding::quoted;

/// The capabilities of Linux.
pub(super) const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// What follows a rule's name.
#[derive(Clone, Copy, PartialEq)]
enum Takes {
    Nothing,
    /// A value: the rule is too wide to be allowed as a whole.
    Value(&'static str),
    /// A value, or nothing for all values.
    Either(&'static str),
}

const RULES: [(&str, Takes); 32] = [
    ("bind-propagation", Takes::Value("<kind>")),
    ("capability", Takes::Value("<NAME>")),
    ("certificate", Takes::Value("<host>")),
    ("credential-spec", Takes::Nothing),
    ("deep-host", Takes::Nothing),
    ("device", Takes::Value("<kind>")),
    ("docker-socket", Takes::Nothing),
    ("entrypoint", Takes::Either("<name>")),
    ("forward-auth", Takes::Value("<host>")),
    ("host-bind", Takes::Either("<path>")),
    ("host-network", Takes::Nothing),
    ("hostname-template", Takes::Nothing),
    ("isolation", Takes::Value("<kind>")),
    ("key", Takes::Value("<path>")),
    ("log-driver", Takes::Value("<name>")),
    ("log-option", Takes::Value("<name>")),
    ("mount-type", Takes::Value("<kind>")),
    ("network-driver", Takes::Value("<name>")),
    ("network-option", Takes::Value("<name>")),
    ("oom-score", Takes::Nothing),
    ("port", Takes::Value("<number>/<protocol>")),
    ("privileged", Takes::Nothing),
    ("registry", Takes::Value("<host>")),
    ("router-name", Takes::Either("<name>")),
    ("security-opt", Takes::Value("<kind>")),
    ("subnet", Takes::Value("<address>/<bits>")),
    ("sysctl", Takes::Value("<name>")),
    ("tasks", Takes::Nothing),
    ("template-driver", Takes::Value("<name>")),
    ("traefik-label", Takes::Value("<field>")),
    ("ulimit", Takes::Value("<name>")),
    ("volume-driver", Takes::Value("<name>")),
];

/// Rules that are allowed, each as `name` or `name:value`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Allowed(BTreeSet<String>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownRule {
    #[error("`{0}` is no policy rule that a site can allow; the rules are {list}", list = all())]
    Name(String),
    #[error("`{0}` has to be `{1}`")]
    Form(String, String),
    #[error("`{0}` can't be allowed: ports 80 and 443 are the proxy's")]
    ProxysPort(String),
}

impl Allowed {
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, UnknownRule> {
        names
            .into_iter()
            .map(rule)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a finding of this name is allowed.
    pub fn covers(&self, name: &str) -> bool {
        let whole = |base: &str| {
            let rule = RULES.iter().find(|(known, _)| *known == base);
            matches!(rule, Some((_, Takes::Either(_)))) && self.0.contains(base)
        };
        self.0.contains(name) || name.split_once(':').is_some_and(|(base, _)| whole(base))
    }

    /// The same, and one more: a name of [`Finding`](super::Finding).
    #[must_use]
    pub fn and(mut self, name: &str) -> Self {
        self.0.insert(name.to_owned());
        self
    }
}

/// Checks one entry of a site's list, and writes it as findings are named.
fn rule(text: &str) -> Result<String, UnknownRule> {
    let (name, value) = match text.split_once(':') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let Some((_, takes)) = RULES.iter().find(|(known, _)| *known == name) else {
        return Err(UnknownRule::Name(quoted(text)));
    };
    let form = |form: String| UnknownRule::Form(quoted(text), form);
    let value = match (takes, value.map(str::trim)) {
        (Takes::Nothing, None) | (Takes::Either(_), None) => return Ok(name.to_owned()),
        (Takes::Value(_) | Takes::Either(_), Some(value)) if !value.is_empty() => value,
        (Takes::Nothing, _) => return Err(form(name.to_owned())),
        (Takes::Value(what) | Takes::Either(what), _) => {
            return Err(form(format!("{name}:{what}")));
        }
    };
    match name {
        "capability" => {
            let capability = capability(value);
            let known = CAPABILITIES.contains(&capability.as_str()) || capability == "ALL";
            if !known {
                return Err(form(
                    "capability:<NAME>, as Linux names it, or ALL".to_owned(),
                ));
            }
            Ok(format!("capability:{capability}"))
        }
        "port" => {
            let port = value.split_once('/').and_then(|(number, protocol)| {
                let known = ["tcp", "udp", "sctp"].contains(&protocol);
                known.then(|| number.parse::<u16>().ok()).flatten()
            });
            match port {
                Some(80 | 443) => Err(UnknownRule::ProxysPort(quoted(text))),
                Some(number) if value.starts_with(&format!("{number}/")) => Ok(text.to_owned()),
                _ => Err(form("port:<number>/<tcp, udp or sctp>".to_owned())),
            }
        }
        _ => Ok(format!("{name}:{value}")),
    }
}

/// As the engine reads it: upper case, with or without `CAP_`.
pub(super) fn capability(text: &str) -> String {
    let upper = text.to_ascii_uppercase();
    upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned()
}

fn all() -> String {
    let all = RULES.iter().map(|(name, takes)| match takes {
        Takes::Nothing => (*name).to_owned(),
        Takes::Value(what) => format!("{name}:{what}"),
        Takes::Either(what) => format!("{name}[:{what}]"),
    });
    all.collect::<Vec<_>>().join(", ")
}

impl TryFrom<Vec<String>> for Allowed {
    type Error = UnknownRule;

    fn try_from(names: Vec<String>) -> Result<Self, UnknownRule> {
        Self::parse(names.iter().map(String::as_str))
    }
}

impl From<Allowed> for Vec<String> {
    fn from(allowed: Allowed) -> Self {
        allowed.0.into_iter().collect()
    }
}
