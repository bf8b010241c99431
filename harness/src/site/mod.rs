//! Where a run takes place: zone, catalogue, engine, proxy, limits, state directory.
//!
//! The site `local` is built in; any other is a TOML file. Nothing but the site differs between a
//! laptop and a server.

mod abra;
mod limits;
mod network;
mod proxy;
mod registry;
pub mod wall;

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::recipe::policy::Allowed;
use crate::recipe::{AppDomain, Credentials, Source};
pub use abra::{AbraSite, ServerName};
pub use limits::Limits;
pub use network::{Network, NoNetwork, Reach};
pub use proxy::{Proxy, Roots};
pub use registry::{DOCKER_HUB, RegistryHost, RegistryLogin};

/// The variable that names a site file.
pub const SITE_VARIABLE: &str = "CCCI_SITE";
/// The variable that names the state directory.
pub const STATE_VARIABLE: &str = "CCCI_STATE_DIR";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Site {
    pub name: String,
    /// Apps are named one label below this.
    pub zone: AppDomain,
    pub engine: EngineKind,
    /// For the engine `abra`.
    pub abra: AbraSite,
    /// What apps are reached through.
    pub proxy: Proxy,
    pub network: Network,
    /// Where recipes come from that no `--source` is given for.
    pub catalogue: Catalogue,
    /// What private repositories are read with, by host.
    pub token: Vec<ForgeToken>,
    /// Registries at which the login of Docker's client is used; all others are asked without.
    pub registry: Vec<RegistryLogin>,
    pub limits: Limits,
    /// Policy findings that are allowed here, by name.
    pub allow: Allowed,
    /// The image of the edge: a name of the image kit.
    pub edge_image: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    Stack,
    Abra,
}

impl EngineKind {
    /// As in a site file, and in the record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stack => "stack",
            Self::Abra => "abra",
        }
    }
}

/// A forge's access token, in a file that only cc-ci's user reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgeToken {
    pub host: String,
    pub file: PathBuf,
}

/// `"built-in"`, or a URL in which `{recipe}` stands for the recipe's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Catalogue {
    BuiltIn,
    Url(String),
}

impl From<String> for Catalogue {
    fn from(text: String) -> Self {
        if text == "built-in" {
            Self::BuiltIn
        } else {
            Self::Url(text)
        }
    }
}

impl From<Catalogue> for String {
    fn from(catalogue: Catalogue) -> Self {
        match catalogue {
            Catalogue::BuiltIn => "built-in".to_owned(),
            Catalogue::Url(url) => url,
        }
    }
}

impl Default for Site {
    fn default() -> Self {
        Self {
            name: "local".to_owned(),
            zone: "ci.test".parse().expect("the local zone is a domain"),
            engine: EngineKind::Stack,
            abra: AbraSite::default(),
            proxy: Proxy::Edge {},
            network: Network::default(),
            catalogue: Catalogue::BuiltIn,
            token: Vec::new(),
            registry: Vec::new(),
            limits: Limits::default(),
            allow: Allowed::default(),
            edge_image: "cc-ci.local/nginx:1.22.1".to_owned(),
        }
    }
}

impl Site {
    /// The site that the environment names, else `local`.
    pub fn from_environment() -> Result<Self, Fault> {
        match std::env::var_os(SITE_VARIABLE) {
            Some(path) => Self::read(Path::new(&path)),
            None => Ok(Self::default()),
        }
    }

    /// The source with the token of its host, if the site has one and the address none. It is read
    /// anew each time, for the one command that it is passed to.
    pub fn with_token(&self, source: Source) -> Result<Source, Fault> {
        let host = source.host_for_a_token();
        let Some(token) = host.and_then(|host| self.token.iter().find(|token| token.host == host))
        else {
            return Ok(source);
        };
        let file = token.file.display();
        let text = fs::read_to_string(&token.file).map_err(|error| {
            Fault::usage(format!("the token of {}: {file}: {error}", token.host))
        })?;
        let secret = text.trim();
        if secret.is_empty() || secret.contains(char::is_whitespace) {
            return Err(Fault::usage(format!(
                "the token of {}: {file} is not one word",
                token.host
            )));
        }
        Ok(source.with_credentials(Credentials::token(secret)))
    }

    /// What policy allows here. The edge serves one session and reads no other app's labels, so that
    /// names and entrypoints of its own can't be taken from anybody.
    pub fn allowed(&self) -> Allowed {
        let named = self.registry.iter();
        let named = named.map(|login| format!("registry:{}", login.host.as_str()));
        let allowed = named.fold(self.allow.clone(), |allowed, name| allowed.and(&name));
        match self.proxy {
            Proxy::Edge {} => allowed.and("router-name").and("entrypoint"),
            Proxy::Traefik { .. } => allowed,
        }
    }

    pub fn read(path: &Path) -> Result<Self, Fault> {
        let text = fs::read_to_string(path)
            .map_err(|error| Fault::usage(format!("site file {}: {error}", path.display())))?;
        let site: Self = toml::from_str(&text)
            .map_err(|error| Fault::usage(format!("site file {}: {error}", path.display())))?;
        if site.limits.max_tests == 0 {
            return Err(Fault::usage(format!(
                "site file {}: limits.max_tests is 0, so nothing could ever run; the least is 1",
                path.display()
            )));
        }
        site.proxy
            .check()
            .map_err(|fault| fault.context(format!("site file {}", path.display())))?;
        Ok(site)
    }
}

/// `CCCI_STATE_DIR`, else for root `/var/lib/cc-ci`, else below the user's state directory.
pub fn state_dir() -> Result<PathBuf, Fault> {
    if let Some(dir) = std::env::var_os(STATE_VARIABLE).filter(|dir| !dir.is_empty()) {
        return std::path::absolute(&dir)
            .map_err(|error| Fault::usage(format!("{STATE_VARIABLE}: {error}")));
    }
    if rustix::process::getuid().is_root() {
        return Ok(PathBuf::from("/var/lib/cc-ci"));
    }
    let below = |variable: &str| std::env::var_os(variable).filter(|dir| !dir.is_empty());
    below("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| below("HOME").map(|home| Path::new(&home).join(".local/state")))
        .map(|dir| dir.join("cc-ci"))
        .ok_or_else(|| {
            Fault::usage(format!(
                "no place for the state directory: set {STATE_VARIABLE}"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Site, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.toml");
        fs::write(&path, text).unwrap();
        Site::read(&path).map_err(|fault| {
            assert!(matches!(fault, Fault::Usage(_)));
            fault
                .to_string()
                .replace(&path.display().to_string(), "site.toml")
        })
    }

    #[test]
    fn what_a_site_file_does_not_say_is_as_in_the_local_site() {
        let site = read("zone = \"ci.example.org\"\n[limits]\nmax_tests = 2\n").unwrap();
        assert_eq!(site.zone.as_str(), "ci.example.org");
        assert_eq!(site.limits.max_tests, 2);
        assert_eq!(
            site.limits.session_seconds,
            Site::default().limits.session_seconds
        );
    }

    /// The documented example says what it is meant to say.
    #[test]
    fn the_example_of_a_production_site_is_read() {
        let site = read(include_str!("../../../docs/site-production.toml")).unwrap();
        assert_eq!(site.engine, EngineKind::Abra);
        let address = "127.0.0.1:443".parse().ok();
        let roots = Roots::default();
        assert_eq!(site.proxy, Proxy::Traefik { address, roots });
        assert_eq!(site.abra.dir().unwrap(), Path::new("/root/.abra"));
        assert_eq!(site.abra.server.as_str(), "default");
    }

    #[test]
    fn a_site_names_the_registries_that_its_login_is_for() {
        assert_eq!(Site::default().registry, []);
        let text = "[[registry]]\nhost = \"git.example.org\"\n[[registry]]\nhost = \"docker.io\"\n";
        let site = read(text).unwrap();
        let hosts: Vec<_> = site.registry.iter().map(|it| it.host.as_str()).collect();
        assert_eq!(hosts, ["git.example.org", DOCKER_HUB]);
    }

    #[rstest::rstest]
    #[case::registry("[[registry]]\nhost = \"https://x.test\"\n", "is no registry's host")]
    #[case::kind("[proxy]\nkind = \"caddy\"\n", "unknown variant `caddy`")]
    #[case::address(
        "[proxy]\nkind = \"traefik\"\naddress = \"localhost\"\n",
        "invalid socket address"
    )]
    #[case::key(
        "[proxy]\nkind = \"traefik\"\nadress = \"x\"\n",
        "unknown field `adress`"
    )]
    #[case::edge(
        "[proxy]\nkind = \"edge\"\naddress = \"127.0.0.1:443\"\n",
        "unknown field `address`"
    )]
    #[case::no_kind("[proxy]\naddress = \"127.0.0.1:443\"\n", "missing field `kind`")]
    #[case::relative_roots(
        "[proxy]\nkind = \"traefik\"\nroots = \"ca.pem\"\n",
        "`ca.pem`: \"system\", or the whole path of a PEM file"
    )]
    #[case::no_roots(
        "[proxy]\nkind = \"traefik\"\nroots = \"/nowhere/ca.pem\"\n",
        "proxy.roots: /nowhere/ca.pem: No such file"
    )]
    #[case::empty_roots(
        "[proxy]\nkind = \"traefik\"\nroots = \"/dev/null\"\n",
        "proxy.roots: the file of trusted certificates holds none"
    )]
    #[case::network(
        "[network]\ntasks_reach = [\"10.1.2.3/24\"]\n",
        "`10.1.2.3/24` is no network: its first address and the length of its prefix"
    )]
    #[case::network_key("[network]\ntask_reach = []\n", "unknown field `task_reach`")]
    #[case::server("[abra]\nserver = \"../x\"\n", "`../x` is no server of abra's")]
    #[case::engine("engine = \"compose\"\n", "unknown variant `compose`")]
    #[case::rule(
        "allow = [\"host-binds\"]\n",
        "`host-binds` is no policy rule that a site can allow; the rules are bind-propagation:<kind>, "
    )]
    #[case::proxys_port("allow = [\"port:443/tcp\"]\n", "ports 80 and 443 are the proxy's")]
    fn what_can_not_be_is_refused_by_name(#[case] text: &str, #[case] said: &str) {
        let error = read(text).unwrap_err();
        assert!(error.contains(said), "{error}");
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        insta::assert_snapshot!(read("zome = \"ci.test\"").unwrap_err(), @r#"
        site file site.toml: TOML parse error at line 1, column 1
          |
        1 | zome = "ci.test"
          | ^^^^
        unknown field `zome`, expected one of `name`, `zone`, `engine`, `abra`, `proxy`, `network`, `catalogue`, `token`, `registry`, `limits`, `allow`, `edge_image`
        "#);
    }

    #[test]
    fn a_private_repository_is_read_with_the_token_of_its_host() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        fs::write(&file, "s3cret\n").unwrap();
        let text = format!("[[token]]\nhost = \"forge.test\"\nfile = {file:?}\n");
        let site = read(&text).unwrap();
        let source = |text: &str| Source::parse(text).unwrap();
        let mirror = source("https://forge.test/a/b.git");
        let with = mirror
            .clone()
            .with_credentials(Credentials::token("s3cret"));
        assert_eq!(site.with_token(mirror).unwrap(), with);
        assert!(!format!("{with:?} {with}").contains("s3cret"));
        let other = source("https://elsewhere.test/a/b.git");
        assert_eq!(site.with_token(other.clone()).unwrap(), other);
        fs::write(&file, "two words\n").unwrap();
        let refused = site.with_token(source("https://forge.test/a/b.git"));
        let said = refused.unwrap_err().to_string();
        assert!(
            said.ends_with("is not one word") && !said.contains("two words"),
            "{said}"
        );
    }

    #[test]
    fn a_zone_that_is_no_domain_is_refused() {
        insta::assert_snapshot!(read("zone = \"not a zone\"").unwrap_err(), @r#"
        site file site.toml: TOML parse error at line 1, column 8
          |
        1 | zone = "not a zone"
          |        ^^^^^^^^^^^^
        `not a zone` is no domain name: labels of letters, digits and `-`, at most 63 characters each, separated by dots
        "#);
    }
}
