use results::event::EventKind;
use results::{Outcome, Record, Source, Tier, Verdict};

use crate::sample::{self, Run, trial_ended, trial_started};

#[test]
fn no_events_at_all_are_an_error() {
    let record = Record::from_events(&[]);
    assert_eq!(record.verdict, Verdict::Error);
    assert_eq!(
        record.verdict_reason,
        "the run did not finish; the last that is known: nothing, not even its start"
    );
}

#[test]
fn a_crash_is_an_error_that_says_what_was_going_on() {
    let mut run = Run::whole();
    run.good(Tier::Install, 3_200)
        .push(EventKind::OperationStarted {
            tier: Tier::Upgrade,
        })
        .push(EventKind::Waiting {
            subject: "2 services".to_owned(),
            status: "app 0/1".to_owned(),
            elapsed_ms: 12_300,
            deadline_ms: 600_000,
        });
    let record = run.record();
    assert_eq!(record.verdict, Verdict::Error);
    assert_eq!(
        record.verdict_reason,
        "the run did not finish; the last that is known: waiting for 2 services (app 0/1), 12 s"
    );
    assert_eq!(record.teardown.outcome, Outcome::error("never began"));
    let upgrade = record.tier(Tier::Upgrade).unwrap();
    assert_eq!(upgrade.outcome, Outcome::error("it began and never ended"));
    let backup = record.tier(Tier::Backup).unwrap();
    assert_eq!(backup.outcome.reason(), Some("upgrade met an error"));
}

#[test]
fn a_failure_before_a_crash_is_kept_but_is_no_verdict() {
    let mut run = Run::whole();
    run.good(Tier::Install, 10)
        .operation(Tier::Upgrade, Outcome::fail("rolled back"), 10);
    let record = run.record();
    assert_eq!(record.verdict, Verdict::Error);
    assert_eq!(
        record.verdict_reason,
        "the run did not finish; the last that is known: operation upgrade ended; before that, upgrade failed: rolled back"
    );
}

#[test]
fn a_cancelled_run_whose_teardown_never_ended_is_cancelled_with_a_red_teardown() {
    let mut run = Run::whole();
    run.push(EventKind::CancelRequested {
        by: "a person".to_owned(),
    })
    .push(EventKind::TeardownStarted);
    let record = run.record();
    assert_eq!(record.verdict, Verdict::Cancelled);
    assert_eq!(
        record.teardown.outcome,
        Outcome::error("began and never ended")
    );
}

#[test]
fn a_test_that_passes_on_a_second_try_is_flaky() {
    let mut run = sample::all_pass();
    let name = "services_converged";
    run.push(trial_ended(
        Tier::Install,
        Source::Generic,
        name,
        Outcome::fail("502"),
    ))
    .push(trial_ended(
        Tier::Install,
        Source::Generic,
        name,
        Outcome::Pass,
    ));
    let record = run.record();
    assert_eq!(record.verdict, Verdict::Pass);
    assert_eq!(record.flaky, ["install::services_converged"]);
    assert!(
        record.verdict_reason.ends_with("(1 only on a second try)"),
        "{}",
        record.verdict_reason
    );
}

#[test]
fn a_test_that_passed_once_and_is_red_in_the_end_is_not_called_flaky() {
    let (tier, source, name) = (Tier::Install, Source::Generic, "answers");
    let ended = |outcome| trial_ended(tier, source, name, outcome);
    let mut run = sample::all_pass();
    run.push(ended(Outcome::fail("502")))
        .push(ended(Outcome::Pass))
        .push(trial_started(tier, source, name));
    let record = run.record();
    assert_eq!((record.verdict, record.flaky.len()), (Verdict::Error, 0));
    run.push(ended(Outcome::fail("503")));
    let record = run.record();
    assert_eq!((record.verdict, record.flaky.len()), (Verdict::Fail, 0));
    let install = record.tier(tier).unwrap();
    let test = install.tests.iter().find(|test| test.name == name).unwrap();
    assert_eq!(test.earlier, [Outcome::fail("502")]);
}

#[test]
fn a_second_try_of_an_operation_is_in_the_record() {
    let mut run = sample::all_pass();
    run.push(EventKind::Retry {
        tier: Tier::Backup,
        what: "the backup".to_owned(),
        why: "backup_verify failed: the dump is cut".to_owned(),
        attempt: 2,
    });
    let record = run.record();
    assert_eq!(record.verdict, Verdict::Pass);
    assert_eq!(record.retries[0].attempt, 2);
    assert!(record.flaky.is_empty(), "an operation is no test");
}

#[test]
fn a_failed_test_is_not_cured_by_a_skip() {
    let mut run = sample::all_pass();
    let (tier, source, name) = (Tier::Install, Source::Generic, "answers");
    run.push(trial_ended(tier, source, name, Outcome::fail("502")))
        .push(trial_ended(tier, source, name, Outcome::skip("no time")));
    assert_eq!(run.record().verdict, Verdict::Fail);
}

#[test]
fn what_was_left_behind_once_is_not_forgotten() {
    let mut run = sample::residue();
    run.push(EventKind::TeardownEnded {
        duration_ms: 1,
        residue: Vec::new(),
        errors: Vec::new(),
    });
    let record = run.record();
    assert_eq!(
        (record.verdict, record.teardown.residue.len()),
        (Verdict::Error, 1)
    );
}

#[test]
fn a_teardown_that_could_not_look_is_an_error() {
    let mut run = sample::all_pass();
    run.push(EventKind::TeardownEnded {
        duration_ms: 1,
        residue: Vec::new(),
        errors: vec!["the engine did not answer".to_owned()],
    });
    let record = run.record();
    assert_eq!(record.verdict, Verdict::Error);
    assert_eq!(record.verdict_reason, "teardown: the engine did not answer");
}

#[test]
fn a_first_try_that_ended_without_a_word_makes_a_test_flaky() {
    let mut run = Run::of(&[Tier::Install]);
    run.operation(Tier::Install, Outcome::Pass, 10)
        .push(trial_started(Tier::Install, Source::Generic, "answers"))
        .test(Tier::Install, Source::Generic, "answers", Outcome::Pass)
        .end(&[], true);
    assert_eq!(run.record().flaky, ["install::answers"]);
}

#[test]
fn of_two_outcomes_of_an_operation_the_worse_counts() {
    let mut run = Run::of(&[Tier::Install]);
    run.operation(Tier::Install, Outcome::fail("crash loop"), 10)
        .good(Tier::Install, 10)
        .end(&[], true);
    assert_eq!(run.record().verdict, Verdict::Fail);
}

#[test]
fn phases_and_spans_add_up() {
    let record = sample::all_pass().record();
    let phases: Vec<_> = record
        .phases_ms
        .iter()
        .map(|(name, ms)| format!("{name} {ms}"))
        .collect();
    assert_eq!(
        phases,
        [
            "backup 300",
            "fetch 400",
            "fresh 3100",
            "install 3200",
            "restore 200",
            "teardown 600",
            "upgrade 7800"
        ]
    );
    let upgrade = record
        .timeline
        .iter()
        .find(|span| span.name == "upgrade")
        .unwrap();
    assert_eq!((upgrade.start_ms, upgrade.duration_ms), (3_840, 7_800));
    assert_eq!(record.tier(Tier::Upgrade).unwrap().duration_ms, 8_040);
}
