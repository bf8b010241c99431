//! What a reader of a run that is no pass sees first.

use results::event::EventKind;
use results::evidence::{Culprit, Evidence, Part, culprit};
use results::table::{self, Colour};
use results::{Outcome, Record, Source, Tier, Verdict, html};
use rstest::rstest;

use crate::sample::{self, Run};

const FILES: [&str; 2] = ["evidence/upgrade/log-app.txt", "evidence/upgrade/tasks.txt"];

/// A failed upgrade whose operation has evidence, the most relevant file first.
fn failed() -> Record {
    let mut run = sample::upgrade_failed();
    for event in &mut run.events {
        if let EventKind::OperationEnded {
            tier: Tier::Upgrade,
            evidence,
            ..
        } = &mut event.kind
        {
            *evidence = FILES.map(str::to_owned).to_vec();
        }
    }
    run.record()
}

fn text(text: &str) -> Option<Evidence> {
    Some(Evidence::Text {
        text: text.to_owned(),
        part: Part::Whole,
    })
}

fn log(path: &str) -> Option<Evidence> {
    let lines: Vec<_> = (1..=100).map(|n| format!("line {n}")).collect();
    text(&if path == FILES[0] {
        lines.join("\n")
    } else {
        "tasks".to_owned()
    })
}

#[test]
fn the_table_begins_with_the_cause_and_the_end_of_the_file_that_shows_it() {
    let table = table::render(&failed(), Colour::Never, &log, None);
    let (top, _) = table.split_once("\n\n").unwrap();
    insta::assert_snapshot!(top, @"
    custom-html  FAIL  in 46.9 s
      upgrade failed: the update of service app was rolled back: the new task never became healthy
        evidence/upgrade/log-app.txt
        | line 89
        | line 90
        | line 91
        | line 92
        | line 93
        | line 94
        | line 95
        | line 96
        | line 97
        | line 98
        | line 99
        | line 100
    ");
}

#[test]
fn the_report_shows_one_piece_and_folds_the_rest() {
    let page = html::render(&failed(), &log);
    let cause = page.find("<section id=\"cause\">").unwrap();
    assert!(cause < page.find("<section id=\"tiers\">").unwrap());
    let (piece, rest) = page[cause..].split_once("</section>").unwrap();
    assert!(piece.contains("operation of upgrade"), "{piece}");
    assert!(
        piece.contains("The end of <a href=\"./evidence/upgrade/log-app.txt\">"),
        "{piece}"
    );
    assert!(
        piece.contains("line 61\n") && piece.contains("line 100</pre>"),
        "{piece}"
    );
    assert!(
        !piece.contains("line 60\n") && !piece.contains("tasks"),
        "{piece}"
    );
    assert!(
        rest.contains("<details class=\"evidence\"><summary><code>evidence/upgrade/tasks.txt"),
        "{rest}"
    );
    assert!(!rest.contains("<details class=\"evidence\" open"), "{rest}");
}

#[test]
fn a_file_that_shows_nothing_is_passed_over() {
    let find = |path: &str| match path {
        path if path == FILES[0] => text(" \n"),
        _ => text("task failed: exit 1"),
    };
    let table = table::render(&failed(), Colour::Never, &find, None);
    assert!(
        table.contains("    evidence/upgrade/tasks.txt\n    | task failed: exit 1\n"),
        "{table}"
    );
    let none = table::render(&failed(), Colour::Never, &|_| None, None);
    assert!(!none.contains("evidence/"), "{none}");
    assert!(!html::render(&failed(), &|_| None).contains("id=\"cause\""));
}

/// The newest exchange is the first one; what it was about is its beginning.
#[test]
fn of_exchanges_the_newest_is_shown_from_its_request_on() {
    let body: String = (1..=50).map(|n| format!("body {n}\n")).collect();
    let exchanges = format!("GET https://a/\nHTTP/2.0 404\n\n{body}\n\n----\n\nGET https://old/\n");
    let mut record = failed();
    for tier in &mut record.tiers {
        if let Some(operation) = &mut tier.operation {
            operation.evidence = vec!["evidence/upgrade/http.txt".to_owned()];
        }
    }
    let find = |_: &str| text(&exchanges);
    let table = table::render(&record, Colour::Never, &find, None);
    assert!(
        table.contains("    | GET https://a/\n    | HTTP/2.0 404\n    |\n    | body 1\n"),
        "{table}"
    );
    assert!(
        !table.contains("body 10\n") && !table.contains("old"),
        "{table}"
    );
    let page = html::render(&record, &find);
    assert!(
        page.contains("The beginning of <a href=\"./evidence/upgrade/http.txt\">"),
        "{page}"
    );
}

#[test]
fn a_picture_is_shown_in_the_report_and_not_on_a_terminal() {
    let find = |_: &str| {
        Some(Evidence::Image {
            mime: "image/png",
            bytes: b"x".to_vec(),
        })
    };
    let page = html::render(&failed(), &find);
    let piece = page.split("<section id=\"cause\">").nth(1).unwrap();
    assert!(
        piece.split("</section>").next().unwrap().contains("<img "),
        "{piece}"
    );
    assert!(!table::render(&failed(), Colour::Never, &find, None).contains("| "));
}

#[test]
fn a_reason_of_several_lines_is_shown_as_it_is() {
    let mut run = sample::all_pass();
    let reason = "before_custom failed:\nTraceback\n  line 3";
    run.operation(Tier::Custom, Outcome::fail(reason), 1);
    let page = html::render(&run.record(), &|_| None);
    assert!(
        page.contains("<pre tabindex=\"0\">before_custom failed:\nTraceback\n  line 3</pre>"),
        "{page}"
    );
}

fn with_test(outcome: Outcome) -> Run {
    let mut run = sample::all_pass();
    run.push(EventKind::TrialEnded {
        tier: Tier::Custom,
        name: "login".to_owned(),
        source: Source::Custom,
        outcome,
        duration_ms: 1,
        evidence: vec!["evidence/login.http.txt".to_owned()],
    });
    run
}

fn cancelled(mut run: Run) -> Run {
    run.push(EventKind::CancelRequested {
        by: "a person".to_owned(),
    });
    run
}

#[rstest]
#[case::passed(sample::all_pass(), Verdict::Pass, None)]
#[case::operation(sample::upgrade_failed(), Verdict::Fail, Some((Tier::Upgrade, None)))]
#[case::a_test(with_test(Outcome::fail("401")), Verdict::Fail, Some((Tier::Custom, Some("login"))))]
#[case::error(with_test(Outcome::error("no space")), Verdict::Error, Some((Tier::Custom, Some("login"))))]
#[case::cancelled_after_a_failure(cancelled(with_test(Outcome::fail("401"))), Verdict::Cancelled, Some((Tier::Custom, Some("login"))))]
#[case::cancelled(cancelled(with_test(Outcome::error("gone"))), Verdict::Cancelled, None)]
#[case::residue(sample::residue(), Verdict::Error, None)]
fn the_culprit_is_what_the_verdict_speaks_of(
    #[case] run: Run,
    #[case] verdict: Verdict,
    #[case] expected: Option<(Tier, Option<&str>)>,
) {
    let record = run.record();
    assert_eq!(record.verdict, verdict, "{}", record.verdict_reason);
    let found = culprit(&record);
    assert_eq!(
        found.map(|Culprit { tier, test, .. }| (tier, test)),
        expected
    );
}

#[test]
fn an_operation_that_failed_before_its_tests_is_the_culprit() {
    let record = failed();
    let found = culprit(&record).unwrap();
    assert_eq!(
        (found.test, found.evidence),
        (None, &FILES.map(str::to_owned)[..])
    );
    assert!(matches!(found.outcome, Outcome::Fail { .. }));
}
