use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use results::event::EventKind;
use results::{EventLog, Follow, Record, Verdict, read_events};

use crate::sample::all_pass;

fn append_raw(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

fn note(text: &str) -> EventKind {
    EventKind::Note {
        tier: None,
        text: text.to_owned(),
    }
}

fn notes(events: &[results::Event]) -> Vec<&str> {
    events
        .iter()
        .map(|event| match &event.kind {
            EventKind::Note { text, .. } => text.as_str(),
            _ => "another event",
        })
        .collect()
}

#[test]
fn a_run_reads_back_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let log = EventLog::create(&path).unwrap();
    let run = all_pass();
    for event in &run.events {
        log.append(event).unwrap();
    }
    let (events, problems) = read_events(&path).unwrap();
    assert_eq!((events, problems), (run.events, vec![]));
}

#[test]
fn a_run_starts_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    EventLog::open(&path).unwrap_err();
    EventLog::create(&path).unwrap();
    EventLog::create(&path).unwrap_err();
    EventLog::open(&path).unwrap();
}

#[test]
fn a_cut_last_line_is_a_problem_and_does_not_spoil_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    EventLog::create(&path)
        .unwrap()
        .record(note("one"))
        .unwrap();
    append_raw(&path, br#"{"at":"2026-03-01T12:00:00Z","event":"no"#);

    let (events, problems) = read_events(&path).unwrap();
    assert_eq!(notes(&events), ["one"]);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].line, 2);

    // Whoever goes on after the crash is not taken for the rest of the cut line.
    EventLog::open(&path).unwrap().record(note("two")).unwrap();
    let (events, problems) = read_events(&path).unwrap();
    assert_eq!(notes(&events), ["one", "two"]);
    assert_eq!(problems.len(), 1);
}

#[test]
fn a_whole_last_line_without_its_end_counts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    EventLog::create(&path)
        .unwrap()
        .record(note("one"))
        .unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, bytes.trim_ascii_end()).unwrap();
    let (events, problems) = read_events(&path).unwrap();
    assert_eq!((notes(&events), problems), (vec!["one"], vec![]));
}

#[test]
fn an_unreadable_line_makes_a_green_run_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let log = EventLog::create(&path).unwrap();
    let run = all_pass();
    for (number, event) in run.events.iter().enumerate() {
        if number == 3 {
            append_raw(&path, b"\xff\xfe not an event\n\n");
        }
        log.append(event).unwrap();
    }
    let (events, problems) = read_events(&path).unwrap();
    assert_eq!(events, run.events);
    assert_eq!(problems[0].line, 4);
    assert_eq!(Record::from_events(&events).verdict, Verdict::Pass);
    let record = Record::from_log(&events, &problems);
    assert_eq!(record.verdict, Verdict::Error);
    assert!(
        record
            .verdict_reason
            .starts_with("line 4 of the events can't be read"),
        "{}",
        record.verdict_reason
    );
}

#[test]
fn a_follower_gets_each_whole_line_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let mut follow = Follow::new(&path);
    assert_eq!(
        follow.poll().unwrap(),
        (vec![], vec![]),
        "the run has not begun"
    );

    let log = EventLog::create(&path).unwrap();
    log.record(note("one")).unwrap();
    log.record(note("two")).unwrap();
    assert_eq!(notes(&follow.poll().unwrap().0), ["one", "two"]);
    assert_eq!(follow.poll().unwrap(), (vec![], vec![]));

    let line = br#"{"at":"2026-03-01T12:00:00Z","event":"note","tier":null,"text":"three"}"#;
    append_raw(&path, &line[..30]);
    assert_eq!(follow.poll().unwrap(), (vec![], vec![]), "half a line");
    append_raw(&path, &line[30..]);
    append_raw(&path, b"\nrubbish\n");
    let (events, problems) = follow.poll().unwrap();
    assert_eq!(notes(&events), ["three"]);
    assert_eq!(problems[0].line, 4);
}

#[test]
fn many_writers_do_not_mix_their_lines() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    EventLog::create(&path).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let path = &path;
            scope.spawn(move || {
                let log = EventLog::open(path).unwrap();
                for number in 0..100 {
                    let text = format!("{writer} {number} {}", "x".repeat(number * 50));
                    log.record(note(&text)).unwrap();
                }
            });
        }
    });
    let (events, problems) = read_events(&path).unwrap();
    assert_eq!((events.len(), problems), (800, vec![]));
}
