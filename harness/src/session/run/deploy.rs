//! Install and fresh: a version on empty volumes, converged and answering.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join_all;
use results::event::EventKind;
use results::{Outcome, Tier};
use serde_json::{Value, json};

use super::prepare::{Target, ensure_image};
use super::twice::twice;
use super::{Operation, Run, Stop, facts};
use crate::edge::{Edge, EdgeSpec};
use crate::engine::Deployment;
use crate::fault::Fault;
use crate::http;
use crate::point::{self, Point};
use crate::recipe::EnvFile;
use crate::session::deployment::new_env;
use crate::session::protocol::LiveView;
use crate::suite::{Generic, ReadyProbe};
use crate::swarm::{self, Converged, converge, still_converged, wanted};
use crate::wait::{Probe, wait_until};

const EDGE_WITHIN: Duration = Duration::from_secs(60);
const EDGE_AGAIN: Duration = Duration::from_millis(500);

fn is_network_going(fault: &Fault) -> bool {
    let text = fault.to_string();
    text.contains("network") && text.contains("not found")
}

impl<G: Generic> Run<'_, G> {
    /// Makes the app and deploys the base, or head where there is no base or no upgrade to come.
    pub(super) async fn install(&mut self) -> Operation {
        self.prepare().await?;
        let prepared = self.prepared()?;
        let head = prepared.head.clone();
        let Some(base) = prepared.base.clone() else {
            return self.deploy_fresh(&head).await;
        };
        match self.deploy_fresh(&base).await {
            Err(Stop::Fault(Fault::Recipe(reason))) => {
                // A base that can't be deployed is not head's fault.
                self.no_such_base(base.version.as_deref().unwrap_or_default(), &reason);
                let seen = Outcome::fail(reason);
                self.base_evidence = self.collect_evidence(Tier::Upgrade, &seen).await;
                self.wipe().await?;
                self.take_env_of(&head)?;
                self.deploy_fresh(&head).await
            }
            other => other,
        }
    }

    /// Keeps why there is no upgrade from this version.
    pub(super) fn no_such_base(&mut self, version: &str, why: &str) {
        let text = format!("the base {version} can't be deployed: {why}");
        self.journal().note(Some(Tier::Install), &text);
        self.base_failed = Some(text);
    }

    /// Makes the app and deploys head at once.
    pub(super) async fn install_head(&mut self) -> Operation {
        self.prepare().await?;
        let head = self.prepared()?.head.clone();
        self.take_env_of(&head)?;
        self.deploy_fresh(&head).await
    }

    /// Head again, on empty volumes; environment and secrets stay.
    pub(super) async fn fresh(&mut self) -> Operation {
        self.wipe().await?;
        let head = self.prepared()?.head.clone();
        self.deploy_fresh(&head).await
    }

    /// An operator who installs head starts from head's `.env.sample`.
    pub(super) fn take_env_of(&mut self, target: &Target) -> Result<(), Fault> {
        let env = self.env_of(target)?;
        if let Some(prepared) = &mut self.prepared {
            prepared.env = env;
        }
        self.write_env()
    }

    pub(super) fn env_of(&self, target: &Target) -> Result<EnvFile, Fault> {
        let prepared = self.prepared()?;
        let domain = prepared.app.domain.clone();
        let extra = self
            .suite
            .settings
            .extra_env
            .map(|env| env(&domain))
            .unwrap_or_default();
        let mut env = new_env(&target.tree, domain.as_str(), &extra)?;
        // What a hook set stays set.
        for key in prepared
            .env
            .keys()
            .filter(|key| !env.variables().contains_key(*key))
            .collect::<Vec<_>>()
        {
            if let Some(value) = prepared.env.get(key) {
                env.set(key, value)
                    .map_err(|error| Fault::recipe(error.to_string()))?;
            }
        }
        Ok(env)
    }

    async fn wipe(&mut self) -> Result<(), Fault> {
        self.live = None;
        self.show_live();
        let prepared = self.prepared()?;
        let deadline = prepared.site.limits.teardown();
        prepared.engine.remove_stack(&prepared.app, deadline).await
    }

    /// Deploys a target where nothing is live, and waits until it answers.
    async fn deploy_fresh(&mut self, target: &Target) -> Operation {
        let deployment = self.ready_deployment(target).await?;
        let converged = self.deploy_beside_edge(&deployment).await?;
        self.now_live(target);
        self.answers(&deployment).await?;
        let volumes = self.mounted().await?;
        Ok(facts([
            ("commit", json!(target.commit)),
            ("version", json!(target.version)),
            ("is_head", json!(target.version.is_none())),
            ("services", json!(converged)),
            ("volumes", json!(volumes)),
            ("images", json!(deployment.local_images)),
            ("created", json!(self.created)),
        ]))
    }

    /// Reads the target's files, checks policy and names, makes secrets and images ready.
    pub(super) async fn ready_deployment(&mut self, target: &Target) -> Result<Deployment, Stop> {
        let prepared = self.prepared()?;
        let mut deployment = target.deployment(&prepared.env, &prepared.app)?;
        for note in &deployment.compose.notes {
            self.journal().note(None, note);
        }
        self.judge(&deployment).await?;
        self.make_secrets(&deployment).await?;
        let images: Vec<String> = deployment
            .compose
            .images()
            .into_iter()
            .map(str::to_owned)
            .collect();
        let ready = self.journal().phase("images", self.images(&images)).await?;
        deployment.local_images = ready;
        Ok(deployment)
    }

    /// Every image present before the deploy: built by the kit, or pulled. Gives the ids of those
    /// that were built here.
    async fn images(&self, names: &[String]) -> Result<BTreeMap<String, String>, Fault> {
        let (swarm, logins) = (&self.prepared()?.swarm, &self.prepared()?.site.registry);
        let mut local = BTreeMap::new();
        let mut missing = Vec::new();
        for name in names {
            if fixtures::images::is_ours(name) {
                local.insert(name.clone(), ensure_image(name).await?);
            } else if let Some(id) = swarm::built_here(swarm, name).await? {
                local.insert(name.clone(), id);
            } else {
                missing.push(name);
            }
        }
        let pulls = missing.into_iter().map(|name| {
            let pull = || swarm::pull_if_missing(swarm, name, logins, swarm::SILENCE);
            let what = format!("the pull of {name}");
            async move { twice(self.journal(), self.tier(), &what, pull).await }
        });
        try_join_all(pulls).await?;
        Ok(local)
    }

    /// Deploys and waits for convergence; the edge is made ready meanwhile.
    async fn deploy_beside_edge(&mut self, deployment: &Deployment) -> Result<Converged, Stop> {
        let spec = self
            .prepared
            .as_mut()
            .and_then(|prepared| prepared.edge_spec.take());
        let (before, after) = if self.current_tier() == Some(Tier::Fresh) {
            (Point::Fresh, Point::Freshed)
        } else {
            (Point::Deploy, Point::Deployed)
        };
        let deploy = async {
            point::reach(before).await;
            self.hand_over(deployment).await?;
            point::reach(after).await;
            self.settle_down(deployment).await
        };
        let edge = async {
            match spec {
                Some(spec) => {
                    let start = self.shared.change(self.start_edge(&spec));
                    self.journal().phase("edge", start).await.map(Some)
                }
                None => Ok(None),
            }
        };
        let (converged, edge) = tokio::join!(deploy, edge);
        if let Some(edge) = edge? {
            self.through(edge)?;
        }
        Ok(converged?)
    }

    /// Starts the edge. An attachable network that nobody is on is taken off the node, and who comes
    /// to it just then is told that there is none: that is worth one second try.
    async fn start_edge(&self, spec: &EdgeSpec) -> Result<Edge, Fault> {
        ensure_image(&spec.image).await?;
        let docker = self.prepared()?.swarm.docker();
        let attempts = Cell::new(0);
        let start = wait_until(
            "the proxy",
            EDGE_WITHIN,
            EDGE_AGAIN,
            self.journal(),
            || async {
                attempts.set(attempts.get() + 1);
                match Edge::start(docker, spec.clone()).await {
                    Err(fault) if attempts.get() == 1 && is_network_going(&fault) => {
                        self.journal().emit(EventKind::Retry {
                            tier: Tier::Install,
                            what: "the start of the proxy".to_owned(),
                            why: fault.to_string(),
                            attempt: 2,
                        });
                        Probe::NotYet(fault.to_string())
                    }
                    done => Probe::Ready(done),
                }
            },
        );
        start
            .await
            .map_err(|error| Fault::infra(error.to_string()))?
    }

    /// From here on the app is reached through this edge.
    fn through(&mut self, edge: Edge) -> Result<(), Fault> {
        if let Some(view) = self.shared.view.borrow_mut().as_mut() {
            view.edge = Some(edge.address());
        }
        let redactor = self.journal().redactor();
        if let Some(prepared) = &mut self.prepared {
            prepared.http = http::Client::new(edge.client_spec())?.with_redactor(redactor);
            prepared.edge = Some(edge);
        }
        Ok(())
    }

    /// Waits until the swarm runs what was just deployed.
    pub(super) async fn settle_down(&self, deployment: &Deployment) -> Result<Converged, Fault> {
        let prepared = self.prepared()?;
        let wanted = wanted(&deployment.compose);
        let deadline = self.deploy_deadline(deployment);
        let stack = &prepared.app.stack;
        let converged = converge(&prepared.swarm, stack, &wanted, deadline, self.journal()).await?;
        for (name, service) in &converged.services {
            if let Some(last) = service.restarts.last() {
                let count = match service.restarts.len() {
                    1 => "a task failed".to_owned(),
                    count => format!("{count} tasks failed"),
                };
                let tier = self.current.map(|(tier, _)| tier);
                let text = format!("{name}: {count} before it settled: {last}");
                self.journal().note(tier, text);
            }
        }
        self.converged.replace(converged.clone());
        Ok(converged)
    }

    /// Waits until the swarm runs what was deployed before: a hook or a restore may have ended
    /// tasks.
    pub(super) async fn come_to_rest(&self, deployment: &Deployment) -> Result<(), Fault> {
        let prepared = self.prepared()?;
        let wanted = wanted(&deployment.compose);
        let deadline = self.deploy_deadline(deployment);
        let then = self.converged.borrow().clone();
        still_converged(
            &prepared.swarm,
            &prepared.app.stack,
            &wanted,
            &then,
            deadline,
            self.journal(),
        )
        .await
        .map(|now| {
            self.converged.replace(now);
        })
    }

    fn deploy_deadline(&self, deployment: &Deployment) -> Duration {
        let stack = self.prepared.as_ref().map(|prepared| &prepared.app.stack);
        let label = stack.and_then(|stack| deployment.compose.recipe_timeout(stack));
        let limit = self
            .site
            .as_ref()
            .map_or(Duration::from_secs(600), |site| site.limits.deploy());
        self.suite
            .settings
            .deploy_timeout
            .or(label)
            .unwrap_or(limit)
    }

    /// Waits until the app says that it is up.
    pub(super) async fn answers(&self, deployment: &Deployment) -> Result<(), Fault> {
        let Err(fault) = self.is_ready(deployment).await else {
            return Ok(());
        };
        // Behind a proxy that is gone no app answers.
        match self.proxy_is_up().await {
            Err(Stop::Fault(gone)) => Err(gone),
            _ => Err(fault),
        }
    }

    async fn is_ready(&self, deployment: &Deployment) -> Result<(), Fault> {
        let prepared = self.prepared()?;
        let settings = &self.suite.settings;
        match &settings.ready_probe {
            ReadyProbe::Http => {
                let url = format!("https://{}{}", prepared.app.domain, settings.health_path);
                let deadline = settings.http_timeout;
                let ok = &settings.health_ok;
                prepared
                    .http
                    .answers(&url, ok, deadline, self.journal())
                    .await?;
                Ok(())
            }
            ReadyProbe::Tcp {
                service,
                port,
                connects,
            } => {
                let deadline = self.deploy_deadline(deployment);
                let host = swarm::address(&prepared.swarm, &prepared.app.stack, service).await?;
                let address = format!("{host}:{port}");
                crate::http::connects(&address, *connects, deadline, self.journal())
                    .await
                    .map_err(|error| Fault::recipe(error.to_string()))
            }
        }
    }

    pub(super) fn now_live(&mut self, target: &Target) {
        self.live = Some(LiveView {
            commit: target.commit.clone(),
            version: target.version.clone(),
            is_head: target.version.is_none(),
            tree: target.tree.clone(),
        });
        self.show_live();
    }

    fn show_live(&self) {
        if let Some(view) = self.shared.view.borrow_mut().as_mut() {
            view.live.clone_from(&self.live);
        }
    }

    /// The volumes that running tasks mount.
    pub(super) async fn mounted(&self) -> Result<Value, Fault> {
        let prepared = self.prepared()?;
        let mounted = swarm::mounted_volumes(&prepared.swarm, &prepared.app.stack).await?;
        Ok(json!(mounted))
    }
}
