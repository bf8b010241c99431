//! Trials: their names, and what one of them does when the runner asks for it.
//!
//! The verdict comes from what trials record with the keeper, never from a test's exit status
//! alone; the exit status is red where the outcome is.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use libtest_mimic::{Arguments, Failed, Trial};
use results::event::PlannedTrial;
use results::{Cause, Outcome, Source, Tier};

use super::app::{App, Skip};
use super::last_word::told_to_end;
use super::repo_local::{self, Approved, CONFINE_ROLE, Ran, RepoLocal, Surroundings};
use super::{Assertion, Generic, Suite, Test};
use crate::evidence::Folder;
use crate::fault::Fault;
use crate::session::client::{Client, KEEPER_ROLE};
use crate::session::hooks::{HOOK_ROLE, run_hook};
use crate::session::keeper;
use crate::session::lifetime::NEXTEST_RUN_ID;
use crate::session::paths::Paths;
use crate::session::protocol::AppView;
use crate::session::request::Request;
use crate::site;
use crate::wait::Seconds;

/// Test functions of one suite, by what the trial has to do.
enum Step {
    Operation(Tier),
    Assertion(Assertion, Source),
    /// The recipe repository's own tests of a tier, if it has any that may run.
    RepoLocal(Tier),
    Teardown,
}

impl Step {
    fn name(&self) -> String {
        match self {
            Self::Operation(tier) => {
                let operation = match tier {
                    Tier::Install => "0_deploy",
                    Tier::Upgrade => "0_redeploy",
                    Tier::Backup => "0_backup",
                    Tier::Restore => "0_restore",
                    Tier::Custom | Tier::Fresh => "0_prepare",
                };
                format!("{}::{operation}", numbered(*tier))
            }
            Self::Assertion(test, _) if test.tier == Tier::Fresh || test.tier == Tier::Custom => {
                format!("{}::{}", numbered(test.tier), test.name)
            }
            Self::Assertion(test, source) => {
                format!("{}::{source}::{}", numbered(test.tier), test.name)
            }
            Self::RepoLocal(tier) => format!("{}::repo_local", numbered(*tier)),
            Self::Teardown => "7_teardown::leaves_nothing".to_owned(),
        }
    }
}

/// The tier with the number that makes names sort in the order of a run.
fn numbered(tier: Tier) -> String {
    let number = Tier::ALL
        .iter()
        .position(|other| *other == tier)
        .map_or(0, |at| at + 1);
    format!("{number}_{tier}")
}

impl<G: Generic> Suite<G> {
    fn into_steps(self) -> Vec<Step> {
        let lifecycle = [Tier::Install, Tier::Upgrade, Tier::Backup, Tier::Restore];
        let mut steps: Vec<Step> = lifecycle.into_iter().map(Step::Operation).collect();
        steps.extend(Tier::NAMED.into_iter().map(Step::RepoLocal));
        let of = |source| move |test| Step::Assertion(test, source);
        steps.extend(G::assertions().into_iter().map(of(Source::Generic)));
        steps.extend(self.overlays.into_iter().map(of(Source::Overlay)));
        steps.extend(self.customs.into_iter().map(of(Source::Custom)));
        steps.push(Step::Teardown);
        steps.sort_by_key(Step::name);
        steps
    }

    /// The tests that must report in a whole run.
    pub(crate) fn planned(&self, tiers: &[Tier], skipped_generic: &[Tier]) -> Vec<PlannedTrial> {
        let generic = G::assertions();
        let generic = generic
            .iter()
            .filter(|test| !skipped_generic.contains(&test.tier))
            .map(|test| (test, Source::Generic));
        let overlays = self.overlays.iter().map(|test| (test, Source::Overlay));
        let customs = self.customs.iter().map(|test| (test, Source::Custom));
        generic
            .chain(overlays)
            .chain(customs)
            .filter(|(test, _)| tiers.contains(&test.tier))
            .map(|(test, source)| PlannedTrial {
                tier: test.tier,
                name: test.name.to_owned(),
                source,
            })
            .collect()
    }
}

/// What every trial of one process shares.
struct Context {
    recipe: crate::recipe::RecipeName,
    skipped_generic: Result<Vec<Tier>, Fault>,
    approved: Approved,
}

pub(super) fn main<G: Generic>(suite: Suite<G>) -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(role) if role == KEEPER_ROLE => return keeper::main(&suite),
        Some(role) if role == HOOK_ROLE => return run_hook(&suite, arguments.next()),
        Some(role) if role == CONFINE_ROLE => return repo_local::confine(arguments),
        _ => {}
    }
    let mut arguments = Arguments::from_args();
    if std::env::var_os(NEXTEST_RUN_ID).is_none() {
        // One live app: its tests run one after another, in the order of their names.
        arguments.test_threads = Some(1);
    }
    let skipped_generic = suite
        .settings
        .skipped_generic(|name| std::env::var(name).ok());
    let context = Arc::new(Context {
        recipe: suite.recipe.clone(),
        skipped_generic,
        approved: suite.approved.clone(),
    });
    let trials = suite
        .into_steps()
        .into_iter()
        .map(|step| {
            let context = Arc::clone(&context);
            Trial::test(step.name(), move || run(&context, &step))
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// For a binary that has no suite to run now: a listing is asked for, and it is empty.
pub fn list_nothing() -> ExitCode {
    libtest_mimic::run(&Arguments::from_args(), Vec::new()).exit_code()
}

/// For a binary that can't tell what to test.
#[expect(
    clippy::print_stderr,
    reason = "what a person who runs the binary sees"
)]
pub fn refuse(fault: &Fault) -> ExitCode {
    eprintln!("{fault}");
    ExitCode::from(2)
}

/// Runs one trial on a runtime of its own.
fn run(context: &Context, step: &Step) -> Result<(), Failed> {
    let failed = |fault: &Fault| Failed::from(format!("{fault}"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(&Fault::infra(format!("no runtime: {error}"))))?;
    let outcome = runtime
        .block_on(async {
            tokio::select! {
                outcome = perform(context, step) => outcome,
                fault = told_to_end(&context.recipe) => Err(fault),
            }
        })
        .map_err(|fault| failed(&fault))?;
    match &outcome {
        Outcome::Pass => Ok(()),
        other if other.is_red() => Err(Failed::from(format!(
            "{}: {}",
            other.word(),
            other.reason().unwrap_or_default()
        ))),
        other => {
            say(&format!(
                "{}: {}",
                other.word(),
                other.reason().unwrap_or_default()
            ));
            Ok(())
        }
    }
}

#[expect(
    clippy::print_stdout,
    reason = "a test's own output, shown by the runner"
)]
fn say(text: &str) {
    println!("{text}");
}

async fn perform(context: &Context, step: &Step) -> Result<Outcome, Fault> {
    let request = Request::from_environment(&context.recipe)?;
    let paths = Paths::new(&site::state_dir()?, &request.run_id);
    let skipped = context.skipped_generic.as_ref().map_err(Clone::clone)?;
    if let Some(tier) = step.tier().filter(|tier| !request.wants(*tier)) {
        return Ok(Outcome::unverified(
            Cause::Deselected,
            format!("{tier} was not asked for"),
        ));
    }
    match step {
        Step::Assertion(test, Source::Generic) if skipped.contains(&test.tier) => {
            return Ok(Outcome::skip(
                "generic assertions of this tier are opted out of",
            ));
        }
        _ => {}
    }
    let mut keeper = Client::join(&request, &paths).await?;
    match step {
        Step::Operation(tier) => Ok(keeper.perform(*tier).await?.0),
        Step::Assertion(test, source) => {
            let (ready, app) = keeper.begin(test.tier, test.name, *source).await?;
            let (outcome, evidence) = match (ready, app) {
                (Outcome::Pass, Some(app)) => {
                    if let Some(instead) =
                        replaced_by_repo_local(test.tier, *source, &app, &context.approved)?
                    {
                        (instead, Vec::new())
                    } else {
                        assert_on(test, *app, &paths).await
                    }
                }
                (Outcome::Pass, None) => (Outcome::error("there is no app to look at"), Vec::new()),
                (other, _) => (blocked(test.tier, &other), Vec::new()),
            };
            keeper.end(&outcome, evidence).await?;
            Ok(outcome)
        }
        Step::RepoLocal(tier) => {
            repo_local_tests(&mut keeper, *tier, &paths, &context.approved).await
        }
        Step::Teardown => {
            let (outcome, table) = keeper.finish().await?;
            say(&table);
            Ok(outcome)
        }
    }
}

impl Step {
    fn tier(&self) -> Option<Tier> {
        match self {
            Self::Operation(tier) | Self::RepoLocal(tier) => Some(*tier),
            Self::Assertion(test, _) => Some(test.tier),
            Self::Teardown => None,
        }
    }
}

/// What a test is whose operation did not pass: one line, not a page each.
fn blocked(tier: Tier, operation: &Outcome) -> Outcome {
    match operation {
        Outcome::Fail { .. } => Outcome::unverified(Cause::Fail, format!("{tier} failed")),
        Outcome::Error { .. } => Outcome::unverified(Cause::Error, format!("{tier} met an error")),
        other => other.clone(),
    }
}

/// Runs a test with its deadline; a panic is a failure like an error.
async fn assert_on(test: &Assertion, view: AppView, paths: &Paths) -> (Outcome, Vec<String>) {
    let deadline = Duration::from_secs(view.test_timeout);
    let app = match App::new(view, paths.clone()) {
        Ok(app) => app,
        Err(fault) => return (fault.outcome(), Vec::new()),
    };
    let outcome = judge(test.test.as_ref(), &app, deadline).await;
    let evidence = if matches!(outcome, Outcome::Pass | Outcome::Skip { .. }) {
        Vec::new()
    } else {
        app.write_evidence(&format!("{}-{}", numbered(test.tier), test.name))
    };
    (outcome, evidence)
}

pub(crate) async fn judge(test: &dyn Test, app: &App, deadline: Duration) -> Outcome {
    let run = AssertUnwindSafe(test.run(app)).catch_unwind();
    match tokio::time::timeout(deadline, run).await {
        Err(_) => Outcome::fail(format!("no end within {}", Seconds(deadline))),
        Ok(Err(panic)) => Outcome::fail(panic_text(panic.as_ref())),
        Ok(Ok(Ok(()))) => Outcome::Pass,
        Ok(Ok(Err(error))) => {
            if let Some(Skip(reason)) = error.downcast_ref() {
                return Outcome::skip(reason);
            }
            let infra = error.chain().any(|cause| {
                matches!(
                    cause.downcast_ref(),
                    Some(Fault::Infra(_) | Fault::Usage(_))
                )
            });
            if infra {
                Outcome::error(format!("{error:#}"))
            } else {
                Outcome::fail(format!("{error:#}"))
            }
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "the test panicked".to_owned())
}

/// The recipe repository's own tests of the live commit, where its code may run here.
fn approved_tests(view: &AppView, approved: &Approved) -> Result<Option<RepoLocal>, Fault> {
    if !approved.allows(&view.recipe) {
        return Ok(None);
    }
    RepoLocal::find(&view.head_tree).map(Some)
}

/// A recipe's own test of a lifecycle tier takes the place of ours.
fn replaced_by_repo_local(
    tier: Tier,
    source: Source,
    view: &AppView,
    approved: &Approved,
) -> Result<Option<Outcome>, Fault> {
    if source != Source::Overlay {
        return Ok(None);
    }
    let own = approved_tests(view, approved)?.is_some_and(|found| found.tests.contains_key(&tier));
    Ok(own.then(|| Outcome::skip(format!("the recipe's own tests/{tier} runs in its place"))))
}

async fn repo_local_tests(
    keeper: &mut Client,
    tier: Tier,
    paths: &Paths,
    approved: &Approved,
) -> Result<Outcome, Fault> {
    let (ready, app) = keeper.perform(tier).await?;
    let (Outcome::Pass, Some(view)) = (&ready, app) else {
        return Ok(blocked(tier, &ready));
    };
    let found = approved_tests(&view, approved)?;
    let tests = found
        .as_ref()
        .and_then(|found| found.tests.get(&tier))
        .map_or(&[][..], Vec::as_slice);
    let mut worst = Outcome::Pass;
    for path in tests {
        let name = path.to_string_lossy();
        keeper.begin(tier, &name, Source::RepoLocal).await?;
        let (outcome, evidence) = run_repo_local(path, &view, paths).await?;
        keeper.end(&outcome, evidence).await?;
        if outcome.is_red() {
            worst = outcome;
        }
    }
    Ok(worst)
}

async fn run_repo_local(
    path: &Path,
    view: &AppView,
    paths: &Paths,
) -> Result<(Outcome, Vec<String>), Fault> {
    let around = Surroundings {
        tree: &view.head_tree,
        recipe: &view.recipe,
        domain: view.domain.as_str(),
        env_file: &paths.env_file(),
        state: &paths.operation_state(),
        authority: view.authority.as_deref(),
        proxy: view.proxy_port(),
    };
    let deadline = Duration::from_secs(view.test_timeout);
    let Ran {
        outcome, output, ..
    } = repo_local::run(path, &around, deadline).await?;
    let folder = Folder::new(paths.evidence(), App::redactor_of(paths));
    Ok((
        outcome,
        folder.write("", vec![repo_local::output_of(path, output)]),
    ))
}
