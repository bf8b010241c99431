//! The swarm room and the stack engine against a real Docker engine.
//!
//! Every test has a stack of its own, which goes with its guard, whatever the test did.

#![expect(clippy::unwrap_used, reason = "a test's own helpers panic like a test")]

#[path = "swarm/bot.rs"]
mod bot;
#[path = "swarm/dead.rs"]
mod dead;
#[path = "swarm/door.rs"]
mod door;
#[path = "swarm/evidence.rs"]
mod evidence;
#[path = "swarm/foreign.rs"]
mod foreign;
#[path = "swarm/images.rs"]
mod images;
#[path = "swarm/registry.rs"]
mod registry;
#[path = "swarm/restores.rs"]
mod restores;
#[path = "swarm/stand.rs"]
mod stand;

use std::time::{Duration, Instant};

use harness::engine::{Engine, SecretValue};
use harness::fault::Fault;
use harness::recipe::Compose;
use harness::recipe::compose::Service;
use harness::swarm::{self, Expected};
use harness::wait::{Probe, Unwatched, wait_until};

use stand::{DEADLINE, Stand, data_volume, service, services};

#[tokio::test]
async fn docker_a_deploy_converges_is_live_and_goes_whole() {
    let stand = Stand::new("whole").await;
    let (mounts, volumes) = data_volume();
    let mut compose = services([
        ("app", service(mounts)),
        (
            "job",
            Service {
                replicas: 0,
                ..service(vec![])
            },
        ),
    ]);
    compose.volumes = volumes;
    let text = "services:
  app:
    image: faulty:1
    volumes: [data:/data]
    secrets: [pw]
  job:
    image: faulty:1
    deploy: { replicas: 0 }
volumes: { data: {} }
secrets:
  pw: { external: true, name: \"${STACK_NAME}_pw_v1\" }
";
    let secret = SecretValue {
        name: stand.stack().object("pw_v1"),
        version: "v1".to_owned(),
        value: b"very secret".to_vec(),
    };
    let what = stand.deployment(text, compose.clone()).await;
    let insert = || async {
        let secrets = std::slice::from_ref(&secret);
        stand
            .engine
            .insert_secrets(&stand.app, &what, secrets)
            .await
    };
    insert().await.unwrap();
    let again = insert().await;
    assert!(again.unwrap_err().to_string().contains("exists already"));
    compose.secrets.insert(
        "pw".to_owned(),
        harness::recipe::compose::Object {
            name: Some(stand.stack().object("pw_v1")),
            external: true,
            ..Default::default()
        },
    );
    compose.services.get_mut("app").unwrap().secrets = vec![harness::recipe::compose::Grant {
        source: "pw".to_owned(),
        target: None,
        mode: None,
    }];
    let what = stand.deployment(text, compose).await;
    stand.engine.deploy(&stand.app, &what).await.unwrap();
    let converged = stand.converge(&[("app", 1), ("job", 0)]).await.unwrap();
    assert_eq!(converged.services["app"].tasks.len(), 1);
    assert_eq!(converged.services["job"].tasks, vec![]);

    let live = swarm::live(&stand.swarm, stand.stack()).await.unwrap();
    let expected = Expected {
        stack: stand.stack(),
        compose: &what.compose,
        tree: &what.tree,
        local_images: &what.local_images,
        variables: &what.variables,
    };
    assert_eq!(swarm::differences(&expected, &live), Vec::<String>::new());
    assert_eq!(live[0].env["ODD"].as_deref(), Some("$HOME 'yes'"));
    let chaos = stand.stack().to_string();
    assert_eq!(
        live[0].labels[&format!("coop-cloud.{chaos}.chaos-version")],
        "01234567"
    );

    let mounted = swarm::mounted_volumes(&stand.swarm, stand.stack())
        .await
        .unwrap();
    let seen = mounted
        .iter()
        .map(|v| (v.target.as_str(), v.anonymous, v.driver.as_str()))
        .collect::<Vec<_>>();
    assert_eq!(
        seen,
        [("/data", false, "local"), ("/scratch", true, "local")]
    );

    let echo = ["/faulty", "echo", "a b", "$HOME"].map(str::to_owned);
    let output = stand
        .engine
        .exec(&stand.app, "app", &echo, Duration::from_secs(20))
        .await
        .unwrap();
    assert_eq!((output.code, output.stdout.as_str()), (4, "a b $HOME\n"));
    assert_eq!(output.stderr, "said\n");
    let flood = ["/faulty", "flood"].map(str::to_owned);
    let output = stand
        .engine
        .exec(&stand.app, "app", &flood, Duration::from_secs(20))
        .await
        .unwrap();
    assert_eq!((output.code, output.stdout.len()), (0, 1024 * 1024));
    let hang = ["/faulty", "hang"].map(str::to_owned);
    let hung = stand
        .engine
        .exec(&stand.app, "app", &hang, Duration::from_millis(300))
        .await;
    assert!(matches!(hung, Err(Fault::Recipe(_))), "{hung:?}");

    let pieces = swarm::collect(&stand.swarm, stand.stack()).await;
    let names: Vec<&str> = pieces.iter().map(|piece| piece.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "services.txt",
            "tasks.txt",
            "health.txt",
            "log-app.txt",
            "log-job.txt"
        ]
    );
    let log = &pieces[3].text;
    assert!(
        log.contains("serving") && log.contains("[redacted:word]"),
        "{log}"
    );
    assert!(!log.contains("secret-word"), "{log}");

    let restarts = swarm::restarts(&stand.swarm, stand.stack(), &converged).await;
    assert_eq!(restarts, Ok(vec![]));
    let container = &converged.services["app"].tasks[0].container;
    stand
        .swarm
        .docker()
        .kill_container(
            container,
            None::<bollard::query_parameters::KillContainerOptions>,
        )
        .await
        .unwrap();
    wait_until(
        "the restart to show",
        Duration::from_secs(20),
        Duration::from_millis(50),
        &Unwatched,
        || async {
            let seen = swarm::restarts(&stand.swarm, stand.stack(), &converged).await;
            match seen.unwrap().first() {
                Some(line) if line.starts_with("app: task ended: exit 137") => Probe::Ready(()),
                other => Probe::NotYet(format!("{other:?}")),
            }
        },
    )
    .await
    .unwrap();

    let noted = swarm::anonymous_volumes(&stand.swarm, stand.stack(), &stand.app.before)
        .await
        .unwrap();
    assert!(!noted.is_empty());
    stand
        .engine
        .remove_stack(&stand.app, DEADLINE)
        .await
        .unwrap();
    let left = stand.residue(&noted).await;
    assert_eq!(left.len(), 1, "the secret stays: {left:?}");
    assert_eq!(left[0].kind, "secret");
    stand.remove().await;
}

#[tokio::test]
async fn docker_a_crash_loop_is_given_up_early_with_its_error() {
    let stand = Stand::new("crash").await;
    let text = "version: '3.8'
services:
  app:
    image: faulty:1
    command: [crash, database does not exist]
    deploy: { restart_policy: { delay: 1s } }
  db: { image: faulty:1 }
";
    let mut compose = services([("app", service(vec![])), ("db", service(vec![]))]);
    compose.has_version = vec![true];
    stand.deploy(text, compose).await;
    let started = Instant::now();
    let fault = stand.converge(&[("app", 1), ("db", 1)]).await.unwrap_err();
    assert!(matches!(fault, Fault::Recipe(_)), "{fault:?}");
    let text = fault.to_string();
    assert!(
        text.starts_with("app: task failed ")
            && text.ends_with(" times: exit 3: `database does not exist`"),
        "{text}"
    );
    assert!(started.elapsed() < DEADLINE / 2, "{:?}", started.elapsed());
    stand.remove().await;
}

#[tokio::test]
async fn docker_an_update_that_is_rolled_back_is_a_failure() {
    let stand = Stand::new("rollback").await;
    let text = |command: &str| {
        format!(
            "version: '3.8'
services:
  app:
    image: faulty:1
    command: [{command}]
    deploy:
      update_config: {{ order: start-first, failure_action: rollback, monitor: 2s }}
      restart_policy: {{ max_attempts: 0 }}
"
        )
    };
    let compose = || Compose {
        has_version: vec![true],
        ..services([("app", service(vec![]))])
    };
    stand.deploy(&text("serve"), compose()).await;
    stand.converge(&[("app", 1)]).await.unwrap();
    stand
        .deploy(&text("crash, no such column"), compose())
        .await;
    let fault = stand.converge(&[("app", 1)]).await.unwrap_err();
    assert_eq!(
        fault,
        Fault::recipe("app: the update was rolled back: exit 3: `no such column`")
    );
    stand.remove().await;
}

#[tokio::test]
async fn docker_an_update_converges_and_prunes() {
    let stand = Stand::new("update").await;
    let both = "version: '3.8'
services:
  app: { image: faulty:1, command: [one] }
  old: { image: faulty:1 }
";
    let mut compose = services([("app", service(vec![])), ("old", service(vec![]))]);
    compose.has_version = vec![true];
    stand.deploy(both, compose).await;
    let before = stand.converge(&[("app", 1), ("old", 1)]).await.unwrap();
    let one = "version: '3.8'
services:
  app: { image: faulty:1, command: [two], stop_grace_period: 1s }
";
    let mut compose = services([("app", service(vec![]))]);
    compose.has_version = vec![true];
    compose.services.get_mut("app").unwrap().command = vec!["two".to_owned()];
    let what = stand.deployment(one, compose).await;
    stand.engine.deploy(&stand.app, &what).await.unwrap();
    let after = stand.converge(&[("app", 1)]).await.unwrap();
    assert_ne!(after.services["app"].tasks, before.services["app"].tasks);
    let live = swarm::live(&stand.swarm, stand.stack()).await.unwrap();
    let expected = Expected {
        stack: stand.stack(),
        compose: &what.compose,
        tree: &what.tree,
        local_images: &what.local_images,
        variables: &what.variables,
    };
    assert_eq!(swarm::differences(&expected, &live), Vec::<String>::new());
    assert_eq!(live[0].update.as_deref(), Some("completed"));
    stand.remove().await;
}

#[tokio::test]
async fn docker_a_file_that_docker_refuses_is_the_recipes_fault() {
    let stand = Stand::new("refused").await;
    let text = "services:\n  app: { image: faulty:1, imag: x }\n";
    let what = stand
        .deployment(text, services([("app", service(vec![]))]))
        .await;
    let fault = stand.engine.deploy(&stand.app, &what).await.unwrap_err();
    assert!(matches!(fault, Fault::Recipe(_)), "{fault:?}");
    assert!(fault.to_string().contains("imag"), "{fault}");
    stand.remove().await;
}

#[tokio::test]
async fn docker_an_image_that_is_nowhere_is_given_up_at_once() {
    let stand = Stand::new("noimage").await;
    let text = "services:\n  app: { image: \"sha256:00000000000000000000000000000000000000000000000000000000deadbeef\" }\n";
    let mut compose = services([("app", service(vec![]))]);
    compose.services.get_mut("app").unwrap().image = "other".to_owned();
    stand.deploy(text, compose).await;
    let started = Instant::now();
    let fault = stand.converge(&[("app", 1)]).await.unwrap_err();
    assert!(
        fault.to_string().to_lowercase().contains("no such image"),
        "{fault}"
    );
    assert!(started.elapsed() < Duration::from_secs(25));
    stand.remove().await;
}

/// Three services, two of them with volumes, removed while their tasks are being prepared.
#[tokio::test]
async fn docker_removal_leaves_nothing_while_tasks_are_being_prepared() {
    let stand = Stand::new("early").await;
    let text = three();
    stand.deploy(&text, three_model()).await;
    let started = Instant::now();
    // Long enough for the swarm to begin, too short for it to be done.
    wait_until(
        "the deploy to be under way",
        Duration::from_secs(5),
        Duration::from_millis(10),
        &Unwatched,
        || async {
            if started.elapsed() < Duration::from_millis(200) {
                Probe::NotYet("too early".to_owned())
            } else {
                Probe::Ready(())
            }
        },
    )
    .await
    .unwrap();
    let removed = swarm::remove_stack(&stand.swarm, stand.stack(), &stand.app.before, DEADLINE)
        .await
        .unwrap();
    let removal = Instant::now();
    let look = || stand.residue(&removed.anonymous);
    assert_eq!(look().await, vec![]);
    wait_until(
        "six seconds without anything coming back",
        Duration::from_secs(20),
        Duration::from_millis(200),
        &Unwatched,
        || async {
            let left = look().await;
            if !left.is_empty() {
                Probe::Never(format!("{left:?} came back"))
            } else if removal.elapsed() < Duration::from_secs(6) {
                Probe::NotYet("clean so far".to_owned())
            } else {
                Probe::Ready(())
            }
        },
    )
    .await
    .unwrap();
    stand.remove().await;
}

fn three() -> String {
    "version: '3.8'
services:
  app: { image: faulty:1, volumes: [data:/data], networks: [internal] }
  db: { image: faulty:1, volumes: [db:/data], networks: [internal] }
  cache: { image: faulty:1, networks: [internal, proxy] }
volumes: { data: {}, db: {} }
networks:
  internal: {}
  proxy: { external: true }
"
    .to_owned()
}

fn three_model() -> Compose {
    Compose {
        has_version: vec![true],
        ..services([
            ("app", service(vec![])),
            ("db", service(vec![])),
            ("cache", service(vec![])),
        ])
    }
}

/// How long a removal takes is printed; that it beats the swarm's own grace is asserted.
#[tokio::test]
async fn docker_removal_waits_for_no_grace_period() {
    for (tasks, text, model, wanted) in [
        (
            1,
            "version: '3.8'\nservices:\n  app: { image: faulty:1, volumes: [data:/data] }\nvolumes: { data: {} }\n"
                .to_owned(),
            Compose {
                has_version: vec![true],
                ..services([("app", service(vec![]))])
            },
            vec![("app", 1)],
        ),
        (3, three(), three_model(), vec![("app", 1), ("db", 1), ("cache", 1)]),
    ] {
        let stand = Stand::new(&format!("fast{tasks}")).await;
        stand.deploy(&text, model).await;
        stand.converge(&wanted).await.unwrap();
        let noted = swarm::anonymous_volumes(&stand.swarm, stand.stack(), &stand.app.before).await.unwrap();
        assert_eq!(noted.len(), tasks);
        let started = Instant::now();
        let removed = swarm::remove_stack(&stand.swarm, stand.stack(), &stand.app.before, DEADLINE).await.unwrap();
        let took = started.elapsed();
        println!("removing {tasks} tasks took {took:?}");
        assert!(removed.anonymous.is_superset(&noted));
        assert_eq!(stand.residue(&noted).await, vec![]);
        // The program ignores SIGTERM as process 1 does, and its grace is ten seconds.
        assert!(took < Duration::from_secs(9), "{took:?}");
        stand.remove().await;
    }
}
