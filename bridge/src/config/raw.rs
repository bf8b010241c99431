//! The file as it stands, before anything is made of it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::ConfigError;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Raw {
    pub state: Option<String>,
    pub listen: Option<String>,
    pub recipes: Option<String>,
    pub forge: Forge,
    pub poll: Poll,
    pub auth: Auth,
    pub webhook: Webhook,
    pub executor: Executor,
    pub report: Report,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Forge {
    pub url: Option<String>,
    pub bot: Option<String>,
    pub token_file: Option<String>,
    pub ca_file: Option<String>,
    pub settle_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Poll {
    pub interval_s: Option<u64>,
    pub repositories: Vec<String>,
    pub organisations: Vec<Organisation>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Organisation {
    pub name: String,
    pub topic: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    pub allowlist: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhook {
    pub secret_file: Option<String>,
}

/// The keys of both kinds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Executor {
    pub kind: Option<String>,
    pub url: Option<String>,
    pub token_file: Option<String>,
    pub ca_file: Option<String>,
    pub repository: Option<String>,
    pub branch: Option<String>,
    pub timeout_min: Option<u64>,
    pub program: Option<Vec<String>>,
    pub folder: Option<String>,
    pub slots: Option<u64>,
    pub look_ms: Option<u64>,
    pub runs: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Report {
    pub url: Option<String>,
}

impl Raw {
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
            path: PathBuf::from(path),
            why: error.to_string(),
        })?;
        toml::from_str(&text).map_err(|error| {
            let line = error
                .span()
                .map(|span| 1 + text[..span.start].matches('\n').count());
            refused(path, line, error.message())
        })
    }
}

/// What serde says of an unknown field begins with it and ends with those that are known.
fn refused(path: &Path, line: Option<usize>, message: &str) -> ConfigError {
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = names
        .next()
        .filter(|_| message.starts_with("unknown field"));
    let path = PathBuf::from(path);
    match unknown {
        Some(key) => ConfigError::Unknown {
            path,
            line,
            key: key.to_owned(),
            nearest: names
                .max_by(|a, b| {
                    strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key))
                })
                .map(str::to_owned),
        },
        None => ConfigError::NoToml {
            path,
            line,
            why: message.trim_end().to_owned(),
        },
    }
}
