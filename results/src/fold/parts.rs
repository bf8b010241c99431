//! What is gathered of one operation, one trial, and the teardown.

use crate::event::Leftover;
use crate::outcome::{Outcome, Source, Tier};
use crate::record::{OperationRecord, TeardownRecord};

pub(super) const WITHOUT_A_WORD: &str = "it began, and ended without a word";

pub(super) struct Operation {
    pub(super) tier: Tier,
    /// Set while it runs.
    pub(super) running: bool,
    pub(super) ended: Option<OperationRecord>,
    pub(super) ever_passed: bool,
}

pub(super) struct Trial {
    pub(super) tier: Tier,
    pub(super) name: String,
    pub(super) source: Source,
    pub(super) running: bool,
    /// What came of each try, where the runner tried more than once.
    pub(super) tries: Vec<Outcome>,
    pub(super) duration_ms: u64,
    pub(super) evidence: Vec<String>,
}

#[derive(Default)]
pub(super) struct Teardown {
    pub(super) started: bool,
    pub(super) ended: bool,
    pub(super) duration_ms: u64,
    pub(super) residue: Vec<Leftover>,
    pub(super) errors: Vec<String>,
}

impl Operation {
    /// An operation is performed once; should two outcomes be there, the worse one counts.
    pub(super) fn end(&mut self, mut ended: OperationRecord) {
        self.running = false;
        self.ever_passed |= ended.outcome == Outcome::Pass;
        if let Some(before) = self.ended.take() {
            ended.outcome = before.outcome.worse(ended.outcome);
            ended.evidence = [before.evidence, ended.evidence].concat();
        }
        self.ended = Some(ended);
    }
}

impl Trial {
    pub(super) fn begin(&mut self) {
        // Begun while it runs: the try before ended without a word.
        if self.running {
            self.tries.push(Outcome::error(WITHOUT_A_WORD));
        }
        self.running = true;
    }

    pub(super) fn end(&mut self, outcome: Outcome, duration_ms: u64, evidence: Vec<String>) {
        self.running = false;
        self.duration_ms += duration_ms;
        self.evidence.extend(evidence);
        self.tries.push(outcome);
    }

    /// What counts: a pass that came last, else the worst since the last pass.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        let counts = |before: Outcome, now: &Outcome| match now {
            Outcome::Pass => Outcome::Pass,
            now => before.worse(now.clone()),
        };
        let (first, more) = self.tries.split_first()?;
        Some(more.iter().fold(first.clone(), counts))
    }

    /// Tries before the last one that did not pass. `running`: the last one is still to come.
    pub(super) fn earlier(&self) -> Vec<Outcome> {
        let before = match self.tries.split_last() {
            Some((_, before)) if !self.running => before,
            _ => &self.tries,
        };
        let red = before.iter().filter(|outcome| **outcome != Outcome::Pass);
        red.cloned().collect()
    }
}

impl Teardown {
    /// `kept`: why it did not begin yet, where that was asked for.
    pub(super) fn record(&self, kept: Option<&str>) -> TeardownRecord {
        let mut wrong = Vec::new();
        if !self.ended && kept.is_none() {
            wrong.push(if self.started {
                "began and never ended".to_owned()
            } else {
                "never began".to_owned()
            });
        }
        if !self.residue.is_empty() {
            let list: Vec<_> = self
                .residue
                .iter()
                .map(|left| format!("{} {}", left.kind, left.name))
                .collect();
            wrong.push(format!("left behind: {}", list.join(", ")));
        }
        wrong.extend(self.errors.iter().cloned());
        TeardownRecord {
            outcome: match kept {
                _ if !wrong.is_empty() => Outcome::error(wrong.join("; ")),
                Some(reason) if !self.ended => Outcome::skip(reason),
                _ => Outcome::Pass,
            },
            residue: self.residue.clone(),
            duration_ms: self.duration_ms,
        }
    }
}
