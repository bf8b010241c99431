//! JUnit XML of a record: a suite a tier, for tools that know nothing else.
//!
//! An operation is a case of its suite; lint, teardown and the run's own faults are suites of
//! their own, so that no red record makes a green report. `fail` is `<failure>`; `error` and what was not
//! verified because of one are `<error>`; the rest is `<skipped>`, with its reason (what was not
//! verified because of a failure, too: the failure is there already). What passed only on a later
//! try has a `<flakyFailure>` for each try before.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite};

use crate::outcome::{Cause, Outcome, Source, Verdict};
use crate::record::{Record, RetryRecord, TierRecord};
use crate::text;

/// The report as XML.
pub fn render(record: &Record) -> Result<String, quick_junit::SerializeError> {
    let name = format!("{} {}", record.recipe, record.run_id);
    let mut report = Report::new(text::line(&name));
    report.set_time(Duration::from_millis(record.elapsed_ms()));
    for tier in &record.tiers {
        report.add_test_suite(suite(tier, &record.retries));
    }
    // Lint never changes the verdict, so a finding must not turn a report red either.
    let lint = match &record.lint.outcome {
        Outcome::Pass => TestCaseStatus::success(),
        other => skipped(other),
    };
    report.add_test_suite(single("lint", "lint", lint));
    let teardown = status(&record.teardown.outcome);
    report.add_test_suite(single("teardown", "leaves nothing", teardown));
    report.add_test_suite(single("run", "verdict", verdict(record)));
    report.to_string()
}

fn suite(tier: &TierRecord, retries: &[RetryRecord]) -> TestSuite {
    let mut suite = TestSuite::new(tier.name.as_str());
    suite.set_time(Duration::from_millis(tier.duration_ms));
    if let Some(operation) = &tier.operation {
        let took = operation.duration_ms;
        let mut case = case("operation", tier, None, &operation.outcome, took);
        let retries = retries.iter().filter(|retry| retry.tier == tier.name);
        let why = |retry: &RetryRecord| Outcome::error(format!("{}: {}", retry.what, retry.why));
        let before = retries.map(|retry| rerun(&why(retry)));
        case.status.add_reruns(before);
        suite.add_test_case(case);
    }
    for test in &tier.tests {
        let (name, source) = (&test.name, Some(test.source));
        let mut case = case(name, tier, source, &test.outcome, test.duration_ms);
        case.status.add_reruns(test.earlier.iter().map(rerun));
        suite.add_test_case(case);
    }
    // What no operation and no test says: deselected, absent, nothing asserted.
    let said = tier.operation.iter().map(|operation| &operation.outcome);
    let said = said.chain(tier.tests.iter().map(|test| &test.outcome));
    if tier.outcome != Outcome::Pass
        && !said
            .into_iter()
            .any(|outcome| outcome.word() == tier.outcome.word())
    {
        suite.add_test_case(case("tier", tier, None, &tier.outcome, 0));
    }
    suite
}

fn case(
    name: &str,
    tier: &TierRecord,
    source: Option<Source>,
    outcome: &Outcome,
    duration_ms: u64,
) -> TestCase {
    let mut case = TestCase::new(text::line(name), status(outcome));
    case.set_time(Duration::from_millis(duration_ms));
    case.set_classname(match source {
        Some(source) => format!("{}.{source}", tier.name),
        None => tier.name.to_string(),
    });
    case
}

fn single(suite: &str, name: &str, status: TestCaseStatus) -> TestSuite {
    let mut single = TestSuite::new(suite);
    let mut case = TestCase::new(name, status);
    case.set_classname(suite);
    single.add_test_case(case);
    single
}

fn verdict(record: &Record) -> TestCaseStatus {
    let kind = match record.verdict {
        Verdict::Pass => return TestCaseStatus::success(),
        Verdict::Fail => NonSuccessKind::Failure,
        Verdict::Error | Verdict::Cancelled => NonSuccessKind::Error,
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(record.verdict.to_string());
    status.set_message(text::line(&record.verdict_reason));
    status
}

fn status(outcome: &Outcome) -> TestCaseStatus {
    let kind = match outcome {
        Outcome::Pass => return TestCaseStatus::success(),
        Outcome::Fail { .. } => NonSuccessKind::Failure,
        Outcome::Error { .. }
        | Outcome::Unverified {
            cause: Cause::Error,
            ..
        } => NonSuccessKind::Error,
        _ => return skipped(outcome),
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(outcome.word());
    let reason = outcome.reason().unwrap_or_default();
    status.set_message(text::line(reason));
    status.set_description(text::block(reason));
    status
}

/// A try before the one that counts.
fn rerun(outcome: &Outcome) -> TestRerun {
    let kind = match outcome {
        Outcome::Fail { .. } => NonSuccessKind::Failure,
        _ => NonSuccessKind::Error,
    };
    let mut rerun = TestRerun::new(kind);
    rerun.ty = Some(outcome.word().into());
    rerun.message = Some(text::line(outcome.reason().unwrap_or_default()).into());
    rerun
}

fn skipped(outcome: &Outcome) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_type(outcome.word());
    status.set_message(text::line(outcome.reason().unwrap_or_default()));
    status
}
