//! What the rows are tried on: the suite's own recipe, and apps of it on the real swarm.
//!
//! Invariant: an app is registered before its first object in the swarm, and everything that it
//! has goes with its guard, also where a row panics or is dropped; what a killed process leaves is
//! the janitor's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use harness::engine::abra::{self, AbraEngine};
use harness::engine::stack::{Snapshots, StackEngine};
use harness::engine::{AppSpec, Deployment, Engine, ExecOutput, SecretValue, Walls};
use harness::fault::Fault;
use harness::recipe::{AppDomain, Checkout, CommitSha, EnvFile, RecipeName, Source, StackName};
use harness::session::deployment::{deployment, new_env};
use harness::session::janitor;
use harness::session::locks::{Held, Lock, Registration, Registry};
use harness::site::{EngineKind, Site};
use harness::snapshot::Volumes;
use harness::swarm::{self, Before, Converged, Expected, Swarm, differences};
use harness::wait::Unwatched;
use include_dir::{Dir, include_dir};

use crate::git::git;
use crate::row::Miss;

static LIFE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/recipe/life");
static ASSUMED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/recipe/assumed");
pub const RECIPE: &str = "conformance";
pub const FIRST: &str = "1.0.0+1.22.1";
const SECOND: &str = "1.1.0+1.22.1";
/// By it abra finds the backup bot.
const BOT: &str = "coop-cloud.backupbot.enabled=true";
const IMAGES: [&str; 3] = [
    "cc-ci.local/nginx:1.22.1",
    "cc-ci.local/canary:1",
    "cc-ci.local/canary:2",
];
/// For an app to run, and for it to go.
pub const DEADLINE: Duration = Duration::from_secs(120);
const SHORT: Duration = Duration::from_secs(30);

/// A commit of the recipe.
pub struct Commit {
    pub sha: CommitSha,
    /// None: head.
    pub version: Option<&'static str>,
    pub tree: PathBuf,
}

/// A repository of the recipe, fetched.
pub struct Recipe {
    pub checkout: Checkout,
    pub first: Commit,
    pub second: Commit,
    pub head: Commit,
}

pub struct Subject<'a> {
    pub kind: EngineKind,
    pub site: &'a Site,
    pub swarm: Swarm,
    pub program: Option<abra::Program>,
    pub dir: PathBuf,
    /// The bare repository that `recipe` was fetched from.
    pub origin: PathBuf,
    pub recipe: Recipe,
    registry: Registry,
    images: BTreeMap<String, String>,
}

impl<'a> Subject<'a> {
    /// `dir` is the suite's own.
    pub async fn new(kind: EngineKind, site: &'a Site, dir: &Path) -> Result<Self, Fault> {
        let swarm = Swarm::connect().await?;
        if !swarm.is_manager() {
            return Err(Fault::infra(
                "this Docker engine is no swarm manager; `cargo xtask doctor --fix` makes it one",
            ));
        }
        let program = match kind {
            EngineKind::Stack => None,
            EngineKind::Abra => Some(abra::Program::find(&site.abra).await?),
        };
        let origin = fixtures::catalogue::materialise_from(RECIPE, &LIFE, &dir.join("origin"))
            .map_err(|error| Fault::infra(error.to_string()))?;
        let mut images = BTreeMap::new();
        for name in IMAGES {
            images.insert(name.to_owned(), image(name).await?);
        }
        Ok(Self {
            recipe: fetched(&origin, &dir.join("fetched")).await?,
            registry: Registry::of_engine(&swarm)?,
            dir: dir.to_owned(),
            kind,
            site,
            swarm,
            program,
            origin,
            images,
        })
    }

    /// As on a machine where nothing has to be added to the recipe's files.
    pub fn without_overlay(mut self) -> Self {
        self.swarm = self.swarm.assume_virtual_addresses();
        self.images.clear();
        self
    }

    /// The recipe with a version more, whose tag is a lightweight one.
    pub async fn with_lightweight_tag(&self) -> Result<Recipe, Fault> {
        let copy = self.dir.join("lightweight.git");
        let (from, to) = (self.origin.to_string_lossy(), copy.to_string_lossy());
        git(&self.dir, &["clone", "--quiet", "--bare", "--", &from, &to]).await?;
        let head = self.recipe.head.sha.as_str();
        git(&copy, &["tag", "1.2.0+1.22.1", head]).await?;
        fetched(&copy, &self.dir.join("lightweight")).await
    }

    /// The repository of a recipe whose published versions need no file of ours.
    pub fn assumed_recipe(&self) -> Result<PathBuf, Fault> {
        let dir = self.dir.join("origin");
        fixtures::catalogue::materialise_from(RECIPE, &ASSUMED, &dir)
            .map_err(|error| Fault::infra(error.to_string()))
    }

    /// An engine with a folder of its own.
    pub fn engine(
        &self,
        recipe: &Recipe,
        domain: &AppDomain,
        dir: &Path,
    ) -> Result<Box<dyn Engine>, Fault> {
        let swarm = self.swarm.clone();
        if let Some(program) = self.program.clone() {
            let repo = recipe.checkout.repo();
            let recipe = recipe_name();
            let engine = AbraEngine::new(
                swarm,
                program,
                &self.site.abra,
                dir,
                (&recipe, repo),
                Walls::of(self.site),
            )?;
            return Ok(Box::new(engine));
        }
        let volumes = Volumes::of_app(&swarm, domain, &self.site.edge_image);
        let snapshots = Snapshots::open(&dir.join("snapshots"), volumes)?;
        let engine = StackEngine::new(
            swarm,
            dir.join("deploy"),
            Arc::new(snapshots),
            Walls::of(self.site),
        );
        Ok(Box::new(engine))
    }

    /// Whether the engine's checkout of a published version gets a file of ours more.
    pub fn is_overlaid(&self) -> bool {
        self.kind == EngineKind::Abra && (self.swarm.needs_dnsrr() || !self.images.is_empty())
    }

    /// Whether there is what the engine backs up with.
    pub async fn can_back_up(&self) -> Result<(), Miss> {
        if self.kind == EngineKind::Stack {
            return Ok(());
        }
        match swarm::container_labelled(&self.swarm, BOT).await? {
            Some(_) => Ok(()),
            None => Err(Miss::NotRun(
                "no backup bot runs on this swarm: deploy the recipe backup-bot-two once"
                    .to_owned(),
            )),
        }
    }

    /// A domain that nobody else has. What tells it apart stands first, for names are cut.
    pub fn domain(&self, name: &str) -> AppDomain {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let text = format!("c{}-{number}-{name}.{}", std::process::id(), self.site.zone);
        text.parse()
            .expect("letters, digits and hyphens are a domain")
    }
}

pub fn recipe_name() -> RecipeName {
    RECIPE.parse().expect("it is a recipe's name")
}

async fn fetched(origin: &Path, dir: &Path) -> Result<Recipe, Fault> {
    let checkout = Checkout::fetch(&Source::path(origin), None, dir).await?;
    let head = checkout.head().clone();
    Ok(Recipe {
        first: commit(&checkout, checkout.resolve(FIRST).await?, Some(FIRST)).await?,
        second: commit(&checkout, checkout.resolve(SECOND).await?, Some(SECOND)).await?,
        head: commit(&checkout, head, None).await?,
        checkout,
    })
}

async fn commit(
    checkout: &Checkout,
    sha: CommitSha,
    version: Option<&'static str>,
) -> Result<Commit, Fault> {
    let tree = checkout.tree(&sha).await?;
    Ok(Commit { sha, version, tree })
}

async fn image(name: &'static str) -> Result<String, Fault> {
    let build = move || fixtures::images::ensure(name, &mut |_| {});
    match tokio::task::spawn_blocking(build).await {
        Ok(Ok(id)) => Ok(id.as_str().to_owned()),
        Ok(Err(error)) => Err(Fault::infra(format!("image {name}: {error}"))),
        Err(error) => Err(Fault::infra(format!("image {name}: {error}"))),
    }
}

/// One app of the recipe, with an engine of its own.
pub struct App<'a> {
    subject: &'a Subject<'a>,
    pub engine: Box<dyn Engine>,
    pub spec: AppSpec,
    pub env: EnvFile,
    /// The engine's.
    pub dir: PathBuf,
    registration: Registration,
    held: Option<Held>,
}

impl<'a> App<'a> {
    pub async fn new(subject: &'a Subject<'a>, name: &str) -> Result<Self, Fault> {
        let domain = subject.domain(name);
        let dir = subject.dir.join(domain.as_str());
        let held = match subject.registry.app(&domain)? {
            Lock::Ours(held, _) => held,
            Lock::Theirs(_) => {
                return Err(Fault::infra(format!("{domain} is somebody else's")));
            }
        };
        let run_id = format!("conformance-{}", std::process::id());
        let registration = Registration {
            run_id: run_id.parse().expect("letters, digits and a hyphen"),
            recipe: recipe_name(),
            engine: subject.kind.name().to_owned(),
            state: dir.clone(),
            domain: domain.clone(),
        };
        let before = Before::note(&subject.swarm).await?;
        held.register(&registration, &before)?;
        let env = [("COMPOSE_FILE", "compose.yml:compose.extra.yml")];
        let env = env.map(|(key, value)| (key.to_owned(), value.to_owned()));
        Ok(Self {
            engine: subject.engine(&subject.recipe, &domain, &dir)?,
            env: new_env(&subject.recipe.first.tree, domain.as_str(), &env)?,
            spec: AppSpec {
                recipe: recipe_name(),
                stack: domain.stack(),
                before,
                domain,
                lock: held.descriptor(),
            },
            subject,
            dir,
            registration,
            held: Some(held),
        })
    }

    pub fn stack(&self) -> &StackName {
        &self.spec.stack
    }

    pub fn set(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        let set = self.env.set(key, value);
        set.map_err(|error| Fault::infra(error.to_string()))
    }

    pub fn deployment(&self, commit: &Commit) -> Result<Deployment, Fault> {
        let (tree, version) = (&commit.tree, commit.version);
        let made = deployment(tree, &commit.sha, version, &self.env, self.stack())?;
        Ok(Deployment {
            local_images: self.subject.images.clone(),
            ..made
        })
    }

    /// The secret `token` in this version.
    pub fn token(&self, version: &str, value: &[u8]) -> SecretValue {
        SecretValue {
            name: self.stack().object(&format!("token_{version}")),
            version: version.to_owned(),
            value: value.to_owned(),
        }
    }

    pub async fn insert(&self, commit: &Commit, secret: &SecretValue) -> Result<(), Fault> {
        let what = self.deployment(commit)?;
        let secrets = std::slice::from_ref(secret);
        self.engine.insert_secrets(&self.spec, &what, secrets).await
    }

    pub async fn deploy(&self, commit: &Commit) -> Result<(), Fault> {
        let what = self.deployment(commit)?;
        self.engine.deploy(&self.spec, &what).await.map(drop)
    }

    /// App, secret and deploy of this commit, as far as the swarm's own wait for it.
    pub async fn install(&self, commit: &Commit) -> Result<(), Fault> {
        self.engine.create(&self.spec, &commit.sha).await?;
        self.insert(commit, &self.token("v1", b"word")).await?;
        self.deploy(commit).await
    }

    pub async fn converge(&self, commit: &Commit) -> Result<Converged, Fault> {
        let wanted = swarm::wanted(&self.deployment(commit)?.compose);
        let swarm = &self.subject.swarm;
        swarm::converge(swarm, self.stack(), &wanted, DEADLINE, &Unwatched).await
    }

    /// What of this commit is not live.
    pub async fn differences(&self, commit: &Commit) -> Result<Vec<String>, Fault> {
        let what = self.deployment(commit)?;
        let live = swarm::live(&self.subject.swarm, self.stack()).await?;
        let expected = Expected {
            stack: self.stack(),
            compose: &what.compose,
            tree: &what.tree,
            local_images: &what.local_images,
            variables: &what.variables,
        };
        Ok(differences(&expected, &live))
    }

    /// Runs a script in the container of `app`.
    pub async fn sh(&self, script: &str) -> Result<ExecOutput, Fault> {
        let command = ["sh", "-c", script].map(str::to_owned);
        self.engine.exec(&self.spec, "app", &command, SHORT).await
    }

    /// The same, where it must go well: what it printed.
    pub async fn printed(&self, script: &str) -> Result<String, Fault> {
        let said = self.sh(script).await?;
        if said.code == 0 {
            return Ok(said.stdout);
        }
        Err(Fault::infra(format!(
            "`{script}` in app ended with {}: {}",
            said.code, said.stderr
        )))
    }

    /// What the swarm has of it, a line each, sorted.
    pub async fn residue(&self) -> Result<Vec<String>, Fault> {
        let left = swarm::residue(
            &self.subject.swarm,
            self.stack(),
            &self.spec.before,
            &[].into(),
        )
        .await?;
        let line = |left: &results::event::Leftover| format!("{} {}", left.kind, left.name);
        let mut lines: Vec<String> = left.iter().map(line).collect();
        lines.sort();
        Ok(lines)
    }

    /// Removes what is left of it, whatever its engine did.
    pub async fn end(mut self) -> Result<(), Fault> {
        let (swarm, within) = (&self.subject.swarm, janitor::REMOVE_WITHIN);
        janitor::remove_app(swarm, &self.registration, &self.spec.before, within).await?;
        match self.held.take() {
            Some(held) => held.forget(),
            None => Ok(()),
        }
    }
}

impl Drop for App<'_> {
    /// For a row that panicked or was dropped. It has a runtime and a connection of its own,
    /// because this runs in the midst of another.
    fn drop(&mut self) {
        let Some(held) = self.held.take() else {
            return;
        };
        let (registration, before) = (self.registration.clone(), self.spec.before.clone());
        let remove = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let swarm = Swarm::connect().await.map_err(std::io::Error::other)?;
                let removed =
                    janitor::remove_app(&swarm, &registration, &before, janitor::REMOVE_WITHIN)
                        .await;
                removed.map_err(std::io::Error::other)?;
                held.forget().map_err(std::io::Error::other)
            })
        };
        // What could not be removed stays registered: the next janitor tries again.
        let _ = std::thread::spawn(remove).join();
    }
}
