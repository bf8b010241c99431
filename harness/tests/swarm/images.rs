//! Pulling, against a double of a registry; the engine that pulls is the real one.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use harness::cause::{self, Trouble};
use harness::fault::Fault;
use harness::recipe::compose::Service;
use harness::recipe::policy::Allowed;
use harness::site::{RegistryHost, RegistryLogin, Site};
use harness::swarm::{self, Swarm};

use crate::registry::{PASSWORD, Registry, USER};
use crate::stand::{Stand, service, services};

const SILENCE: Duration = Duration::from_secs(3);

async fn pull(name: &str) -> Result<(), Fault> {
    let swarm = Swarm::connect().await.unwrap();
    swarm::pull_if_missing(&swarm, name, &[], SILENCE).await
}

/// The same, at a site that names the image's registry.
async fn pull_with_login(name: &str) -> Result<(), Fault> {
    let swarm = Swarm::connect().await.unwrap();
    let host = RegistryHost::of_image(name);
    swarm::pull_if_missing(&swarm, name, &[RegistryLogin { host }], SILENCE).await
}

fn remove(name: &str) {
    let removed = Command::new("docker")
        .args(["image", "rm", name])
        .output()
        .unwrap();
    assert!(removed.status.success(), "{removed:?}");
}

#[rstest::rstest]
#[case::rate_limit("limited", Trouble::RateLimit, true)]
#[case::no_such_tag("unknown", Trouble::NoSuchImage, false)]
#[case::server_error("broken", Trouble::ServerFault, true)]
#[case::cut("reset", Trouble::ConnectionLost, true)]
#[case::silence("silent", Trouble::TimedOut, true)]
#[tokio::test]
async fn docker_a_pull_that_fails_is_known_by_its_cause(
    #[case] kind: &str,
    #[case] trouble: Trouble,
    #[case] again: bool,
) {
    let registry = Registry::start();
    let name = registry.name(kind);
    let fault = pull(&name).await.unwrap_err();
    let text = fault.to_string();
    assert!(text.starts_with(&format!("pulling {name}: ")), "{text}");
    assert_eq!(Trouble::of(&text), Some(trouble), "{text}");
    assert_eq!(cause::second_try(&fault).is_some(), again, "{text}");
    let recipe = matches!(fault, Fault::Recipe(_));
    assert_eq!(recipe, kind == "unknown", "{fault:?}");
    assert!(registry.asked(kind) > 0, "the registry was never asked");
}

#[tokio::test]
async fn docker_a_registry_that_wants_credentials_is_no_fault_of_the_recipe() {
    let fault = pull(&Registry::private().name("open")).await.unwrap_err();
    assert!(matches!(fault, Fault::Infra(_)), "{fault:?}");
    assert_eq!(Trouble::of(&fault.to_string()), Some(Trouble::Refused));
    assert_eq!(cause::second_try(&fault), None);
}

#[tokio::test]
async fn docker_a_registry_that_is_not_there_is_no_fault_of_the_recipe() {
    let fault = pull("127.0.0.1:1/x:1").await.unwrap_err();
    assert!(matches!(fault, Fault::Infra(_)), "{fault:?}");
    assert_eq!(Trouble::of(&fault.to_string()), Some(Trouble::Unreachable));
}

#[tokio::test]
async fn docker_a_registry_that_recovers_gives_the_image_at_the_second_try() {
    let registry = Registry::start();
    let name = registry.name("once-broken");
    let first = pull(&name).await.unwrap_err();
    assert!(cause::second_try(&first).is_some(), "{first}");
    pull(&name).await.unwrap();
    remove(&name);
}

#[tokio::test]
async fn docker_a_registry_says_how_large_an_image_is() {
    let registry = Registry::with_tls();
    let swarm = Swarm::connect().await.unwrap();
    let size = swarm::download_size(&swarm, &registry.name("open"), &[]).await;
    assert_eq!(size, Some(registry.layer_bytes()));
    let size = swarm::download_size(&swarm, &registry.name("unknown"), &[]).await;
    assert_eq!(size, None);
}

/// Runs this test again in a process whose Docker configuration knows the registry's password: the
/// environment of a running process can't be changed.
fn with_credentials(test: &str, registry: &Registry) {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    let dir = tempfile::tempdir().unwrap();
    let auth = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let config = serde_json::json!({ "auths": { registry.host(): { "auth": auth } } });
    again_with(test, registry, &dir, &config);
}

fn again_with(
    test: &str,
    registry: &Registry,
    dir: &tempfile::TempDir,
    config: &serde_json::Value,
) {
    let path = std::env::var("PATH").unwrap();
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("DOCKER_CONFIG", dir.path())
        .env("PATH", format!("{}:{path}", dir.path().display()))
        .env("CCCI_TEST_REGISTRY", registry.name("open"))
        .output()
        .unwrap();
    assert!(
        ran.status.success() && String::from_utf8_lossy(&ran.stdout).contains("1 passed"),
        "{ran:?}"
    );
}

fn private_image() -> Option<String> {
    std::env::var("CCCI_TEST_REGISTRY").ok()
}

#[tokio::test]
async fn docker_a_registry_that_the_site_names_gets_the_login_of_dockers_client() {
    if let Some(name) = private_image() {
        pull_with_login(&name).await.unwrap();
        // It is present now, by a login that a pull request has no right to.
        let refused = pull(&name).await.unwrap_err().to_string();
        remove(&name);
        let host = RegistryHost::of_image(&name);
        assert_eq!(
            refused,
            format!(
                "the image {name} is present, and {host} does not give it to everybody; this site \
                 does not use its login for {host}: add [[registry]] host = \"{host}\" to the site file"
            )
        );
        return;
    }
    let registry = Registry::private();
    with_credentials(
        "images::docker_a_registry_that_the_site_names_gets_the_login_of_dockers_client",
        &registry,
    );
    assert!(registry.had_credentials());
}

/// The images of a pull request are a stranger's choice, and so are the registries.
#[tokio::test]
async fn docker_a_registry_that_the_site_does_not_name_never_sees_the_login() {
    if let Some(name) = private_image() {
        let fault = pull(&name).await.unwrap_err();
        let swarm = Swarm::connect().await.unwrap();
        let size = swarm::download_size(&swarm, &name, &[]).await;
        let host = RegistryHost::of_image(&name);
        let wanted =
            format!("does not use its login for {host}: add [[registry]] host = \"{host}\"");
        assert!(
            matches!(&fault, Fault::Infra(why) if why.contains(&wanted)),
            "{fault}"
        );
        assert_eq!(Trouble::of(&fault.to_string()), Some(Trouble::Refused));
        assert_eq!(size, None);
        assert!(!swarm::is_present(&swarm, &name).await.unwrap());
        return;
    }
    let registry = Registry::private();
    with_credentials(
        "images::docker_a_registry_that_the_site_does_not_name_never_sees_the_login",
        &registry,
    );
    assert!(!registry.had_credentials());
}

/// What everybody may pull needs no name, logged in or not.
#[tokio::test]
async fn docker_an_image_for_everybody_is_used_though_there_is_a_login() {
    if let Some(name) = private_image() {
        pull(&name).await.unwrap();
        let again = pull(&name).await;
        remove(&name);
        again.unwrap();
        return;
    }
    let registry = Registry::start();
    with_credentials(
        "images::docker_an_image_for_everybody_is_used_though_there_is_a_login",
        &registry,
    );
    assert!(!registry.had_credentials());
}

/// A helper is a program that runs as the account: for a registry that is not named it does not.
#[tokio::test]
async fn docker_a_credential_helper_runs_only_for_a_registry_that_is_named() {
    if let Some(name) = private_image() {
        let ran = || {
            std::path::Path::new(&std::env::var_os("DOCKER_CONFIG").unwrap())
                .join("ran")
                .exists()
        };
        pull(&name).await.unwrap_err();
        assert!(!ran());
        pull_with_login(&name).await.unwrap_err();
        assert!(ran(), "the helper is not what was tried");
        return;
    }
    let registry = Registry::private();
    let dir = tempfile::tempdir().unwrap();
    let helper = dir.path().join("docker-credential-test");
    let marker = dir.path().join("ran");
    let script = format!("#!/bin/sh\n: > {}\nexit 1\n", marker.display());
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, PermissionsExt::from_mode(0o755)).unwrap();
    let config = serde_json::json!({ "credHelpers": { registry.host(): "test" } });
    again_with(
        "images::docker_a_credential_helper_runs_only_for_a_registry_that_is_named",
        &registry,
        &dir,
        &config,
    );
}

/// A service of an image that is not present, at a site that names its registry or does not: whether
/// the swarm's agent could pull it with what the deploy handed on, and what became of the task.
async fn pulled_by_the_swarm(name: &str, named: bool) -> (bool, String) {
    let login = RegistryLogin {
        host: RegistryHost::of_image(name),
    };
    // Its address is allowed either way: what differs is the login.
    let rule = format!("registry:{}", login.host);
    let site = Site {
        allow: Allowed::parse([rule.as_str()]).unwrap(),
        registry: Vec::from_iter(named.then_some(login)),
        ..Site::default()
    };
    let stand = Stand::at("credentials", &site).await;
    let image = name.to_owned();
    let compose = services([(
        "app",
        Service {
            image,
            ..service(vec![])
        },
    )]);
    let text = format!("services:\n  app:\n    image: {name}\n");
    stand.deploy(&text, compose).await;
    // The image holds no program, so the swarm gets at most as far as to start it.
    let fault = stand.converge(&[("app", 1)]).await.unwrap_err();
    let present = swarm::is_present(&stand.swarm, name).await.unwrap();
    stand.remove().await;
    (present, fault.to_string())
}

#[tokio::test]
async fn docker_a_deploy_hands_the_login_that_the_site_names_to_the_swarm() {
    if let Some(name) = private_image() {
        let (present, fault) = pulled_by_the_swarm(&name, true).await;
        assert!(present, "{fault}");
        assert!(!fault.contains("No such image"), "{fault}");
        remove(&name);
        return;
    }
    let registry = Registry::private();
    with_credentials(
        "images::docker_a_deploy_hands_the_login_that_the_site_names_to_the_swarm",
        &registry,
    );
    assert!(registry.had_credentials());
}

#[tokio::test]
async fn docker_a_deploy_hands_no_other_login_on() {
    if let Some(name) = private_image() {
        let (present, fault) = pulled_by_the_swarm(&name, false).await;
        assert!(!present, "{fault}");
        return;
    }
    let registry = Registry::private();
    with_credentials("images::docker_a_deploy_hands_no_other_login_on", &registry);
    assert!(!registry.had_credentials());
}
