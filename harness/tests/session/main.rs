//! Sessions on the real swarm: who may end, hang or be killed, and what is left then.
//!
//! This binary has two parts to play. Without `CCCI_TEST_SUITE` it is a list of tests. With it, it
//! is a suite of custom-html that misbehaves in the way the variable names, and the tests run its
//! trials, each in a process of its own, as a runner would.

mod ends;
mod live;
mod suites;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use results::{Cause, Outcome, Tier, Verdict};

use live::Live;

type Test = fn() -> anyhow::Result<()>;

fn main() -> ExitCode {
    if let Ok(kind) = std::env::var(live::SUITE) {
        return suites::of(&kind);
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let tests: [(&str, Test); 8] = [
        (
            "a_hook_that_aborts_fails_its_tier_and_spares_the_keeper",
            hook_that_aborts,
        ),
        (
            "a_killed_keeper_is_an_error_and_its_app_is_reaped",
            killed_keeper,
        ),
        ("a_request_for_a_stop_cancels_the_run", request_for_a_stop),
        (
            "a_second_run_of_the_same_app_queues_behind_the_first",
            second_run_queues,
        ),
        ("a_test_that_aborts_is_an_error", test_that_aborts),
        ("no_secret_is_in_any_file_of_the_run", no_secret_in_any_file),
        (
            "operations_are_performed_once_whatever_the_order",
            operations_once,
        ),
        ("the_end_of_the_runner_ends_the_session", end_of_the_runner),
    ];
    let trials = tests
        .into_iter()
        .chain(ends::TESTS)
        .map(|(name, test)| {
            Trial::test(name, move || {
                test().map_err(|error| Failed::from(format!("{error:#}")))
            })
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Custom alone deploys head at once; whatever is asked afterwards, how often and by how many at
/// once, no operation starts twice and no second app is made.
fn operations_once() -> anyhow::Result<()> {
    let live = Live::new("plain")?;
    live.passes("5_custom::looks")?;
    let together: Vec<_> = (0..3)
        .map(|_| live.spawn("3_backup::0_backup"))
        .collect::<Result<_, _>>()?;
    for child in together {
        anyhow::ensure!(
            child.wait_with_output()?.status.success(),
            "a backup failed"
        );
    }
    live.passes("4_restore::0_restore")?;
    live.passes("1_install::0_deploy")?;
    live.passes("5_custom::looks")?;
    live.passes("7_teardown::leaves_nothing")?;
    for tier in [Tier::Install, Tier::Backup, Tier::Restore, Tier::Custom] {
        anyhow::ensure!(
            live.started(tier)? == 1,
            "{tier} started {} times",
            live.started(tier)?
        );
    }
    anyhow::ensure!(
        live.started(Tier::Upgrade)? == 0,
        "nobody asked for an upgrade"
    );
    let record = live.record()?;
    let install = record
        .tier(Tier::Install)
        .and_then(|tier| tier.operation.as_ref());
    let created = install.and_then(|operation| operation.facts.get("created")?.as_u64());
    anyhow::ensure!(created == Some(1), "the app was made {created:?} times");
    live.left_nothing()
}

fn hook_that_aborts() -> anyhow::Result<()> {
    let live = Live::new("hook-aborts")?;
    live.fails("5_custom::looks")?;
    live.passes("7_teardown::leaves_nothing")?;
    let record = live.record()?;
    let custom = record
        .tier(Tier::Custom)
        .and_then(|tier| tier.operation.as_ref());
    let Some(Outcome::Fail { reason }) = custom.map(|operation| &operation.outcome) else {
        anyhow::bail!("the hook's tier is {custom:?}");
    };
    anyhow::ensure!(
        reason.contains("before_custom ended without a word"),
        "{reason}"
    );
    live.left_nothing()
}

fn test_that_aborts() -> anyhow::Result<()> {
    let live = Live::new("test-aborts")?;
    live.fails("5_custom::looks")?;
    live.passes("7_teardown::leaves_nothing")?;
    let record = live.record()?;
    let custom = record
        .tier(Tier::Custom)
        .map(|tier| tier.tests.as_slice())
        .unwrap_or_default();
    anyhow::ensure!(
        matches!(custom, [test] if matches!(test.outcome, Outcome::Error { .. })),
        "{custom:?}"
    );
    anyhow::ensure!(record.verdict == Verdict::Error, "{:?}", record.verdict);
    live.left_nothing()
}

/// A stop that is asked for through the run's folder.
fn request_for_a_stop() -> anyhow::Result<()> {
    let live = Live::new("test-hangs")?;
    let hanging = live.spawn("5_custom::looks")?;
    live.until_test_began("looks")?;
    std::fs::write(live.paths().cancel_request(), "a test")?;
    live.until_over()?;
    anyhow::ensure!(
        !hanging.wait_with_output()?.status.success(),
        "the test was not ended"
    );
    let record = live.record()?;
    anyhow::ensure!(record.verdict == Verdict::Cancelled, "{:?}", record.verdict);
    anyhow::ensure!(
        record.cancelled_by.as_deref() == Some("a test"),
        "{:?}",
        record.cancelled_by
    );
    live.left_nothing()
}

/// A hook and a test print and return the app's secret: the record, the log, the evidence and the
/// report have its name in the value's place.
fn no_secret_in_any_file() -> anyhow::Result<()> {
    let live = Live::new("leaks")?;
    live.fails("5_custom::looks")?;
    let secrets = std::fs::read(live.paths().secrets())?;
    let secrets: BTreeMap<String, String> = serde_json::from_slice(&secrets)?;
    anyhow::ensure!(!secrets.is_empty(), "the recipe has no secret");
    live.passes("7_teardown::leaves_nothing")?;
    live.record()?;
    let files = live.run_files()?;
    for (name, value) in &secrets {
        let holding = |text: &String| text.contains(value.as_str());
        let leaks: Vec<_> = files
            .iter()
            .filter(|(_, text)| holding(text))
            .map(|(path, _)| path)
            .collect();
        anyhow::ensure!(leaks.is_empty(), "the value of {name} is in {leaks:?}");
    }
    let redacted = files
        .iter()
        .filter(|(_, text)| text.contains("[redacted:"))
        .count();
    anyhow::ensure!(
        redacted > 2,
        "only {redacted} files say that something was redacted"
    );
    live.left_nothing()
}

/// The runner is killed while a test runs: the session notices by itself, ends the orphan, and
/// removes the app.
fn end_of_the_runner() -> anyhow::Result<()> {
    let mut live = Live::new("test-hangs")?;
    let hanging = live.spawn("5_custom::looks")?;
    live.until_test_began("looks")?;
    live.kill_runner()?;
    live.until_over()?;
    anyhow::ensure!(
        !hanging.wait_with_output()?.status.success(),
        "the orphan lives on"
    );
    let record = live.record()?;
    anyhow::ensure!(record.verdict == Verdict::Cancelled, "{:?}", record.verdict);
    live.left_nothing()
}

/// A keeper that is killed is never started again; its app is dead, and the janitor removes it.
fn killed_keeper() -> anyhow::Result<()> {
    let live = Live::new("test-hangs")?;
    let hanging = live.spawn("5_custom::looks")?;
    live.until_test_began("looks")?;
    live.kill_keeper()?;
    live.end_test()?;
    let output = hanging.wait_with_output()?;
    anyhow::ensure!(!output.status.success(), "a test without a keeper passed");
    live.fails("1_install::0_deploy")?;
    anyhow::ensure!(
        live.started(Tier::Install)? == 1,
        "a second keeper deployed again"
    );
    anyhow::ensure!(
        live.left_nothing().is_err(),
        "the killed keeper's app is gone by itself"
    );
    live.sweep()?;
    live.left_nothing()
}

fn second_run_queues() -> anyhow::Result<()> {
    let first = Live::new("plain")?;
    first.passes("5_custom::looks")?;
    let second = Live::new("plain")?;
    let waiting = second.spawn("5_custom::looks")?;
    second.until_event(
        "it says behind whom it waits",
        Duration::from_secs(20),
        |text| text.contains(&format!("behind {}", first.run_id())),
    )?;
    first.passes("7_teardown::leaves_nothing")?;
    anyhow::ensure!(
        waiting.wait_with_output()?.status.success(),
        "the second run failed"
    );
    second.passes("7_teardown::leaves_nothing")?;
    let install = second.record()?;
    let install = install.tier(Tier::Install).map(|tier| tier.outcome.clone());
    let narrowed = matches!(
        install,
        Some(
            Outcome::Unverified {
                cause: Cause::Deselected,
                ..
            } | Outcome::Pass
        )
    );
    anyhow::ensure!(narrowed, "{install:?}");
    second.left_nothing()
}
