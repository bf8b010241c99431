//! What apps are reached through.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::http;

/// What apps are reached through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Proxy {
    /// A container of cc-ci's own for each session, on loopback.
    #[default]
    Edge,
    /// The server's Traefik, which serves every app by its labels.
    Traefik {
        /// Where it answers for every name of the zone; none: as the system resolves them.
        #[serde(default)]
        address: Option<SocketAddr>,
        #[serde(default)]
        roots: Roots,
    },
}

impl Proxy {
    /// Known before anything is deployed.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Edge => None,
            Self::Traefik { address, .. } => *address,
        }
    }
}

/// Whose certificates are trusted: `"system"`, or a PEM file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Roots(Option<PathBuf>);

impl Roots {
    pub fn file(&self) -> Option<&Path> {
        self.0.as_deref()
    }

    pub fn read(&self) -> Result<http::Roots, Fault> {
        let Some(file) = &self.0 else {
            return Ok(http::Roots::System);
        };
        let text = fs::read_to_string(file)
            .map_err(|error| Fault::usage(format!("proxy.roots: {}: {error}", file.display())))?;
        Ok(http::Roots::Pem(text))
    }
}

impl From<String> for Roots {
    fn from(text: String) -> Self {
        Self((text != "system").then(|| PathBuf::from(text)))
    }
}

impl From<Roots> for String {
    fn from(roots: Roots) -> Self {
        match roots.0 {
            None => "system".to_owned(),
            Some(file) => file.display().to_string(),
        }
    }
}
