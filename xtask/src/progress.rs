//! A run while it goes on, from its events: lines for a log, and one live line for a terminal.
//!
//! Pure: an event and the time go in, text comes out. Nothing here decides an outcome.

mod screen;

use std::time::Duration;

use harness::suite::Settings;
use harness::wait::Seconds;
use results::event::{Event, EventKind};
use results::outcome::{Outcome, Tier};

use crate::text::{Colour, clean};

pub use screen::Screen;

/// How often a wait is told where nothing can be drawn over.
const EVERY: Duration = Duration::from_secs(10);
const WIDEST_NAME: usize = 44;
const QUEUE: &str = "queue";
/// Phases that are worth a line only where they took long.
const OFTEN_NOTHING: [&str; 3] = ["fetch", QUEUE, "janitor"];
const LONG_MS: u64 = 1_000;

/// What is known of the run so far. Times are since its start.
pub struct Progress {
    colour: Colour,
    doing: Doing,
    since: Duration,
    waiting: Option<Waiting>,
    told: Duration,
}

/// What goes on now.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Doing {
    Starting,
    Phase(String),
    Operation(Tier),
    Trial(Tier, String),
    Teardown,
    /// Between two of the above.
    Between,
    Over,
}

/// What the run said last of what it waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Waiting {
    subject: String,
    status: String,
    /// When the wait began and when it gives up, since the run's start.
    began: Duration,
    ends: Duration,
}

impl Progress {
    pub fn new(colour: Colour) -> Self {
        Self {
            colour,
            doing: Doing::Starting,
            since: Duration::ZERO,
            waiting: None,
            told: Duration::ZERO,
        }
    }

    /// Takes an event in, and gives the lines that it is worth.
    pub fn take(&mut self, event: &Event, now: Duration) -> Vec<String> {
        let lines = self.lines(&event.kind);
        if let EventKind::Waiting {
            subject,
            status,
            elapsed_ms,
            deadline_ms,
        } = &event.kind
        {
            let elapsed = Duration::from_millis(*elapsed_ms);
            self.waiting = Some(Waiting {
                subject: clean(subject),
                status: clean(status),
                began: now.saturating_sub(elapsed),
                ends: now + Duration::from_millis(*deadline_ms).saturating_sub(elapsed),
            });
        }
        if let Some(doing) = doing(&event.kind) {
            self.doing = doing;
            self.since = now;
            self.waiting = None;
        }
        if !lines.is_empty() {
            self.told = now;
        }
        lines
    }

    /// A line for a log in which nothing happened for ten seconds.
    pub fn tick(&mut self, now: Duration) -> Option<String> {
        if self.doing == Doing::Over || now.saturating_sub(self.told) < EVERY {
            return None;
        }
        self.told = now;
        Some(format!("{:<10}  {}", "…", self.status(now)))
    }

    /// What goes on, what it waits for, for how long, and how much is left.
    pub fn status(&self, now: Duration) -> String {
        let what = match &self.doing {
            Doing::Starting => "building the tests and starting the run".to_owned(),
            Doing::Phase(phase) => phase.clone(),
            Doing::Operation(tier) => format!("{tier}: {}", operation(*tier)),
            Doing::Trial(tier, name) => format!("{tier}: {name}"),
            Doing::Teardown => "teardown".to_owned(),
            Doing::Between => "next test".to_owned(),
            Doing::Over => return "done".to_owned(),
        };
        match &self.waiting {
            None => format!("{what} ({})", Seconds(now.saturating_sub(self.since))),
            Some(wait) => {
                let status = match wait.status.as_str() {
                    "" => String::new(),
                    status => format!(" [{status}]"),
                };
                format!(
                    "{what}, waiting for {}{status} ({}, {} left)",
                    wait.subject,
                    Seconds(now.saturating_sub(wait.began)),
                    Seconds(wait.ends.saturating_sub(now)),
                )
            }
        }
    }

    fn lines(&self, kind: &EventKind) -> Vec<String> {
        match kind {
            EventKind::RunStarted(run) => {
                let asked = match &run.requested_ref {
                    Some(asked) => format!(" at {}", clean(asked)),
                    None => String::new(),
                };
                let tiers: Vec<_> = run.tiers.iter().map(|tier| tier.as_str()).collect();
                let mut lines = vec![
                    format!("run {}", clean(&run.run_id)),
                    format!(
                        "{}{asked} from {}, engine {}, site {}",
                        clean(&run.recipe),
                        clean(&run.source),
                        clean(&run.engine),
                        clean(&run.site)
                    ),
                    format!("tiers {}", tiers.join(", ")),
                ];
                lines.extend(settings(&run.settings));
                if !run.skipped_generic.is_empty() {
                    let skipped = run.skipped_generic.iter().map(|tier| tier.as_str());
                    let skipped: Vec<_> = skipped.collect();
                    lines.push(format!(
                        "WITHOUT the generic assertions of {}",
                        skipped.join(", ")
                    ));
                }
                lines
            }
            EventKind::Resolved(found) => {
                let base = match (&found.base, &found.no_base) {
                    (Some(base), _) => {
                        format!("base {} ({})", clean(&base.version), clean(&base.reason))
                    }
                    (None, Some(why)) => format!("no base: {}", clean(why)),
                    (None, None) => "no base".to_owned(),
                };
                vec![
                    format!("head {}, {base}", clean(&found.head)),
                    format!("https://{}", clean(&found.domain)),
                ]
            }
            EventKind::PhaseEnded { phase, duration_ms } => {
                if *duration_ms < LONG_MS && OFTEN_NOTHING.contains(&phase.as_str()) {
                    return Vec::new();
                }
                vec![self.row("done", "", &clean(phase), *duration_ms, None)]
            }
            // Who is before us is worth a line at once.
            EventKind::Waiting {
                subject, status, ..
            } if self.doing == Doing::Phase(QUEUE.to_owned()) && !self.is_told(subject, status) => {
                vec![format!(
                    "{}           waiting for {}, {}",
                    self.word(QUEUE),
                    clean(subject),
                    clean(status)
                )]
            }
            EventKind::Kept { reason } => {
                vec![format!("{}           {}", self.word("kept"), clean(reason))]
            }
            EventKind::OperationEnded {
                tier,
                outcome,
                duration_ms,
                ..
            } => vec![self.ended(*tier, operation(*tier), outcome, *duration_ms)],
            EventKind::TrialEnded {
                tier,
                name,
                outcome,
                duration_ms,
                ..
            } => vec![self.ended(*tier, &clean(name), outcome, *duration_ms)],
            EventKind::Note { tier, text } => {
                let tier = tier.map_or("", Tier::as_str);
                vec![format!("{}  {tier:<7}  {}", self.word("note"), clean(text))]
            }
            EventKind::Retry {
                tier,
                what,
                why,
                attempt,
            } => vec![format!(
                "{}  {tier:<7}  {}, attempt {attempt}: {}",
                self.word("again"),
                clean(what),
                clean(why)
            )],
            EventKind::CancelRequested { by } => {
                vec![format!("cancelled by {}; removing the app", clean(by))]
            }
            EventKind::TeardownEnded {
                duration_ms,
                residue,
                errors,
            } => self.teardown(*duration_ms, residue.len(), errors),
            EventKind::SessionLost { reason } => {
                vec![format!(
                    "{}  session lost: {}",
                    self.word("error"),
                    clean(reason)
                )]
            }
            EventKind::RunnerEnded {
                success: false,
                status,
            } => vec![format!("{}  runner: {}", self.word("note"), clean(status))],
            EventKind::PhaseStarted { .. }
            | EventKind::Waiting { .. }
            | EventKind::OperationStarted { .. }
            | EventKind::TrialStarted { .. }
            | EventKind::RepoLocal { .. }
            | EventKind::Lint { .. }
            | EventKind::Narrowed { .. }
            | EventKind::TeardownStarted
            | EventKind::RunnerEnded { success: true, .. }
            | EventKind::RunFinished => Vec::new(),
        }
    }

    /// Whether that wait is known already.
    fn is_told(&self, subject: &str, status: &str) -> bool {
        self.waiting
            .as_ref()
            .is_some_and(|wait| wait.subject == clean(subject) && wait.status == clean(status))
    }

    fn ended(&self, tier: Tier, name: &str, outcome: &Outcome, duration_ms: u64) -> String {
        let reason = outcome.reason().map(clean);
        self.row(
            outcome.word(),
            tier.as_str(),
            name,
            duration_ms,
            reason.as_deref(),
        )
    }

    fn teardown(&self, duration_ms: u64, residue: usize, errors: &[String]) -> Vec<String> {
        let word = match (residue, errors) {
            (0, []) => "pass",
            (0, _) => "error",
            _ => "fail",
        };
        let reason = (residue > 0).then(|| format!("{residue} left behind"));
        let row = self.row(word, "", "teardown", duration_ms, reason.as_deref());
        let errors = errors
            .iter()
            .map(|error| format!("{:<12}{}", "", clean(error)));
        std::iter::once(row).chain(errors).collect()
    }

    /// Status, tier, name, time, and the reason on a line of its own.
    fn row(
        &self,
        word: &str,
        tier: &str,
        name: &str,
        duration_ms: u64,
        reason: Option<&str>,
    ) -> String {
        let time = Seconds(Duration::from_millis(duration_ms));
        let row = format!(
            "{}  {tier:<7}  {name:<WIDEST_NAME$}  {time:>12}",
            self.word(word)
        );
        match reason {
            None => row,
            Some(reason) => format!("{row}\n{:<12}{reason}", ""),
        }
    }

    fn word(&self, word: &str) -> String {
        self.colour.status(&format!("{word:<10}"))
    }
}

/// The settings that are not as they are where a recipe says nothing.
fn settings(of_run: &serde_json::Map<String, serde_json::Value>) -> Option<String> {
    let usual = Settings::default().describe();
    let differ: Vec<_> = of_run
        .iter()
        .filter(|(key, value)| usual.get(*key) != Some(*value))
        .map(|(key, value)| clean(&format!("{key}={value}")))
        .collect();
    (!differ.is_empty()).then(|| format!("settings {}", differ.join(", ")))
}

/// What goes on after an event; none: what went on before it.
fn doing(kind: &EventKind) -> Option<Doing> {
    Some(match kind {
        EventKind::PhaseStarted { phase } => Doing::Phase(clean(phase)),
        EventKind::OperationStarted { tier } => Doing::Operation(*tier),
        EventKind::TrialStarted { tier, name, .. } => Doing::Trial(*tier, clean(name)),
        EventKind::TeardownStarted => Doing::Teardown,
        EventKind::PhaseEnded { .. }
        | EventKind::OperationEnded { .. }
        | EventKind::TrialEnded { .. }
        | EventKind::TeardownEnded { .. } => Doing::Between,
        EventKind::RunFinished => Doing::Over,
        _ => return None,
    })
}

fn operation(tier: Tier) -> &'static str {
    match tier {
        Tier::Install => "deploy",
        Tier::Upgrade => "redeploy",
        Tier::Backup => "backup",
        Tier::Restore => "restore",
        Tier::Custom => "head is live",
        Tier::Fresh => "fresh deploy",
    }
}

#[cfg(test)]
mod tests;
