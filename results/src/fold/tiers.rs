//! The tiers of a record: what was reported, and what should have been and was not.

use super::Fold;
use super::parts::{Trial, WITHOUT_A_WORD};
use crate::outcome::{Cause, Outcome, Tier};
use crate::record::{OperationRecord, TestRecord, TierRecord};
use crate::verdict::{self, Selection, TierFacts};

impl Fold {
    /// The named tiers, and fresh where something speaks of it or head was reached by an upgrade.
    pub(super) fn tiers(&self) -> Vec<TierRecord> {
        let asked = self.started.as_ref().map_or(&[][..], |run| &run.tiers);
        let planned = self.started.as_ref().map_or(&[][..], |run| &run.planned);
        let whole = Tier::NAMED.iter().all(|tier| asked.contains(tier));
        let head_by_upgrade = self
            .operations
            .iter()
            .any(|op| op.tier == Tier::Upgrade && op.ever_passed);
        let fresh = whole && head_by_upgrade
            || asked.contains(&Tier::Fresh)
            || planned.iter().any(|trial| trial.tier == Tier::Fresh)
            || self.operations.iter().any(|op| op.tier == Tier::Fresh)
            || self.trials.iter().any(|trial| trial.tier == Tier::Fresh);
        Tier::ALL
            .into_iter()
            .filter(|tier| fresh || *tier != Tier::Fresh)
            .map(|tier| {
                let asked = asked.contains(&tier) || tier == Tier::Fresh;
                self.tier(
                    tier,
                    if asked {
                        Selection::Asked
                    } else {
                        Selection::Deselected
                    },
                )
            })
            .collect()
    }

    fn tier(&self, tier: Tier, selection: Selection) -> TierRecord {
        let operation = self.operation_record(tier);
        let tests = self.tests(tier);
        let silence = self.silence(tier);
        let outcome = verdict::tier_outcome(TierFacts {
            tier,
            selection,
            operation: operation.as_ref().map(|operation| &operation.outcome),
            tests: &tests,
            silence: silence.as_ref(),
        });
        let took = operation
            .as_ref()
            .map_or(0, |operation| operation.duration_ms);
        TierRecord {
            name: tier,
            outcome,
            duration_ms: took + tests.iter().map(|test| test.duration_ms).sum::<u64>(),
            operation,
            tests,
            notes: self
                .notes
                .iter()
                .filter(|(of, _)| *of == Some(tier))
                .map(|(_, text)| text.clone())
                .collect(),
        }
    }

    fn operation_record(&self, tier: Tier) -> Option<OperationRecord> {
        let operation = self.operations.iter().find(|op| op.tier == tier)?;
        let mut record = operation.ended.clone().unwrap_or(OperationRecord {
            outcome: Outcome::Pass,
            duration_ms: 0,
            facts: serde_json::Map::new(),
            evidence: Vec::new(),
        });
        if operation.running {
            let cut = self.unheard("it began and never ended");
            record.outcome = record.outcome.worse(cut);
        }
        if record.outcome == Outcome::Pass
            && let Some(why) = verdict::not_of_head(tier, &record, self.resolved.as_ref())
        {
            record.outcome = Outcome::error(why);
        }
        Some(record)
    }

    fn tests(&self, tier: Tier) -> Vec<TestRecord> {
        let came = self.trials.iter().filter(|trial| trial.tier == tier);
        let mut tests: Vec<_> = came.map(|trial| self.test(trial)).collect();
        for planned in self.started.iter().flat_map(|run| &run.planned) {
            let is_it =
                |test: &TestRecord| test.name == planned.name && test.source == planned.source;
            if planned.tier == tier && !tests.iter().any(is_it) {
                tests.push(TestRecord {
                    name: planned.name.clone(),
                    source: planned.source,
                    outcome: self.unheard("it was planned and never came"),
                    duration_ms: 0,
                    evidence: Vec::new(),
                    earlier: Vec::new(),
                });
            }
        }
        tests
    }

    fn test(&self, trial: &Trial) -> TestRecord {
        let cut = trial.running.then(|| self.unheard(WITHOUT_A_WORD));
        let outcome = match (trial.outcome(), cut) {
            (Some(known), Some(cut)) => known.worse(cut),
            (Some(outcome), None) | (None, Some(outcome)) => outcome,
            (None, None) => Outcome::error(WITHOUT_A_WORD),
        };
        TestRecord {
            name: trial.name.clone(),
            source: trial.source,
            outcome,
            duration_ms: trial.duration_ms,
            evidence: trial.evidence.clone(),
            earlier: trial.earlier(),
        }
    }

    /// What something is that was to report and did not.
    fn unheard(&self, what: &str) -> Outcome {
        if self.cancelled_by.is_some() {
            Outcome::unverified(Cause::Error, format!("{what}, for the run was cancelled"))
        } else {
            Outcome::error(what)
        }
    }

    /// Why a tier that never reported is silent, where that is known: a tier before it that did
    /// not get head (or the base) up, a cancelled run, one that did not finish.
    fn silence(&self, tier: Tier) -> Option<Outcome> {
        let blocker = [Tier::Install, Tier::Upgrade]
            .into_iter()
            .filter(|before| *before < tier)
            .find_map(|before| {
                let outcome = self.operation_record(before)?.outcome;
                outcome.is_red().then_some((before, outcome))
            });
        match blocker {
            Some((before, Outcome::Fail { .. })) => {
                let reason = format!("{before} failed");
                Some(Outcome::unverified(Cause::Fail, reason))
            }
            _ if self.cancelled_by.is_some() => Some(self.unheard("it never reported back")),
            Some((before, _)) => {
                let reason = format!("{before} met an error");
                Some(Outcome::unverified(Cause::Error, reason))
            }
            None => (!self.tests_are_done()).then(|| self.unheard("it never reported back")),
        }
    }
}
