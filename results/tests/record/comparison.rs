//! What a pull request's run says of the target branch's runs.

use std::fs;
use std::path::Path;

use results::compare::{Comparison, compare, is_of_target};
use results::event::{Event, EventKind};
use results::table::{self, Colour};
use results::{Outcome, Record, Source, Tier, Verdict, history, write_all};
use rstest::rstest;

use crate::sample::{self, BASE, Run};

/// The run as one of the target branch: no pull request, and the tip is what was tested.
fn of_main(run: Run, run_id: &str) -> Record {
    let mut record = run.record();
    record.run_id = run_id.to_owned();
    record.pr = 0;
    let head = record.head.clone().unwrap();
    record.target.as_mut().unwrap().tip = head;
    record
}

/// The same run, begun an hour later.
fn later(mut run: Run) -> Run {
    for Event { at, .. } in &mut run.events {
        *at += jiff::SignedDuration::from_hours(1);
    }
    run
}

fn ending(mut run: Run, tier: Tier, name: &str, outcomes: &[Outcome], ms: u64) -> Run {
    for outcome in outcomes {
        run.push(EventKind::TrialEnded {
            tier,
            name: name.to_owned(),
            source: Source::Custom,
            outcome: outcome.clone(),
            duration_ms: ms,
            evidence: Vec::new(),
        });
    }
    run
}

fn with_test(outcomes: &[Outcome], ms: u64) -> Run {
    ending(sample::all_pass(), Tier::Custom, "login", outcomes, ms)
}

/// What is news, in a line.
fn news(comparison: &Comparison) -> String {
    let red = comparison
        .newly_red
        .iter()
        .map(|c| format!("red {}", c.what));
    let green = comparison.newly_green.iter();
    let green = green.map(|c| format!("green {}", c.what));
    let slower = comparison
        .slower
        .iter()
        .map(|s| format!("slower {}", s.what));
    red.chain(green)
        .chain(slower)
        .collect::<Vec<_>>()
        .join(", ")
}

#[test]
fn what_is_of_the_target_branch_is_tied_to_its_tip() {
    let pull = sample::all_pass().record();
    assert!(!is_of_target(&pull));
    let main = of_main(sample::all_pass(), "main-1");
    assert!(is_of_target(&main));
    let mut branch = main.clone();
    branch.target.as_mut().unwrap().tip = BASE.to_owned();
    assert!(!is_of_target(&branch), "another commit than the tip");
    let mut unknown = main.clone();
    unknown.target = None;
    assert!(!is_of_target(&unknown), "a record of an older program");
    assert_eq!(compare(&main, &[], 0), None);
    assert_eq!(compare(&unknown, &[main], 0), None);
}

#[rstest]
#[case::newly_red(Outcome::Pass, Outcome::fail("401"), 10, 10, "red custom::login")]
#[case::an_error_is_red(Outcome::Pass, Outcome::error("x"), 10, 10, "red custom::login")]
#[case::newly_green(Outcome::fail("401"), Outcome::Pass, 10, 10, "green custom::login")]
#[case::red_in_both(Outcome::fail("401"), Outcome::fail("500"), 10, 10, "")]
#[case::a_symptom_is_no_news(
    Outcome::Pass,
    Outcome::unverified(results::Cause::Fail, "x"),
    10,
    10,
    ""
)]
#[case::slower(Outcome::Pass, Outcome::Pass, 4_000, 6_100, "slower custom::login")]
#[case::by_half_is_not_more(Outcome::Pass, Outcome::Pass, 4_000, 6_000, "")]
#[case::below_the_floor(Outcome::Pass, Outcome::Pass, 40, 70, "")]
#[case::a_second_more_is_not_half(Outcome::Pass, Outcome::Pass, 60_000, 61_500, "")]
#[case::slow_and_red_is_red(Outcome::Pass, Outcome::fail("late"), 10, 60_000, "red custom::login")]
fn one_test_in_both_runs(
    #[case] before: Outcome,
    #[case] now: Outcome,
    #[case] before_ms: u64,
    #[case] now_ms: u64,
    #[case] expected: &str,
) {
    let main = of_main(with_test(&[before], before_ms), "main-1");
    let record = with_test(&[now], now_ms).record();
    let comparison = compare(&record, &[main], 0).unwrap();
    assert_eq!(news(&comparison), expected);
    assert_eq!(comparison.with.unwrap().run_id, "main-1");
}

#[test]
fn a_test_on_one_side_only_is_no_news() {
    let main = of_main(sample::all_pass(), "main-1");
    let record = with_test(&[Outcome::fail("401")], 10).record();
    let comparison = compare(&record, &[main], 0).unwrap();
    assert_eq!(news(&comparison), "");
}

#[test]
fn a_run_that_says_nothing_of_the_recipe_is_not_compared_with_and_counts_in_the_history() {
    let mut broken = of_main(with_test(&[Outcome::error("no space")], 10), "main-3");
    broken.verdict = Verdict::Error;
    let flaky = of_main(
        with_test(&[Outcome::fail("502"), Outcome::Pass], 10),
        "main-2",
    );
    let good = of_main(sample::all_pass(), "main-1");
    let record = with_test(&[Outcome::Pass], 10).record();
    let comparison = compare(&record, &[broken, flaky, good], 0).unwrap();
    assert_eq!(comparison.with.unwrap().run_id, "main-2");
    assert_eq!(comparison.runs, 3);
    let [login] = &comparison.history[..] else {
        panic!("{:?}", comparison.history);
    };
    assert_eq!(
        (login.what.as_str(), login.red, login.flaky, login.runs),
        ("custom::login", 1, 1, 2)
    );
}

#[test]
fn a_comparison_changes_no_verdict_and_is_shown() {
    let main = of_main(with_test(&[Outcome::Pass], 10), "main-1");
    let red = of_main(with_test(&[Outcome::fail("401")], 10), "main-0");
    let mut record = with_test(&[Outcome::fail("401")], 10).record();
    let before = record.clone();
    record.comparison = compare(&record, &[main, red], 2);
    assert_eq!(
        (record.verdict, &record.verdict_reason, record.level),
        (before.verdict, &before.verdict_reason, before.level)
    );
    let table = table::render(&record, Colour::Never, &|_| None, None);
    let (_, news) = table.split_once("\n  news\n").unwrap();
    insta::assert_snapshot!(news, @"
    compared with run main-1 of main (4be1c2d9a077, pass)
    newly red: custom::login (pass there, fail here)
    custom::login was red in 1 of the last 2 runs of main
    2 records of earlier runs could not be read
    ");
    let page = results::html::render(&record, &|_| None);
    assert!(
        page.contains("newly red: custom::login (pass there, fail here)"),
        "{page}"
    );
}

#[test]
fn without_a_run_of_the_branch_there_is_nothing_to_compare_with() {
    let mut record = sample::all_pass().record();
    record.comparison = compare(&record, &[], 0);
    let table = table::render(&record, Colour::Never, &|_| None, None);
    assert!(
        table.contains("no run of main on this host has passed or failed yet"),
        "{table}"
    );
}

fn keep(runs: &Path, record: &Record) {
    let dir = runs.join(&record.run_id);
    fs::create_dir_all(&dir).unwrap();
    write_all(&dir, record).unwrap();
}

#[test]
fn only_runs_of_the_branch_that_were_over_before_are_looked_at() {
    let runs = tempfile::tempdir().unwrap();
    let good = of_main(sample::all_pass(), "good");
    keep(runs.path(), &good);
    let mut other = of_main(sample::all_pass(), "other");
    other.recipe = "keycloak".to_owned();
    keep(runs.path(), &other);
    keep(runs.path(), &sample::all_pass().record());
    let after = of_main(later(later(sample::upgrade_failed())), "after");
    keep(runs.path(), &after);

    let record = later(sample::all_pass()).record();
    let comparison = history::comparison(&record, runs.path()).unwrap();
    assert_eq!(comparison.with.unwrap().run_id, "good");
    assert_eq!((comparison.runs, comparison.unreadable), (1, 0));
    assert_eq!(history::comparison(&good, runs.path()), None);
    assert_eq!(
        history::comparison(&record, &runs.path().join("gone"))
            .unwrap()
            .with,
        None
    );
}

#[test]
fn the_last_run_is_the_one_that_ended_last_whenever_it_was_written() {
    let runs = tempfile::tempdir().unwrap();
    keep(
        runs.path(),
        &of_main(later(sample::upgrade_failed()), "second"),
    );
    keep(runs.path(), &of_main(sample::all_pass(), "first"));
    let record = later(later(sample::all_pass())).record();
    let comparison = history::comparison(&record, runs.path()).unwrap();
    assert_eq!(comparison.with.unwrap().run_id, "second");
}

#[test]
fn ten_runs_of_the_branch_are_enough() {
    let runs = tempfile::tempdir().unwrap();
    for number in 0..15 {
        keep(
            runs.path(),
            &of_main(sample::all_pass(), &format!("main-{number}")),
        );
    }
    let record = later(sample::all_pass()).record();
    let comparison = history::comparison(&record, runs.path()).unwrap();
    assert_eq!(comparison.runs, 10);
}

#[test]
fn records_that_can_not_be_read_are_passed_over_and_counted() {
    let runs = tempfile::tempdir().unwrap();
    keep(runs.path(), &of_main(sample::all_pass(), "good"));
    let bad = |name: &str, text: &[u8]| {
        fs::create_dir(runs.path().join(name)).unwrap();
        fs::write(runs.path().join(name).join("result.json"), text).unwrap();
    };
    bad("cut", b"{\"schema\": 1, \"run_id\": \"cut\"");
    bad("binary", &[0xff, 0, 1]);
    bad(
        "foreign",
        br#"{"schema": 2, "run_id": "foreign", "recipe": "custom-html", "pr": 0}"#,
    );
    bad(
        "shape",
        br#"{"schema": 1, "run_id": "shape", "recipe": "custom-html", "pr": 0}"#,
    );
    let copied = serde_json::to_vec(&of_main(sample::all_pass(), "good")).unwrap();
    bad("copied", &copied);
    let huge = format!("{{\"x\": \"{}\"}}", "x".repeat(9 * 1024 * 1024));
    bad("huge", huge.as_bytes());
    fs::create_dir_all(runs.path().join("folder/result.json")).unwrap();
    fs::create_dir(runs.path().join("without")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", runs.path().join("without/result.json")).unwrap();
    fs::create_dir(runs.path().join("still-running")).unwrap();

    let record = later(sample::all_pass()).record();
    let comparison = history::comparison(&record, runs.path()).unwrap();
    assert_eq!(comparison.with.unwrap().run_id, "good");
    assert_eq!((comparison.runs, comparison.unreadable), (1, 8));
}
