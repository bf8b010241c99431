//! What a stranger's compose file gets through the door in front of the engine: the attacker's
//! side, with a look at the swarm itself.

use std::collections::HashMap;

use bollard::models::ConfigSpec;
use bollard::query_parameters::ListServicesOptions;
use harness::engine::Engine as _;
use harness::fault::Fault;
use harness::recipe::Compose;
use harness::swarm::NAMESPACE;

use crate::foreign::docker;
use crate::stand::{DEADLINE, Stand, service, services};

/// What came of a deploy of this text. Our own reading of it is of another, harmless file: nothing
/// may rest on that.
async fn deployed(stand: &Stand, text: &str) -> Result<Vec<String>, Fault> {
    let what = stand.deployment(text, model()).await;
    stand.engine.deploy(&stand.app, &what).await
}

fn model() -> Compose {
    services([("app", service(vec![]))])
}

/// The names of services that the swarm has of the stack.
async fn live(stand: &Stand) -> Vec<String> {
    let listed = stand.swarm.docker();
    let listed = listed.list_services(None::<ListServicesOptions>).await;
    let names = listed.unwrap().into_iter().filter_map(|one| one.spec?.name);
    names
        .filter(|name| name.starts_with(stand.stack().as_str()))
        .collect()
}

const APP: &str = "services:\n  app:\n    image: faulty:1\n";

#[tokio::test]
async fn docker_what_a_wall_refuses_never_reaches_the_swarm() {
    let stand = Stand::new("door-walls").await;
    let hidden = "x-more: &more {volumes: ['/srv:/host']}\nservices:\n  app:\n    image: faulty:1\n  \
                  quiet:\n    <<: *more\n    image: faulty:1\n";
    let elsewhere = format!(
        "{APP}    networks: [other]\nnetworks: {{other: {{external: true, name: ingress}}}}\n"
    );
    for (text, name, recipe) in [
        (
            format!("{APP}    volumes: ['/etc:/host']\n"),
            "host-bind",
            false,
        ),
        (hidden.to_owned(), "host-bind", false),
        (
            format!("{APP}    cap_add: [SYS_ADMIN]\n"),
            "capability:SYS_ADMIN",
            false,
        ),
        (
            format!(
                "{APP}    volumes: [vol:/v]\nvolumes: {{vol: {{external: true, name: of-others}}}}\n"
            ),
            "foreign-volume",
            true,
        ),
        (
            format!(
                "{APP}    volumes: [vol:/v]\nvolumes: {{vol: {{driver_opts: {{type: overlay, o: 'lowerdir=/,upperdir=/tmp/u,workdir=/tmp/w', device: overlay}}}}}}\n"
            ),
            "volume",
            true,
        ),
        (elsewhere, "foreign-network", true),
    ] {
        let fault = deployed(&stand, &text).await.expect_err(name);
        assert!(fault.to_string().contains(name), "{name}: {fault}");
        assert_eq!(
            matches!(fault, Fault::Recipe(_)),
            recipe,
            "{name}: {fault:?}"
        );
        let quiet = live(&stand).await.iter().any(|one| one.ends_with("_quiet"));
        assert!(!quiet, "{name}");
        // A service that came before the refused one is the run's to remove.
        harness::swarm::remove_stack(&stand.swarm, stand.stack(), &stand.app.before, DEADLINE)
            .await
            .unwrap();
    }
    stand.remove().await;
}

#[tokio::test]
async fn docker_the_client_reads_the_recipe_and_nothing_else() {
    let stand = Stand::new("door-files").await;
    let outside = tempfile::tempdir().unwrap();
    let word = "a-word-of-the-host";
    let witness = outside.path().join("witness");
    std::fs::write(&witness, format!("{word}=1\n")).unwrap();
    let witness = witness.display();
    std::fs::write(stand.tree.path().join("inside"), "FROM_INSIDE=1\n").unwrap();
    let app = |rest: &str| format!("{APP}{rest}");
    let attempts = [
        app(&format!("    env_file: {witness}\n")),
        app("    env_file: /proc/self/environ\n"),
        app("    env_file: /etc/passwd\n"),
        app(&format!(
            "    configs: [c]\nconfigs: {{c: {{file: {witness}}}}}\n"
        )),
        app(&format!(
            "    configs: [c]\nconfigs: {{c: {{file: ../../../../../../../..{witness}}}}}\n"
        )),
        app(&format!(
            "    secrets: [c]\nsecrets: {{c: {{file: {witness}}}}}\n"
        )),
        app("    configs: [c]\nconfigs: {c: {file: ../overlay.yml}}\n"),
    ];
    for text in attempts {
        let what = stand.deployment(&text, model()).await;
        let made = stand.engine.read(&stand.app, &what).await;
        let made = format!("{made:?}");
        let encoded = base64(word);
        for found in [word, &encoded[..16], "root:x:", "CARGO"] {
            assert!(!made.contains(found), "{text}: {made}");
        }
    }
    // The same ways lead to what is the recipe's.
    let what = stand
        .deployment(&app("    env_file: inside\n"), model())
        .await;
    let made = stand.engine.read(&stand.app, &what).await.unwrap();
    assert!(format!("{made:?}").contains("FROM_INSIDE=1"), "{made:?}");
    assert_eq!(live(&stand).await, Vec::<String>::new());
    stand.remove().await;
}

#[tokio::test]
async fn docker_variables_are_the_apps_and_none_of_ours() {
    let stand = Stand::new("door-variables").await;
    assert!(std::env::var("HOME").is_ok() && std::env::var("PATH").is_ok());
    let text =
        format!("{APP}    environment: ['A=<${{HOME}}>', 'B=<${{PATH}}>', 'C=<${{ODD}}>', HOME]\n");
    let what = stand.deployment(&text, model()).await;
    let made = stand.engine.read(&stand.app, &what).await.unwrap();
    let env = &made.services[0]["TaskTemplate"]["ContainerSpec"]["Env"];
    let env: Vec<_> = env
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one.as_str().unwrap())
        .collect();
    let expected = ["A=<>", "B=<>", "C=<$HOME 'yes'>"];
    assert!(expected.iter().all(|one| env.contains(one)), "{env:?}");
    assert!(!env.iter().any(|one| one.starts_with("HOME=")), "{env:?}");
    stand.remove().await;
}

#[tokio::test]
async fn docker_a_config_of_another_is_not_made_ours() {
    let stand = Stand::new("door-configs").await;
    let name = format!("cc-ci-test-of-another-{}", std::process::id());
    let labels = HashMap::from([("owner".to_owned(), "another".to_owned())]);
    let spec = ConfigSpec {
        name: Some(name.clone()),
        labels: Some(labels.clone()),
        data: Some(base64("theirs")),
        ..ConfigSpec::default()
    };
    let docker = stand.swarm.docker();
    let id = docker.create_config(spec).await.unwrap().id;
    std::fs::write(stand.tree.path().join("c"), "theirs").unwrap();
    let text = format!("{APP}    configs: [c]\nconfigs: {{c: {{file: c, name: {name}}}}}\n");
    let fault = deployed(&stand, &text).await;
    let there = docker.inspect_config(&id).await.unwrap().spec.unwrap();
    docker.delete_config(&id).await.unwrap();
    let fault = fault.unwrap_err();
    assert!(fault.to_string().contains("foreign-name"), "{fault}");
    assert_eq!(there.labels, Some(labels));
    assert!(!there.labels.unwrap().contains_key(NAMESPACE));
    stand.remove().await;
}

#[tokio::test]
async fn docker_a_task_has_the_sites_ceilings() {
    let stand = Stand::new("door-ceilings").await;
    let notes = deployed(&stand, APP).await.unwrap();
    assert_eq!(notes, Vec::<String>::new());
    let name = stand.stack().object("app");
    let found = stand.swarm.docker().inspect_service(&name, None).await;
    let task = found.unwrap().spec.unwrap().task_template.unwrap();
    let limits = task.resources.unwrap().limits.unwrap();
    let ceilings = harness::site::Limits::default().ceilings();
    assert_eq!(
        limits.memory_bytes,
        i64::try_from(ceilings.memory_bytes).ok()
    );
    assert_eq!(limits.pids, i64::try_from(ceilings.processes).ok());
    let log = task.log_driver.unwrap();
    assert_eq!(log.options.unwrap()["max-size"], "50m");
    // The same again changes no task.
    stand.converge(&[("app", 1)]).await.unwrap();
    let before = stand.converge(&[("app", 1)]).await.unwrap();
    deployed(&stand, APP).await.unwrap();
    assert_eq!(stand.converge(&[("app", 1)]).await.unwrap(), before);
    stand.remove().await;
}

fn base64(text: &str) -> String {
    use ::base64::Engine as _;
    ::base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test]
async fn docker_a_name_that_answers_for_another_is_not_given_to_the_app() {
    let stand = Stand::new("door-names").await;
    let (service, alias) = (
        format!("of-another-{}", std::process::id()),
        format!("answers-{}", std::process::id()),
    );
    let network = format!("name=proxy,alias={alias}");
    let make = ["service", "create", "--detach", "--replicas=0", "--name"];
    docker(&[&make[..], &[&service, "--network", &network, "faulty:1"]].concat());
    let on_proxy = "networks: {proxy: {external: true}}\n";
    let mut refused = Vec::new();
    for text in [
        format!("{APP}    networks: {{proxy: {{aliases: [{alias}]}}}}\n{on_proxy}"),
        format!("{APP}    networks: {{proxy: {{aliases: [{service}]}}}}\n{on_proxy}"),
        format!("services:\n  {alias}: {{image: 'faulty:1', networks: [proxy]}}\n{on_proxy}"),
        format!("services:\n  {service}: {{image: 'faulty:1', networks: [proxy]}}\n{on_proxy}"),
    ] {
        refused.push(deployed(&stand, &text).await);
    }
    let own = format!("{APP}    networks: [proxy]\n{on_proxy}");
    let let_through = deployed(&stand, &own).await;
    docker(&["service", "rm", &service]);
    for fault in refused {
        let fault = fault.unwrap_err();
        assert!(matches!(fault, Fault::Recipe(_)), "{fault:?}");
        assert!(fault.to_string().contains("foreign-alias"), "{fault}");
    }
    let_through.unwrap();
    stand.remove().await;
}
