//! Restores that do not do what they say, by a double of the engine: a recipe can't make the stack
//! engine do less than it does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use harness::data::{Seeded, mutate, prove_mutated, prove_undone, seed};
use harness::engine::stack::{Snapshots, StackEngine};
use harness::engine::{
    AppSpec, Backup, Deployment, Engine, ExecOutput, LintSubject, Linted, SecretValue, Walls,
};
use harness::fault::Fault;
use harness::recipe::compose::{Mount, MountKind, Service};
use harness::recipe::policy::Made;
use harness::recipe::{CommitSha, Compose};
use harness::site::Site;
use harness::snapshot::{Selection, Volumes};
use harness::swarm;

use crate::stand::{Stand, service, services};

const COMPOSE: &str = "services:
  app:
    image: faulty:1
    volumes: [data:/data, more:/more]
volumes: { data: {}, more: {} }
";

/// The stack engine, but for its restore.
struct Restores {
    real: StackEngine,
    /// The snapshot that is restored in place of the one that is asked for; none: none is.
    instead: Option<String>,
}

#[async_trait]
impl Engine for Restores {
    fn name(&self) -> &'static str {
        self.real.name()
    }

    async fn backup(&self, app: &AppSpec, what: &Deployment) -> Result<Backup, Fault> {
        self.real.backup(app, what).await
    }

    async fn restore(&self, app: &AppSpec, what: &Deployment, _: &str) -> Result<(), Fault> {
        match &self.instead {
            None => Ok(()),
            Some(other) => self.real.restore(app, what, other).await,
        }
    }

    async fn lint(&self, subject: &LintSubject<'_>) -> Result<Linted, Fault> {
        self.real.lint(subject).await
    }

    async fn create(&self, app: &AppSpec, commit: &CommitSha) -> Result<(), Fault> {
        self.real.create(app, commit).await
    }

    async fn insert_secrets(
        &self,
        app: &AppSpec,
        what: &Deployment,
        secrets: &[SecretValue],
    ) -> Result<(), Fault> {
        self.real.insert_secrets(app, what, secrets).await
    }

    async fn read(&self, app: &AppSpec, what: &Deployment) -> Result<Made, Fault> {
        self.real.read(app, what).await
    }

    async fn deploy(&self, app: &AppSpec, what: &Deployment) -> Result<Vec<String>, Fault> {
        self.real.deploy(app, what).await
    }

    async fn restart(&self, app: &AppSpec, service: &str) -> Result<(), Fault> {
        self.real.restart(app, service).await
    }

    async fn remove_stack(&self, app: &AppSpec, deadline: Duration) -> Result<(), Fault> {
        self.real.remove_stack(app, deadline).await
    }

    async fn remove(&self, app: &AppSpec, deadline: Duration) -> Result<(), Fault> {
        self.real.remove(app, deadline).await
    }

    async fn exec(
        &self,
        app: &AppSpec,
        service: &str,
        command: &[String],
        deadline: Duration,
    ) -> Result<ExecOutput, Fault> {
        self.real.exec(app, service, command, deadline).await
    }
}

/// Two volumes, both in the backup, but for those named.
fn labelled(left_out: &[&str]) -> Compose {
    let mount = |key: &str| Mount {
        kind: MountKind::Volume(key.to_owned()),
        target: format!("/{key}"),
        read_only: false,
    };
    let mut labels = BTreeMap::from([("backupbot.backup".to_owned(), "true".to_owned())]);
    for key in left_out {
        let label = format!("backupbot.backup.volumes.{key}");
        labels.insert(label, "false".to_owned());
    }
    let app = Service {
        labels,
        ..service(["data", "more"].map(mount).into())
    };
    let mut compose = services([("app", app)]);
    compose.volumes = ["data", "more"]
        .map(|key| (key.to_owned(), Default::default()))
        .into();
    compose
}

/// What is found wrong after: seed, back up, change, restore.
async fn findings(stand: &Stand, volumes: &Volumes, engine: &mut Restores, half: bool) -> String {
    let whole = stand.deployment(COMPOSE, labelled(&[])).await;
    let mut seeded = seeded(stand, volumes).await;
    let made = engine.backup(&stand.app, &whole).await.unwrap();
    if half {
        let part = stand.deployment(COMPOSE, labelled(&["more"])).await;
        let made = engine.backup(&stand.app, &part).await.unwrap();
        engine.instead = Some(made.snapshot);
    }
    mutate(volumes, &mut seeded).await.unwrap();
    assert_eq!(prove_mutated(volumes, &seeded).await.unwrap(), []);
    engine
        .restore(&stand.app, &whole, &made.snapshot)
        .await
        .unwrap();
    let found = prove_undone(volumes, &seeded).await.unwrap();
    let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
    texts.join("\n")
}

async fn seeded(stand: &Stand, volumes: &Volumes) -> Seeded {
    let mut mounts = swarm::mounted_volumes(&stand.swarm, stand.stack())
        .await
        .unwrap();
    mounts.retain(|mount| !mount.anonymous);
    let covered: Vec<_> = mounts
        .iter()
        .map(|mount| Selection {
            volume: mount.volume.clone(),
            key: mount.key.clone().unwrap_or_default(),
            paths: Vec::new(),
        })
        .collect();
    assert_eq!(covered.len(), 2);
    seed(volumes, &mounts, &covered).await.unwrap()
}

#[tokio::test]
async fn docker_a_restore_of_nothing_half_or_another_app_is_found() {
    let stand = Stand::new("restores").await;
    stand.deploy(COMPOSE, labelled(&[])).await;
    stand.converge(&[("app", 1)]).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let volumes = || {
        let image = Site::default().edge_image;
        Volumes::of_app(&stand.swarm, &stand.app.domain, &image)
    };
    let snapshots = Snapshots::open(&dir.path().join("snapshots"), volumes()).unwrap();
    let work = dir.path().join("work");
    let mut engine = Restores {
        real: StackEngine::new(
            stand.swarm.clone(),
            work,
            Arc::new(snapshots),
            Walls::of(&Site::default()),
        ),
        instead: None,
    };

    let nothing = findings(&stand, &volumes(), &mut engine, false).await;
    insta::assert_snapshot!(nothing, @r"
    volume `data` at /data (service app): the restore did not undo the change that cc-ci made to a file after the backup
    volume `data` at /data (service app): the restore did not bring back the file that cc-ci deleted after the backup
    volume `more` at /more (service app): the restore did not undo the change that cc-ci made to a file after the backup
    volume `more` at /more (service app): the restore did not bring back the file that cc-ci deleted after the backup
    ");
    let half = findings(&stand, &volumes(), &mut engine, true).await;
    insta::assert_snapshot!(half, @r"
    volume `more` at /more (service app): the restore did not undo the change that cc-ci made to a file after the backup
    volume `more` at /more (service app): the restore did not bring back the file that cc-ci deleted after the backup
    ");

    // Another app's snapshot is none of ours to restore, whoever hands it over.
    let mut other = stand.app.clone();
    other.domain = "other.ci.test".parse().unwrap();
    other.stack = other.domain.stack();
    let what = stand.deployment(COMPOSE, labelled(&[])).await;
    let made = engine.real.backup(&stand.app, &what).await.unwrap();
    let refused = engine.real.restore(&other, &what, &made.snapshot).await;
    let said = refused.unwrap_err();
    assert!(matches!(said, Fault::Infra(_)), "{said:?}");
    assert!(
        said.to_string().ends_with(&format!(
            "is of {}, and not of {}",
            stand.stack(),
            other.stack
        )),
        "{said}"
    );
    stand.remove().await;
}
