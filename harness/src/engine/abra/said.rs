//! What abra says, read into types. The one place that knows its output.
//!
//! abra ends a failure with a line `FATA …` and exit code 1. Whose fault that is stands in no code,
//! only in the text: what is known to be the recipe's is in a table; what nobody knows is no
//! statement about the recipe.

use results::event::LintFinding;

use crate::cause::Trouble;
use crate::fault::Fault;

/// The texts by which abra says that the recipe is wrong, in lower case; all words of a row.
const RECIPE: &[&[&str]] = &[
    // Its own lint before a deploy.
    &["lint"],
    // Compose files that can't be read, merged or filled in.
    &["compose", "valid"],
    &["compose", "parse"],
    &["yaml"],
    &["interpolat"],
    &["undefined", "network"],
    &["undefined", "volume"],
    &["undefined", "config"],
    &["undefined", "secret"],
    // Secrets that nobody made: cc-ci made all that the compose files name.
    &["secret", "not generated"],
    &["secret", "missing"],
    &["secret", "does not exist"],
    // A file that changed under a name that did not.
    &["only updates to labels are allowed"],
    // Version tags that are none.
    &["lightweight"],
    &["not an annotated tag"],
    &[".env.sample"],
    // What Docker says through abra, judged as where Docker says it itself.
    &["error response from daemon"],
    &["rpc error"],
    &["abra.sh"],
];

/// The message of a failure: its `FATA` line, and what belongs to it.
pub fn fatal(said: &str) -> Option<String> {
    let mut lines = said.lines().map(str::trim);
    let first = lines.find_map(|line| line.strip_prefix("FATA"))?;
    let rest = lines.filter(|line| !line.is_empty());
    let words: Vec<&str> = std::iter::once(first.trim()).chain(rest).collect();
    Some(words.join("; "))
}

/// The flag that this abra says it does not know.
pub fn unknown_flag(said: &str) -> Option<String> {
    // The command line libraries of 0.10 and later, and of 0.9.
    for (mark, dashes) in [
        ("unknown flag: --", "--"),
        ("flag provided but not defined: -", "--"),
    ] {
        if let Some((_, rest)) = said.split_once(mark) {
            let name = rest.trim_start_matches('-');
            let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
            return Some(format!("{dashes}{}", &name[..end.unwrap_or(name.len())]));
        }
    }
    None
}

/// A call that failed, as a fault: `doing` is what it was for, `program` which call.
pub fn failure(doing: &str, program: &str, status: &str, said: &str) -> Fault {
    let message = fatal(said);
    let why = match message.clone() {
        Some(message) => message,
        None => {
            let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
            let last = last.unwrap_or("it said nothing");
            format!("`{program}` ended with {status}: {last}")
        }
    };
    // By abra's own words: what it was asked for is no cause.
    let of_recipe = match Trouble::of(&why) {
        Some(trouble) => trouble.is_of_recipe(),
        // One that crashed has judged nothing.
        None => message.is_some_and(|message| {
            let lower = message.to_lowercase();
            let fits = |row: &&[&str]| row.iter().all(|word| lower.contains(word));
            RECIPE.iter().any(fits)
        }),
    };
    let text = format!("{doing}: {why}");
    match of_recipe {
        true => Fault::Recipe(text),
        false => Fault::Infra(text),
    }
}

/// The id of the snapshot that a backup says it made.
pub fn snapshot_id(said: &str) -> Option<String> {
    // restic's own summary, as text and as JSON.
    for mark in ["\"snapshot_id\":", "snapshot_id", "snapshot "] {
        for (at, _) in said.match_indices(mark) {
            let rest = said[at + mark.len()..].trim_start_matches([' ', '"', '\'', ':', '=']);
            if let Some(id) = leading_id(rest) {
                return Some(id);
            }
        }
    }
    None
}

/// The ids in a table of snapshots: the first word of a line.
pub fn snapshots(said: &str) -> Vec<String> {
    let first = |line: &str| leading_id(line.trim_start_matches(['│', '|', ' ']));
    said.lines().filter_map(first).collect()
}

/// restic's ids: 64 hexadecimal digits, or the first 8 of them.
fn leading_id(text: &str) -> Option<String> {
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let end = text.find(|c| !hex(c)).unwrap_or(text.len());
    let next = text[end..].chars().next();
    let whole = next.is_none_or(|c| !c.is_ascii_alphanumeric());
    (whole && (end == 8 || end == 64)).then(|| text[..end].to_owned())
}

/// The findings in lint's table: the rules that are not satisfied. None: there is no such table.
pub fn lint_findings(said: &str) -> Option<Vec<LintFinding>> {
    let mut columns: Option<Columns> = None;
    let mut findings: Vec<LintFinding> = Vec::new();
    let mut last_is_finding = false;
    for line in said.lines() {
        let cells = cells(line);
        if cells.len() < 4 {
            continue;
        }
        let Some(columns) = &columns else {
            columns = Columns::of(&cells);
            continue;
        };
        let cell = |at: usize| cells.get(at).copied().unwrap_or_default();
        let rule = cell(columns.rule);
        if rule.is_empty() {
            // A cell of the row above that was too long for its column.
            if let Some(finding) = findings.last_mut().filter(|_| last_is_finding) {
                finding.message = format!("{} {}", finding.message, cell(columns.message));
                finding.message.truncate(finding.message.trim_end().len());
            }
            continue;
        }
        last_is_finding = is_no(cell(columns.satisfied));
        if last_is_finding {
            findings.push(LintFinding {
                rule: rule.to_owned(),
                severity: cell(columns.severity).to_ascii_lowercase(),
                message: cell(columns.message).to_owned(),
                file: None,
                line: None,
            });
        }
    }
    columns.map(|_| findings)
}

/// Where lint's table has what.
struct Columns {
    rule: usize,
    message: usize,
    severity: usize,
    satisfied: usize,
}

impl Columns {
    fn of(header: &[&str]) -> Option<Self> {
        let at = |names: &[&str]| {
            header.iter().position(|cell| {
                let cell = cell.to_ascii_lowercase();
                names.iter().any(|name| *name == cell)
            })
        };
        Some(Self {
            rule: at(&["ref"])?,
            message: at(&["rule", "description"])?,
            severity: at(&["severity", "level"])?,
            satisfied: at(&["satisfied"])?,
        })
    }
}

fn cells(line: &str) -> Vec<&str> {
    let bars = ['│', '┃', '|', '║'];
    let inner = line.trim().trim_matches(bars);
    inner.split(bars).map(str::trim).collect()
}

fn is_no(cell: &str) -> bool {
    ["❌", "✗", "✘", "×", "no", "false"]
        .iter()
        .any(|no| cell.to_lowercase().starts_with(no))
}

#[cfg(test)]
#[path = "said_tests.rs"]
mod tests;
