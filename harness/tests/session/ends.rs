//! Ends that nobody planned: of hooks, of tests, of the keeper.

use std::process::Child;
use std::time::Duration;

use harness::session::lifetime::ProcessId;
use results::{Outcome, Record, Tier, Verdict};
use rustix::process::Signal;

use crate::Test;
use crate::live::Live;
use crate::suites;

pub const TESTS: [(&str, Test); 10] = [
    (
        "a_hook_that_exits_fails_its_tier_and_spares_the_keeper",
        || hook_fails("hook-exits", "ended without a word: exit status: 0"),
    ),
    (
        "a_hook_that_overflows_its_stack_fails_its_tier_and_spares_the_keeper",
        || hook_fails("hook-overflows", "ended without a word: signal: 6"),
    ),
    ("a_hook_that_hangs_fails_its_tier_at_its_deadline", || {
        hook_fails("hook-hangs", "no end within 5.0 s")
    }),
    (
        "a_hook_ends_with_a_killed_keeper_and_its_secret_is_in_no_file",
        hook_of_a_killed_keeper,
    ),
    (
        "a_keeper_that_is_told_to_end_cancels_the_run",
        keeper_told_to_end,
    ),
    (
        "a_runner_that_is_interrupted_during_a_test_cancels_the_run",
        interrupted_runner,
    ),
    (
        "a_test_that_the_runner_ends_for_itself_is_an_error",
        test_ended_by_its_runner,
    ),
    ("a_test_without_memory_is_an_error", test_without_memory),
    ("an_app_that_fills_the_disk_ends_its_run", app_that_fills),
    (
        "a_killed_run_gets_its_record_from_the_janitor",
        record_by_the_janitor,
    ),
];

fn hook_fails(kind: &'static str, said: &str) -> anyhow::Result<()> {
    let live = Live::new(kind)?;
    live.fails("5_custom::looks")?;
    live.passes("7_teardown::leaves_nothing")?;
    let record = live.record()?;
    let custom = record
        .tier(Tier::Custom)
        .and_then(|tier| tier.operation.as_ref());
    let Some(Outcome::Fail { reason }) = custom.map(|operation| &operation.outcome) else {
        anyhow::bail!("the hook's tier is {custom:?}");
    };
    anyhow::ensure!(reason.contains(said), "{reason}");
    live.left_nothing()
}

fn hook_of_a_killed_keeper() -> anyhow::Result<()> {
    let live = Live::new("hook-leaks-and-hangs")?;
    let waiting = live.spawn("5_custom::looks")?;
    let leaked = live.paths().run.join(suites::LEAKED);
    live.until("the hook says the secret", Duration::from_secs(60), || {
        leaked.exists()
    })?;
    let secrets = std::fs::read(live.paths().secrets())?;
    let secrets: std::collections::BTreeMap<String, String> = serde_json::from_slice(&secrets)?;
    let hook = live.hook()?;
    live.kill_keeper()?;
    live.until("the hook ends", Duration::from_secs(5), || {
        hook.pidfd().is_none()
    })?;
    anyhow::ensure!(!waiting.wait_with_output()?.status.success(), "it passed");
    live.sweep()?;
    anyhow::ensure!(!secrets.is_empty(), "the recipe has no secret");
    for (path, text) in live.run_files()? {
        let leak = secrets.iter().find(|(_, value)| text.contains(*value));
        anyhow::ensure!(leak.is_none(), "{leak:?} is in {}", path.display());
    }
    live.left_nothing()
}

fn keeper_told_to_end() -> anyhow::Result<()> {
    let live = Live::new("test-hangs")?;
    let hanging = live.spawn("5_custom::looks")?;
    live.until_test_began("looks")?;
    live.keeper()?.signal(Signal::TERM);
    live.until_over()?;
    anyhow::ensure!(!hanging.wait_with_output()?.status.success(), "it passed");
    let record = live.record()?;
    is_cancelled(&record)?;
    anyhow::ensure!(
        record.cancelled_by.as_deref() == Some("SIGTERM to the keeper"),
        "{:?}",
        record.cancelled_by
    );
    live.left_nothing()
}

/// nextest passes a Ctrl-C on to the test that runs, and ends: the keeper sees the test go first.
fn interrupted_runner() -> anyhow::Result<()> {
    let mut live = Live::new("test-hangs")?;
    let hanging = live.spawn_by_nextest("5_custom::looks")?;
    live.until_test_began("looks")?;
    signal(&hanging, Signal::INT)?;
    anyhow::ensure!(!hanging.wait_with_output()?.status.success(), "it passed");
    live.kill_runner()?;
    is_cancelled(&live.record()?)?;
    live.left_nothing()
}

/// nextest ends a test that takes too long, and goes on to the next.
fn test_ended_by_its_runner() -> anyhow::Result<()> {
    let live = Live::new("test-hangs")?;
    let hanging = live.spawn_by_nextest("5_custom::looks")?;
    live.until_test_began("looks")?;
    signal(&hanging, Signal::TERM)?;
    anyhow::ensure!(!hanging.wait_with_output()?.status.success(), "it passed");
    live.passes("7_teardown::leaves_nothing")?;
    is_error(&live.record()?, "was told to end by a signal")?;
    live.left_nothing()
}

fn test_without_memory() -> anyhow::Result<()> {
    let live = Live::new("test-takes-all-memory")?;
    live.fails("5_custom::looks")?;
    live.passes("7_teardown::leaves_nothing")?;
    is_error(&live.record()?, "ended without a word")?;
    live.left_nothing()
}

fn app_that_fills() -> anyhow::Result<()> {
    let live = Live::new("test-fills")?;
    live.limit("app_disk_mib = 64")?;
    let filling = live.spawn("5_custom::looks")?;
    live.until_test_began("looks")?;
    live.until_over()?;
    anyhow::ensure!(!filling.wait_with_output()?.status.success(), "it passed");
    let record = live.record()?;
    anyhow::ensure!(record.verdict == Verdict::Error, "{:?}", record.verdict);
    let said = &record.verdict_reason;
    for part in [
        "the app takes 10",
        "limits.app_disk_mib",
        "most is volume",
        "_content (10",
    ] {
        anyhow::ensure!(said.contains(part), "`{part}` is not in: {said}");
    }
    live.left_nothing()
}

/// Nobody but the next run's janitor is left: it removes the app, and says in the record that the
/// run was lost.
fn record_by_the_janitor() -> anyhow::Result<()> {
    let mut live = Live::new("test-hangs")?;
    let hanging = live.spawn("5_custom::looks")?;
    live.until_test_began("looks")?;
    live.kill_keeper()?;
    live.kill_runner()?;
    live.end_test()?;
    hanging.wait_with_output()?;
    live.sweep()?;
    let record = live.record()?;
    anyhow::ensure!(record.verdict == Verdict::Error, "{:?}", record.verdict);
    anyhow::ensure!(
        record.verdict_reason.contains("its keeper was killed"),
        "{}",
        record.verdict_reason
    );
    live.left_nothing()
}

fn signal(child: &Child, signal: Signal) -> anyhow::Result<()> {
    let id = ProcessId::of(i32::try_from(child.id())?);
    id.ok_or_else(|| anyhow::anyhow!("it has ended"))?
        .signal(signal);
    Ok(())
}

fn is_cancelled(record: &Record) -> anyhow::Result<()> {
    let found = (record.verdict, &record.verdict_reason);
    anyhow::ensure!(record.verdict == Verdict::Cancelled, "{found:?}");
    Ok(())
}

/// The one custom test is an error, and so is the run.
fn is_error(record: &Record, said: &str) -> anyhow::Result<()> {
    let tests = record
        .tier(Tier::Custom)
        .map(|tier| tier.tests.as_slice())
        .unwrap_or_default();
    anyhow::ensure!(
        matches!(tests, [test] if matches!(&test.outcome, Outcome::Error { reason } if reason.contains(said))),
        "{tests:?}"
    );
    anyhow::ensure!(record.verdict == Verdict::Error, "{:?}", record.verdict);
    Ok(())
}
