//! Upgrade: head in place of the base, with the base's data.

use results::{Cause, Outcome, Tier};
use serde_json::{Map, json};

use super::prepare::Target;
use super::{Operation, Run, Stop, facts};
use crate::data;
use crate::fault::Fault;
use crate::point::{self, Point};
use crate::suite::{Generic, Hook};
use crate::swarm::{self, Expected, differences};

impl<G: Generic> Run<'_, G> {
    pub(super) async fn upgrade(&mut self) -> Operation {
        if let Some(reason) = &self.base_failed {
            return Err(Stop::Outcome(Outcome::unverified(Cause::Base, reason)));
        }
        let prepared = self.prepared()?;
        let Some(base) = prepared.base.clone() else {
            return Err(Stop::Outcome(Outcome::skip(
                "there is no version to upgrade from; see `no_base` in the record",
            )));
        };
        let head = prepared.head.clone();
        self.hook(Hook::Upgrade).await?;
        let volumes_before = self.mounted().await?;
        let markers = self.seed_for_upgrade().await?;
        let learned = self.redeploy(&head).await?;
        let mut learned = learned;
        learned.extend(facts([
            ("from", json!(base.version)),
            ("from_commit", json!(base.commit)),
            ("volumes_before", volumes_before),
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
        self.set_upgrade_env()?;
        let missing = self.keys_that_head_adds(head)?;
        for key in &missing {
            let text = format!(
                "head's .env.sample has {key}, which the app's .env does not; `upgrade_env` sets it"
            );
            self.journal().note(Some(Tier::Upgrade), text);
        }
        let deployment = self.ready_deployment(head).await?;
        let prepared = self.prepared()?;
        let before = self.converged.borrow().clone();
        point::reach(Point::Redeploy).await;
        let deployed = prepared.engine.deploy(&prepared.app, &deployment);
        self.shared.change(deployed).await?;
        point::reach(Point::Redeployed).await;
        let converged = self.settle_down(&deployment).await?;
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
            app_env: &deployment.app_env,
        };
        let differences = differences(&expected, &live);
        if !differences.is_empty() {
            let text = format!("head is not what is live: {}", differences.join("; "));
            return Err(Fault::recipe(text).into());
        }
        self.now_live(head);
        self.answers(&deployment).await?;
        let volumes = self.mounted().await?;
        Ok(facts([
            ("commit", json!(head.commit)),
            ("services", json!(converged)),
            ("volumes", volumes),
            ("images", json!(deployment.local_images)),
            ("env_keys_added", json!(missing)),
        ]))
    }

    fn keys_that_head_adds(&self, head: &Target) -> Result<Vec<String>, Fault> {
        let prepared = self.prepared()?;
        let sample =
            crate::session::deployment::new_env(&head.tree, prepared.app.domain.as_str(), &[])?;
        let known = prepared.env.variables();
        Ok(sample
            .keys()
            .filter(|key| !known.contains_key(*key))
            .map(str::to_owned)
            .collect())
    }

    /// Markers in every volume that must keep its content.
    async fn seed_for_upgrade(&self) -> Result<data::Seeded, Fault> {
        let ephemeral = &self.suite.settings.ephemeral;
        let mut mounts = self.mounts().await?;
        mounts.retain(|mount| {
            !mount
                .key
                .as_ref()
                .is_some_and(|key| ephemeral.contains(key))
        });
        data::seed(&self.volumes()?, &mounts, &[]).await
    }
}
