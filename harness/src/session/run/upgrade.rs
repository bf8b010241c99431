//! Upgrade: head in place of the base, with the base's data.

use results::{Cause, Outcome, Tier};
use serde_json::{Map, json};

use super::prepare::Target;
use super::{Operation, Run, Stop, facts};
use crate::data;
use crate::fault::Fault;
use crate::recipe::Compose;
use crate::recipe::compose::Port;
use crate::suite::{Generic, Hook};
use crate::swarm::{self, Expected, MountedVolume, differences};

/// Why what was deployed would not be head: head changes an image in one of its files, and another
/// file that the app's `.env` selects puts the base's image back in its place.
fn pinned_to_base(base: &Compose, head: &Compose) -> Option<String> {
    head.services.iter().find_map(|(name, service)| {
        let before = base.services.get(name)?;
        let (named, named_before) = (
            head.images_by_file.get(name)?,
            base.images_by_file.get(name)?,
        );
        let (pin, _) = named.last()?;
        let (file, image) = named
            .iter()
            .find(|one| one.1 != service.image && !named_before.contains(one))?;
        (service.image == before.image).then(|| {
            format!(
                "{name}: head's {} has the image {image}, and {}, which the app's .env selects, puts the base's {} in its place: what would be tested is not head",
                file.display(),
                pin.display(),
                service.image
            )
        })
    })
}

/// A port of the host that a service publishes itself is held by its old task until that has ended.
/// With `order: start-first` the new one waits for it for ever: the recipe's fault, and no node's.
fn held_port(fault: Fault, head: &Compose) -> Fault {
    let text = fault.to_string();
    if !text.contains("host-mode port already in use") {
        return fault;
    }
    let holder = head.services.iter().find(|(name, service)| {
        let is_it = text.starts_with(&format!("{name}: "));
        let ports = service.ports.iter();
        let on_host = |port: &Port| port.mode.as_deref() == Some("host");
        is_it
            && service.update_order.as_deref() == Some("start-first")
            && ports.clone().any(on_host)
    });
    match holder {
        Some((name, _)) => Fault::recipe(format!(
            "{name}: the new task waits for a port of the host that the old one holds, which with `order: start-first` stays until the new one runs; `order: stop-first` lets go of it ({text})"
        )),
        None => fault,
    }
}

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
        if let Some(base) = &prepared.base {
            let base = base.deployment(&prepared.env, &prepared.app)?.compose;
            if let Some(pin) = pinned_to_base(&base, &deployment.compose) {
                return Err(Fault::infra(pin).into());
            }
        }
        let before = self.converged.borrow().clone();
        let deployed = prepared.engine.deploy(&prepared.app, &deployment);
        self.shared.change(deployed).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn compose(first: &str, second: Option<&str>) -> Compose {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Vec::new();
        for (name, image) in [("compose.yml", Some(first)), ("compose.pin.yml", second)] {
            if let Some(image) = image {
                let text = format!("services: {{app: {{image: '{image}'}}}}");
                std::fs::write(dir.path().join(name), text).unwrap();
                files.push(name.into());
            }
        }
        Compose::load(dir.path(), &files, &[].into()).unwrap()
    }

    #[test]
    fn a_file_that_puts_the_bases_image_back_is_named() {
        let pin = pinned_to_base(&compose("a:1", Some("a:1")), &compose("a:2", Some("a:1")));
        insta::assert_snapshot!(pin.unwrap(), @"app: head's compose.yml has the image a:2, and compose.pin.yml, which the app's .env selects, puts the base's a:1 in its place: what would be tested is not head");
    }

    #[rstest::rstest]
    #[case::one_file("a:1", None, "a:2", None)]
    #[case::no_change("a:1", Some("b:1"), "a:1", Some("b:1"))]
    #[case::both_change("a:1", Some("b:1"), "a:2", Some("b:2"))]
    #[case::the_last_file_changes("a:1", Some("b:1"), "a:1", Some("b:2"))]
    fn an_image_that_is_heads_own_is_no_pin(
        #[case] base: &str,
        #[case] base_pin: Option<&str>,
        #[case] head: &str,
        #[case] head_pin: Option<&str>,
    ) {
        let pin = pinned_to_base(&compose(base, base_pin), &compose(head, head_pin));
        assert_eq!(pin, None);
    }

    #[rstest::rstest]
    #[case::own_port("start-first", Some("host"), true)]
    #[case::lets_go("stop-first", Some("host"), false)]
    // There the overlay asks for `mode: host`, where a kernel has no other way.
    #[case::not_the_recipes_wish("start-first", None, false)]
    fn a_port_that_the_old_task_holds_is_the_recipes_fault(
        #[case] order: &str,
        #[case] mode: Option<&str>,
        #[case] recipe: bool,
    ) {
        let port = Port {
            target: 80,
            published: Some(8080),
            protocol: "tcp".to_owned(),
            mode: mode.map(str::to_owned),
        };
        let service = crate::recipe::compose::Service {
            ports: vec![port],
            update_order: Some(order.to_owned()),
            ..Default::default()
        };
        let head = Compose {
            services: [("app".to_owned(), service)].into(),
            ..Compose::default()
        };
        let text = "app: no suitable node (host-mode port already in use on 1 node)";
        let fault = held_port(Fault::infra(text), &head);
        assert_eq!(matches!(fault, Fault::Recipe(_)), recipe, "{fault}");
        let other = held_port(Fault::infra("app: no suitable node"), &head);
        assert!(matches!(other, Fault::Infra(_)));
    }
}
