//! What dead runs left: removed, or said and left, and no reason for anybody else to fail.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::time::{Duration, Instant};

use harness::recipe::AppDomain;
use harness::session::janitor::{self, Swept};
use harness::session::locks::{Group, Lock, Registration, Registry};
use harness::swarm::{Before, Swarm};

use crate::foreign::{Theirs, docker};
use crate::stand::image;

const WITHIN: Duration = Duration::from_secs(3);

fn domain(name: &str) -> AppDomain {
    format!("{name}-{}.ci.test", std::process::id())
        .parse()
        .unwrap()
}

/// A run that registered an app, made a volume of it, and died.
async fn dead(swarm: &Swarm, registry: &Registry, domain: &AppDomain, state: &Path) -> String {
    let Lock::Ours(held, _) = registry.app(domain).unwrap() else {
        panic!("free")
    };
    let registration = Registration {
        run_id: format!("run-{domain}").replace('.', "-").parse().unwrap(),
        recipe: "custom-html".parse().unwrap(),
        domain: domain.clone(),
        engine: "stack".to_owned(),
        state: state.to_owned(),
    };
    let before = Before::note(swarm).await.unwrap();
    held.register(&registration, &before).unwrap();
    let private = registration.paths().private;
    fs::create_dir_all(&private).unwrap();
    fs::write(private.join("app.env"), "A=b").unwrap();
    let (stack, name) = (domain.stack(), domain.stack().object("data"));
    let label = format!("--label=com.docker.stack.namespace={stack}");
    docker(&["volume", "create", &label, &name]);
    name
}

fn volumes() -> String {
    docker(&["volume", "ls", "--quiet"])
}

#[tokio::test]
async fn docker_a_leftover_that_can_not_be_removed_fails_nobody_and_costs_seconds() {
    image().await;
    let swarm = Swarm::connect().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::at(dir.path().join("locks"), Group::Nobody).unwrap();
    let state = dir.path().join("state");
    let stuck = dead(&swarm, &registry, &domain("stuck"), &state).await;
    let mut theirs = Theirs::default();
    theirs.holder(&format!("holder-{}", std::process::id()), &stuck);
    let started = Instant::now();
    let swept = janitor::sweep(&swarm, &registry, WITHIN).await.unwrap();
    assert!(started.elapsed() < WITHIN + Duration::from_secs(1));
    assert_eq!(swept.reaped, [] as [&str; 0]);
    let [trouble] = &swept.troubles[..] else {
        panic!("{swept:?}")
    };
    assert!(trouble.contains("volume is in use"), "{trouble}");
    assert!(trouble.contains("cargo xtask reap run-stuck-"), "{trouble}");
    assert_eq!(registry.unsettled().unwrap().len(), 1);
    assert!(volumes().contains(&stuck));
    drop(theirs);
    let swept = janitor::sweep(&swarm, &registry, WITHIN).await.unwrap();
    assert_eq!(
        (swept.reaped.len(), swept.troubles.len()),
        (1, 0),
        "{swept:?}"
    );
    assert!(!volumes().contains(&stuck));
    assert!(!state.join("sessions").read_dir().unwrap().any(|_| true));
    assert_eq!(registry.unsettled().unwrap(), []);
}

/// What `nobody` could once have root delete: an app and a folder of its choice.
#[tokio::test]
async fn docker_a_registration_that_another_account_left_deletes_nothing() {
    if !rustix::process::getuid().is_root() {
        eprintln!("not tried: only root can be another account");
        return;
    }
    let swarm = Swarm::connect().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::at(dir.path().join("locks"), Group::Nobody).unwrap();
    let (evil, state) = (domain("evil"), dir.path().join("state"));
    let volume = dead(&swarm, &registry, &evil, &state).await;
    let file = dir.path().join(format!("locks/app-{evil}.json"));
    chown(&file, Some(65534), None).unwrap();
    let swept = janitor::sweep(&swarm, &registry, WITHIN).await.unwrap();
    let kept = volumes().contains(&volume);
    docker(&["volume", "rm", &volume]);
    assert!(kept, "the volume is gone");
    assert!(state.join("sessions").read_dir().unwrap().any(|_| true));
    assert!(file.exists());
    assert_eq!(swept.reaped, [] as [&str; 0]);
    assert!(
        swept.troubles[0].contains("is another account's (uid 65534)"),
        "{swept:?}"
    );
}

/// The folders of a run are looked at again: others may have opened the state directory.
#[tokio::test]
async fn docker_folders_that_others_may_change_are_left_and_said() {
    let swarm = Swarm::connect().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::at(dir.path().join("locks"), Group::Nobody).unwrap();
    let state = dir.path().join("state");
    let volume = dead(&swarm, &registry, &domain("open"), &state).await;
    fs::set_permissions(&state, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(state.join("sessions"), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, state.join("sessions")).unwrap();
    let swept = janitor::sweep(&swarm, &registry, WITHIN).await.unwrap();
    assert_ne!(swept, Swept::default());
    assert!(
        swept.troubles[0].contains("its folders are left"),
        "{swept:?}"
    );
    assert!(
        elsewhere.read_dir().unwrap().any(|_| true),
        "what the link leads to is gone"
    );
    assert!(!volumes().contains(&volume));
}
