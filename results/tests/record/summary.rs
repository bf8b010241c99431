//! The one line that a run ends with, written and read back.

use proptest::prelude::*;
use results::event::EventKind;
use results::evidence::{Evidence, Part};
use results::summary::{LONGEST, PREFIX, Row, Summary, SummaryError};
use results::{Outcome, Record, Source, Tier, Verdict, compare};
use rstest::rstest;
use serde_json::{Value, json};

use crate::sample;

const LOG: &str = "evidence/custom/log-app.txt";

/// A run of a pull request whose test `login` failed, where it passed before.
fn failed() -> Record {
    let mut run = sample::all_pass();
    run.push(EventKind::TrialEnded {
        tier: Tier::Custom,
        name: "login".to_owned(),
        source: Source::Custom,
        outcome: Outcome::fail("login answers 502, and not 200"),
        duration_ms: 1,
        evidence: vec![LOG.to_owned()],
    });
    let mut record = run.record();
    let mut before = sample::all_pass();
    before.test(Tier::Custom, Source::Custom, "login", Outcome::Pass);
    record.comparison = compare::compare(&record, &[before.record()], 0);
    record
}

fn log(path: &str) -> Option<Evidence> {
    let lines: Vec<_> = (1..=100).map(|n| format!("line {n}")).collect();
    (path == LOG).then(|| Evidence::Text {
        text: lines.join("\n"),
        part: Part::Whole,
    })
}

fn summary() -> Summary {
    Summary::of(&failed(), &log).unwrap()
}

#[test]
fn a_summary_holds_what_a_short_report_says() {
    let summary = summary();
    let rows: Vec<_> = summary
        .rows
        .iter()
        .map(|row| format!("{} {} {}", row.name, row.status, row.duration_ms))
        .collect();
    assert_eq!(
        rows,
        [
            "install pass 3440",
            "upgrade pass 8040",
            "backup pass 540",
            "restore pass 440",
            "custom fail 121",
            "fresh pass 3340",
            "lint pass 0",
            "teardown pass 600"
        ]
    );
    assert_eq!(summary.verdict, Verdict::Fail);
    assert_eq!(summary.head.as_ref().unwrap().as_str(), sample::HEAD);
    assert_eq!((summary.pr, summary.partial), (7, false));
    assert_eq!(summary.target.as_deref(), Some("main"));
    assert!(
        summary.news[1].starts_with("newly red: custom::login"),
        "{:?}",
        summary.news
    );
    let first = summary.first.unwrap();
    assert_eq!(
        (first.tier, first.test.as_deref(), first.path.as_deref()),
        (Tier::Custom, Some("login"), Some(LOG))
    );
    let lines = first.lines.unwrap();
    assert_eq!(lines.lines().count(), 40);
    assert!(lines.starts_with("line 61\n") && lines.ends_with("line 100"));
}

#[rstest]
#[case::failed(failed())]
#[case::passed(sample::all_pass().record())]
#[case::cancelled(sample::cancelled().record())]
#[case::skips(sample::not_backup_capable().record())]
#[case::partial(sample::Run::of(&[Tier::Install]).record())]
fn a_line_reads_back_as_what_was_written(#[case] record: Record) {
    let summary = Summary::of(&record, &log).unwrap();
    let line = summary.to_line();
    assert_eq!(line.lines().count(), 1);
    assert_eq!(Summary::parse_line(&line).unwrap(), summary);
    assert_eq!(
        Summary::parse_line(&format!("  {line}\r\n")).unwrap(),
        summary
    );
    assert_eq!(summary.verdict, record.verdict);
    assert_eq!(
        summary.partial,
        record.tiers_asked.len() < Tier::NAMED.len()
    );
}

#[test]
fn a_record_without_a_run_id_has_no_summary() {
    let record = Record::from_events(&[]);
    assert!(Summary::of(&record, &|_| None).is_none());
}

/// The same line with one thing changed.
fn changed(path: &str, to: Value) -> String {
    let line = summary().to_line();
    let mut value: Value = serde_json::from_str(line.strip_prefix(PREFIX).unwrap()).unwrap();
    *value.pointer_mut(path).unwrap() = to;
    format!("{PREFIX}{value}")
}

#[rstest]
#[case::no_prefix("{}".to_owned(), "does not begin with")]
#[case::empty(String::new(), "does not begin with")]
#[case::no_json(format!("{PREFIX}{{\"schema\":1"), "not JSON")]
#[case::deep(format!("{PREFIX}{}", "[".repeat(9_000)), "not JSON")]
#[case::no_schema(format!("{PREFIX}{{}}"), "schema (none)")]
#[case::newer(changed("/schema", json!(2)), "schema 2,")]
#[case::schema_is_a_book(changed("/schema", json!("x".repeat(9_000))), "schema \"xxxxxxxxxxxxxx…,")]
#[case::no_summary(format!("{PREFIX}{{\"schema\":1}}"), "not one of schema 1")]
#[case::run(changed("/run_id", json!("../x")), "not one of schema 1")]
#[case::commit(changed("/ref", json!("main")), "not one of schema 1")]
#[case::verdict(changed("/verdict", json!("fine")), "not one of schema 1")]
#[case::level(changed("/level", json!(6)), "level 6")]
#[case::long(changed("/news/0", json!("x".repeat(LONGEST))), "at most 16384 bytes")]
fn what_is_no_summary_is_refused(#[case] line: String, #[case] why: &str) {
    let error = Summary::parse_line(&line).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn a_field_that_is_new_is_let_pass() {
    let line = summary().to_line().replacen('{', "{\"new\":[1],", 1);
    assert_eq!(Summary::parse_line(&line).unwrap(), summary());
}

#[test]
fn the_last_line_counts_and_no_other() {
    let old = changed("/run_id", json!("old"));
    let new = summary().to_line();
    let log = |last: &str| format!("{old}\nbuilding\n{last}\n+ exit 1\n");
    let last_in = |log: &str| Summary::last_in(log.lines());
    let found = last_in(&log(&new)).unwrap().unwrap();
    assert_eq!(found.run_id.as_str(), "custom-html-7f3a");
    assert!(last_in("building\ndone").unwrap().is_none());
    let torn = last_in(&log(&new[..100]));
    assert!(matches!(torn, Err(SummaryError::NotJson(_))), "{torn:?}");
}

const HOSTILE: &str = "\u{1b}[31m\u{1b}]0;owned\u{7}a\0b\u{202e}c\u{200b}\r\nd\te\u{9b}2J";

/// What is read is as inert as what is written.
#[test]
fn texts_of_a_log_are_made_inert_again() {
    for path in [
        "/recipe",
        "/verdict_reason",
        "/level_reason",
        "/rows/0/name",
        "/rows/0/status",
        "/rows/4/reason",
        "/first/test",
        "/first/reason",
        "/first/path",
        "/first/lines",
        "/news/0",
        "/target",
    ] {
        let read = Summary::parse_line(&changed(path, json!(HOSTILE))).unwrap();
        let value = serde_json::to_value(&read).unwrap();
        let text = value.pointer(path).unwrap().as_str().unwrap();
        let bad = |c: char| {
            c.is_control() && (c != '\n' || path != "/first/lines")
                || matches!(c, '\u{200b}' | '\u{202e}')
        };
        assert!(
            !text.contains(bad) && text.contains('d'),
            "{path}: {text:?}"
        );
        assert_eq!(Summary::parse_line(&read.to_line()).unwrap(), read);
    }
}

/// A summary of which every text is as long as may be, in characters that take the most bytes.
fn largest(text: &str) -> Summary {
    let mut summary = summary();
    let text = || text.repeat(5_000);
    let row = Row {
        name: text(),
        status: text(),
        duration_ms: u64::MAX,
        reason: Some(text()),
    };
    summary.run_id = "r".repeat(80).parse().unwrap();
    summary.recipe = text();
    summary.pr = u64::MAX;
    summary.verdict_reason = text();
    summary.level_reason = text();
    summary.elapsed_ms = u64::MAX;
    summary.rows = vec![row; 100];
    summary.news = vec![text(); 100];
    summary.target = Some(text());
    summary.cancelled_by = Some(text());
    let first = summary.first.as_mut().unwrap();
    first.test = Some(text());
    first.reason = text();
    first.path = Some(text());
    first.lines = Some(vec![text(); 100].join("\n"));
    summary
}

#[rstest]
#[case("x")]
#[case("\"")]
#[case("\\")]
#[case("\u{10ffff}")]
#[case("😀")]
fn a_line_is_bounded_whatever_it_holds(#[case] text: &str) {
    let summary = largest(text);
    let line = summary.to_line();
    assert!(line.len() <= LONGEST, "{} bytes", line.len());
    let read = Summary::parse_line(&line).unwrap();
    assert_eq!(read.rows.len(), 8);
    assert!(read.verdict_reason.ends_with('…'));
    assert_eq!(read.verdict_reason.chars().count(), 500);
}

#[test]
fn lines_go_before_news() {
    let mut summary = summary();
    summary.first.as_mut().unwrap().lines = Some(vec!["😀".repeat(200); 40].join("\n"));
    let read = Summary::parse_line(&summary.to_line()).unwrap();
    assert_eq!(read.news, summary.news);
    let lines = read.first.unwrap().lines.unwrap();
    assert!((5..40).contains(&lines.lines().count()), "{lines}");
}

proptest! {
    #[test]
    fn no_line_makes_the_reader_panic(text in "(cc-ci-summary: )?\\PC{0,200}") {
        let _ = Summary::last_in(text.lines());
    }

    #[test]
    fn any_text_comes_through_a_line_unchanged_once_it_is_clean(text in any::<String>()) {
        let mut summary = summary();
        summary.verdict_reason = text.clone();
        summary.news = vec![text.clone()];
        summary.first.as_mut().unwrap().lines = Some(text);
        let once = Summary::parse_line(&summary.to_line()).unwrap();
        prop_assert_eq!(Summary::parse_line(&once.to_line()).unwrap(), once);
    }
}
