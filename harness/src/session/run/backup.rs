//! Backup and restore: seed, back up, change, restore, prove.

use results::event::EventKind;
use results::{Cause, Outcome, Tier};
use serde_json::json;

use super::{Operation, Run, Stop, facts};
use crate::data::{self, Mounted, Seeded};
use crate::engine::{Backup, Deployment};
use crate::fault::Fault;
use crate::point::{self, Point};
use crate::recipe::compose::BackupPlan;
use crate::snapshot::{Helper, Selection, Volumes};
use crate::suite::{Generic, Hook};
use crate::swarm;

/// How often a backup is made whose dump does not verify.
const TRIES: u32 = 3;

impl<G: Generic> Run<'_, G> {
    pub(super) async fn back_up(&mut self) -> Operation {
        let deployment = self.head_deployment()?;
        let capable = deployment.compose.backup_capable();
        if !self.suite.settings.backup_capable.unwrap_or(capable) {
            return Err(Stop::Outcome(Outcome::skip(
                "the recipe is not backup-capable: no `backupbot.backup` label in the selected compose files",
            )));
        }
        let stack = &self.prepared()?.app.stack;
        let plan = deployment
            .compose
            .backup_plan(stack)
            .map_err(|error| Fault::recipe(error.to_string()))?;
        let plan = plan.ok_or_else(|| {
            Fault::recipe(
                "`backup_capable` is set, and no `backupbot.backup` label says what to back up",
            )
        })?;
        for note in &plan.notes {
            self.journal().note(Some(Tier::Backup), note);
        }
        self.hook(Hook::Backup).await?;
        let markers = self.seed_for_restore(&plan).await?;
        point::reach(Point::Backup).await;
        // A dump is taken from a stack at rest.
        self.come_to_rest(&deployment).await?;
        let backup = self.backup_that_verifies(&deployment).await?;
        let learned = facts([
            ("snapshot", json!(backup.snapshot)),
            ("bytes", json!(backup.bytes)),
            ("files", json!(backup.files)),
            ("paths", json!(backup.paths)),
        ]);
        self.backup = Some(backup);
        self.markers = Some(markers);
        Ok(learned)
    }

    async fn backup_that_verifies(&self, deployment: &Deployment) -> Result<Backup, Stop> {
        let prepared = self.prepared()?;
        let mut attempt = 1;
        loop {
            let backup = prepared.engine.backup(&prepared.app, deployment).await?;
            match self.hook(Hook::VerifyBackup).await {
                Err(Stop::Fault(Fault::Recipe(why))) if attempt < TRIES => {
                    attempt += 1;
                    let what = "the backup".to_owned();
                    let retry = EventKind::Retry {
                        tier: Tier::Backup,
                        what,
                        why,
                        attempt,
                    };
                    self.journal().emit(retry);
                    self.come_to_rest(deployment).await?;
                }
                Err(stop) => return Err(stop),
                Ok(()) => return Ok(backup),
            }
        }
    }

    pub(super) async fn restore(&mut self) -> Operation {
        let made = match (self.done.get(&Tier::Backup).cloned(), self.backup.clone()) {
            (Some(Outcome::Pass), Some(made)) => made,
            (Some(Outcome::Skip { reason }), _) => {
                return Err(Stop::Outcome(Outcome::skip(reason)));
            }
            (Some(Outcome::Fail { .. }), _) => {
                return Err(unverified(Cause::Fail, "the backup failed"));
            }
            (Some(_), _) => return Err(unverified(Cause::Error, "there is no backup")),
            (None, _) => {
                return Err(unverified(Cause::Deselected, "no backup was asked for"));
            }
        };
        let deployment = self.head_deployment()?;
        self.hook(Hook::Restore).await?;
        let volumes = self.volumes()?;
        let mut markers = self.markers.take().unwrap_or_default();
        data::mutate(&volumes, &mut markers).await?;
        let stayed = data::prove_mutated(&volumes, &markers).await?;
        if let Some(finding) = stayed.first() {
            return Err(Fault::infra(format!("the restore would prove nothing: {finding}")).into());
        }
        for note in &markers.notes {
            self.journal().note(Some(Tier::Restore), note);
        }
        point::reach(Point::Restore).await;
        let prepared = self.prepared()?;
        prepared
            .engine
            .restore(&prepared.app, &deployment, &made.snapshot)
            .await?;
        self.come_to_rest(&deployment).await?;
        Ok(facts([
            ("snapshot", json!(made.snapshot)),
            ("markers", json!(markers)),
            ("proves", json!(markers.proves_restore())),
        ]))
    }

    fn head_deployment(&self) -> Result<Deployment, Fault> {
        let prepared = self.prepared()?;
        prepared.head.deployment(&prepared.env, &prepared.app)
    }

    async fn seed_for_restore(&self, plan: &BackupPlan) -> Result<Seeded, Fault> {
        let covered: Vec<Selection> = plan.volumes.iter().map(Selection::from).collect();
        let mut mounts = self.mounts().await?;
        mounts.retain(|mount| {
            covered
                .iter()
                .any(|selection| selection.volume == mount.volume)
        });
        data::seed(&self.volumes()?, &mounts, &covered).await
    }

    /// Volumes of running tasks, as markers want them.
    pub(super) async fn mounts(&self) -> Result<Vec<Mounted>, Fault> {
        let prepared = self.prepared()?;
        let prefix = prepared.app.stack.object("");
        let mounted = swarm::mounted_volumes(&prepared.swarm, &prepared.app.stack).await?;
        Ok(mounted
            .into_iter()
            .filter(|mount| !mount.anonymous)
            .map(|mount| Mounted {
                key: mount.volume.strip_prefix(&prefix).map(str::to_owned),
                volume: mount.volume,
                service: mount.service,
                target: mount.target,
                read_only: mount.read_only,
                driver: mount.driver,
            })
            .collect())
    }

    pub(super) fn volumes(&self) -> Result<Volumes, Fault> {
        let prepared = self.prepared()?;
        Ok(volumes(
            &prepared.swarm,
            &prepared.app,
            &prepared.site.edge_image,
            &self.paths.private,
        ))
    }
}

/// Access to the app's volumes; a helper container, where one is needed, bears the app's name.
pub fn volumes(
    swarm: &crate::swarm::Swarm,
    app: &crate::engine::AppSpec,
    image: &str,
    exchange: &std::path::Path,
) -> Volumes {
    Volumes::Docker {
        docker: swarm.docker().clone(),
        helper: Helper {
            image: image.to_owned(),
            name_prefix: app.stack.object("cc-ci-helper"),
            labels: [("cc-ci.app".to_owned(), app.domain.to_string())].into(),
            exchange: exchange.to_owned(),
        },
    }
}

fn unverified(cause: Cause, reason: &str) -> Stop {
    Stop::Outcome(Outcome::unverified(cause, reason))
}
