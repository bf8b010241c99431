//! The one comment that is edited as the run goes.

use std::time::Duration;

use results::outcome::{Tier, Verdict};
use results::summary::{First, Row, Summary};
use results::text::duration;

use super::inert::{cell, code, destination, fence, link};
use super::{LONGEST, Note, Phase, View, level, marker, short};

/// Bounds of what is shown, in characters.
const REASON: usize = 500;
const NAME: usize = 200;
const WORD: usize = 16;
const VERSION: usize = 64;
/// Bounds, in items.
const NEWS: usize = 20;
const ROWS: usize = 8;
const LINES: usize = 40;

const AGAIN: &str = "Nothing more happens by itself. To try again, write `!testme` in a new comment; if it ends like this again, tell an operator.";

/// The comment, with its marker as the first line. At most [`LONGEST`] bytes: lines of the log are
/// what is cut.
pub fn status_comment(view: &View<'_>) -> String {
    let rest = write(view, 0).len();
    write(view, LONGEST.saturating_sub(rest))
}

fn write(view: &View<'_>, for_lines: usize) -> String {
    let marker = marker::of_status(view.repo, view.pull, view.head);
    let mut parts = vec![marker.to_string(), headline(view)];
    match view.phase {
        Phase::Queued { position, expected } => parts.extend(queue(position, expected)),
        Phase::Starting | Phase::Running { .. } => {}
        Phase::Done { summary, .. } => {
            parts.push(code(&summary.verdict_reason, REASON));
            record(&mut parts, summary, for_lines);
            if summary.verdict == Verdict::Error {
                parts.push(AGAIN.to_owned());
            }
        }
        Phase::Cancelled { summary, .. } => {
            if let Some(summary) = summary {
                record(&mut parts, summary, for_lines);
            }
        }
        Phase::Superseded { head } => parts.push(format!(
            "The pull request moved on to `{}` before this run began; that commit is tested in its place.",
            short(head)
        )),
        Phase::Infra { why, .. } => {
            parts.push(code(why, REASON));
            parts.push(AGAIN.to_owned());
        }
    }
    parts.extend(asked(view));
    parts.extend(view.notes.iter().map(note));
    parts.extend(links(&view.phase));
    parts.join("\n\n") + "\n"
}

fn headline(view: &View<'_>) -> String {
    let recipe = code(view.recipe.as_str(), NAME);
    let what = format!("{recipe} at `{}`", short(view.head));
    match view.phase {
        Phase::Queued { .. } => format!("**Queued**: {what} waits for its turn."),
        Phase::Starting => format!("**Starting**: {what}."),
        Phase::Running { tier, elapsed, .. } => {
            let tier = tier.map_or(String::new(), |tier| format!(", now {tier}"));
            format!("**Running** for {}{tier}: {what}.", minutes(elapsed))
        }
        Phase::Done { summary, .. } => {
            let took = duration(summary.elapsed_ms);
            let verdict = summary.verdict.to_string().to_uppercase();
            let how = match summary.verdict {
                Verdict::Pass | Verdict::Fail => format!(", {}", level(summary)),
                Verdict::Error => ", and not your fault".to_owned(),
                Verdict::Cancelled => by(summary.cancelled_by.as_deref()),
            };
            format!("**{verdict}**{how}: {what}, in {took}.")
        }
        Phase::Cancelled { by: who, .. } => format!("**CANCELLED**{}: {what}.", by(Some(who))),
        Phase::Superseded { .. } => format!("**Superseded**: {what} is not tested."),
        Phase::Infra { .. } => {
            format!("**ERROR**, and not your fault: {what} could not be tested.")
        }
    }
}

fn by(who: Option<&str>) -> String {
    who.map_or(String::new(), |who| format!(" by {}", code(who, NAME)))
}

fn minutes(time: Duration) -> String {
    match time.as_secs() / 60 {
        0 => "less than a minute".to_owned(),
        1 => "1 minute".to_owned(),
        minutes => format!("{minutes} minutes"),
    }
}

fn queue(position: Option<u32>, expected: Option<Duration>) -> Option<String> {
    let place = position.map(|position| match position {
        0 | 1 => "It is the next.".to_owned(),
        position => format!("It is number {position} in the queue."),
    });
    let when = expected.map(|expected| {
        // A guess reads as one: never 0 minutes, never seconds.
        let expected = expected.max(Duration::from_secs(60)) + Duration::from_secs(30);
        format!("It should begin in about {}.", minutes(expected))
    });
    let said: Vec<_> = place.into_iter().chain(when).collect();
    (!said.is_empty()).then(|| said.join(" "))
}

fn record(parts: &mut Vec<String>, summary: &Summary, for_lines: usize) {
    parts.push(table(&summary.rows));
    if summary.level != Some(5) {
        let why = code(&summary.level_reason, REASON);
        parts.push(match summary.level {
            Some(_) => format!("Why the level is not higher: {why}"),
            None => format!("Why there is no level: {why}"),
        });
    }
    if let Some(first) = &summary.first {
        parts.push(first_failing(first));
        if let Some(lines) = &first.lines {
            parts.push(format!(
                "<details>\n<summary>The lines that say most</summary>\n\n{}\n\n</details>",
                fence(lines, LINES, NAME, for_lines)
            ));
        }
    }
    if !summary.news.is_empty() {
        let branch = match &summary.target {
            Some(branch) => code(branch, NAME),
            None => "the target branch".to_owned(),
        };
        let news = summary.news.iter().take(NEWS);
        let news: Vec<_> = news.map(|news| format!("- {}", code(news, NAME))).collect();
        parts.push(format!("What differs from {branch}:"));
        parts.push(news.join("\n"));
    }
}

fn table(rows: &[Row]) -> String {
    let mut lines = vec![
        "| tier | status | time |".to_owned(),
        "| --- | --- | ---: |".to_owned(),
    ];
    lines.extend(rows.iter().take(ROWS).map(|row| {
        let (name, status) = (known(&row.name), known(&row.status));
        let time = match row.duration_ms {
            0 => String::new(),
            ms => duration(ms),
        };
        format!("| {name} | {status} | {time} |")
    }));
    lines.join("\n")
}

/// A word of ours as it is, any other as code.
fn known(word: &str) -> String {
    let ours = [
        "lint",
        "teardown",
        "pass",
        "fail",
        "skip",
        "unverified",
        "error",
    ];
    let is_tier = Tier::ALL.iter().any(|tier| tier.as_str() == word);
    if is_tier || ours.contains(&word) {
        word.to_owned()
    } else {
        cell(word, WORD)
    }
}

fn first_failing(first: &First) -> String {
    let tier = first.tier;
    let what = match &first.test {
        Some(test) => format!("the test {} of {tier}", code(test, NAME)),
        None => format!("{tier} itself"),
    };
    let reason = code(&first.reason, REASON);
    let path = match &first.path {
        Some(path) => format!(" (see {})", code(path, NAME)),
        None => String::new(),
    };
    format!("First to fail: {what}{path}: {reason}")
}

fn asked(view: &View<'_>) -> Option<String> {
    let mut words: Vec<_> = view.asked.tiers.iter().map(ToString::to_string).collect();
    if view.asked.quick {
        words.push("quick".to_owned());
    }
    let from = view.asked.from.as_ref();
    words.extend(from.map(|from| format!("from {}", code(from, VERSION))));
    (!words.is_empty()).then(|| format!("Asked for: {}.", words.join(", ")))
}

pub(super) fn note(note: &Note) -> String {
    match note {
        Note::FirstOfSeveral(1) => {
            "The comment has one more command; only the first one counts.".to_owned()
        }
        Note::FirstOfSeveral(others) => {
            format!("The comment has {others} more commands; only the first one counts.")
        }
        Note::Supersedes(head) => format!(
            "It takes the place of the run of `{}`, which still waited.",
            short(head)
        ),
    }
}

fn links(phase: &Phase<'_>) -> Option<String> {
    let (log, report, badge) = match *phase {
        Phase::Running { link, .. } | Phase::Infra { link, .. } => (link, None, None),
        Phase::Done {
            link,
            report_url,
            badge_url,
            ..
        } => (link, report_url, badge_url),
        _ => (None, None, None),
    };
    let badge = badge.and_then(destination).map(|badge| {
        let image = format!("![level]({badge})");
        link(&image, report).unwrap_or(image)
    });
    let links = [link("report", report), link("log", log), badge];
    let links: Vec<_> = links.into_iter().flatten().collect();
    (!links.is_empty()).then(|| links.join(" · "))
}
