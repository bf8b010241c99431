//! The abra of a site.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// The abra of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AbraSite {
    /// A name on the path, or a path.
    pub program: PathBuf,
    /// The operator's abra directory, whose catalogue is used; none: `ABRA_DIR`, else `~/.abra`.
    pub dir: Option<PathBuf>,
    /// The server's name, which is that of its Docker context.
    pub server: ServerName,
}

/// A folder's name below `servers/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerName(String);

impl ServerName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ServerName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(plain) {
            Ok(Self(name))
        } else {
            Err(format!(
                "`{name}` is no server of abra's: a name as in `abra server ls`"
            ))
        }
    }
}

impl From<ServerName> for String {
    fn from(name: ServerName) -> Self {
        name.0
    }
}

impl Default for AbraSite {
    fn default() -> Self {
        Self {
            program: PathBuf::from("abra"),
            dir: None,
            server: ServerName("default".to_owned()),
        }
    }
}

impl AbraSite {
    pub fn dir(&self) -> Result<PathBuf, Fault> {
        let of = |variable: &str| std::env::var_os(variable).filter(|dir| !dir.is_empty());
        let dir = self.dir.clone();
        dir.or_else(|| of("ABRA_DIR").map(PathBuf::from))
            .or_else(|| of("HOME").map(|home| Path::new(&home).join(".abra")))
            .ok_or_else(|| {
                Fault::usage(
                    "no place for abra's directory: set ABRA_DIR, or [abra] dir in the site file",
                )
            })
    }
}
