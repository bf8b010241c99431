//! The embedded engine: a recipe's own compose files and `docker stack deploy`.
//!
//! What is deployed is parsed by Docker: our model only tells what the generated overlay must add.
//! Nothing is written into a recipe's tree; files are deployed from a copy.

mod backup;
mod client;
mod files;
mod volumes;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bollard::models::SecretSpec;

use super::door::{Door, Way};
use super::walls::{Walls, came_through};
use super::{AppSpec, Backup, Deployment, Engine, ExecOutput, LintSubject, Linted, SecretValue};
use crate::fault::Fault;
use crate::recipe::policy::Made;
use crate::recipe::{AppDomain, CommitSha, lint};
use crate::swarm::{self, Swarm};

pub use backup::Data;
pub use client::{read, restart};
pub use volumes::Snapshots;

/// On secrets that an engine inserted: the app's domain.
pub const APP_LABEL: &str = "cc-ci.app";

pub struct StackEngine {
    swarm: Swarm,
    /// For copies of recipes with their overlays: `<work_dir>/<stack>/`.
    work_dir: PathBuf,
    data: Arc<dyn Data>,
    walls: Walls,
}

impl StackEngine {
    /// `work_dir` is the engine's own; `data` reads backup labels and copies volumes.
    pub fn new(
        swarm: Swarm,
        work_dir: impl Into<PathBuf>,
        data: Arc<dyn Data>,
        walls: Walls,
    ) -> Self {
        Self {
            swarm,
            work_dir: work_dir.into(),
            data,
            walls,
        }
    }

    fn folder(&self, app: &AppSpec) -> PathBuf {
        self.work_dir.join(app.stack.as_str())
    }
}

#[async_trait]
impl Engine for StackEngine {
    fn name(&self) -> &'static str {
        "stack"
    }

    async fn lint(&self, subject: &LintSubject<'_>) -> Result<Linted, Fault> {
        Ok(Linted {
            by: "native".to_owned(),
            findings: lint::lint(&subject.native),
        })
    }

    /// An app without objects is nothing that Docker knows.
    async fn create(&self, _: &AppSpec, _: &CommitSha) -> Result<(), Fault> {
        Ok(())
    }

    async fn insert_secrets(
        &self,
        app: &AppSpec,
        _: &Deployment,
        secrets: &[SecretValue],
    ) -> Result<(), Fault> {
        for secret in secrets {
            insert_secret(&self.swarm, &app.domain, secret).await?;
        }
        Ok(())
    }

    async fn read(&self, app: &AppSpec, what: &Deployment) -> Result<Made, Fault> {
        client::read(&self.swarm, &self.folder(app), app, what).await
    }

    async fn deploy(&self, app: &AppSpec, what: &Deployment) -> Result<Vec<String>, Fault> {
        let folder = self.folder(app);
        let files = files::prepare(&folder, app, what, self.swarm.needs_dnsrr())?;
        let passage = self.walls.passage(&self.swarm, app).await?;
        let door = Door::open(&folder, self.swarm.socket(), Way::Pass(Arc::new(passage)))?;
        let deployed = client::deploy(&door, &folder, app, &files, &what.variables).await;
        came_through(&door, what, deployed)
    }

    async fn restart(&self, app: &AppSpec, service: &str) -> Result<(), Fault> {
        client::restart(&self.swarm, &self.folder(app), app, service).await
    }

    async fn backup(&self, app: &AppSpec, what: &Deployment) -> Result<Backup, Fault> {
        backup::backup(self, self.data.as_ref(), app, what).await
    }

    async fn restore(&self, app: &AppSpec, what: &Deployment, snapshot: &str) -> Result<(), Fault> {
        backup::restore(self, self.data.as_ref(), app, what, snapshot).await
    }

    async fn remove_stack(&self, app: &AppSpec, deadline: Duration) -> Result<(), Fault> {
        swarm::remove_stack(&self.swarm, &app.stack, &app.before, deadline)
            .await
            .map(|_| ())
    }

    async fn remove(&self, app: &AppSpec, deadline: Duration) -> Result<(), Fault> {
        // What does not go is no reason to leave the rest.
        let stack = self.remove_stack(app, deadline).await;
        let secrets = swarm::remove_secrets(&self.swarm, &app.stack, &app.before).await;
        let data = self.data.forget(&app.stack).await;
        let folder = self.folder(app);
        let folder = match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Fault::infra(
                format!("removing {}: {error}", folder.display()),
            )),
            _ => Ok(()),
        };
        stack.and(secrets).and(data).and(folder)
    }

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

/// Puts one secret into the swarm, labelled as the app's.
pub async fn insert_secret(
    swarm: &Swarm,
    domain: &AppDomain,
    secret: &SecretValue,
) -> Result<(), Fault> {
    let spec = SecretSpec {
        name: Some(secret.name.clone()),
        labels: Some([(APP_LABEL.to_owned(), domain.to_string())].into()),
        data: Some(BASE64.encode(&secret.value)),
        ..SecretSpec::default()
    };
    match swarm.docker().create_secret(spec).await {
        Ok(_) => Ok(()),
        Err(error) => Err(secret_fault(&secret.name, &error)),
    }
}

fn secret_fault(name: &str, error: &bollard::errors::Error) -> Fault {
    if swarm::answered(error, 409) {
        return Fault::infra(format!(
            "inserting the secret {name}: it exists already, and a secret can't be overwritten"
        ));
    }
    if swarm::answered(error, 400) {
        // The name or the size is not allowed.
        return Fault::recipe(format!("inserting the secret {name}: {error}"));
    }
    Swarm::fault(format!("inserting the secret {name}"), error)
}
