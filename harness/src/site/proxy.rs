//! What apps are reached through.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::http::{self, Client, ClientSpec, certificate};
use crate::recipe::AppDomain;

/// A name of the zone that no app has: run apps are named by four letters and six digits.
const NOBODY: &str = "cc-ci-nobody";

/// What apps are reached through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Proxy {
    /// A container of cc-ci's own for each session, on loopback. With braces, for serde refuses no
    /// key of a variant without.
    Edge {},
    /// The server's Traefik, which serves every app by its labels.
    Traefik {
        /// Where it answers for every name of the zone; none: as the system resolves them.
        #[serde(default)]
        address: Option<SocketAddr>,
        #[serde(default)]
        roots: Roots,
    },
}

impl Default for Proxy {
    fn default() -> Self {
        Self::Edge {}
    }
}

impl Proxy {
    /// Known before anything is deployed.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Edge {} => None,
            Self::Traefik { address, .. } => *address,
        }
    }

    /// What can be said of it before anybody connects.
    pub fn check(&self) -> Result<(), Fault> {
        let Self::Traefik { roots, .. } = self else {
            return Ok(());
        };
        // As the client reads them: a file without certificates is none.
        let zone = "ci.test".parse().expect("a domain");
        self.client(&zone, roots.read()?)
            .map(drop)
            .map_err(|error| Fault::usage(format!("proxy.roots: {error}")))
    }

    /// Whether it serves the zone, with a certificate that is trusted: where it does not, no app can
    /// be reached, and none is to blame. The local edge is made for each run, and not asked.
    pub async fn serves(&self, zone: &AppDomain) -> Result<(), Fault> {
        let Self::Traefik { address, roots } = self else {
            return Ok(());
        };
        let client = self.client(zone, roots.read()?)?;
        let url = format!("https://{NOBODY}.{zone}/");
        let Err(error) = client.get(&url).await else {
            return Ok(());
        };
        let at = match address {
            Some(address) => format!(" at {address}"),
            None => String::new(),
        };
        let why = match client.shown_certificate(&url).await {
            Ok(Some(der)) if !certificate::is_wildcard_of(zone, &der) => format!(
                "it has no certificate for *.{zone}; it shows a {}",
                certificate::described(&der)
            ),
            Ok(Some(der)) => format!("{error}; it shows a {}", certificate::described(&der)),
            _ => error.to_string(),
        };
        Err(Fault::infra(format!(
            "the site's proxy{at} does not serve the zone {zone}: {why}"
        )))
    }

    fn client(&self, zone: &AppDomain, roots: http::Roots) -> Result<Client, http::HttpError> {
        Client::new(ClientSpec {
            zone: zone.clone(),
            edge: self.address(),
            marked: *self == Self::Edge {},
            roots,
        })
    }
}

/// Whose certificates are trusted: `"system"`, or a PEM file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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

impl TryFrom<String> for Roots {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "system" {
            return Ok(Self(None));
        }
        let file = PathBuf::from(text);
        // The runner has another working directory.
        if file.is_relative() {
            let file = file.display();
            return Err(format!(
                "`{file}`: \"system\", or the whole path of a PEM file"
            ));
        }
        Ok(Self(Some(file)))
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
