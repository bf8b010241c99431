//! Images on this engine: which are present, which were built here, and pulling what is missing.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::query_parameters::CreateImageOptions;
use docker_credential::{CredentialRetrievalError as NoCredentials, DockerCredential};
use futures_util::StreamExt;

use super::{Swarm, answered, because};
use crate::cause::{self, Trouble};
use crate::fault::Fault;
use crate::site::{DOCKER_HUB, RegistryHost, RegistryLogin};

/// A pull that says nothing for so long has failed.
pub const SILENCE: Duration = Duration::from_secs(120);

/// The id of an image that is present and is in no registry: a look-up there would only fail.
pub async fn built_here(swarm: &Swarm, name: &str) -> Result<Option<String>, Fault> {
    match swarm.docker().inspect_image(name).await {
        Ok(image) => {
            let pulled = image
                .repo_digests
                .is_some_and(|digests| !digests.is_empty());
            Ok(image.id.filter(|_| !pulled))
        }
        Err(error) if answered(&error, 404) => Ok(None),
        Err(error) => Err(looking(name, &error)),
    }
}

/// Whether the engine has the image.
pub async fn is_present(swarm: &Swarm, name: &str) -> Result<bool, Fault> {
    match swarm.docker().inspect_image(name).await {
        Ok(_) => Ok(true),
        Err(error) if answered(&error, 404) => Ok(false),
        Err(error) => Err(looking(name, &error)),
    }
}

/// The engine looks for an image, and says more than that it is not there.
fn looking(name: &str, error: &Error) -> Fault {
    let why = because(error);
    if answered(error, 400) || why.contains("invalid reference format") {
        return Fault::recipe(format!("`{name}` is no name of an image: {why}"));
    }
    Swarm::fault(format!("looking for the image {name}"), error)
}

/// Pulls an image that is not present: with the login of Docker's client where its registry is one
/// of `logins`, else with none. An image or tag that the registry does not know is the recipe's
/// fault; a registry that does not answer or refuses is not. `silence`: how long the registry may
/// say nothing.
pub async fn pull_if_missing(
    swarm: &Swarm,
    name: &str,
    logins: &[RegistryLogin],
    silence: Duration,
) -> Result<(), Fault> {
    let host = RegistryHost::of_image(name);
    let named = |host: &RegistryHost| logins.iter().any(|login| login.host == *host);
    match swarm.docker().inspect_image(name).await {
        Ok(image) => {
            let digests = image.repo_digests.unwrap_or_default();
            let private = |name: &&String| {
                let host = RegistryHost::of_image(name);
                !named(&host) && has_login(&host)
            };
            for digest in digests.iter().filter(private) {
                if !is_public(swarm, digest).await {
                    return Err(not_for_everybody(name, &RegistryHost::of_image(digest)));
                }
            }
            return Ok(());
        }
        Err(error) if answered(&error, 404) => {}
        Err(error) => return Err(looking(name, &error)),
    }
    let (image, tag) = reference(name);
    let options = CreateImageOptions {
        from_image: Some(image.to_owned()),
        tag: tag.map(str::to_owned),
        ..CreateImageOptions::default()
    };
    let credentials = if named(&host) {
        credentials(key(&host)).await?
    } else {
        None
    };
    let mut progress = swarm
        .docker()
        .create_image(Some(options), None, credentials);
    let pulling = |why: &str| cause::infra_unless_known(format!("pulling {name}: {why}"));
    loop {
        match tokio::time::timeout(silence, progress.next()).await {
            Err(_) => {
                let why = format!("the registry said nothing for {} s", silence.as_secs());
                return Err(pulling(&why));
            }
            Ok(None) => return Ok(()),
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(error))) => {
                let fault = pulling(&said(&error));
                let refused = Trouble::of(&fault.to_string()) == Some(Trouble::Refused);
                if refused && !named(&host) && has_login(&host) {
                    return Err(Fault::infra(format!("{fault}; {}", unnamed(&host))));
                }
                return Err(fault);
            }
        }
    }
}

/// What the engine or the registry said. The engine's own status is 500, whatever the registry's was.
fn said(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.clone(),
        other => because(other),
    }
}

/// What `docker login` left for the registry: the engine has no credentials of its own.
async fn credentials(registry: &str) -> Result<Option<DockerCredentials>, Fault> {
    let server = registry.to_owned();
    let fault = |why: String| Fault::infra(format!("credentials for {registry}: {why}"));
    let path = client_config();
    let config = match std::fs::File::open(&path) {
        Ok(config) => std::io::BufReader::new(config),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(format!("{}: {error}", path.display()))),
    };
    // May run a program, the credential helper.
    let found = tokio::task::spawn_blocking(move || {
        docker_credential::get_credential_from_reader(config, &server)
    });
    let found = match found.await.map_err(|error| fault(error.to_string()))? {
        Ok(found) => found,
        Err(NoCredentials::NoCredentialConfigured) => return Ok(None),
        Err(NoCredentials::HelperFailure { stdout, .. })
            if stdout.contains("credentials not found") =>
        {
            return Ok(None);
        }
        // Its output could hold what it was asked for.
        Err(NoCredentials::HelperFailure { helper, .. }) => {
            return Err(fault(format!("the credential helper `{helper}` failed")));
        }
        Err(error) => return Err(fault(error.to_string())),
    };
    let credentials = match found {
        DockerCredential::IdentityToken(token) => DockerCredentials {
            identitytoken: Some(token),
            ..DockerCredentials::default()
        },
        DockerCredential::UsernamePassword(username, password) => DockerCredentials {
            username: Some(username),
            password: Some(password),
            ..DockerCredentials::default()
        },
    };
    let credentials = DockerCredentials {
        serveraddress: Some(registry.to_owned()),
        ..credentials
    };
    if arrive(&credentials) {
        Ok(Some(credentials))
    } else {
        Err(fault(
            "the password has a character that can't be handed to the engine (one of `~`, `?`, `>`, \
             or a letter outside of ASCII); use an access token"
                .to_owned(),
        ))
    }
}

/// The login for an image's registry as the engine's API takes it, where the site names that.
pub async fn login(name: &str, logins: &[RegistryLogin]) -> Result<Option<String>, Fault> {
    let host = RegistryHost::of_image(name);
    if !logins.iter().any(|login| login.host == host) {
        return Ok(None);
    }
    let found = credentials(key(&host)).await?;
    let encoded = |found| STANDARD.encode(serde_json::to_vec(&found).unwrap_or_default());
    Ok(found.map(encoded))
}

/// Where Docker's client has its configuration.
fn client_config() -> PathBuf {
    let set = |key| std::env::var_os(key).filter(|value| !value.is_empty());
    let folder = set("DOCKER_CONFIG").map(PathBuf::from);
    let home = || PathBuf::from(set("HOME").unwrap_or_default()).join(".docker");
    folder.unwrap_or_else(home).join("config.json")
}

/// The engine reads credentials as base64 for URLs, and takes any other text for none at all; the
/// Docker API's client here writes plain base64, which differs in two digits.
fn arrive(credentials: &DockerCredentials) -> bool {
    let json = serde_json::to_vec(credentials).unwrap_or_default();
    !STANDARD.encode(json).contains(['+', '/'])
}

/// A registry, as Docker's `config.json` names it.
fn key(host: &RegistryHost) -> &str {
    match host.as_str() {
        DOCKER_HUB => "https://index.docker.io/v1/",
        host => host,
    }
}

/// Whether the registry shows the image to whoever asks, by the engine, which has no login.
async fn is_public(swarm: &Swarm, name: &str) -> bool {
    swarm
        .docker()
        .inspect_registry_image(name, None)
        .await
        .is_ok()
}

/// The image lies here and its registry does not give it to everybody: it may have come by the
/// operator's login, and a pull request must not run it.
fn not_for_everybody(name: &str, host: &RegistryHost) -> Fault {
    let what = format!("the image {name} is present, and {host} does not give it to everybody");
    Fault::infra(format!("{what}; {}", unnamed(host)))
}

fn unnamed(host: &RegistryHost) -> String {
    format!(
        "this site does not use its login for {host}: add [[registry]] host = \"{host}\" to the \
         site file"
    )
}

/// Whether Docker's client has a login for the registry. No helper is run to know it.
fn has_login(host: &RegistryHost) -> bool {
    let read = std::fs::read(client_config());
    let config = read
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    let config: serde_json::Value = config.unwrap_or_default();
    let of_host = |table: &str| config[table].get(key(host)).is_some();
    // Where a store for all registries has the password, its host is in this table all the same.
    of_host("auths") || of_host("credHelpers")
}

/// Name and tag; a digest stays with the name.
fn reference(name: &str) -> (&str, Option<&str>) {
    if name.contains('@') {
        return (name, None);
    }
    match name.rsplit_once(':') {
        // A colon before a slash is a registry's port.
        Some((image, tag)) if !tag.contains('/') => (image, Some(tag)),
        _ => (name, Some("latest")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("nginx", ("nginx", Some("latest")))]
    #[case("nginx:1.27", ("nginx", Some("1.27")))]
    #[case("localhost:5000/nginx", ("localhost:5000/nginx", Some("latest")))]
    #[case("localhost:5000/nginx:1", ("localhost:5000/nginx", Some("1")))]
    #[case("nginx@sha256:00", ("nginx@sha256:00", None))]
    fn a_reference_has_a_name_and_a_tag(
        #[case] name: &str,
        #[case] expected: (&str, Option<&str>),
    ) {
        assert_eq!(reference(name), expected);
    }

    #[rstest::rstest]
    #[case("dckr_pat_0123-abc_DEF", true)]
    #[case("???", false)]
    #[case("~~~", false)]
    #[case("ÿÿÿ", false)]
    fn a_password_that_would_be_lost_on_the_way_is_noticed(
        #[case] password: &str,
        #[case] arrives: bool,
    ) {
        let credentials = DockerCredentials {
            username: Some("user".to_owned()),
            password: Some(password.to_owned()),
            ..DockerCredentials::default()
        };
        assert_eq!(arrive(&credentials), arrives);
    }

    #[test]
    fn a_name_that_docker_can_not_read_is_the_recipes_fault() {
        let error = |status_code, message: &str| Error::DockerResponseServerError {
            status_code,
            message: message.to_owned(),
        };
        let invalid = error(400, "invalid reference format: must be lowercase");
        assert!(matches!(looking("A/b", &invalid), Fault::Recipe(_)));
        let broken = error(500, "layer store is corrupt");
        assert!(matches!(looking("a/b", &broken), Fault::Infra(_)));
    }
}
