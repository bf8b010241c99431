//! Everything before the first deploy, in its order; and what stays until the removal.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fixtures::images::ImageError;

use super::proxy::Access;
use super::{Run, Stop};
use crate::edge::{Edge, EdgeSpec};
use crate::engine::abra::{self, AbraEngine};
use crate::engine::stack::{Snapshots, StackEngine};
use crate::engine::{AppSpec, Deployment, Engine, Walls};
use crate::fault::Fault;
use crate::http;
use crate::point::{self, Point};
use crate::recipe::{AppDomain, Checkout, CommitSha, EnvFile};
use crate::session::deployment::{deployment, new_env};
use crate::session::janitor;
use crate::session::locks::{Held, Registration, Registry};
use crate::session::protocol::AppView;
use crate::site::{EngineKind, Proxy, Site, wall};
use crate::snapshot::Volumes;
use crate::suite::{Generic, Hook};
use crate::swarm::{self, Before, Swarm};

/// What dead runs of others left may cost a run so much.
const SWEEP_WITHIN: Duration = Duration::from_secs(5);

/// What stays the same from the first deploy to the removal.
pub struct Prepared {
    pub site: Site,
    pub swarm: Swarm,
    pub engine: Box<dyn Engine>,
    pub walls: Walls,
    pub app: AppSpec,
    pub head: Target,
    pub base: Option<Target>,
    pub env: EnvFile,
    pub http: http::Client,
    pub edge: Option<Edge>,
    /// None once the edge was started, and where the site has a proxy of its own.
    pub edge_spec: Option<EdgeSpec>,
    /// Released last.
    pub domain_lock: Held,
    pub slot: Held,
}

/// What a run holds from its app's registration on.
pub struct Reserved {
    pub domain_lock: Held,
    pub slot: Held,
}

/// A commit that can be deployed.
#[derive(Debug, Clone)]
pub struct Target {
    pub commit: CommitSha,
    /// None: head, deployed with chaos.
    pub version: Option<String>,
    pub tree: PathBuf,
}

impl Target {
    pub fn deployment(&self, env: &EnvFile, app: &AppSpec) -> Result<Deployment, Fault> {
        deployment(
            &self.tree,
            &self.commit,
            self.version.as_deref(),
            env,
            &app.stack,
        )
    }
}

impl<G: Generic> Run<'_, G> {
    /// Makes the app. Called once; what fails here fails the install.
    pub(super) async fn prepare(&mut self) -> Result<(), Stop> {
        let site = self.site.clone()?;
        let swarm = Swarm::connect()
            .await?
            .with_redactor(self.journal().redactor());
        *self.shared.swarm.borrow_mut() = Some(swarm.clone());
        if !swarm.is_manager() {
            return Err(Fault::infra(
                "this Docker engine is no swarm manager; `cargo xtask doctor --fix` makes it one",
            )
            .into());
        }
        if self.request.quick {
            let text = "--quick: there is no warm volume of this recipe, so this is a cold run";
            self.journal().note(None, text);
        }
        if swarm.needs_dnsrr() {
            let text = "service addresses don't answer on this kernel (no IPVS): deployed with `endpoint_mode: dnsrr`";
            self.journal().note(None, text);
        }
        if let Some(text) = wall::look(&site.network).await {
            self.journal().note(None, text);
        }
        let registry = Registry::of_engine(&swarm)?;
        let abra = match site.engine {
            EngineKind::Stack => None,
            EngineKind::Abra => Some(abra::Program::find(&site.abra).await?),
        };
        if let Some(warning) = abra.as_ref().and_then(abra::Program::warning) {
            self.journal().note(None, warning);
        }
        let fetch = self.shared.clone();
        let version = abra.as_ref().map(abra::Program::version);
        let resolved = self.resolve(&site, version);
        let (head, base, checkout) = fetch.journal.phase("fetch", resolved).await?;
        let domain = AppDomain::of_run(
            &self.request.recipe,
            self.request.pr,
            &head.commit,
            &site.zone,
        );
        let engine = self.engine(&site, &swarm, abra, &domain, &checkout)?;
        self.lint(engine.as_ref(), &head, &domain, &checkout).await;
        let queue = self.queue(&site, &registry, &domain);
        let (domain_lock, slot, left) = self.journal().phase("queue", queue).await?;
        if let Some(dead) = &left {
            let text = format!("what run {} left of this app was removed", dead.run_id);
            self.journal().note(None, text);
            let before = domain_lock.before();
            janitor::remove_app(&swarm, dead, &before, janitor::REMOVE_WITHIN).await?;
        }
        let app = AppSpec {
            recipe: self.request.recipe.clone(),
            domain: domain.clone(),
            stack: domain.stack(),
            before: Before::note(&swarm).await?,
            lock: domain_lock.descriptor(),
        };
        self.is_free(&swarm, &app).await?;
        let registration = Registration {
            run_id: self.request.run_id.clone(),
            recipe: self.request.recipe.clone(),
            domain: domain.clone(),
            engine: engine.name().to_owned(),
            state: self.paths.state.clone(),
        };
        domain_lock.register(&registration, &app.before)?;
        self.reserved = Some(Reserved { domain_lock, slot });
        has_a_name_of_its_own(&registry, &app.domain)?;
        let swept = self
            .journal()
            .phase("janitor", janitor::sweep(&swarm, &registry, SWEEP_WITHIN))
            .await?;
        for run in swept.reaped {
            self.journal()
                .note(None, format!("what the dead run {run} left was removed"));
        }
        for trouble in swept.troubles {
            self.journal().note(None, trouble);
        }

        let first = base.as_ref().unwrap_or(&head);
        let extra = self
            .suite
            .settings
            .extra_env
            .map(|env| env(&domain))
            .unwrap_or_default();
        let env = new_env(&first.tree, domain.as_str(), &extra)?;
        let sample = new_env(&first.tree, domain.as_str(), &[])?;
        let Access {
            edge: edge_spec,
            http,
            authority,
        } = self.access(&site, &app, &env, &head, base.as_ref())?;
        self.created += 1;
        let view = self.first_view(&site, &app, &head, authority);
        *self.shared.view.borrow_mut() = Some(view);
        let Some(Reserved { domain_lock, slot }) = self.reserved.take() else {
            return Err(Fault::infra("the app's lock was lost").into());
        };
        self.prepared = Some(Prepared {
            walls: Walls::of(&site),
            site,
            swarm,
            engine,
            app,
            head,
            base,
            env,
            http,
            edge: None,
            edge_spec,
            domain_lock,
            slot,
        });
        let prepared = self.prepared()?;
        let first = prepared.base.as_ref().unwrap_or(&prepared.head);
        let made = prepared.engine.create(&prepared.app, &first.commit);
        self.shared.change(made).await?;
        self.write_env()?;
        point::reach(Point::SetUp).await;
        self.hook(Hook::Install).await?;
        self.read_env(&sample)?;
        self.proxy_is_up().await?;
        self.judge_targets().await?;
        self.look_for_room().await
    }

    /// Nothing in the swarm is taken for the app's before there is one.
    async fn is_free(&self, swarm: &Swarm, app: &AppSpec) -> Result<(), Fault> {
        let noted = BTreeSet::new();
        let there = swarm::remains(swarm, &app.stack, &Before::Unknown, &noted).await?;
        // A deploy prunes services by their label alone.
        let labelled = there.foreign.iter().find(|it| it.kind == "service");
        let Some(object) = there.residue.first().or(labelled) else {
            return Ok(());
        };
        Err(Fault::infra(format!(
            "the {} {} is there already and is not registered as cc-ci's: somebody else uses the name {}",
            object.kind, object.name, app.domain
        )))
    }

    /// The engine that this site deploys with.
    fn engine(
        &self,
        site: &Site,
        swarm: &Swarm,
        abra: Option<abra::Program>,
        domain: &AppDomain,
        checkout: &Checkout,
    ) -> Result<Box<dyn Engine>, Fault> {
        let private = &self.paths.private;
        if let Some(program) = abra {
            let dir = self.paths.abra();
            let recipe = &self.request.recipe;
            let repo = checkout.repo();
            let engine = AbraEngine::new(
                swarm.clone(),
                program,
                &site.abra,
                &dir,
                (recipe, repo),
                Walls::of(site),
            )?;
            return Ok(Box::new(engine));
        }
        let volumes = Volumes::of_app(swarm, domain, &site.edge_image);
        let snapshots = Snapshots::open(&private.join("snapshots"), volumes)?;
        let work_dir = private.join("deploy");
        let engine = StackEngine::new(
            swarm.clone(),
            work_dir,
            Arc::new(snapshots),
            Walls::of(site),
        );
        Ok(Box::new(engine))
    }

    fn first_view(
        &self,
        site: &Site,
        app: &AppSpec,
        head: &Target,
        authority: Option<PathBuf>,
    ) -> AppView {
        let settings = &self.suite.settings;
        AppView {
            recipe: app.recipe.clone(),
            domain: app.domain.clone(),
            zone: site.zone.clone(),
            stack: app.stack.clone(),
            head: head.commit.clone(),
            live: None,
            head_tree: head.tree.clone(),
            edge: site.proxy.address(),
            marked: site.proxy == Proxy::Edge {},
            authority,
            run_dir: self.paths.run.clone(),
            private_dir: self.paths.private.clone(),
            health_path: settings.health_path.clone(),
            health_ok: settings.health_ok.clone(),
            http_timeout: settings.http_timeout.as_secs(),
            test_timeout: site.limits.test_seconds,
            helper_image: site.edge_image.clone(),
            state: BTreeMap::new(),
        }
    }
}

/// Objects are the app's by the beginning of their names, which no other app's name may continue:
/// in one zone none can, and the zones of two sites may lie in each other.
fn has_a_name_of_its_own(registry: &Registry, app: &AppDomain) -> Result<(), Fault> {
    let ours = app.stack().object("");
    for other in registry.registered()? {
        let theirs = other.stack().object("");
        if other != *app && (ours.starts_with(&theirs) || theirs.starts_with(&ours)) {
            return Err(Fault::infra(format!(
                "the app {other} of another zone has a name that begins like {}'s: their objects \
                 can't be told apart; run one after the other",
                app
            )));
        }
    }
    Ok(())
}

/// An image of the kit, built if it is not there.
pub async fn ensure_image(name: &str) -> Result<String, Fault> {
    let wanted = name.to_owned();
    let built = tokio::task::spawn_blocking(move || fixtures::images::ensure(&wanted, &mut |_| {}));
    match built.await {
        Ok(Ok(id)) => Ok(id.as_str().to_owned()),
        // The kit builds what a recipe may name so, and no registry has it.
        Ok(Err(error @ ImageError::Unknown { .. })) => Err(Fault::recipe(error.to_string())),
        Ok(Err(error)) => Err(Fault::infra(format!("image {name}: {error}"))),
        Err(error) => Err(Fault::infra(format!("image {name}: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::locks::{Group, Lock};

    /// What `a.ci.test` may not be beside.
    #[rstest::rstest]
    #[case::one_zone("b.ci.test", true)]
    #[case::itself("a.ci.test", true)]
    #[case::a_longer_word("a.ci.tests", true)]
    #[case::a_zone_in_the_zone("a.ci.test.lab", false)]
    #[case::the_zone_around("a.ci", false)]
    fn no_other_apps_name_begins_like_this_ones(#[case] other: &str, #[case] fits: bool) {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::at(dir.path().join("locks"), Group::Nobody).unwrap();
        let other: AppDomain = other.parse().unwrap();
        let Lock::Ours(_held, _) = registry.app(&other).unwrap() else {
            panic!("free")
        };
        let domain: AppDomain = "a.ci.test".parse().unwrap();
        assert_eq!(has_a_name_of_its_own(&registry, &domain).is_ok(), fits);
    }
}
