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
    /// A try that was red, or that ended without a word, before one that passed.
    pub(super) flaky: bool,
    pub(super) outcome: Option<Outcome>,
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
        // Begun while it runs: the first try ended without a word.
        if self.running && self.outcome.is_none() {
            self.outcome = Some(Outcome::error(WITHOUT_A_WORD));
        }
        self.running = true;
    }

    pub(super) fn end(&mut self, outcome: Outcome, duration_ms: u64, evidence: Vec<String>) {
        self.running = false;
        self.duration_ms += duration_ms;
        self.evidence.extend(evidence);
        self.outcome = Some(match self.outcome.take() {
            Some(before) if outcome == Outcome::Pass => {
                self.flaky |= before != Outcome::Pass;
                Outcome::Pass
            }
            Some(before) => before.worse(outcome),
            None => outcome,
        });
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
