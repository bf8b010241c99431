//! The engine that drives `abra`, as operators do.
//!
//! abra is told what to do, and never asked whether it succeeded: what is live is looked at by
//! [`crate::swarm`], and where abra stops short of what an engine owes (services that head dropped,
//! volumes, a removal that leaves something) the rest is done here. Its command lines are in
//! `call`, its output in `said`, its versions in `version`: nothing else here knows them.
//!
//! Invariants: a run has an abra directory of its own; before each deploy the checkout is put to
//! the commit again, for other commands move it; no secret is in an argument.

mod archive;
mod bot;
mod call;
mod home;
mod program;
mod said;
mod terminal;
mod through;
mod version;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use self::call::Call;
use self::home::Home;
use self::program::Place;
pub use self::program::Program;
use super::door::{Door, Way};
use super::inside::stays_inside;
use super::walls::{Walls, came_through};
use super::{
    AppSpec, Backup, Deployment, Engine, ExecOutput, LintSubject, Linted, SecretValue, stack,
};
use crate::fault::Fault;
use crate::recipe::policy::Made;
use crate::recipe::{CommitSha, RecipeName};
use crate::site::AbraSite;
use crate::swarm::{self, Swarm};

pub use self::bot::forget as forget_snapshots;

/// What abra's calls and their output are kept in, below the engine's folder.
pub const LOG: &str = "abra.log";

pub struct AbraEngine {
    swarm: Swarm,
    program: Program,
    home: Home,
    /// For the log, downloads, and files that are handed to abra.
    dir: PathBuf,
    /// Snapshots that were made here, in case abra does not name the next.
    made: Mutex<BTreeSet<String>>,
    walls: Walls,
}

impl AbraEngine {
    /// `dir` is the engine's own; `repo` is the fetched repository of the recipe.
    pub fn new(
        swarm: Swarm,
        program: Program,
        site: &AbraSite,
        dir: &Path,
        (recipe, repo): (&RecipeName, &Path),
        walls: Walls,
    ) -> Result<Self, Fault> {
        Ok(Self {
            home: Home::make(dir, site, recipe, repo)?,
            swarm,
            program,
            dir: dir.to_owned(),
            made: Mutex::default(),
            walls,
        })
    }

    async fn call(&self, app: &AppSpec, call: &Call, doing: &str) -> Result<String, Fault> {
        let at = Place {
            home: self.home.dir(),
            folder: &self.dir,
            log: &self.dir.join(LOG),
            lock: Some(&app.lock),
            through: None,
        };
        self.program.call(call, &at, doing).await
    }

    /// The recipe at the deployment's commit, and the app's file for it. Whether an overlay of ours
    /// is in the checkout.
    async fn stage(&self, app: &AppSpec, what: &Deployment) -> Result<bool, Fault> {
        stays_inside(what)?;
        self.home.check_out(&what.commit).await?;
        let dnsrr = self.swarm.needs_dnsrr();
        self.home.write_app(&app.domain, what, dnsrr)
    }

    /// Removes the services that the deployment does not have: abra leaves them.
    async fn prune(&self, app: &AppSpec, what: &Deployment) -> Result<(), Fault> {
        for service in swarm::service_names(&self.swarm, &app.stack).await? {
            if !what.compose.services.contains_key(&service) {
                swarm::remove_service(&self.swarm, &app.stack, &service).await?;
            }
        }
        Ok(())
    }

    /// The snapshot that a backup made: as it says, or else the one that was not there before.
    async fn snapshot(&self, app: &AppSpec, said: &str) -> Result<String, Fault> {
        if let Some(id) = said::snapshot_id(said) {
            return Ok(id);
        }
        let doing = "looking for the snapshot";
        let list = call::backup_snapshots(&app.domain);
        let listed = said::snapshots(&self.call(app, &list, doing).await?);
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |one: &str, other: &str| one.starts_with(other) || other.starts_with(one);
        let new = |id: &&String| !made.iter().any(|known| same(known, id));
        // The list is of one app, the newest last.
        listed.iter().rfind(new).cloned().ok_or_else(|| {
            Fault::infra(
                "abra says that the backup is made, names no snapshot, and lists no new one",
            )
        })
    }

    /// Removes the app's snapshots. Where some were made, a bot that is gone is no reason to say
    /// that none are left.
    async fn forget(&self, app: &AppSpec) -> Result<(), Fault> {
        let made: Vec<String> = {
            let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            made.iter().cloned().collect()
        };
        if !made.is_empty() && bot::find(&self.swarm).await?.is_none() {
            return Err(Fault::infra(format!(
                "the backup bot is gone, and its repository has the snapshots {} of {}",
                made.join(", "),
                app.stack
            )));
        }
        forget_snapshots(&self.swarm, &app.stack).await
    }

    /// Downloads the snapshot, and looks into it.
    async fn contents(
        &self,
        app: &AppSpec,
        what: &Deployment,
        snapshot: &str,
    ) -> Result<Backup, Fault> {
        let plan = what.compose.backup_plan(&app.stack)?.unwrap_or_default();
        let folder = tempfile::Builder::new()
            .prefix("snapshot-")
            .tempdir_in(&self.dir)
            .map_err(|error| Fault::infra(format!("{}: {error}", self.dir.display())))?;
        let at = Place {
            home: self.home.dir(),
            folder: folder.path(),
            log: &self.dir.join(LOG),
            lock: Some(&app.lock),
            through: None,
        };
        let download = call::backup_download(&app.domain, snapshot);
        let doing = "downloading the snapshot";
        self.program.call(&download, &at, doing).await?;
        let archive = only_file(folder.path())?;
        let (snapshot, volumes) = (snapshot.to_owned(), plan.volumes);
        let read = move || archive::read(&archive, &snapshot, &volumes);
        let read = tokio::task::spawn_blocking(read).await;
        read.map_err(|error| Fault::infra(format!("reading the snapshot: {error}")))?
    }
}

#[async_trait]
impl Engine for AbraEngine {
    fn name(&self) -> &'static str {
        "abra"
    }

    /// In a clone of its own at the exact commit: lint moves a checkout, too, and refuses one that
    /// is not clean.
    async fn lint(&self, subject: &LintSubject<'_>) -> Result<Linted, Fault> {
        let folder = tempfile::Builder::new()
            .prefix("lint-")
            .tempdir_in(&self.dir)
            .map_err(|error| Fault::infra(format!("{}: {error}", self.dir.display())))?;
        let home = self.home.beside(folder.path())?;
        home.check_out(subject.commit).await?;
        let at = Place {
            home: home.dir(),
            folder: folder.path(),
            log: &self.dir.join(LOG),
            lock: None,
            through: None,
        };
        let call = call::lint(self.home.recipe());
        let said = self.program.call(&call, &at, "lint").await?;
        let seen = home.checked_out().await?;
        if seen != *subject.commit {
            return Err(Fault::infra(format!(
                "abra linted {} in place of {}",
                seen.short(),
                subject.commit.short()
            )));
        }
        let findings = said::lint_findings(&said).ok_or_else(|| {
            Fault::infra("abra's lint printed no table of rules that cc-ci knows")
        })?;
        Ok(Linted {
            by: format!("abra {}", self.program.version()),
            findings,
        })
    }

    async fn create(&self, app: &AppSpec, commit: &CommitSha) -> Result<(), Fault> {
        self.home.check_out(commit).await?;
        let new = call::app_new(&app.recipe, self.home.server(), &app.domain);
        self.call(app, &new, "making the app").await?;
        let file = self.home.app_file(&app.domain);
        if file.is_file() {
            return Ok(());
        }
        Err(Fault::infra(format!(
            "abra made the app, and there is no {}",
            file.display()
        )))
    }

    async fn insert_secrets(
        &self,
        app: &AppSpec,
        what: &Deployment,
        secrets: &[SecretValue],
    ) -> Result<(), Fault> {
        if secrets.is_empty() {
            return Ok(());
        }
        for secret in secrets {
            // Each command may have moved the checkout.
            self.stage(app, what).await?;
            let name = short_name(app, secret)?;
            let file = private_file(&self.dir, &secret.value)?;
            let insert = call::secret_insert(&app.domain, name, &secret.version, file.path());
            let doing = format!("inserting the secret {}", secret.name);
            self.call(app, &insert, &doing).await?;
        }
        Ok(())
    }

    async fn read(&self, app: &AppSpec, what: &Deployment) -> Result<Made, Fault> {
        stack::read(&self.swarm, &self.dir, app, what).await
    }

    async fn deploy(&self, app: &AppSpec, what: &Deployment) -> Result<Vec<String>, Fault> {
        let overlaid = self.stage(app, what).await?;
        let live = swarm::service_names(&self.swarm, &app.stack).await?;
        let passage = self.walls.passage(&self.swarm, app).await?;
        let way = Way::Pass(Arc::new(passage));
        let door = Door::open(&self.dir, self.swarm.socket(), way)?;
        // A pinned deploy refuses a checkout with a file more.
        let version = what.version.as_deref().filter(|_| !overlaid);
        let deploy = call::deploy(&app.domain, version, !live.is_empty());
        let doing = format!("deploying {}", app.stack);
        let deployed = self
            .deploy_through(&door, app, &deploy, &live, &doing)
            .await;
        let notes = came_through(&door, what, deployed)?;
        let seen = self.home.checked_out().await?;
        if seen != what.commit {
            return Err(Fault::infra(format!(
                "{doing}: abra moved the checkout from {} to {}",
                what.commit.short(),
                seen.short()
            )));
        }
        self.prune(app, what).await?;
        Ok(notes)
    }

    async fn restart(&self, app: &AppSpec, service: &str) -> Result<(), Fault> {
        stack::restart(&self.swarm, &self.dir, app, service).await
    }

    async fn backup(&self, app: &AppSpec, what: &Deployment) -> Result<Backup, Fault> {
        if bot::find(&self.swarm).await?.is_none() {
            return Err(Fault::infra(
                "no backup bot runs on this swarm: abra backs up through the recipe backup-bot-two, which the operator deploys once",
            ));
        }
        self.stage(app, what).await?;
        let create = call::backup_create(&app.domain);
        let said = self.call(app, &create, "the backup").await?;
        let snapshot = self.snapshot(app, &said).await?;
        self.made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(snapshot.clone());
        self.contents(app, what, &snapshot).await
    }

    async fn restore(&self, app: &AppSpec, what: &Deployment, snapshot: &str) -> Result<(), Fault> {
        self.stage(app, what).await?;
        let restore = call::restore(&app.domain, snapshot);
        self.call(app, &restore, "the restore").await.map(drop)
    }

    async fn remove_stack(&self, app: &AppSpec, deadline: Duration) -> Result<(), Fault> {
        let live = swarm::service_names(&self.swarm, &app.stack).await?;
        let undeployed = if live.is_empty() {
            Ok(())
        } else {
            let mut undeploy = call::undeploy(&app.domain);
            // One that hangs leaves time for what it did not do.
            undeploy.deadline = undeploy.deadline.min(deadline / 2);
            let doing = format!("undeploying {}", app.stack);
            self.call(app, &undeploy, &doing).await.map(drop)
        };
        // abra leaves volumes on purpose, and whatever else it left has to go, too.
        let rest = swarm::remove_stack(&self.swarm, &app.stack, &app.before, deadline).await;
        undeployed.and(rest.map(drop))
    }

    async fn remove(&self, app: &AppSpec, deadline: Duration) -> Result<(), Fault> {
        // What does not go is no reason to leave the rest.
        let stack = self.remove_stack(app, deadline).await;
        let removed = if self.home.app_file(&app.domain).exists() {
            let remove = call::remove(&app.domain);
            let doing = format!("removing {}", app.domain);
            self.call(app, &remove, &doing).await.map(drop)
        } else {
            Ok(())
        };
        let secrets = swarm::remove_secrets(&self.swarm, &app.stack, &app.before).await;
        let snapshots = self.forget(app).await;
        stack.and(removed).and(secrets).and(snapshots)
    }

    /// As for any engine: abra's own command merges the two streams, and its exit code is its own.
    async fn exec(
        &self,
        app: &AppSpec,
        service: &str,
        command: &[String],
        deadline: Duration,
    ) -> Result<ExecOutput, Fault> {
        swarm::exec(&self.swarm, &app.stack, service, command, deadline).await
    }
}

/// The secret's name as abra takes it: it puts the stack's name and the version around it.
fn short_name<'a>(app: &AppSpec, secret: &'a SecretValue) -> Result<&'a str, Fault> {
    let (before, after) = (app.stack.object(""), format!("_{}", secret.version));
    let inner = secret.name.strip_prefix(&before);
    let inner = inner.and_then(|name| name.strip_suffix(&after));
    inner.filter(|name| !name.is_empty()).ok_or_else(|| {
        Fault::recipe(format!(
            "the secret {} is not named `${{STACK_NAME}}_<name>_<version>`, so abra can't insert it",
            secret.name
        ))
    })
}

/// A file for abra to read a value from: in no argument, and gone after the call.
fn private_file(dir: &Path, value: &[u8]) -> Result<tempfile::NamedTempFile, Fault> {
    let io = |error: std::io::Error| Fault::infra(format!("{}: {error}", dir.display()));
    // Its mode is 0600.
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(io)?;
    file.write_all(value).map_err(io)?;
    Ok(file)
}

fn only_file(folder: &Path) -> Result<PathBuf, Fault> {
    let io = |error: std::io::Error| Fault::infra(format!("{}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        files.push(entry.map_err(io)?.path());
    }
    match files.as_slice() {
        [file] => Ok(file.clone()),
        files => Err(Fault::infra(format!(
            "abra's download left {} files in place of one archive",
            files.len()
        ))),
    }
}
