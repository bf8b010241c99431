//! Evidence of an app that prints whatever it likes.

use std::path::Path;
use std::time::{Duration, Instant};

use harness::evidence::{Folder, LARGEST_FILE, LARGEST_RUN};
use harness::recipe::Compose;
use harness::redact::Redactor;
use harness::swarm;
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
