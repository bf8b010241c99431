//! What a trial came to.

use std::fmt;
use std::time::Duration;

use forge_model::drone::Status;

use crate::deliver::Sent;
use crate::faults::Weather;
use crate::lives::Deaths;
use crate::oracle::{Facts, Violation, What};
use crate::settle::count;

/// How many violations are shown whole.
const SHOWN: usize = 12;
/// Lines of the bridge's log for each.
const LINES: usize = 30;
/// Milliseconds after a comment in which ends of the bridge are shown.
const NEAR: u128 = 8_000;

pub struct Report {
    pub seed: u64,
    pub(crate) deaths: Deaths,
    pub faults: u64,
    pub requests: u64,
    pub took: Duration,
    pub settling: Duration,
    pub(crate) log: String,
    pub(crate) weather: Weather,
    pub(crate) sent: Sent,
    pub(crate) facts: Facts,
    pub violations: Vec<Violation>,
}

impl Report {
    /// How often the bridge was killed.
    pub fn kills(&self) -> u64 {
        self.deaths.kills()
    }

    /// Points at which it was never killed.
    pub fn unkilled(&self) -> Vec<&'static str> {
        self.deaths.unkilled()
    }

    pub fn comments(&self) -> usize {
        self.facts.posted.len()
    }

    pub fn builds(&self) -> usize {
        self.facts.builds.len()
    }

    /// Commands of people who may.
    pub fn commands(&self) -> usize {
        let posted = self.facts.posted.iter();
        posted
            .filter(|posted| matches!(posted.what, What::Alone(_) | What::Among(_)))
            .count()
    }

    /// Ends of the bridge that nobody wanted.
    pub fn odd(&self) -> &[String] {
        &self.deaths.odd
    }

    /// All is as it has to be.
    pub fn is_good(&self) -> bool {
        self.violations.is_empty() && self.odd().is_empty() && self.unkilled().is_empty()
    }

    /// What the bridge itself said of a comment, and how its lives ended about then.
    fn logged(&self, comment: u64) -> String {
        let number = format!("\"comment\":{comment},");
        let key = format!("-c{comment}-");
        let lines = self.log.lines();
        let about = lines.filter(|line| line.contains(&number) || line.contains(&key));
        let mut text: String = about
            .take(LINES)
            .map(|line| format!("    {line}\n"))
            .collect();
        let mut posted = self.facts.posted.iter();
        let at = posted.find(|posted| posted.id == comment).map(|it| it.at);
        let near =
            |death: &&(u128, String)| at.is_some_and(|at| (at..at + NEAR).contains(&death.0));
        for (at, how) in self.deaths.log.iter().filter(near) {
            text.push_str(&format!("  {at:>7} ms  the bridge: {how}\n"));
        }
        text
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = &self.facts;
        let edited = facts
            .posted
            .iter()
            .filter(|posted| !posted.edits.is_empty());
        let rows = [
            ("seed", self.seed.to_string()),
            ("comments", self.comments().to_string()),
            ("  edited", edited.count().to_string()),
            ("commands of people who may", self.commands().to_string()),
            ("builds", self.builds().to_string()),
            ("  killed", count(facts, Status::Killed).to_string()),
            ("comments of the bridge", facts.said.len().to_string()),
            ("kills", self.kills().to_string()),
            ("ends by SIGTERM", self.deaths.graceful.to_string()),
            (
                "  the slowest",
                format!("{} ms", self.deaths.slowest.as_millis()),
            ),
            (
                "lives that missed their kill",
                self.deaths.missed.to_string(),
            ),
            ("faults on the way", self.faults.to_string()),
            (
                "Drone did not reach the forge",
                self.weather.dial_errors.to_string(),
            ),
            ("jumps of the forge's clock", self.weather.jumps.to_string()),
            ("webhooks sent", self.sent.tries.to_string()),
            ("  taken", self.sent.taken.to_string()),
            ("  never sent", self.sent.never.to_string()),
            ("requests", self.requests.to_string()),
            ("seconds", self.took.as_secs().to_string()),
            ("  of them to settle", self.settling.as_secs().to_string()),
            ("violations", self.violations.len().to_string()),
        ];
        for (name, value) in rows {
            writeln!(f, "{name:32} {value:>10}")?;
        }
        writeln!(f, "\nkilled at")?;
        for (name, times) in &self.deaths.by_point {
            writeln!(f, "  {name:30} {times:>10}")?;
        }
        for (name, times) in &self.deaths.by_request {
            writeln!(f, "  {name:30} {times:>10}")?;
        }
        for name in self.unkilled() {
            writeln!(f, "  {name:30}      never")?;
        }
        for odd in self.odd() {
            writeln!(f, "{odd}")?;
        }
        for violation in self.violations.iter().take(SHOWN) {
            writeln!(f, "\n{violation}\n{}", violation.history.trim_end())?;
            if let Some(comment) = violation.comment {
                writeln!(f, "{}", self.logged(comment))?;
            }
        }
        for violation in self.violations.iter().skip(SHOWN) {
            writeln!(f, "{violation}")?;
        }
        Ok(())
    }
}
