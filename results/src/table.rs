//! What a run ends with on a terminal: a table that one reads at a glance.
//!
//! Must not know: whether there is a terminal. Every text from outside is made inert first.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::evidence::{Evidence, Find, culprit, first_shown, piece};
use crate::outcome::{Outcome, Verdict};
use crate::record::{Record, Rung, RungState, TestRecord, TierRecord};
use crate::remarks::{news, remarks, rung_reason, tests_cell};
use crate::text::{block, count, duration, line, short};
use crate::verdict::say_outcome;

/// How much of a file is shown.
const PIECE_LINES: usize = 12;
const PIECE_WIDTH: usize = 160;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Never,
    Always,
}

/// The table. `find` gives evidence; `report` is where the report lies, as people can paste it.
pub fn render(record: &Record, colour: Colour, find: Find<'_>, report: Option<&str>) -> String {
    let mut out = String::new();
    let paint = Paint(colour);
    // Writing to a String can't fail.
    let _ = write_table(&mut out, record, &paint, find, report);
    out
}

fn write_table(
    out: &mut String,
    record: &Record,
    paint: &Paint,
    find: Find<'_>,
    report: Option<&str>,
) -> std::fmt::Result {
    let verdict = record.verdict.to_string().to_uppercase();
    let code = verdict_code(record.verdict);
    let took = duration(record.elapsed_ms());
    let verdict = paint.with(code, &verdict);
    writeln!(out, "{}  {verdict}  in {took}", line(&record.recipe))?;
    writeln!(out, "  {}", line(&record.verdict_reason))?;
    write_piece(out, record, find)?;
    writeln!(out, "  {}", what(record))?;

    writeln!(
        out,
        "\n  {}",
        paint.with(DIM, &row("tier", "status", "time", "tests"))
    )?;
    for tier in &record.tiers {
        let tests = tests_cell(tier);
        let time = time_cell(tier.duration_ms);
        status_row(out, paint, tier.name.as_str(), &tier.outcome, &time, &tests)?;
    }
    let findings = match record.lint.findings.len() {
        0 => String::new(),
        n => count(n, "finding"),
    };
    status_row(out, paint, "lint", &record.lint.outcome, "", &findings)?;
    let time = time_cell(record.teardown.duration_ms);
    status_row(out, paint, "teardown", &record.teardown.outcome, &time, "")?;

    write_level(out, record)?;
    section(out, "not a pass", &differs(record))?;
    if let Some(comparison) = &record.comparison {
        section(out, "news", &news(comparison))?;
    }
    section(out, "notes", &notes(record))?;
    if let Some(report) = report {
        writeln!(out, "\n  report: {}", line(report))?;
    }
    Ok(())
}

/// The end of the one file that shows why the run is no pass.
fn write_piece(out: &mut String, record: &Record, find: Find<'_>) -> std::fmt::Result {
    let culprit = culprit(record);
    let shown = culprit.and_then(|culprit| first_shown(culprit.evidence, find));
    let Some((path, Evidence::Text { text, part })) = shown else {
        return Ok(());
    };
    writeln!(out, "    {}", line(path))?;
    for text in piece(path, &block(&text), part, PIECE_LINES).0.lines() {
        let cut = text.chars().count() > PIECE_WIDTH;
        let text: String = text.chars().take(PIECE_WIDTH).collect();
        let row = format!("    | {text}{}", if cut { " …" } else { "" });
        writeln!(out, "{}", row.trim_end())?;
    }
    writeln!(out)
}

/// The level; where it is not the highest, each rung with its state and the reason.
fn write_level(out: &mut String, record: &Record) -> std::fmt::Result {
    let reason = line(&record.level_reason);
    let Some(level) = record.level else {
        return writeln!(out, "\n  no level: {reason}");
    };
    let explained = |rung: &Rung| rung.state != RungState::Passed || rung.reason.is_some();
    if !record.ladder.iter().any(explained) {
        return writeln!(out, "\n  level {level} of 5: {reason}");
    }
    writeln!(out, "\n  level {level} of 5")?;
    for rung in &record.ladder {
        let (name, state) = (line(&rung.name), rung.state.words());
        let why = rung_reason(record, rung);
        let row = format!("{} {name:<20} {state:<14} {why}", rung.rung);
        writeln!(out, "    {}", row.trim_end())?;
    }
    Ok(())
}

/// Head and base, a line each.
fn what(record: &Record) -> String {
    let mut what = match &record.head {
        Some(head) => format!("head {}", short(head)),
        None => "head is not known".to_owned(),
    };
    if let Some(version) = &record.head_version {
        let _ = write!(what, " ({})", line(version));
    }
    if record.pr > 0 {
        let _ = write!(what, ", pull request {}", record.pr);
    }
    if let Some(base) = &record.base {
        let (version, reason) = (line(&base.version), line(&base.reason));
        let _ = write!(what, "\n  base {version} ({reason})");
    } else if let Some(reason) = &record.no_base {
        let _ = write!(what, "\n  no base ({})", line(reason));
    }
    what
}

fn row(name: &str, status: &str, time: &str, tests: &str) -> String {
    format!("{name:<9} {status:<10} {time:>12}  {tests}")
        .trim_end()
        .to_owned()
}

fn status_row(
    out: &mut String,
    paint: &Paint,
    name: &str,
    outcome: &Outcome,
    time: &str,
    tests: &str,
) -> std::fmt::Result {
    // Escape sequences have no width: only the bare word is coloured, then padded by hand.
    let word = outcome.word();
    let pad = " ".repeat(10_usize.saturating_sub(word.len()));
    let status = paint.with(outcome_code(outcome), word);
    let row = format!("{name:<9} {status}{pad} {time:>12}  {tests}");
    writeln!(out, "  {}", row.trim_end())
}

fn time_cell(ms: u64) -> String {
    if ms == 0 { String::new() } else { duration(ms) }
}

/// Everything that is not a pass, with its reason. A tier's reason is not said again where a test
/// or the operation says it.
fn differs(record: &Record) -> Vec<String> {
    let mut lines = Vec::new();
    let mut say = |name: &str, outcome: &Outcome| {
        if let Some(reason) = outcome.reason() {
            let said = say_outcome(name, outcome) == record.verdict_reason;
            let reason = if said { "see above" } else { reason };
            lines.push(format!(
                "{}: {}: {}",
                line(name),
                outcome.word(),
                line(reason)
            ));
        }
    };
    for tier in &record.tiers {
        let operation = tier.operation.as_ref().map(|operation| &operation.outcome);
        // Tests of an operation that did not pass all say the same: one line is enough.
        let blocked = operation.is_some_and(|outcome| *outcome != Outcome::Pass);
        if let Some(outcome) = operation {
            say(tier.name.as_str(), outcome);
        }
        let mut said = blocked;
        let alike = alike(tier);
        for tests in alike.values().filter(|_| !blocked) {
            let outcome = &tests[0].outcome;
            said |= outcome.word() == tier.outcome.word();
            say(&format!("{}, {} tests", tier.name, tests.len()), outcome);
        }
        let grouped = |test: &TestRecord| {
            test.outcome
                .reason()
                .is_some_and(|reason| alike.contains_key(reason))
        };
        for test in tier.tests.iter().filter(|test| !grouped(test)) {
            let same =
                blocked && !matches!(test.outcome, Outcome::Fail { .. } | Outcome::Error { .. });
            if test.outcome != Outcome::Pass && !same {
                said |= test.outcome.word() == tier.outcome.word();
                say(&format!("{} {}", tier.name, test.name), &test.outcome);
            }
        }
        if !said {
            say(tier.name.as_str(), &tier.outcome);
        }
    }
    say("lint", &record.lint.outcome);
    say("teardown", &record.teardown.outcome);
    let faults = record
        .faults
        .iter()
        .map(|fault| format!("run: {}", line(&fault.text)));
    lines.extend(faults);
    lines
}

/// Tests of a tier that did not run for one and the same reason, where there are several.
fn alike(tier: &TierRecord) -> BTreeMap<&str, Vec<&TestRecord>> {
    let mut alike = BTreeMap::<&str, Vec<&TestRecord>>::new();
    for test in &tier.tests {
        if let Outcome::Unverified { reason, .. } | Outcome::Skip { reason } = &test.outcome {
            alike.entry(reason).or_default().push(test);
        }
    }
    alike.retain(|_, tests| tests.len() > 1);
    alike
}

fn notes(record: &Record) -> Vec<String> {
    let of_tiers = record.tiers.iter().flat_map(|tier| {
        let notes = tier.notes.iter();
        notes.map(|note| format!("{}: {}", tier.name, line(note)))
    });
    of_tiers.chain(remarks(record)).collect()
}

fn section(out: &mut String, title: &str, lines: &[String]) -> std::fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n  {title}")?;
    for line in lines {
        writeln!(out, "    {line}")?;
    }
    Ok(())
}

const DIM: &str = "2";

fn verdict_code(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "1;32",
        Verdict::Fail => "1;31",
        Verdict::Error => "1;35",
        Verdict::Cancelled => "1;33",
    }
}

fn outcome_code(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "32",
        Outcome::Fail { .. } => "31",
        Outcome::Skip { .. } => DIM,
        Outcome::Unverified { .. } => "33",
        Outcome::Error { .. } => "35",
    }
}

struct Paint(Colour);

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        match self.0 {
            Colour::Never => text.to_owned(),
            Colour::Always => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}
