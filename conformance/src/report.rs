//! The rows for people: a table, and a folder with what was seen of each.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::row::{Outcome, Row};

/// A line a row, aligned, and below it what was got in its place.
pub fn table(title: &str, rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.area.len()).max().unwrap_or(0);
    let mut out = format!("{title}\n\n");
    for row in rows {
        let (word, more) = match &row.outcome {
            Outcome::Holds => ("holds", None),
            Outcome::Differs { got } => ("differs", Some(("got", got))),
            Outcome::NotRun { why } => ("not run", Some(("because", why))),
        };
        let _ = writeln!(out, "{word:<7}  {:<width$}  {}", row.area, row.what);
        if let Some((how, text)) = more {
            let text = one_line(text);
            let _ = writeln!(out, "{:<7}  {:<width$}  {how}: {text}", "", "");
        }
    }
    let count = |wanted: fn(&Outcome) -> bool| {
        let outcomes = rows.iter().map(|row| &row.outcome);
        outcomes.filter(|outcome| wanted(outcome)).count()
    };
    let holds = count(|outcome| *outcome == Outcome::Holds);
    let differs = count(|outcome| matches!(outcome, Outcome::Differs { .. }));
    let rest = rows.len() - holds - differs;
    let _ = writeln!(out, "\n{holds} hold, {differs} differ, {rest} not run");
    out
}

/// Writes `report.txt`, and a file a row, into the folder.
pub fn write(dir: &Path, report: &str, rows: &[Row]) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    fs::write(dir.join("report.txt"), report)?;
    for row in rows {
        let seconds = row.took.as_secs_f32();
        let (area, what, raw) = (row.area, row.what, &row.raw);
        let outcome = &row.outcome;
        let text = format!("{area}: {what}\n{outcome:?}\n{seconds:.1} s\n\n{raw}\n");
        fs::write(dir.join(format!("{area}.txt")), text)?;
    }
    Ok(())
}

/// Nothing in it steers a terminal.
fn one_line(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let clean: String = clean.collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rows() -> Vec<Row> {
        let row = |area, what, outcome| Row {
            area,
            what,
            outcome,
            raw: "raw".to_owned(),
            took: Duration::from_secs(1),
        };
        let got = "no\u{1b}[2J\nsuch".to_owned();
        let why = "`deploy` does not hold".to_owned();
        vec![
            row("lint", "It is clean.", Outcome::Holds),
            row("deploy", "It is deployed.", Outcome::Differs { got }),
            row("converge", "It runs.", Outcome::NotRun { why }),
        ]
    }

    #[test]
    fn the_table_lines_up_and_says_what_came_in_place() {
        insta::assert_snapshot!(table("stack", &rows()), @"
        stack

        holds    lint      It is clean.
        differs  deploy    It is deployed.
                           got: no [2J such
        not run  converge  It runs.
                           because: `deploy` does not hold

        1 hold, 1 differ, 1 not run
        ");
    }

    #[test]
    fn the_folder_has_the_report_and_a_file_a_row() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("doctor");
        write(&folder, "all of it", &rows()).unwrap();
        let report = std::fs::read_to_string(folder.join("report.txt")).unwrap();
        assert_eq!(report, "all of it");
        let row = std::fs::read_to_string(folder.join("lint.txt")).unwrap();
        assert_eq!(row, "lint: It is clean.\nHolds\n1.0 s\n\nraw\n");
    }
}
