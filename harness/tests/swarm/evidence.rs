//! Evidence of an app that prints whatever it likes.

use std::path::Path;
use std::time::{Duration, Instant};

use harness::evidence::{Folder, LARGEST_FILE, LARGEST_RUN};
use harness::recipe::Compose;
use harness::redact::Redactor;
use harness::swarm::{self, Wanted};
use harness::wait::{Probe, Unwatched, wait_until};

use crate::stand::{SECRET, Stand, service, services};

const PRINTED_WITHIN: Duration = Duration::from_secs(120);
const DEADLINE: Duration = Duration::from_secs(20);

fn all_files(dir: &Path) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(all_files(&path));
        } else {
            files.push(std::fs::read(path).unwrap());
        }
    }
    files
}

#[tokio::test]
async fn docker_an_app_that_prints_a_hundred_megabytes_leaves_evidence_that_is_small_and_clean() {
    let stand = Stand::new("pour").await;
    let compose: Compose = services([("app", service(vec![]))]);
    let text = "services:
  app:
    image: faulty:1
    command: [pour]
    deploy:
      restart_policy: { condition: none }
";
    stand.deploy(text, compose).await;
    let converged = stand.converge(&[("app", 1)]).await.unwrap();
    let subject = "the app to have printed all of it";
    let pause = Duration::from_millis(200);
    let fault = wait_until(subject, PRINTED_WITHIN, pause, &Unwatched, || async {
        let seen = swarm::restarts(&stand.swarm, stand.stack(), &converged).await;
        match seen.unwrap().pop() {
            Some(line) if line.starts_with("app: task ended") => Probe::Ready(line),
            other => Probe::NotYet(format!("{other:?}")),
        }
    });
    let text = fault.await.unwrap();
    let run = tempfile::tempdir().unwrap();
    let root = run.path().join("evidence");
    for tier in ["install", "upgrade", "backup"] {
        let started = Instant::now();
        let pieces = swarm::collect(&stand.swarm, stand.stack()).await;
        assert!(started.elapsed() < DEADLINE, "{:?}", started.elapsed());
        let folder = Folder::new(root.clone(), Redactor::new([("word", SECRET)]));
        let files = folder.write(tier, pieces);
        assert_eq!(files.len(), 4, "{files:?}");
    }
    stand.remove().await;
    assert!(text.contains("the disk of the app is on fire"), "{text}");
    let files = all_files(&root);
    assert_eq!(files.len(), 12);
    let total: usize = files.iter().map(Vec::len).sum();
    assert!(total as u64 <= LARGEST_RUN, "{total}");
    for file in files {
        assert!(file.len() <= LARGEST_FILE, "{}", file.len());
        let text = String::from_utf8(file).expect("evidence is text");
        assert!(!text.contains("secret-w"), "a secret, or a half of one");
        assert!(!text.contains(|c: char| c.is_control() && c != '\n' && c != '\t'));
    }
    let log = std::fs::read_to_string(root.join("install/log-app.txt")).unwrap();
    assert!(
        log.contains("the disk of the app is on fire"),
        "its end is there"
    );
}

/// The app does not end on SIGTERM, so its task fails once the grace period is over.
#[rstest::rstest]
#[case::after_a_failure("1s", "last failure: the health check failed: `no table users`")]
#[case::before_one("60s", "; app: the health check says `no table users`")]
#[tokio::test]
async fn docker_a_deadline_that_passes_names_what_the_health_check_said(
    #[case] grace: &str,
    #[case] expected: &str,
) {
    let stand = Stand::new(&format!("health-{grace}")).await;
    let compose: Compose = services([("app", service(vec![]))]);
    let text = "services:
  app:
    image: faulty:1
    stop_grace_period: GRACE
    healthcheck:
      test: [\"CMD\", \"/faulty\", \"crash\", \"no table users\"]
      interval: 1s
      retries: 1
";
    let text = text.replace("GRACE", grace);
    stand.deploy(&text, compose).await;
    let wanted = [("app".to_owned(), Wanted::Replicas(1))].into();
    let deadline = Duration::from_secs(15);
    let done = swarm::converge(&stand.swarm, stand.stack(), &wanted, deadline, &Unwatched).await;
    stand.remove().await;
    let text = done.unwrap_err().to_string();
    assert!(text.starts_with("app: 0 of 1 running"), "{text}");
    assert!(text.contains(expected), "{text}");
    assert!(text.ends_with("(not within 15 s)"), "{text}");
}
