//! Upgrade: head in place of the base, with the base's data.

use results::{Cause, Outcome, Tier};
use serde_json::{Map, json};

use super::pinned::{Pair, pinned, pinned_by_file};
use super::ports::held_port;
use super::prepare::Target;
use super::{Operation, Run, Stop, facts};
use crate::data;
use crate::fault::Fault;
use crate::point::{self, Point};
use crate::recipe::Compose;
use crate::session::deployment::new_env;
use crate::suite::{Generic, Hook};
use crate::swarm::{self, Expected, MountedVolume, differences};

impl<G: Generic> Run<'_, G> {
    pub(super) async fn upgrade(&mut self) -> Operation {
        if let Some(reason) = &self.base_failed {
            return Err(Stop::Outcome(Outcome::unverified(Cause::Base, reason)));
        }
        if let Some(text) = &self.no_room {
            return Err(Fault::infra(text).into());
        }
        let prepared = self.prepared()?;
        let Some(base) = prepared.base.clone() else {
            return Err(Stop::Outcome(Outcome::skip(
                "there is no version to upgrade from; see `no_base` in the record",
            )));
        };
        let head = prepared.head.clone();
        self.hook(Hook::Upgrade).await?;
        let before = self.mounts().await?;
        let markers = self.seed_for_upgrade(&before).await?;
        let mut learned = self.redeploy(&head).await?;
        let moves = self.moves_of_volumes(&before).await?;
        for note in markers.notes.iter().chain(&moves.notes) {
            self.journal().note(Some(Tier::Upgrade), note);
        }
        learned.extend(facts([
            ("from", json!(base.version)),
            ("from_commit", json!(base.commit)),
            ("volumes_before", json!(before)),
            ("volumes_lost", json!(moves.lost)),
            ("markers", json!(markers)),
        ]));
        self.upgraded = true;
        Ok(learned)
    }

    /// Head is needed and the base is live, because no upgrade was asked for.
    pub(super) async fn move_to_head(&mut self, tier: Tier) -> Option<Outcome> {
        let text = format!("{tier} without an upgrade: head is deployed over the base first");
        self.journal().note(Some(tier), text);
        let moved = async {
            let head = self.prepared()?.head.clone();
            self.redeploy(&head).await
        };
        match moved.await {
            Ok(_) => {
                self.upgraded = true;
                None
            }
            Err(Stop::Outcome(outcome)) => Some(outcome),
            Err(Stop::Fault(fault)) => Some(fault.context("head over the base").outcome()),
        }
    }

    /// Deploys head in place with chaos, and proves that it is what is live.
    async fn redeploy(&mut self, head: &Target) -> Result<Map<String, serde_json::Value>, Stop> {
        let base = self.as_the_app_has_it(self.prepared()?.base.as_ref())?;
        self.set_upgrade_env()?;
        let missing = self.keys_that_head_adds(head)?;
        for key in &missing {
            let text = format!(
                "head's .env.sample has {key}, which the app's .env does not; `upgrade_env` sets it"
            );
            self.journal().note(Some(Tier::Upgrade), text);
        }
        self.not_pinned(base.as_ref(), head)?;
        let deployment = self.ready_deployment(head).await?;
        let prepared = self.prepared()?;
        let before = self.converged.borrow().clone();
        point::reach(Point::Redeploy).await;
        self.hand_over(&deployment).await?;
        point::reach(Point::Redeployed).await;
        let converged = self
            .settle_down(&deployment)
            .await
            .map_err(|fault| held_port(fault, &deployment.compose))?;
        if converged == before {
            let text = "head changes no service: no task was replaced";
            self.journal().note(Some(Tier::Upgrade), text);
        }
        let live = swarm::live(&prepared.swarm, &prepared.app.stack).await?;
        let expected = Expected {
            stack: &prepared.app.stack,
            compose: &deployment.compose,
            tree: &deployment.tree,
            local_images: &deployment.local_images,
            variables: &deployment.variables,
        };
        let differences = differences(&expected, &live);
        if !differences.is_empty() {
            let text = format!("head is not what is live: {}", differences.join("; "));
            return Err(Fault::recipe(text).into());
        }
        self.now_live(head);
        self.answers_again(&deployment).await?;
        let volumes = self.mounted().await?;
        Ok(facts([
            ("commit", json!(head.commit)),
            ("services", json!(converged)),
            ("volumes", volumes),
            ("images", json!(deployment.local_images)),
            ("env_keys_added", json!(missing)),
        ]))
    }

    fn as_the_app_has_it(&self, target: Option<&Target>) -> Result<Option<Compose>, Fault> {
        let prepared = self.prepared()?;
        let rendered = target.map(|target| target.deployment(&prepared.env, &prepared.app));
        Ok(rendered.transpose()?.map(|deployment| deployment.compose))
    }

    /// An upgrade to head that keeps the base's images is none, and is nobody's pass. `base`: as it
    /// was deployed.
    fn not_pinned(&self, base: Option<&Compose>, head: &Target) -> Result<(), Fault> {
        let prepared = self.prepared()?;
        let (Some(base), Some(target)) = (base, &prepared.base) else {
            return Ok(());
        };
        let by_default = |target: &Target| {
            let domain = prepared.app.domain.as_str();
            let env = new_env(&target.tree, domain, &[])?;
            Ok::<_, Fault>(target.deployment(&env, &prepared.app)?.compose)
        };
        let now = self.as_the_app_has_it(Some(head))?;
        if let Some(pin) = now.as_ref().and_then(|now| pinned_by_file(base, now)) {
            return Err(Fault::usage(pin));
        }
        // What can't be rendered shows its own fault at the deploy, or did at the base's.
        let (Some(now), Ok(was), Ok(wanted)) = (now, by_default(target), by_default(head)) else {
            return Ok(());
        };
        let defaults = Pair {
            base: &was,
            head: &wanted,
        };
        let app = Pair { base, head: &now };
        match pinned(&defaults, &app) {
            pinned if pinned.is_empty() => Ok(()),
            pinned => Err(Fault::usage(format!(
                "nothing would be upgraded: {}; `upgrade_env` sets what head needs",
                pinned.join("; ")
            ))),
        }
    }

    fn keys_that_head_adds(&self, head: &Target) -> Result<Vec<String>, Fault> {
        let prepared = self.prepared()?;
        let sample = new_env(&head.tree, prepared.app.domain.as_str(), &[])?;
        let known = prepared.env.variables();
        Ok(sample
            .keys()
            .filter(|key| !known.contains_key(*key))
            .map(str::to_owned)
            .collect())
    }

    /// Markers in every volume that must keep its content.
    async fn seed_for_upgrade(&self, mounts: &[MountedVolume]) -> Result<data::Seeded, Fault> {
        let mut mounts = mounts.to_vec();
        mounts.retain(|mount| !self.is_ephemeral(mount));
        data::seed(&self.volumes()?, &mounts, &[]).await
    }

    /// What became of the volumes that services mounted before.
    async fn moves_of_volumes(&self, before: &[MountedVolume]) -> Result<data::Moves, Fault> {
        let prepared = self.prepared()?;
        let stack = &prepared.app.stack;
        let live = swarm::live(&prepared.swarm, stack).await?;
        // A service without a task mounts nothing, and has lost nothing.
        let idle = |name: &str| {
            let service = live.iter().find(|service| service.name == name);
            service.is_some_and(|service| service.containers.is_empty())
        };
        let mut before = before.to_vec();
        before.retain(|mount| !self.is_ephemeral(mount) && !idle(&mount.service));
        let services = live.iter().map(|service| service.name.as_str()).collect();
        let pairs = &self.suite.settings.renamed_volumes;
        let renamed = pairs
            .iter()
            .map(|(old, new)| (stack.object(old), stack.object(new)))
            .collect();
        let now = self.mounts().await?;
        Ok(data::moves(&before, &now, &services, &renamed))
    }

    fn is_ephemeral(&self, mount: &MountedVolume) -> bool {
        let ephemeral = &self.suite.settings.ephemeral;
        mount
            .key
            .as_ref()
            .is_some_and(|key| ephemeral.contains(key))
    }
}
