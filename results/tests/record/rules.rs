use results::event::{EventKind, PlannedTrial};
use results::record::RunFaultKind;
use results::{Cause, Outcome, Record, Source, Tier, Verdict};
use rstest::rstest;

use crate::sample::{self, Run, trial_ended, trial_started};

fn tier(record: &Record, tier: Tier) -> &Outcome {
    &record.tier(tier).unwrap().outcome
}

#[rstest]
#[case::all_pass(sample::all_pass(), Verdict::Pass, Some(5))]
#[case::upgrade_failed(sample::upgrade_failed(), Verdict::Fail, Some(1))]
#[case::no_deployable_base(sample::no_deployable_base(), Verdict::Pass, Some(1))]
#[case::not_backup_capable(sample::not_backup_capable(), Verdict::Pass, Some(5))]
#[case::cancelled(sample::cancelled(), Verdict::Cancelled, Some(1))]
#[case::residue(sample::residue(), Verdict::Error, Some(5))]
#[case::no_functional_tests(sample::no_functional_tests(), Verdict::Pass, Some(3))]
fn verdict_and_level_of(#[case] run: Run, #[case] verdict: Verdict, #[case] level: Option<u8>) {
    let record = run.record();
    assert_eq!(
        (record.verdict, record.level),
        (verdict, level),
        "{}",
        record.verdict_reason
    );
}

#[test]
fn the_reason_names_the_cause() {
    let reasons = |run: Run| {
        let record = run.record();
        format!("{}\n{}", record.verdict_reason, record.level_reason)
    };
    insta::assert_snapshot!(reasons(sample::all_pass()), @"
    install, upgrade, backup, restore, custom, fresh passed, 11 assertions
    every rung passed
    ");
    insta::assert_snapshot!(reasons(sample::upgrade_failed()), @"
    upgrade failed: the update of service app was rolled back: the new task never became healthy
    upgrade failed: the update of service app was rolled back: the new task never became healthy
    ");
    insta::assert_snapshot!(reasons(sample::no_deployable_base()), @"
    install, backup, restore, custom passed, 7 assertions; not verified: upgrade (base 1.10.0+1.28.0 can't be deployed: no such image docker.example/nginx:1.28)
    upgrade was not verified: base 1.10.0+1.28.0 can't be deployed: no such image docker.example/nginx:1.28
    ");
    insta::assert_snapshot!(reasons(sample::not_backup_capable()), @"
    install, upgrade, custom, fresh passed, 7 assertions; does not apply: backup, restore
    backup does not apply: no service has the label backupbot.backup
    ");
    insta::assert_snapshot!(reasons(sample::cancelled()), @"
    cancelled by the CI engine
    upgrade was not verified: it began and never ended, for the run was cancelled
    ");
    insta::assert_snapshot!(reasons(sample::residue()), @"
    teardown: left behind: volume cust-0f3a9c_ci_test_content
    every rung passed
    ");
    insta::assert_snapshot!(reasons(sample::no_functional_tests()), @"
    install, upgrade, backup, restore, fresh passed, 10 assertions; not verified: custom (the recipe has no functional tests of its own)
    custom was not verified: the recipe has no functional tests of its own
    ");
}

#[rstest]
#[case::fail_wins(&[Outcome::error("e"), Outcome::fail("f"), Outcome::Pass], "fail")]
#[case::then_error(&[Outcome::unverified(Cause::Fail, "u"), Outcome::error("e")], "error")]
#[case::then_unverified(&[Outcome::Pass, Outcome::unverified(Cause::Error, "u"), Outcome::skip("s")], "unverified")]
#[case::absent_is_not_hidden(&[Outcome::Pass, Outcome::unverified(Cause::Absent, "u")], "unverified")]
#[case::a_skip_beside_a_pass(&[Outcome::skip("s"), Outcome::Pass], "pass")]
#[case::skips_alone_assert_nothing(&[Outcome::skip("s"), Outcome::skip("s")], "error")]
#[case::nothing(&[], "error")]
fn a_tier_whose_operation_passed(#[case] tests: &[Outcome], #[case] status: &str) {
    let mut run = Run::whole();
    run.operation(Tier::Install, Outcome::Pass, 10);
    for (number, outcome) in tests.iter().enumerate() {
        run.test(
            Tier::Install,
            Source::Generic,
            &format!("test_{number}"),
            outcome.clone(),
        );
    }
    let record = run.end(&[], true).record();
    assert_eq!(tier(&record, Tier::Install).word(), status);
}

#[test]
fn the_trial_that_performs_the_operation_is_no_assertion() {
    let mut run = Run::of(&[Tier::Install]);
    run.operation(Tier::Install, Outcome::Pass, 10)
        .test(
            Tier::Install,
            Source::Generic,
            "1_install::0_deploy",
            Outcome::Pass,
        )
        .end(&[], true);
    let record = run.record();
    assert_eq!(
        tier(&record, Tier::Install),
        &Outcome::error("nothing was asserted")
    );
    assert_eq!(record.verdict, Verdict::Error);
}

#[test]
fn a_test_without_an_operation_proves_nothing() {
    let mut run = Run::of(&[Tier::Install]);
    run.test(
        Tier::Install,
        Source::Generic,
        "services_converged",
        Outcome::Pass,
    )
    .end(&[], true);
    assert_eq!(
        tier(&run.record(), Tier::Install),
        &Outcome::error("its operation never reported back")
    );
}

#[test]
fn a_test_that_ended_without_a_word_is_an_error() {
    let mut run = Run::of(&[Tier::Install]);
    run.good(Tier::Install, 10)
        .push(trial_started(Tier::Install, Source::Overlay, "killed"))
        .end(&[], false);
    let record = run.record();
    assert_eq!(record.verdict, Verdict::Error);
    assert_eq!(
        record.verdict_reason,
        "install met an error: killed: it began, and ended without a word"
    );
}

#[rstest]
#[case::not_cancelled(false, Verdict::Error, Outcome::error("it was planned and never came"))]
#[case::cancelled(
    true,
    Verdict::Cancelled,
    Outcome::unverified(
        Cause::Error,
        "it was planned and never came, for the run was cancelled"
    )
)]
fn a_planned_trial_that_never_came(
    #[case] cancelled: bool,
    #[case] verdict: Verdict,
    #[case] outcome: Outcome,
) {
    let mut run = Run::of(&[Tier::Install]);
    run.events[0].kind = sample::started(
        &[Tier::Install],
        vec![PlannedTrial {
            tier: Tier::Install,
            name: "lost".to_owned(),
            source: Source::Overlay,
        }],
    );
    run.good(Tier::Install, 10);
    if cancelled {
        run.push(EventKind::CancelRequested {
            by: "a person".to_owned(),
        });
    }
    let record = run.end(&[], true).record();
    assert_eq!(record.verdict, verdict);
    let install = record.tier(Tier::Install).unwrap();
    assert_eq!(install.tests.last().unwrap().outcome, outcome);
}

#[test]
fn a_runner_that_failed_over_a_green_record_is_a_fault() {
    let mut run = Run::of(&[Tier::Install]);
    let record = run.good(Tier::Install, 10).end(&[], false).record();
    assert_eq!(record.faults[0].kind, RunFaultKind::RunnerFailed);
    assert_eq!(record.verdict, Verdict::Error);
    assert_eq!(
        record.verdict_reason,
        "the runner failed (exit 100) though everything in the record is green"
    );
}

#[test]
fn a_partial_run_has_no_level() {
    let mut run = Run::of(&[Tier::Install, Tier::Upgrade]);
    run.good(Tier::Install, 10)
        .good(Tier::Upgrade, 10)
        .lint(Outcome::Pass)
        .end(&[], true);
    let record = run.record();
    assert_eq!((record.verdict, record.level), (Verdict::Pass, None));
    assert_eq!(
        record.level_reason,
        "a partial run has no level: without backup, restore, custom"
    );
    assert!(
        record.tier(Tier::Fresh).is_none(),
        "fresh does not apply to a partial run"
    );
}

#[test]
fn a_run_of_custom_alone_passes_by_what_it_asserted_and_has_no_level() {
    let mut run = Run::of(&[Tier::Custom]);
    run.operation(Tier::Install, Outcome::Pass, 10);
    let record = run.functional().end(&[], true).record();
    assert_eq!(record.verdict, Verdict::Pass, "{}", record.verdict_reason);
    assert_eq!(record.level, None);
}

#[test]
fn a_filter_that_narrows_a_whole_run_asks_for_what_is_left() {
    let mut run = Run::whole();
    run.operation(Tier::Install, Outcome::Pass, 10)
        .operation(Tier::Custom, Outcome::Pass, 1)
        .functional();
    let tiers = Tier::ALL.into_iter().filter(|tier| *tier != Tier::Custom);
    run.push(EventKind::Narrowed {
        tiers: tiers.collect(),
    });
    let record = run.end(&[], true).record();
    assert_eq!(record.verdict, Verdict::Pass, "{}", record.verdict_reason);
    assert_eq!(record.tiers_asked, [Tier::Custom]);
    assert_eq!(record.level, None);
}

#[test]
fn without_install_every_tier_that_was_asked_for_has_to_stand() {
    let mut run = Run::of(&[Tier::Upgrade, Tier::Custom]);
    run.functional()
        .blocked(Tier::Upgrade, Cause::Base, "no base can be deployed");
    let record = run.end(&[], true).record();
    assert_eq!(record.verdict, Verdict::Error);
    assert_eq!(
        record.verdict_reason,
        "nothing is proven: upgrade was not verified: no base can be deployed"
    );
}

#[test]
fn skips_alone_prove_nothing() {
    let mut run = Run::of(&[Tier::Backup]);
    run.operation(Tier::Backup, Outcome::skip("not backup-capable"), 1);
    let record = run.end(&[], true).record();
    assert_eq!(record.verdict, Verdict::Error);
    assert_eq!(
        record.verdict_reason,
        "install was not asked for, and nothing else was asserted; ask for install too"
    );
}

#[test]
fn a_kept_run_has_its_verdict_and_a_teardown_that_is_still_to_come() {
    let mut run = Run::whole();
    for tier in [
        Tier::Install,
        Tier::Upgrade,
        Tier::Backup,
        Tier::Restore,
        Tier::Fresh,
    ] {
        run.good(tier, 10);
    }
    run.functional().push(EventKind::Kept {
        reason: "kept until it is reaped".to_owned(),
    });
    let kept = run.record();
    assert_eq!(kept.verdict, Verdict::Pass, "{}", kept.verdict_reason);
    assert_eq!(
        kept.teardown.outcome,
        Outcome::skip("kept until it is reaped")
    );
    run.push(EventKind::TeardownStarted);
    assert_eq!(run.record().verdict, Verdict::Error);
    let over = run.end(&[], true).record();
    assert_eq!(over.verdict, Verdict::Pass);
    assert_eq!(over.teardown.outcome, Outcome::Pass);
}

#[test]
fn a_failed_operation_of_a_tier_not_asked_for_still_fails() {
    let mut run = Run::of(&[Tier::Custom]);
    run.operation(Tier::Install, Outcome::fail("crash loop"), 10)
        .end(&[], false);
    assert_eq!(run.record().verdict, Verdict::Fail);
}

#[test]
fn an_upgrade_without_a_fresh_install_of_head_blocks_install() {
    let mut run = Run::whole();
    run.good(Tier::Install, 10)
        .good(Tier::Upgrade, 10)
        .good(Tier::Backup, 10)
        .good(Tier::Restore, 10)
        .functional()
        .lint(Outcome::Pass)
        .end(&[], true);
    let record = run.record();
    assert_eq!((record.verdict, record.level), (Verdict::Error, Some(0)));
    assert_eq!(
        record.verdict_reason,
        "fresh met an error: its operation never reported back"
    );
}

#[test]
fn a_failed_fresh_install_is_a_failure_and_blocks_install() {
    let mut run = sample::all_pass();
    run.push(trial_ended(
        Tier::Fresh,
        Source::Generic,
        "head_installs",
        Outcome::fail("500"),
    ));
    let record = run.record();
    assert_eq!((record.verdict, record.level), (Verdict::Fail, Some(0)));
    assert_eq!(record.level_reason, "fresh failed: head_installs: 500");
}

#[test]
fn silence_after_a_failed_install_is_unverified_with_the_cause() {
    let mut run = Run::whole();
    run.operation(Tier::Install, Outcome::fail("crash loop"), 10)
        .end(&[], false);
    let record = run.record();
    assert_eq!(record.verdict_reason, "install failed: crash loop");
    assert_eq!(
        tier(&record, Tier::Restore),
        &Outcome::unverified(Cause::Fail, "install failed")
    );
    assert_eq!(
        tier(&record, Tier::Custom),
        &Outcome::unverified(Cause::Fail, "install failed")
    );
}

#[test]
fn functional_tests_that_were_all_skipped_are_an_error() {
    let mut run = Run::of(&[Tier::Install, Tier::Custom]);
    run.good(Tier::Install, 10)
        .test(Tier::Custom, Source::Generic, "answers", Outcome::Pass)
        .test(
            Tier::Custom,
            Source::Custom,
            "login",
            Outcome::skip("no provider"),
        )
        .end(&[], true);
    let record = run.record();
    assert_eq!(
        record.verdict_reason,
        "custom met an error: nothing was asserted: every test was skipped (login: no provider)"
    );
}

#[test]
fn generic_tests_alone_are_not_functional() {
    let mut run = sample::no_functional_tests();
    run.test(Tier::Custom, Source::Generic, "answers", Outcome::Pass);
    let record = run.record();
    assert_eq!(tier(&record, Tier::Custom).word(), "unverified");
    assert_eq!(record.level, Some(3));
}

#[test]
fn a_lost_session_is_named_before_its_symptoms() {
    let mut run = Run::whole();
    run.push(EventKind::OperationStarted {
        tier: Tier::Install,
    })
    .push(EventKind::SessionLost {
        reason: "the keeper was killed".to_owned(),
    })
    .end(&[], false);
    let record = run.record();
    assert_eq!(record.verdict, Verdict::Error);
    assert_eq!(
        record.verdict_reason,
        "the session was lost: the keeper was killed"
    );
}
