//! `events.jsonl`, on its way into the record and before the eyes of people.

use harness::redact::Redactor;
use results::summary::{LONGEST, Summary};
use results::table::Colour;
use results::{EventKind, Outcome, Record, Verdict, html, junit, table};

/// The bytes are `events.jsonl`.
pub(crate) fn holds(bytes: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    std::fs::write(&path, bytes).unwrap();
    let (events, problems) = results::read_events(&path).unwrap();
    let lines = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty());
    assert_eq!(
        events.len() + problems.len(),
        lines.count(),
        "a line is an event or a problem"
    );
    let record = Record::from_log(&events, &problems);
    let asserted = events.iter().any(|event| {
        matches!(&event.kind, EventKind::TrialEnded { outcome: Outcome::Pass, name, .. } if !name.rsplit("::").next().unwrap_or_default().starts_with("0_"))
    });
    if record.verdict == Verdict::Pass {
        assert!(asserted, "a pass with no assertion that passed");
        assert!(
            problems.is_empty(),
            "a pass with lines that nobody could read"
        );
        assert!(results::verdict::all_green(&record));
    }
    let json = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record);
    let report = Some("report.html");
    let table = table::render(&record, Colour::Never, &|_| None, report);
    is_inert_on_a_terminal(&table);
    is_inert_in_xml(&junit::render(&record).unwrap());
    is_inert_in_a_browser(&html::render(&record, &|_| None));
    if let Some(summary) = Summary::of(&record, &|_| None) {
        let line = summary.to_line();
        assert!(line.len() <= LONGEST, "a summary of {} bytes", line.len());
        is_inert_on_a_terminal(&line);
        let read = Summary::parse_line(&line).unwrap();
        assert_eq!(read.verdict, record.verdict);
    }
    // Redacted as a stream of events is.
    let secret = "correct-horse";
    let redacted = Redactor::new([("s", secret)]).redact(&json).into_owned();
    assert!(!redacted.contains(secret));
}

fn is_inert_on_a_terminal(text: &str) {
    let bad = |c: char| c.is_control() && c != '\n';
    assert!(!text.contains(bad), "{text:?}");
}

fn is_inert_in_xml(text: &str) {
    let bad =
        |c: char| c.is_control() && c != '\n' && c != '\t' || matches!(c, '\u{fffe}' | '\u{ffff}');
    assert!(!text.contains(bad), "{text:?}");
    quick_junit::Report::deserialize_from_str(text).unwrap();
}

const ELEMENTS: [&str; 35] = [
    "!DOCTYPE", "a", "body", "code", "dd", "details", "div", "dl", "dt", "footer", "h1", "h2",
    "h3", "head", "header", "html", "li", "main", "meta", "p", "pre", "section", "span", "style",
    "summary", "table", "tbody", "td", "th", "thead", "time", "title", "tr", "ul", "ol",
];

fn is_inert_in_a_browser(page: &str) {
    for tag in page.split('<').skip(1) {
        let tag = tag.split_once('>').unwrap().0.trim_start_matches('/');
        let name = tag.split([' ', '\n']).next().unwrap_or_default();
        assert!(ELEMENTS.contains(&name), "<{tag}>");
        for (number, part) in tag.split('"').enumerate() {
            // Outside of quotes there are names of attributes only.
            assert!(number % 2 == 1 || !part.contains(" on"), "<{tag}>");
        }
        if let Some((_, href)) = tag.split_once("href=\"") {
            assert!(href.starts_with('#') || href.starts_with("./"), "<{tag}>");
        }
    }
    assert!(!page.contains("src=\""), "something is loaded");
    let bad = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!page.contains(bad));
}
