//! Sessions on the real swarm: who may end, hang or be killed, and what is left then.
//!
//! This binary has two parts to play. Without `CCCI_TEST_SUITE` it is a list of tests. With it, it
//! is a suite of custom-html that misbehaves in the way the variable names, and the tests run its
//! trials, each in a process of its own, as a runner would.

mod ends;
mod live;
mod pinned;
mod repo_local;
mod static_front;
mod stranger;
mod stuck;
mod suites;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use harness::suite::repo_local::{CONFINE_ROLE, confine};
use libtest_mimic::{Arguments, Failed, Trial};
use results::record::RetryRecord;
use results::{Cause, Outcome, Tier, Verdict};

use live::Live;

type Test = fn() -> anyhow::Result<()>;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|role| role == CONFINE_ROLE) {
        // The variable that makes this a suite is not for an executable of a recipe.
        return confine(arguments);
    }
    if let Ok(socket) = std::env::var(stranger::SOCKET) {
        return stranger::connect(&socket);
    }
    if let Ok(kind) = std::env::var(live::SUITE) {
        return suites::of(&kind);
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let tests: [(&str, Test); 17] = [
        (
            "a_dead_run_that_can_not_be_removed_is_a_note_of_others",
            stuck::is_a_note_of_others,
        ),
        (
            "a_backup_that_verifies_on_a_second_try_says_so",
            backup_again,
        ),
        (
            "a_hook_that_aborts_fails_its_tier_and_spares_the_keeper",
            hook_that_aborts,
        ),
        (
            "a_front_that_asks_a_task_that_is_gone_is_no_statement_about_the_recipe",
            static_front,
        ),
        (
            "a_killed_keeper_is_an_error_and_its_app_is_reaped",
            killed_keeper,
        ),
        (
            "a_failing_test_has_evidence_of_the_stack_once",
            failing_test,
        ),
        ("a_request_for_a_stop_cancels_the_run", request_for_a_stop),
        (
            "a_second_run_of_the_same_app_queues_behind_the_first",
            second_run_queues,
        ),
        (
            "a_stranger_at_the_keepers_socket_is_refused",
            stranger::is_refused,
        ),
        ("a_test_that_aborts_is_an_error", test_that_aborts),
        ("a_test_that_passes_on_a_second_try_is_flaky", second_try),
        (
            "an_env_that_pins_the_old_image_on_head_is_an_error",
            pinned::old_image_on_head,
        ),
        ("no_secret_is_in_any_file_of_the_run", no_secret_in_any_file),
        (
            "operations_are_performed_once_whatever_the_order",
            operations_once,
        ),
        (
            "own_tests_of_an_approved_recipe_run",
            repo_local::approved_tests_run,
        ),
        (
            "own_tests_of_another_recipe_are_listed_and_do_not_run",
            repo_local::unapproved_tests_are_listed,
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

fn backup_again() -> anyhow::Result<()> {
    let live = Live::new("cut-dump")?;
    live.passes("3_backup::overlay::looks")?;
    live.passes("7_teardown::leaves_nothing")?;
    let record = live.record()?;
    // The proxy's start may have had a second try of its own.
    let of_backup = |retry: &&RetryRecord| retry.tier == Tier::Backup;
    let retries: Vec<_> = record.retries.iter().filter(of_backup).collect();
    anyhow::ensure!(
        matches!(retries[..], [retry] if retry.attempt == 2 && retry.why.contains("the dump is cut")),
        "{retries:?}"
    );
    anyhow::ensure!(record.flaky.is_empty(), "{:?}", record.flaky);
    anyhow::ensure!(record.verdict == Verdict::Pass, "{}", record.verdict_reason);
    live.left_nothing()
}

/// A runner that tries again, once after a failure and once after a death without a word: the tests
/// are passes, and everybody is told.
fn second_try() -> anyhow::Result<()> {
    let live = Live::new("flaky")?;
    for test in ["5_custom::aborts_once", "5_custom::fails_once"] {
        live.fails(test)?;
        live.passes(test)?;
    }
    live.passes("7_teardown::leaves_nothing")?;
    let record = live.record()?;
    anyhow::ensure!(record.verdict == Verdict::Pass, "{}", record.verdict_reason);
    let flaky = ["custom::aborts_once", "custom::fails_once"];
    anyhow::ensure!(record.flaky == flaky, "{:?}", record.flaky);
    let custom = record.tier(Tier::Custom);
    let tests = custom.map(|tier| tier.tests.as_slice());
    let earlier: Vec<_> = tests
        .into_iter()
        .flatten()
        .map(|test| test.earlier.as_slice())
        .collect();
    anyhow::ensure!(
        matches!(
            earlier[..],
            [[Outcome::Error { .. }], [Outcome::Fail { .. }]]
        ),
        "{earlier:?}"
    );
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

/// Hooks and a test print and return the app's secrets, given ones among them: the record, the log, the evidence and the
/// report have its name in the value's place.
fn no_secret_in_any_file() -> anyhow::Result<()> {
    let live = Live::new("leaks")?;
    live.fails("5_custom::looks")?;
    let secrets = std::fs::read(live.paths().secrets())?;
    let secrets: BTreeMap<String, String> = serde_json::from_slice(&secrets)?;
    let known: Vec<&String> = secrets.values().collect();
    for value in suites::GIVEN {
        anyhow::ensure!(
            known.contains(&&value.to_owned()),
            "what the hook gave is not known: {:?}",
            secrets.keys()
        );
    }
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

/// With virtual addresses there is nothing to see. Without, the front asks an address that is gone
/// after the redeploy, and a restart cures it.
fn static_front() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    static_front::repository(folder.path())?;
    let source = folder.path().display().to_string();
    let live = Live::new("impatient")?.with("CCCI_SOURCE", source);
    live.passes("1_install::0_deploy")?;
    if live.has_virtual_addresses()? {
        live.passes("2_upgrade::0_redeploy")?;
    } else {
        live.fails("2_upgrade::0_redeploy")?;
        live.passes("5_custom::looks")?;
    }
    live.passes("7_teardown::leaves_nothing")?;
    let record = live.record()?;
    let upgrade = record.tiers.iter().find(|tier| tier.name == Tier::Upgrade);
    let upgrade = upgrade.context("the tier is not in the record")?;
    let operation = upgrade.operation.as_ref().context("no operation")?;
    match &operation.outcome {
        Outcome::Pass => {}
        Outcome::Error { reason } => {
            for text in ["(50", "since its front (app) was restarted", "no IPVS"] {
                anyhow::ensure!(reason.contains(text), "`{text}` is not in {reason}");
            }
        }
        other => anyhow::bail!("{other:?}"),
    }
    live.left_nothing()
}

/// A test that fails is recorded with its exchange, and with what is known of the stack: once.
fn failing_test() -> anyhow::Result<()> {
    let live = Live::new("fails")?;
    live.fails("5_custom::fails")?;
    live.fails("5_custom::fails_too")?;
    live.passes("7_teardown::leaves_nothing")?;
    let record = live.record()?;
    let custom = record.tiers.iter().find(|tier| tier.name == Tier::Custom);
    let tests = &custom.context("the tier is not in the record")?.tests;
    let of = |name: &str| {
        let test = tests.iter().find(|test| test.name == name);
        test.map(|test| test.evidence.clone())
            .context("the test is not in the record")
    };
    let first = of("fails")?;
    anyhow::ensure!(first[0] == "evidence/5_custom-fails.http.txt", "{first:?}");
    for file in ["log-app.txt", "tasks.txt", "events.txt", "app.env"] {
        let path = format!("evidence/custom/{file}");
        anyhow::ensure!(first.contains(&path), "{path} is not in {first:?}");
    }
    let second = of("fails_too")?;
    anyhow::ensure!(
        second == ["evidence/5_custom-fails_too.http.txt"],
        "{second:?}"
    );
    let run = live.paths().run;
    let exchange = std::fs::read_to_string(run.join(&first[0]))?;
    for text in ["GET https://", " 200 OK after ", "certificate: subject CN="] {
        anyhow::ensure!(exchange.contains(text), "`{text}` is not in {exchange}");
    }
    let events = std::fs::read_to_string(run.join("evidence/custom/events.txt"))?;
    anyhow::ensure!(events.contains("test fails begins"), "{events}");
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
