//! What changes the swarm. An engine says nothing of success: convergence is observed by
//! [`crate::swarm`], the same for all engines.
//!
//! This room must not know: tests, verdicts.

pub mod abra;
mod child;
mod confine;
mod door;
mod inside;
mod overlay;
pub mod stack;
mod walls;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::swarm::Before;
pub use crate::swarm::ExecOutput;
pub use door::Ceilings;
pub use walls::{Walls, refusal};

use crate::recipe::policy::Made;
use crate::recipe::{AppDomain, CommitSha, Compose, EnvFile, RecipeName, StackName, lint};
use results::event::LintFinding;

/// One app: what stays the same from its first deploy to its removal.
#[derive(Debug, Clone)]
pub struct AppSpec {
    pub recipe: RecipeName,
    pub domain: AppDomain,
    pub stack: StackName,
    /// What the engine had before: none of it is the app's.
    pub before: Before,
    /// Held open by every child that changes the swarm, so that a reaper can wait for those too.
    pub lock: Arc<std::os::fd::OwnedFd>,
}

/// One state of the app to deploy: a commit with its environment.
#[derive(Debug, Clone)]
pub struct Deployment {
    pub commit: CommitSha,
    /// The version that is published for the commit; none: head, deployed with chaos.
    pub version: Option<String>,
    /// The recipe's files at that commit. Nothing else writes there.
    pub tree: PathBuf,
    /// Compose files, relative to `tree`, in the order of merging.
    pub files: Vec<PathBuf>,
    /// The app's `.env`, as it is written.
    pub env: EnvFile,
    /// The same, expanded: what the engine adds to the service `app`, too.
    pub app_env: BTreeMap<String, String>,
    /// Everything compose files are interpolated with: the app's `.env`, the exports of `abra.sh`,
    /// `STACK_NAME`.
    pub variables: BTreeMap<String, String>,
    pub compose: Compose,
    /// Images that are present and were built here, by name: deployed by id.
    pub local_images: BTreeMap<String, String>,
}

/// A secret to insert before a deploy.
#[derive(Clone)]
pub struct SecretValue {
    /// Full name in the swarm.
    pub name: String,
    /// What follows the last `_` of the name.
    pub version: String,
    pub value: Vec<u8>,
}

/// The commit whose recipe is linted.
pub struct LintSubject<'a> {
    /// The fetched repository, bare, with all its tags.
    pub repo: &'a Path,
    pub commit: &'a CommitSha,
    /// What the native rules look at.
    pub native: lint::Subject<'a>,
}

/// What lint said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linted {
    /// `native`, or abra with its version.
    pub by: String,
    pub findings: Vec<LintFinding>,
}

/// What a backup yielded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    pub snapshot: String,
    /// Bytes of file content.
    pub bytes: u64,
    pub files: u64,
    /// What it holds: volume key and path below the volume's root (empty: all of it).
    pub paths: Vec<BackedUpPath>,
}

/// A path that the backup labels cover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUpPath {
    /// Full name of the volume in the swarm.
    pub volume: String,
    /// Key of the volume in the compose file.
    pub key: String,
    /// Relative to the volume's root; empty: the whole volume.
    pub path: String,
    /// Whether the snapshot holds it, and whether it is a file there.
    pub present: bool,
    pub is_file: bool,
    /// Bytes of file content below it.
    pub bytes: u64,
}

#[async_trait]
pub trait Engine: Send + Sync {
    /// `abra` or `stack`, for the record.
    fn name(&self) -> &'static str;

    /// The findings of the recipe's lint rules. A fault is not a finding: lint could not run.
    async fn lint(&self, subject: &LintSubject<'_>) -> Result<Linted, Fault>;

    /// Makes the app, of the recipe at this commit: once, before anything else of it.
    async fn create(&self, app: &AppSpec, commit: &CommitSha) -> Result<(), Fault>;

    /// Puts secrets of `what` into the swarm; one that is there already is a fault.
    async fn insert_secrets(
        &self,
        app: &AppSpec,
        what: &Deployment,
        secrets: &[SecretValue],
    ) -> Result<(), Fault>;

    /// What Docker makes of a deployment, with nothing of it in the swarm.
    async fn read(&self, app: &AppSpec, what: &Deployment) -> Result<Made, Fault>;

    /// Deploys or redeploys; services that the deployment does not have are pruned. Returns once
    /// the swarm has the new specs, without waiting for tasks. What a wall refuses never gets there.
    /// Gives what the site's ceilings lowered.
    async fn deploy(&self, app: &AppSpec, what: &Deployment) -> Result<Vec<String>, Fault>;

    /// Replaces the tasks of a service by new ones of the same spec, without waiting for them.
    async fn restart(&self, app: &AppSpec, service: &str) -> Result<(), Fault>;

    /// Backs up what the labels of `what` cover: hooks, volumes, paths.
    async fn backup(&self, app: &AppSpec, what: &Deployment) -> Result<Backup, Fault>;

    /// Writes the snapshot back into the running app: hooks, overwriting, never wiping.
    async fn restore(&self, app: &AppSpec, what: &Deployment, snapshot: &str) -> Result<(), Fault>;

    /// Removes services, networks, configs and volumes of the app, as fast as is clean; env file
    /// and secrets stay. What stands in the way at the deadline is named.
    async fn remove_stack(&self, app: &AppSpec, deadline: Duration) -> Result<(), Fault>;

    /// Removes everything that the app has: [`Engine::remove_stack`], then secrets and snapshots,
    /// whatever came of what was before.
    async fn remove(&self, app: &AppSpec, deadline: Duration) -> Result<(), Fault>;

    /// Runs a command in the running container of a service, with no shell in between.
    async fn exec(
        &self,
        app: &AppSpec,
        service: &str,
        command: &[String],
        deadline: Duration,
    ) -> Result<ExecOutput, Fault>;
}
