use std::path::Path;

use results::evidence::{Evidence, Part, of_run as evidence};
use results::write::ReadError;
use results::{Verdict, read_result, write_all};

use crate::sample;

#[test]
fn a_record_reads_back_and_its_files_are_replaced_whole() {
    let state = tempfile::tempdir().unwrap();
    let record = sample::all_pass().record();
    let dir = state.path().join(&record.run_id);
    std::fs::create_dir(&dir).unwrap();
    write_all(&dir, &sample::upgrade_failed().record()).unwrap();
    write_all(&dir, &record).unwrap();
    assert_eq!(read_result(&dir.join("result.json")).unwrap(), record);
    let mut names: Vec<_> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["junit.xml", "report.html", "result.json"],
        "no temporary file stays"
    );
}

fn error_of(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("result.json");
    std::fs::write(&path, text).unwrap();
    let error: ReadError = read_result(&path).unwrap_err();
    let dir = dir.path().display().to_string();
    error.to_string().replace(&dir, "DIR")
}

#[test]
fn what_is_no_record_says_why() {
    insta::assert_snapshot!(error_of(r#"{"schema": 2}"#), @"DIR/result.json has schema 2, and this program knows schema 1: use the program that wrote it, or a newer one");
    insta::assert_snapshot!(error_of(r#"{"verdict": "pass"}"#), @"DIR/result.json has schema (none), and this program knows schema 1: use the program that wrote it, or a newer one");
    insta::assert_snapshot!(error_of(r#"{"schema": 1}"#), @"DIR/result.json is not a record of schema 1");
    insta::assert_snapshot!(error_of("{"), @"DIR/result.json is not JSON");
    assert!(matches!(
        read_result(Path::new("/nowhere/result.json")),
        Err(ReadError::Io { .. })
    ));
}

/// A record that was copied, or a folder that was renamed: its verdict is not this run's.
#[test]
fn a_record_in_the_folder_of_another_run_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let dir = state.path().join("custom-html-other");
    std::fs::create_dir(&dir).unwrap();
    write_all(&dir, &sample::all_pass().record()).unwrap();
    let error = read_result(&dir.join("result.json")).unwrap_err();
    assert!(
        matches!(&error, ReadError::OtherRun { found, .. } if found == "custom-html-7f3a"),
        "{error}"
    );
}

/// Fields that came later are not in records that were written before.
#[test]
fn a_record_of_an_older_program_reads_back() {
    let record = sample::all_pass().record();
    let mut value = serde_json::to_value(&record).unwrap();
    let fields = value.as_object_mut().unwrap();
    for added in ["ladder", "target", "comparison"] {
        assert!(fields.remove(added).is_some(), "{added}");
    }
    let state = tempfile::tempdir().unwrap();
    let dir = state.path().join(&record.run_id);
    std::fs::create_dir(&dir).unwrap();
    let path = dir.join("result.json");
    std::fs::write(&path, value.to_string()).unwrap();
    let read = read_result(&path).unwrap();
    assert_eq!((read.verdict, read.level), (Verdict::Pass, Some(5)));
    assert!(read.ladder.is_empty() && read.comparison.is_none());
}

#[test]
fn evidence_is_the_end_of_a_file_below_the_run() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "s3cret").unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("evidence")).unwrap();
    let long: String = (0..1_000).map(|line| format!("line {line}\n")).collect();
    std::fs::write(dir.path().join("evidence/app.log"), long).unwrap();
    std::fs::write(dir.path().join("evidence/noext"), "short\n").unwrap();
    std::fs::write(dir.path().join("evidence/one-line"), "x".repeat(1 << 20)).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), dir.path().join("link")).unwrap();

    let Some(Evidence::Text {
        text,
        part: Part::End,
    }) = evidence(dir.path(), "evidence/app.log")
    else {
        panic!("a long log is text that is cut");
    };
    assert_eq!(text.lines().count(), 200);
    assert!(text.starts_with("line 800\n") && text.ends_with("line 999"));
    let log = std::fs::read(dir.path().join("evidence/app.log")).unwrap();
    std::fs::write(dir.path().join("evidence/http.txt"), log).unwrap();
    let Some(Evidence::Text {
        text,
        part: Part::Beginning,
    }) = evidence(dir.path(), "evidence/http.txt")
    else {
        panic!("of exchanges the beginning is kept");
    };
    assert!(text.starts_with("line 0\n") && text.ends_with("line 199"));
    let short = Evidence::Text {
        text: "short".to_owned(),
        part: Part::Whole,
    };
    assert_eq!(evidence(dir.path(), "evidence/noext"), Some(short));
    assert!(evidence(dir.path(), "evidence/one-line").is_some());

    let absolute = outside.path().join("secret");
    for path in [
        "link",
        "../secret",
        "evidence",
        "",
        "gone",
        absolute.to_str().unwrap(),
    ] {
        assert_eq!(evidence(dir.path(), path), None, "{path}");
    }
}
