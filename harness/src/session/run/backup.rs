//! Backup and restore: seed, back up, change, restore, prove.

use results::event::EventKind;
use results::{Cause, Outcome, Tier};
use serde_json::json;

use super::twice::twice;
use super::{Operation, Run, Stop, facts};
use crate::data::{self, Seeded};
use crate::engine::{Backup, Deployment};
use crate::fault::Fault;
use crate::point::{self, Point};
use crate::recipe::compose::BackupPlan;
use crate::snapshot::{Selection, Volumes};
use crate::suite::{Generic, Hook};
use crate::swarm::{self, MountedVolume};

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
        let backup = self.backup_that_holds(&deployment).await?;
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

    /// Backs up until the dump verifies. Without a hook that says so, none can be trusted that was
    /// made while a container was replaced.
    async fn backup_that_holds(&self, deployment: &Deployment) -> Result<Backup, Stop> {
        let prepared = self.prepared()?;
        let mut attempt = 1;
        loop {
            // A dump is taken from a stack at rest.
            self.come_to_rest(deployment).await?;
            let at_rest = self.converged.borrow().clone();
            let backup = || prepared.engine.backup(&prepared.app, deployment);
            let made = twice(self.journal(), Tier::Backup, "the backup", backup).await;
            if !matches!(made, Ok(_) | Err(Fault::Recipe(_))) {
                return Ok(made?);
            }
            self.come_to_rest(deployment).await?;
            let replaced = swarm::restarts(&prepared.swarm, &prepared.app.stack, &at_rest).await?;
            let verified = match &made {
                Ok(_) => self.hook(Hook::VerifyBackup).await,
                Err(fault) => Err(fault.clone().into()),
            };
            let why = match (made, verified) {
                (Ok(backup), Ok(()))
                    if replaced.is_empty() || self.has_hook(Hook::VerifyBackup)? =>
                {
                    return Ok(backup);
                }
                // No second try makes this another.
                (Err(fault), _) if replaced.is_empty() => return Err(fault.into()),
                (_, Err(Stop::Fault(Fault::Recipe(why)))) => Some(why),
                (_, Ok(())) => None,
                (_, Err(stop)) => return Err(stop),
            };
            let ended = replaced.iter();
            let ended = ended.map(|what| format!("while the backup was made, {what}"));
            let why: Vec<String> = why.into_iter().chain(ended).collect();
            let why = why.join("; ");
            if attempt == TRIES {
                return Err(Fault::recipe(format!("{why} (in the last of {TRIES} tries)")).into());
            }
            attempt += 1;
            self.journal().emit(EventKind::Retry {
                tier: Tier::Backup,
                what: "the backup".to_owned(),
                why,
                attempt,
            });
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
        let restore = || {
            let engine = &prepared.engine;
            engine.restore(&prepared.app, &deployment, &made.snapshot)
        };
        twice(self.journal(), Tier::Restore, "the restore", restore).await?;
        self.come_to_rest(&deployment).await?;
        for note in data::after_restore(&volumes, &mut markers).await? {
            self.journal().note(Some(Tier::Restore), note);
        }
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

    /// Volumes of running tasks that the recipe names.
    pub(super) async fn mounts(&self) -> Result<Vec<MountedVolume>, Fault> {
        let prepared = self.prepared()?;
        let mut mounted = swarm::mounted_volumes(&prepared.swarm, &prepared.app.stack).await?;
        mounted.retain(|mount| !mount.anonymous);
        Ok(mounted)
    }

    pub(super) fn volumes(&self) -> Result<Volumes, Fault> {
        let prepared = self.prepared()?;
        Ok(Volumes::of_app(
            &prepared.swarm,
            &prepared.app.domain,
            &prepared.site.edge_image,
        ))
    }
}

fn unverified(cause: Cause, reason: &str) -> Stop {
    Stop::Outcome(Outcome::unverified(cause, reason))
}
