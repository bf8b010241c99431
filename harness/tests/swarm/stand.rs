//! One stack under test, removed when its test ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use harness::engine::stack::{Data, StackEngine};
use harness::engine::{AppSpec, Backup, Deployment, Engine, Walls};
use harness::fault::Fault;
use harness::recipe::compose::{Mount, MountKind, Service, Volume, VolumeBackup};
use harness::recipe::{AppDomain, Compose, EnvFile, StackName};
use harness::redact::{Learning, Redactor};
use harness::site::Site;
use harness::swarm::{self, Before, Swarm, Wanted};
use harness::wait::Unwatched;
use tokio::sync::OnceCell;

/// What the test image prints, as if it were a secret.
pub const SECRET: &str = "secret-word";
pub const DEADLINE: Duration = Duration::from_secs(90);

/// The id of an image with `faulty.rs` and nothing else, but for a volume that it declares.
pub async fn image() -> &'static str {
    static IMAGE: OnceCell<String> = OnceCell::const_new();
    IMAGE.get_or_init(|| async { build() }).await
}

fn build() -> String {
    let dir = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/swarm/faulty.rs");
    let compiled = Command::new("rustc")
        .args([
            "-O",
            "--edition",
            "2024",
            "-C",
            "target-feature=+crt-static",
        ])
        .arg("-o")
        .arg(dir.path().join("faulty"))
        .arg(source)
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{compiled:?}");
    let dockerfile =
        "FROM scratch\nCOPY faulty /faulty\nVOLUME /scratch\nENTRYPOINT [\"/faulty\"]\n";
    std::fs::write(dir.path().join("Dockerfile"), dockerfile).unwrap();
    let built = Command::new("docker")
        .args(["build", "-q", "-t", "cc-ci.local/swarm-faulty:test"])
        .arg(dir.path())
        .env("DOCKER_BUILDKIT", "0")
        .output()
        .unwrap();
    assert!(built.status.success(), "{built:?}");
    String::from_utf8(built.stdout).unwrap().trim().to_owned()
}

pub struct NoData;

#[async_trait]
impl Data for NoData {
    async fn save(&self, _: &StackName, _: &[VolumeBackup]) -> Result<Backup, Fault> {
        unreachable!("no test here saves")
    }

    async fn load(&self, _: &StackName, _: &str) -> Result<(), Fault> {
        unreachable!("no test here loads")
    }

    async fn forget(&self, _: &StackName) -> Result<(), Fault> {
        Ok(())
    }
}

/// A stack of one test.
pub struct Stand {
    pub swarm: Swarm,
    pub engine: StackEngine,
    pub app: AppSpec,
    pub tree: tempfile::TempDir,
    pub _work: tempfile::TempDir,
}

impl Stand {
    pub async fn new(name: &str) -> Self {
        Self::at(name, &Site::default()).await
    }

    pub async fn at(name: &str, site: &Site) -> Self {
        let redactor = Learning::default();
        redactor.know(Redactor::new([("word", SECRET)]));
        let swarm = Swarm::connect().await.unwrap().with_redactor(redactor);
        assert!(swarm.is_manager());
        let domain: AppDomain = format!("swarm-{name}-{}.ci.test", std::process::id())
            .parse()
            .unwrap();
        let work = tempfile::tempdir().unwrap();
        let before = Before::note(&swarm).await.unwrap();
        Self {
            engine: StackEngine::new(
                swarm.clone(),
                work.path(),
                Arc::new(NoData),
                Walls::of(site),
            ),
            app: AppSpec {
                recipe: "swarm-test".parse().unwrap(),
                stack: domain.stack(),
                before,
                domain,
                lock: Arc::new(tempfile::tempfile().unwrap().into()),
            },
            swarm,
            tree: tempfile::tempdir().unwrap(),
            _work: work,
        }
    }

    pub fn stack(&self) -> &StackName {
        &self.app.stack
    }

    /// A deployment of this compose file; the model holds what the overlay must know.
    pub async fn deployment(&self, text: &str, compose: Compose) -> Deployment {
        std::fs::write(self.tree.path().join("compose.yml"), text).unwrap();
        let app_env: BTreeMap<_, _> =
            [("DOMAIN", self.app.domain.as_str()), ("ODD", "$HOME 'yes'")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
        Deployment {
            commit: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
            version: None,
            tree: self.tree.path().to_owned(),
            files: vec![PathBuf::from("compose.yml")],
            env: EnvFile::default(),
            variables: app_env
                .clone()
                .into_iter()
                .chain([("STACK_NAME".to_owned(), self.stack().to_string())])
                .collect(),
            app_env,
            compose,
            local_images: [("faulty:1".to_owned(), image().await.to_owned())].into(),
        }
    }

    pub async fn deploy(&self, text: &str, compose: Compose) {
        let what = self.deployment(text, compose).await;
        self.engine.deploy(&self.app, &what).await.unwrap();
    }

    pub async fn converge(&self, wanted: &[(&str, u64)]) -> Result<swarm::Converged, Fault> {
        let wanted = wanted
            .iter()
            .map(|(name, replicas)| ((*name).to_owned(), Wanted::Replicas(*replicas)))
            .collect();
        swarm::converge(&self.swarm, self.stack(), &wanted, DEADLINE, &Unwatched).await
    }

    pub async fn residue(&self, noted: &BTreeSet<String>) -> Vec<results::event::Leftover> {
        swarm::residue(&self.swarm, self.stack(), &self.app.before, noted)
            .await
            .unwrap()
    }

    pub async fn remove(self) {
        self.engine.remove(&self.app, DEADLINE).await.unwrap();
        assert_eq!(self.residue(&BTreeSet::new()).await, vec![]);
    }
}

impl Drop for Stand {
    /// For a test that panicked. It has a runtime and a connection of its own, because this runs in
    /// the midst of the test's.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let (stack, before) = (self.app.stack.clone(), self.app.before.clone());
        let remove = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let swarm = Swarm::connect().await.map_err(std::io::Error::other)?;
                let removed = swarm::remove_stack(&swarm, &stack, &before, DEADLINE).await;
                removed.map_err(std::io::Error::other)?;
                let secrets = swarm::remove_secrets(&swarm, &stack, &before).await;
                secrets.map_err(std::io::Error::other)
            })
        };
        match std::thread::spawn(remove).join() {
            Ok(Ok(())) => {}
            other => eprintln!("{} is left behind: {other:?}", self.app.stack),
        }
    }
}

pub fn service(mounts: Vec<Mount>) -> Service {
    Service {
        image: "faulty:1".to_owned(),
        mounts,
        replicas: 1,
        ..Service::default()
    }
}

pub fn services<const N: usize>(services: [(&str, Service); N]) -> Compose {
    Compose {
        services: services
            .map(|(name, service)| (name.to_owned(), service))
            .into(),
        has_version: vec![false],
        ..Compose::default()
    }
}

pub fn data_volume() -> (Vec<Mount>, BTreeMap<String, Volume>) {
    let mount = Mount {
        kind: MountKind::Volume("data".to_owned()),
        target: "/data".to_owned(),
        read_only: false,
    };
    (vec![mount], [("data".to_owned(), Volume::default())].into())
}
