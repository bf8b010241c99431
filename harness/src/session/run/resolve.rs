//! Which commit is tested, from which base, and what is known of it before anything is deployed.

use std::path::Path;

use results::event::{Base, EventKind, LintFinding, Resolved};
use results::{Cause, Outcome, Tier};

use super::Run;
use super::prepare::Target;
use crate::engine::{Engine, LintSubject, Linted};
use crate::fault::Fault;
use crate::recipe::base::{BaseChoice, Named, choose_base};
use crate::recipe::{AppDomain, Checkout, lint};
use crate::session::deployment::{abra_sh, deployment, new_env};
use crate::site::Site;
use crate::suite::{Generic, RepoLocal};

impl<G: Generic> Run<'_, G> {
    /// Fetches the recipe, records head before anything moves, and chooses the base. A base that
    /// can't be read is kept as the reason why there is no upgrade: that is not head's fault.
    pub(super) async fn resolve(
        &mut self,
        site: &Site,
        engine_version: Option<String>,
    ) -> Result<(Target, Option<Target>, Checkout), Fault> {
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
                let said = Base {
                    version: version.clone(),
                    commit: commit.to_string(),
                    reason,
                };
                let base = match checkout.tree(&commit).await.map_err(Fault::from) {
                    Ok(tree) => readable(Target {
                        commit,
                        version: Some(version.clone()),
                        tree,
                    }),
                    Err(fault) => Err(fault),
                };
                let base = match base {
                    Ok(base) => Some(base),
                    Err(Fault::Recipe(why)) => {
                        self.no_such_base(&version, &why);
                        None
                    }
                    Err(fault) => return Err(fault),
                };
                (Some(said), None, base)
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
            engine_version,
            target: target.map(|(branch, tip)| results::event::Target {
                branch: branch.to_owned(),
                tip: tip.to_string(),
            }),
        })));
        for note in checkout.notes() {
            self.journal().note(None, note);
        }
        Ok((head, base, checkout))
    }

    /// The version that head's compose files declare. What is wrong with them shows at the deploy.
    fn declared_version(&self, head: &Target, domain: &AppDomain) -> Option<String> {
        let env = new_env(&head.tree, domain.as_str(), &[]).ok()?;
        let stack = domain.stack();
        let plan = deployment(&head.tree, &head.commit, None, &env, &stack).ok()?;
        plan.compose.declared_version(&stack).map(str::to_owned)
    }

    /// The engine's lint rules over head. They have no bearing on the verdict, only on the level.
    pub(super) async fn lint(
        &self,
        engine: &dyn Engine,
        head: &Target,
        domain: &AppDomain,
        checkout: &Checkout,
    ) {
        let linted = async {
            let env = new_env(&head.tree, domain.as_str(), &[])?;
            let plan = deployment(&head.tree, &head.commit, None, &env, &domain.stack())?;
            let abra_sh = abra_sh(&head.tree)?;
            let subject = LintSubject {
                repo: checkout.repo(),
                commit: &head.commit,
                native: lint::Subject {
                    tree: &head.tree,
                    files: &plan.files,
                    compose: &plan.compose,
                    env: &env,
                    abra_sh: &abra_sh,
                    tags: checkout.tags(),
                },
            };
            engine.lint(&subject).await
        };
        let (by, outcome, findings) = match linted.await {
            Ok(Linted { by, findings }) => (by, lint_outcome(&findings), findings),
            // The recipe can't be read: install says so, and its own reason.
            Err(Fault::Recipe(reason)) => {
                let outcome = Outcome::unverified(Cause::Fail, reason);
                (engine.name().to_owned(), outcome, Vec::new())
            }
            Err(fault) => (engine.name().to_owned(), fault.outcome(), Vec::new()),
        };
        self.journal().emit(EventKind::Lint {
            by,
            outcome,
            findings,
        });
    }

    /// Lists the recipe's own tests, and says which of them do not run.
    fn find_repo_local(&self, tree: &Path) -> Result<(), Fault> {
        let found = RepoLocal::find(tree)?;
        let approved = self.suite.approved.allows(&self.request.recipe);
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
            let path = format!("tests/{path}");
            said(path.trim_end_matches('/').to_owned(), false, reason);
        }
        Ok(())
    }
}

/// A target of which an app can be made, as far as its `.env.sample` says.
fn readable(target: Target) -> Result<Target, Fault> {
    new_env(&target.tree, "app.example.org", &[]).map(|_| target)
}

fn lint_outcome(findings: &[LintFinding]) -> Outcome {
    let errors: Vec<_> = findings
        .iter()
        .filter(|finding| finding.severity == "error")
        .map(|finding| format!("{}: {}", finding.rule, finding.message))
        .collect();
    if errors.is_empty() {
        Outcome::Pass
    } else {
        Outcome::fail(errors.join("; "))
    }
}
