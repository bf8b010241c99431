//! The operations of one run, each performed at most once.
//!
//! `perform` does what a tier needs that was not done yet and remembers what came of it; asked
//! again, it answers from memory, whatever the order, number and concurrency of requests.

mod backup;
mod deploy;
mod environment;
mod evidence;
mod pinned;
mod platform;
mod ports;
mod prepare;
mod proxy;
mod queue;
mod resolve;
mod room;
mod teardown;
mod twice;
mod upgrade;
mod walls;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use results::event::EventKind;
use results::verdict::COMMIT;
use results::{Cause, Outcome, Tier};
use serde_json::{Map, Value};

use super::hooks::start_hook;
use super::journal::{Journal, millis, why};
use super::paths::Paths;
use super::protocol::LiveView;
use super::request::Request;
use super::server::Shared;
use crate::data::Seeded;
use crate::engine::Backup;
use crate::evidence::Piece;
use crate::fault::Fault;
use crate::point::{self, Point};
use crate::recipe::CommitSha;
use crate::site::Site;
use crate::suite::repo_local::{Ran, Surroundings, output_of, run as run_executable};
use crate::suite::{Generic, Hook, RepoLocal, Suite};
use crate::swarm::Converged;

use prepare::{Prepared, Reserved};

/// What an operation gives back: what it learned, or why it did not pass.
type Operation = Result<Map<String, Value>, Stop>;

/// Why an operation did not pass.
enum Stop {
    Fault(Fault),
    /// Skip or unverified.
    Outcome(Outcome),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

pub struct Run<'a, G> {
    suite: &'a Suite<G>,
    request: Request,
    paths: Paths,
    /// A site that can't be read is reported by the first operation.
    site: Result<Site, Fault>,
    shared: Rc<Shared>,
    prepared: Option<Prepared>,
    /// The locks of a registered app that is not made yet. Who drops them says that the run is dead.
    reserved: Option<Reserved>,
    done: BTreeMap<Tier, Outcome>,
    /// The operation that is going on.
    current: Option<(Tier, Instant)>,
    /// How often an app was made: `app new`.
    created: u32,
    live: Option<LiveView>,
    /// Why the base could not be deployed, if it could not.
    base_failed: Option<String>,
    /// What was seen then: the upgrade's, in the record.
    base_evidence: Vec<String>,
    /// Why there is no base, where the disk has no room for both.
    no_room: Option<String>,
    upgraded: bool,
    backup: Option<Backup>,
    markers: Option<Seeded>,
    /// What walls let through: commits with the variables that they were judged with.
    judged: Vec<(CommitSha, BTreeMap<String, String>)>,
    /// Tiers of which there is evidence.
    collected: BTreeSet<Tier>,
    /// The stack as it was when it converged last.
    converged: RefCell<Converged>,
}

impl<'a, G: Generic> Run<'a, G> {
    pub fn new(
        suite: &'a Suite<G>,
        request: Request,
        paths: Paths,
        site: Result<Site, Fault>,
        shared: Rc<Shared>,
    ) -> Self {
        Self {
            suite,
            request,
            paths,
            site,
            shared,
            prepared: None,
            reserved: None,
            done: BTreeMap::new(),
            current: None,
            created: 0,
            live: None,
            base_failed: None,
            base_evidence: Vec::new(),
            no_room: None,
            upgraded: false,
            backup: None,
            markers: None,
            judged: Vec::new(),
            collected: BTreeSet::new(),
            converged: RefCell::default(),
        }
    }

    /// Performs what the tier needs, or says what came of it before.
    pub async fn perform(&mut self, tier: Tier) -> Outcome {
        if let Some(outcome) = self.done.get(&tier) {
            return outcome.clone();
        }
        if !self.request.wants(tier) {
            return Outcome::unverified(Cause::Deselected, format!("{tier} was not asked for"));
        }
        if let Some(reason) = self.suite.settings.expected_na.get(&tier) {
            let declared = Outcome::skip(format!("declared not to apply: {reason}"));
            return self
                .settle(tier, Instant::now(), Err(Stop::Outcome(declared)))
                .await;
        }
        if tier == Tier::Upgrade {
            point::reach(Point::Between).await;
        }
        if tier != Tier::Install
            && let Some(blocked) = self.needs(tier).await
        {
            return self
                .settle(tier, Instant::now(), Err(Stop::Outcome(blocked)))
                .await;
        }
        let started = self.start(tier);
        let operation = match tier {
            Tier::Install => self.install().await,
            Tier::Upgrade => self.upgrade().await,
            Tier::Backup => self.back_up().await,
            Tier::Restore => self.restore().await,
            Tier::Custom => self.hook(Hook::Custom).await.map(|()| Map::new()),
            Tier::Fresh => self.fresh().await,
        };
        self.settle(tier, started, operation).await
    }

    /// Brings the app to where the tier can begin. Some: why it can't.
    async fn needs(&mut self, tier: Tier) -> Option<Outcome> {
        if self.live.is_none() && !self.done.contains_key(&Tier::Install) {
            // No test asked for install first: the runner filters, or install is deselected.
            let started = self.start(Tier::Install);
            let operation = if tier == Tier::Upgrade {
                self.install().await
            } else {
                let text = format!("{tier} was asked for alone: head is deployed at once");
                self.journal().note(Some(tier), text);
                self.install_head().await
            };
            self.settle(Tier::Install, started, operation).await;
        }
        let install = self.done.get(&Tier::Install)?;
        if *install != Outcome::Pass {
            return Some(because_of(Tier::Install, install));
        }
        let head_is_live = self.live.as_ref().is_some_and(|live| live.is_head);
        match tier {
            Tier::Upgrade | Tier::Install => None,
            Tier::Fresh if self.request.quick => Some(Outcome::skip(
                "--quick leaves out the install on empty volumes",
            )),
            Tier::Fresh if !self.upgraded && head_is_live => Some(Outcome::skip(
                "head was installed on empty volumes in the first place",
            )),
            _ if head_is_live => None,
            _ => match self.done.get(&Tier::Upgrade) {
                Some(outcome) => Some(because_of(Tier::Upgrade, outcome)),
                None => self.move_to_head(tier).await,
            },
        }
    }

    fn current_tier(&self) -> Option<Tier> {
        self.current.map(|(tier, _)| tier)
    }

    /// Records the start of an operation.
    fn start(&mut self, tier: Tier) -> Instant {
        let started = Instant::now();
        self.current = Some((tier, started));
        self.journal().emit(EventKind::OperationStarted { tier });
        started
    }

    /// Records what came of an operation, and remembers it.
    async fn settle(&mut self, tier: Tier, started: Instant, operation: Operation) -> Outcome {
        let (outcome, facts) = match operation {
            Ok(mut facts) => {
                if let Some(live) = &self.live {
                    // The verdict wants to know of which commit all this is true.
                    let commit = || Value::String(live.commit.to_string());
                    facts.entry(COMMIT).or_insert_with(commit);
                }
                (Outcome::Pass, facts)
            }
            Err(Stop::Outcome(outcome)) => (outcome, Map::new()),
            Err(Stop::Fault(fault)) => (fault.outcome(), Map::new()),
        };
        let outcome = self.shared.fairly(outcome).await;
        let evidence = if matches!(outcome, Outcome::Fail { .. } | Outcome::Error { .. }) {
            self.collect_evidence(tier, &outcome).await
        } else if tier == Tier::Upgrade {
            std::mem::take(&mut self.base_evidence)
        } else {
            Vec::new()
        };
        self.shared
            .keep(tier.to_string(), Value::Object(facts.clone()));
        self.journal().emit(EventKind::OperationEnded {
            tier,
            outcome: outcome.clone(),
            duration_ms: millis(started),
            facts,
            evidence,
        });
        self.current = None;
        self.done.insert(tier, outcome.clone());
        outcome
    }

    /// The operation that was going on was given up: the run is over.
    pub async fn abandon(&mut self, outcome: &Outcome) {
        if let Some((tier, started)) = self.current.take() {
            self.settle(tier, started, Err(Stop::Outcome(outcome.clone())))
                .await;
        }
    }

    fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    /// Runs one of the recipe's hooks, if it has it: repo-local where that may run, else ours.
    async fn hook(&self, hook: Hook) -> Result<(), Stop> {
        let prepared = self.prepared()?;
        let (outcome, printed) =
            if let Some(path) = self.approved_hook(&prepared.head.tree, hook)? {
                self.repo_local_hook(hook, &path).await?
            } else if self.suite.hooks.contains_key(&hook) {
                self.own_hook(hook).await?
            } else {
                return Ok(());
            };
        if hook == Hook::Install {
            self.know_secrets_of_the_hook()?;
        }
        match printed {
            Printed::Log(text) if text.is_empty() => {}
            Printed::Log(text) => self.journal().say(text.trim_end()),
            Printed::Evidence(piece) => drop(self.evidence().write("", vec![piece])),
        }
        match outcome {
            Outcome::Pass => Ok(()),
            Outcome::Fail { reason } => Err(Fault::recipe(reason).into()),
            other => Err(Stop::Outcome(other)),
        }
    }

    /// Whether the recipe has that hook, in a place that counts here.
    fn has_hook(&self, hook: Hook) -> Result<bool, Fault> {
        let tree = &self.prepared()?.head.tree;
        Ok(self.approved_hook(tree, hook)?.is_some() || self.suite.hooks.contains_key(&hook))
    }

    async fn repo_local_hook(&self, hook: Hook, path: &Path) -> Result<(Outcome, Printed), Fault> {
        let prepared = self.prepared()?;
        let around = Surroundings {
            tree: &prepared.head.tree,
            recipe: &self.request.recipe,
            domain: prepared.app.domain.as_str(),
            env_file: &self.paths.env_file(),
            state: &self.paths.operation_state(),
            authority: None,
            proxy: match hook {
                // There is no app yet that could answer.
                Hook::Install => None,
                _ => self.proxy_port(),
            },
        };
        let deadline = prepared.site.limits.hook();
        let Ran {
            outcome,
            output,
            env,
        } = run_executable(path, &around, deadline).await?;
        if hook == Hook::Install && outcome == Outcome::Pass {
            let text =
                env.map_err(|error| Fault::recipe(format!("tests/{}: {error}", path.display())))?;
            // Read through the parser with what our own hooks leave.
            let file = self.paths.env_file();
            std::fs::write(&file, text)
                .map_err(|error| Fault::infra(format!("{}: {error}", file.display())))?;
        }
        Ok((outcome, Printed::Evidence(output_of(path, output))))
    }

    fn proxy_port(&self) -> Option<u16> {
        let view = self.shared.view.borrow();
        view.as_ref().and_then(|view| view.proxy_port())
    }

    /// The recipe repository's own hook, where its code may run here.
    fn approved_hook(&self, tree: &Path, hook: Hook) -> Result<Option<PathBuf>, Fault> {
        if !self.suite.approved.allows(&self.request.recipe) {
            return Ok(None);
        }
        Ok(RepoLocal::find(tree)?.hooks.remove(&hook))
    }

    async fn own_hook(&self, hook: Hook) -> Result<(Outcome, Printed), Fault> {
        let prepared = self.prepared()?;
        let environment = [
            ("CCCI_RECIPE", self.request.recipe.as_str().into()),
            ("CCCI_APP_DOMAIN", prepared.app.domain.as_str().into()),
            ("CCCI_APP_ENV", self.paths.env_file().into_os_string()),
        ];
        let deadline = prepared.site.limits.hook();
        let (outcome, text) = start_hook(hook, deadline, &self.paths.private, &environment).await;
        Ok((outcome, Printed::Log(text)))
    }

    fn prepared(&self) -> Result<&Prepared, Fault> {
        self.prepared
            .as_ref()
            .ok_or_else(|| Fault::infra("nothing was prepared"))
    }
}

/// What a hook printed, for where it is read.
enum Printed {
    Log(String),
    Evidence(Piece),
}

/// What a tier is whose prerequisite did not pass. What went wrong there is said there, once.
fn because_of(before: Tier, outcome: &Outcome) -> Outcome {
    match outcome {
        Outcome::Fail { .. } => Outcome::unverified(Cause::Fail, format!("{before} failed")),
        Outcome::Unverified { cause, .. } => {
            Outcome::unverified(*cause, format!("{before}: {}", why(outcome)))
        }
        _ => Outcome::unverified(Cause::Error, format!("{before} met an error")),
    }
}

/// Facts of an operation, from pairs.
fn facts<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}
