//! Where a recipe comes from.

use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;

use crate::fault::Fault;

use super::git::Credentials;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{shown}` is no place of a recipe: give a folder that is there, or an address (https, http, ssh, git or file)"
)]
pub struct SourceError {
    shown: String,
}

impl SourceError {
    /// What was given, without a password.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

impl From<SourceError> for Fault {
    fn from(error: SourceError) -> Self {
        Self::usage(error.to_string())
    }
}

/// A repository, and what it is read with. Shown without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    location: Location,
    credentials: Option<Credentials>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Location {
    Path(PathBuf),
    Url(Url),
    /// `user@host:path`, over ssh.
    Scp(String),
}

impl Source {
    /// An address, or a folder. A user and password in an address become credentials.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let refused = || SourceError {
            shown: text.rsplit('@').next().unwrap_or(text).to_owned(),
        };
        if text.starts_with('-') || text.contains("::") || text.chars().any(char::is_control) {
            return Err(refused());
        }
        if let Some((scheme, _)) = text.split_once("://") {
            let mut url = Url::parse(text).map_err(|_| refused())?;
            if !["https", "http", "ssh", "git", "file"].contains(&scheme) {
                return Err(refused());
            }
            let mut credentials = None;
            if scheme.starts_with("http")
                && (!url.username().is_empty() || url.password().is_some())
            {
                credentials = Some(Credentials::new(
                    url.username(),
                    url.password().unwrap_or_default(),
                ));
                url.set_username("").map_err(|()| refused())?;
                url.set_password(None).map_err(|()| refused())?;
            }
            return Ok(Self {
                location: Location::Url(url),
                credentials,
            });
        }
        if let Ok(path) = Path::new(text).canonicalize() {
            return Ok(Self::path(path));
        }
        let scp = text.split_once(':').is_some_and(|(host, path)| {
            host.contains('@') && !host.contains('/') && !path.is_empty()
        });
        if scp {
            return Ok(Self {
                location: Location::Scp(text.to_owned()),
                credentials: None,
            });
        }
        Err(refused())
    }

    /// A folder of this machine.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            location: Location::Path(std::path::absolute(&path).unwrap_or(path)),
            credentials: None,
        }
    }

    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// The host that a token may be sent to: over a connection that nobody else reads.
    pub fn host_for_a_token(&self) -> Option<&str> {
        let url = self.url()?;
        let host = url.host_str()?;
        let private = url.scheme() == "https"
            || url.scheme() == "http" && ["127.0.0.1", "localhost", "[::1]"].contains(&host);
        (private && self.credentials.is_none()).then_some(host)
    }

    pub(super) fn url(&self) -> Option<&Url> {
        match &self.location {
            Location::Url(url) => Some(url),
            _ => None,
        }
    }

    pub(super) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Location::Path(path) => write!(f, "{}", path.display()),
            Location::Url(url) => write!(f, "{url}"),
            Location::Scp(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("--upload-pack=touch /tmp/x")]
    #[case("ext::sh -c id")]
    #[case("ftp://host/x")]
    #[case("/no/such/folder")]
    #[case("https://a\nb")]
    #[case("")]
    fn what_is_no_place_is_refused(#[case] text: &str) {
        assert!(Source::parse(text).is_err());
    }

    #[rstest::rstest]
    #[case("https://forge.test/a/b.git", Some("forge.test"))]
    #[case("http://127.0.0.1:8080/a.git", Some("127.0.0.1"))]
    #[case::in_the_open("http://forge.test/a/b.git", None)]
    #[case::has_its_own("https://me:x@forge.test/a/b.git", None)]
    #[case("git@forge.test:a/b.git", None)]
    fn a_token_is_sent_to_hosts_over_tls_only(#[case] text: &str, #[case] host: Option<&str>) {
        assert_eq!(Source::parse(text).unwrap().host_for_a_token(), host);
    }

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        let source = Source::parse("https://me:s3cret@forge.test/a/b.git").unwrap();
        assert_eq!(source.to_string(), "https://forge.test/a/b.git");
        assert!(!format!("{source:?}").contains("s3cret"));
        assert_eq!(
            source.credentials(),
            Some(&Credentials::new("me", "s3cret"))
        );
    }
}
