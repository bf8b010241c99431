//! Everything before the first deploy: recipe, queue, janitor, environment, secrets, edge.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use results::Tier;
use results::event::{Base, EventKind, Resolved};

use super::backup::volumes;
use super::{Run, Stop};
use crate::edge::authority::Authority;
use crate::edge::{Edge, EdgeSpec, routes};
use crate::engine::stack::{Snapshots, StackEngine};
use crate::engine::{AppSpec, Deployment, Engine, SecretValue};
use crate::fault::Fault;
use crate::http;
use crate::recipe::base::{BaseChoice, Named, choose_base};
use crate::recipe::{AppDomain, Checkout, CommitSha, EnvFile, secrets};
use crate::redact::Redactor;
use crate::session::deployment::{deployment, new_env};
use crate::session::janitor;
use crate::session::locks::{Held, Lock, Registration, Registry};
use crate::session::protocol::AppView;
use crate::site::Site;
use crate::suite::Approved;
use crate::suite::{Generic, Hook, RepoLocal};
use crate::swarm::{self, Swarm};
use crate::wait::{Probe, wait_until};

const LOOK_AT_QUEUE: Duration = Duration::from_millis(250);

/// What stays the same from the first deploy to the removal.
pub struct Prepared {
    pub site: Site,
    pub swarm: Swarm,
    pub engine: Box<dyn Engine>,
    pub app: AppSpec,
    pub head: Target,
    pub base: Option<Target>,
    pub env: EnvFile,
    pub http: http::Client,
    pub edge: Option<Edge>,
    /// None once the edge was started.
    pub edge_spec: Option<EdgeSpec>,
    pub secret_values: BTreeMap<String, String>,
    /// Released last.
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
        let swarm = Swarm::connect().await?;
        if !swarm.is_manager() {
            return Err(Fault::infra(
                "this Docker engine is no swarm manager; `cargo xtask doctor --fix` makes it one",
            )
            .into());
        }
        let registry = Registry::of_engine(swarm.engine_id())?;
        let (head, base) = self.journal().phase("fetch", self.resolve(&site)).await?;
        let domain = AppDomain::of_run(
            &self.request.recipe,
            self.request.pr,
            &head.commit,
            &site.zone,
        );
        let queue = self.queue(&site, &registry, &domain);
        let (domain_lock, slot, left) = self.journal().phase("queue", queue).await?;
        let app = AppSpec {
            recipe: self.request.recipe.clone(),
            domain: domain.clone(),
            stack: domain.stack(),
            lock: domain_lock.descriptor(),
        };
        if let Some(dead) = &left {
            self.journal().note(
                None,
                format!("what run {} left of this app was removed", dead.run_id),
            );
            janitor::remove_app(&swarm, dead).await?;
        }
        let live = swarm::residue(&swarm, &app.stack, &BTreeSet::new()).await?;
        if let Some(object) = live.first() {
            return Err(Fault::infra(format!(
                "the {} {} is there already and is not registered as cc-ci's: somebody else uses the name {domain}",
                object.kind, object.name
            ))
            .into());
        }
        let registration = Registration {
            run_id: self.request.run_id.clone(),
            recipe: self.request.recipe.clone(),
            domain: domain.clone(),
            stack: app.stack.clone(),
            engine: "stack".to_owned(),
            private: self.paths.private.clone(),
            run: self.paths.run.clone(),
        };
        domain_lock.register(&registration)?;
        slot.register(&registration)?;
        let reaped = self
            .journal()
            .phase("janitor", janitor::sweep(&swarm, &registry))
            .await?;
        for run in reaped {
            self.journal()
                .note(None, format!("what the dead run {run} left was removed"));
        }

        let first = base.as_ref().unwrap_or(&head);
        let extra = self
            .suite
            .settings
            .extra_env
            .map(|env| env(&domain))
            .unwrap_or_default();
        let env = new_env(&first.tree, domain.as_str(), &extra)?;
        let (edge_spec, http, authority) =
            self.site_access(&site, &app, &env, &head, base.as_ref())?;
        self.created += 1;
        let view = self.first_view(&site, &app, &head, authority);
        *self.shared.view.borrow_mut() = Some(view);
        let volumes = volumes(&swarm, &app, &site.edge_image, &self.paths.private);
        let snapshots = Snapshots::open(&self.paths.private.join("snapshots"), volumes)?;
        let work_dir = self.paths.private.join("deploy");
        let engine = StackEngine::new(swarm.clone(), work_dir, Arc::new(snapshots));
        self.prepared = Some(Prepared {
            site,
            swarm,
            engine: Box::new(engine),
            app,
            head,
            base,
            env,
            http,
            edge: None,
            edge_spec: Some(edge_spec),
            secret_values: BTreeMap::new(),
            domain_lock,
            slot,
        });
        self.write_env()?;
        self.hook(Hook::Install).await?;
        self.read_env()
    }

    /// Fetches the recipe, records head before anything moves, and chooses the base.
    async fn resolve(&self, site: &Site) -> Result<(Target, Option<Target>), Fault> {
        let source = self.request.source_at(site, &self.paths.state)?;
        let requested = self.request.requested_ref.as_deref();
        let checkout = Checkout::fetch(&source, requested, &self.paths.private).await?;
        let tree = checkout.tree(checkout.head()).await?;
        let head = Target {
            commit: checkout.head().clone(),
            version: None,
            tree,
        };
        let domain = AppDomain::of_run(
            &self.request.recipe,
            self.request.pr,
            &head.commit,
            &site.zone,
        );
        let declared = self.declared_version(&head, &domain);
        let named = match (&self.request.from, &self.suite.settings.upgrade_base) {
            (Some(from), _) => Some(Named::Flag(from)),
            (None, Some(base)) => Some(Named::Setting(base)),
            (None, None) => None,
        };
        let target = checkout.default_branch();
        let choice = choose_base(&checkout, named, declared.as_deref(), target).await?;
        let (chosen, no_base, base) = match choice {
            BaseChoice::Base {
                version,
                commit,
                reason,
            } if self.request.wants(Tier::Upgrade) => {
                let tree = checkout.tree(&commit).await?;
                let said = Base {
                    version: version.clone(),
                    commit: commit.to_string(),
                    reason,
                };
                (
                    Some(said),
                    None,
                    Some(Target {
                        commit,
                        version: Some(version),
                        tree,
                    }),
                )
            }
            BaseChoice::Base { .. } => (None, Some("no upgrade was asked for".to_owned()), None),
            BaseChoice::None { reason } => (None, Some(reason), None),
        };
        self.find_repo_local(&head.tree)?;
        self.journal().emit(EventKind::Resolved(Box::new(Resolved {
            head: head.commit.to_string(),
            head_version: declared,
            base: chosen,
            no_base,
            stack: domain.stack().to_string(),
            domain: domain.to_string(),
        })));
        for note in checkout.notes() {
            self.journal().note(None, note);
        }
        Ok((head, base))
    }

    /// The version that head's compose files declare. What is wrong with them shows at the deploy.
    fn declared_version(&self, head: &Target, domain: &AppDomain) -> Option<String> {
        let env = new_env(&head.tree, domain.as_str(), &[]).ok()?;
        let stack = domain.stack();
        let plan = deployment(&head.tree, &head.commit, None, &env, &stack).ok()?;
        plan.compose.declared_version(&stack).map(str::to_owned)
    }

    /// Lists the recipe's own tests, and says which of them do not run.
    fn find_repo_local(&self, tree: &Path) -> Result<(), Fault> {
        let found = RepoLocal::find(tree)?;
        let approved = Approved::list().allows(&self.request.recipe);
        let said = |path: String, ran: bool, reason: &str| {
            self.journal().emit(EventKind::RepoLocal {
                path,
                ran,
                reason: reason.to_owned(),
            });
        };
        let reason = if approved {
            "the recipe is on the list of those whose own tests may run"
        } else {
            "the recipe is not on the list of those whose own tests may run"
        };
        let runnable = found.tests.values().flatten().chain(found.hooks.values());
        for path in runnable {
            said(format!("tests/{}", path.display()), approved, reason);
        }
        for (path, reason) in &found.others {
            said(format!("tests/{path}"), false, reason);
        }
        Ok(())
    }

    /// Waits until the app's domain and a slot are ours.
    async fn queue(
        &self,
        site: &Site,
        registry: &Registry,
        domain: &AppDomain,
    ) -> Result<(Held, Held, Option<Registration>), Fault> {
        let deadline = site.limits.session();
        let gave_up = |error: crate::wait::WaitError| Fault::infra(error.to_string());
        let subject = format!("the app {domain}, which another run has live");
        let (domain_lock, left) = wait_until(
            &subject,
            deadline,
            LOOK_AT_QUEUE,
            self.journal(),
            || async {
                match registry.app(domain) {
                    Ok(Lock::Ours(held, left)) => Probe::Ready((held, left)),
                    Ok(Lock::Theirs(holder)) => Probe::NotYet(behind(holder.as_slice())),
                    Err(fault) => Probe::Never(fault.to_string()),
                }
            },
        )
        .await
        .map_err(gave_up)?;
        let slots = site.limits.max_tests;
        let slot = wait_until(
            "a free slot",
            deadline,
            LOOK_AT_QUEUE,
            self.journal(),
            || async {
                match registry.slot(slots) {
                    Ok(Ok(held)) => Probe::Ready(held),
                    Ok(Err(holders)) => Probe::NotYet(behind(&holders)),
                    Err(fault) => Probe::Never(fault.to_string()),
                }
            },
        )
        .await
        .map_err(gave_up)?;
        Ok((domain_lock, slot, left))
    }

    /// The edge's configuration for all hosts of base and head, and the client that goes through it.
    fn site_access(
        &self,
        site: &Site,
        app: &AppSpec,
        env: &EnvFile,
        head: &Target,
        base: Option<&Target>,
    ) -> Result<(EdgeSpec, http::Client, PathBuf), Fault> {
        let authority = Authority::open_or_create(&self.paths.state.join("authority"))?;
        let certificate = authority.leaf(&site.zone)?;
        let mut all = routes(&head.deployment(env, app)?.compose, &app.stack);
        if let Some(base) = base {
            // A base whose files can't be read is not head's fault: its deploy says so.
            if let Ok(base) = base.deployment(env, app) {
                all.merge(routes(&base.compose, &app.stack));
            }
        }
        for misfit in all.misfits(&site.zone) {
            self.journal().note(Some(Tier::Install), misfit.reason);
        }
        let spec = EdgeSpec {
            name: janitor::edge_name(&app.stack),
            labels: [("cc-ci.app".to_owned(), app.domain.to_string())].into(),
            image: site.edge_image.clone(),
            zone: site.zone.clone(),
            routes: all,
            extra_hosts: BTreeSet::new(),
            leaf: certificate,
        };
        let roots = http::Roots::Pem(authority.certificate().to_owned());
        let http = http::Client::new(http::ClientSpec {
            zone: site.zone.clone(),
            edge: None,
            roots,
        })?;
        Ok((spec, http, authority.certificate_path()))
    }

    fn first_view(&self, site: &Site, app: &AppSpec, head: &Target, authority: PathBuf) -> AppView {
        let settings = &self.suite.settings;
        AppView {
            recipe: app.recipe.clone(),
            domain: app.domain.clone(),
            zone: site.zone.clone(),
            stack: app.stack.clone(),
            head: head.commit.clone(),
            live: None,
            head_tree: head.tree.clone(),
            edge: None,
            authority: Some(authority),
            run_dir: self.paths.run.clone(),
            private_dir: self.paths.private.clone(),
            health_path: settings.health_path.clone(),
            health_ok: settings.health_ok.clone(),
            http_timeout: settings.http_timeout.as_secs(),
            test_timeout: site.limits.test_seconds,
            helper_image: site.edge_image.clone(),
            renamed_volumes: settings.renamed_volumes.clone(),
            state: BTreeMap::new(),
        }
    }

    pub(super) fn write_env(&self) -> Result<(), Fault> {
        let path = self.paths.env_file();
        std::fs::write(&path, self.prepared()?.env.to_string())
            .map_err(|error| Fault::infra(format!("{}: {error}", path.display())))
    }

    /// The environment as the install-steps hook left it.
    fn read_env(&mut self) -> Result<(), Stop> {
        let path = self.paths.env_file();
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Fault::infra(format!("{}: {error}", path.display())))?;
        let env = EnvFile::parse(&text)
            .map_err(|error| Fault::recipe(format!("the app's .env after the hook: {error}")))?;
        if let Some(prepared) = &mut self.prepared {
            prepared.env = env;
        }
        Ok(())
    }

    /// Variables that head needs and base did not have.
    pub(super) fn set_upgrade_env(&mut self) -> Result<(), Stop> {
        let Some(prepared) = &mut self.prepared else {
            return Ok(());
        };
        for (key, value) in &self.suite.settings.upgrade_env {
            prepared
                .env
                .set(key, value)
                .map_err(|error| Fault::recipe(format!("upgrade_env: {error}")))?;
        }
        Ok(self.write_env()?)
    }

    /// Checks names, generates the secrets that the deployment needs and that are not there yet,
    /// and inserts them.
    pub(super) async fn make_secrets(&mut self, what: &Deployment) -> Result<(), Stop> {
        let prepared = self
            .prepared
            .as_mut()
            .ok_or_else(|| Fault::infra("nothing was prepared"))?;
        let fault = Fault::from;
        secrets::check_names(&what.compose, &prepared.app.stack).map_err(fault)?;
        let specs = secrets::plan(&what.compose, &prepared.env).map_err(fault)?;
        let there = swarm::secret_names(&prepared.swarm, &prepared.app.stack).await?;
        let mut new = Vec::new();
        for spec in specs.iter().filter(|spec| !there.contains(&spec.name)) {
            let value = secrets::generate(spec).ok_or_else(|| {
                Fault::recipe(format!(
                    "secret `{}` is not to be generated (`generate=false`) and nobody gave it; a `before_install` hook can insert {}",
                    spec.key, spec.name
                ))
            })?;
            prepared
                .secret_values
                .insert(spec.key.clone(), value.clone());
            new.push(SecretValue {
                name: spec.name.clone(),
                value: value.into_bytes(),
            });
        }
        let path = self.paths.secrets();
        let json = serde_json::to_vec(&prepared.secret_values).unwrap_or_default();
        write_private(&path, &json)
            .map_err(|error| Fault::infra(format!("{}: {error}", path.display())))?;
        // Redacted from before the first use on.
        self.shared.journal.redact_with(Redactor::new(
            prepared
                .secret_values
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        ));
        let inserted = prepared.engine.insert_secrets(&prepared.app, &new);
        self.shared.change(inserted).await?;
        Ok(())
    }
}

fn behind(holders: &[Registration]) -> String {
    let names: Vec<_> = holders
        .iter()
        .map(|holder| holder.run_id.as_str())
        .collect();
    if names.is_empty() {
        "behind a run that is only starting".to_owned()
    } else {
        format!("behind {}", names.join(", "))
    }
}

fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)
}

/// An image of the kit, built if it is not there.
pub async fn ensure_image(name: &str) -> Result<String, Fault> {
    let wanted = name.to_owned();
    let built = tokio::task::spawn_blocking(move || fixtures::images::ensure(&wanted, &mut |_| {}));
    match built.await {
        Ok(Ok(id)) => Ok(id.as_str().to_owned()),
        Ok(Err(error)) => Err(Fault::infra(format!("image {name}: {error}"))),
        Err(error) => Err(Fault::infra(format!("image {name}: {error}"))),
    }
}
