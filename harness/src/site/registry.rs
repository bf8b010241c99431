//! The registries at which this site's login may be used.
//!
//! A pull request names images. Were any of them pulled with the operator's login, a stranger could
//! run the operator's private ones.

use serde::{Deserialize, Serialize};

/// Docker Hub, as a site file and people name it.
pub const DOCKER_HUB: &str = "docker.io";

/// A registry that `docker login` is used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryLogin {
    pub host: RegistryHost,
}

/// A registry's host as image names begin with it, port included; `docker.io` for Docker Hub.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RegistryHost(String);

impl RegistryHost {
    /// The registry of an image.
    pub fn of_image(name: &str) -> Self {
        match name.split_once('/') {
            Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => {
                Self(canonical(host).to_owned())
            }
            _ => Self(DOCKER_HUB.to_owned()),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Docker Hub has several names.
fn canonical(host: &str) -> &str {
    match host {
        "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB,
        host => host,
    }
}

impl TryFrom<String> for RegistryHost {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
        if text.is_empty() || !text.chars().all(allowed) {
            return Err(format!(
                "`{text}` is no registry's host: write it as image names do, with its port and \
                 without a scheme; `{DOCKER_HUB}` is Docker Hub"
            ));
        }
        Ok(Self(canonical(&text).to_owned()))
    }
}

impl From<RegistryHost> for String {
    fn from(host: RegistryHost) -> Self {
        host.0
    }
}

impl std::fmt::Display for RegistryHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("nginx:1.27", "docker.io")]
    #[case("library/nginx", "docker.io")]
    #[case("docker.io/library/nginx", "docker.io")]
    #[case("index.docker.io/library/nginx", "docker.io")]
    #[case("git.example.org/a/b:1", "git.example.org")]
    #[case("localhost:5000/nginx:1", "localhost:5000")]
    #[case("localhost/nginx", "localhost")]
    #[case("git.example.org.evil.test/a", "git.example.org.evil.test")]
    #[case("evil.test/git.example.org/a", "evil.test")]
    fn an_image_is_of_one_registry(#[case] name: &str, #[case] host: &str) {
        assert_eq!(RegistryHost::of_image(name).as_str(), host);
    }

    #[rstest::rstest]
    #[case("https://git.example.org")]
    #[case("git.example.org/a")]
    #[case("*")]
    #[case("")]
    fn what_is_no_host_is_refused(#[case] text: &str) {
        let error = RegistryHost::try_from(text.to_owned()).unwrap_err();
        assert!(error.contains("is no registry's host"), "{error}");
    }
}
