//! What a person reads of a selftest.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;
use fixtures::known_bad::Case;

use super::compare::{Difference, differences as differences_of, red_tier, tier_word};
use super::files;
use super::normal::normal;
use super::once::{Got, Place};
use crate::text::{Colour, clean};

/// How much of a reason the table shows.
const REASON: usize = 72;

/// A case that had its turn.
pub struct Ended {
    pub case: Case,
    /// An error: it never reported.
    pub got: Result<Got>,
    pub differences: Vec<Difference>,
}

impl Ended {
    pub fn new(case: Case, got: Result<Got>, place: &Place) -> Self {
        let differences = match &got {
            Ok(got) => {
                let files = files::faults(&place.run(&case), &case.expect.files);
                let files = files.unwrap_or_else(|error| vec![format!("{error:#}")]);
                differences_of(&case, got, files)
            }
            Err(error) => vec![Difference {
                what: "report",
                expected: "a record".to_owned(),
                got: format!("{error:#}"),
            }],
        };
        Self {
            case,
            got,
            differences,
        }
    }

    fn is_as_expected(&self) -> bool {
        self.differences.is_empty()
    }

    fn seconds(&self) -> String {
        match &self.got {
            Ok(got) => format!("{:.0} s", got.elapsed.as_secs_f64()),
            Err(_) => "-".to_owned(),
        }
    }
}

/// One line as soon as a case has ended.
pub fn line(one: &Ended, done: usize, total: usize) -> String {
    let word = if one.is_as_expected() {
        "as expected"
    } else {
        "DIFFERS"
    };
    format!(
        "[{done}/{total}] {}: {word}, {}",
        one.case.name,
        one.seconds()
    )
}

/// Recipe, expected, got, time, reason.
pub fn table(ended: &[Ended], elapsed: Duration) -> String {
    let rows: Vec<[String; 5]> = ended.iter().map(row).collect();
    let heads = ["recipe", "expected", "got", "time", "reason"];
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].len()]).max().unwrap_or_default()
    };
    let widths = [width(0), width(1), width(2), width(3)];
    let colour = Colour::of_stdout();
    let mut out = String::from("\n");
    for (row, one) in std::iter::once((heads.map(str::to_owned), None))
        .chain(rows.iter().cloned().zip(ended.iter().map(Some)))
    {
        let mark = match one {
            None => "        ".to_owned(),
            Some(one) if one.is_as_expected() => colour.status("ok      "),
            Some(_) => colour.status("fail    "),
        };
        let _ = writeln!(
            out,
            "{mark}{:a$}  {:b$}  {:c$}  {:>d$}  {}",
            row[0],
            row[1],
            row[2],
            row[3],
            row[4],
            a = widths[0],
            b = widths[1],
            c = widths[2],
            d = widths[3],
        );
    }
    let differ = ended.iter().filter(|one| !one.is_as_expected()).count();
    let _ = writeln!(
        out,
        "\n{} run, {differ} not as expected, {:.0} s",
        ended.len(),
        elapsed.as_secs_f64()
    );
    out
}

fn row(one: &Ended) -> [String; 5] {
    let expect = &one.case.expect;
    let (got, reason) = match &one.got {
        Ok(got) => (
            format!(
                "{} {}",
                got.record.verdict,
                tier_word(red_tier(&got.record))
            ),
            normal(&got.record.verdict_reason, &got.record),
        ),
        Err(error) => ("no report".to_owned(), format!("{error:#}")),
    };
    let reason = clean(&reason);
    let cut: String = reason.chars().take(REASON).collect();
    let more = if cut.len() < reason.len() { "…" } else { "" };
    [
        one.case.name.clone(),
        format!("{} {}", expect.verdict, tier_word(expect.tier)),
        got,
        one.seconds(),
        format!("{cut}{more}"),
    ]
}

/// All that differs, in full.
pub fn differences(ended: &[Ended], place: &Place) -> String {
    let mut out = String::new();
    for one in ended.iter().filter(|one| !one.is_as_expected()) {
        let _ = writeln!(out, "\n{}: {}", one.case.name, one.case.what);
        for Difference {
            what,
            expected,
            got,
        } in &one.differences
        {
            let _ = writeln!(out, "  {what}\n    expected: {}", clean(expected));
            let _ = writeln!(out, "    got:      {}", clean(got));
        }
        let _ = writeln!(out, "  see {}", place.run(&one.case).display());
    }
    out
}
