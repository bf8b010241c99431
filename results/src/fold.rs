//! The record as a fold over events: pure, and good for a list that ends anywhere.
//!
//! Invariants: what began and never ended is never green; a trial that was planned and never came
//! is never green; a part of a list never folds to a pass.

use jiff::Timestamp;

use crate::event::{Event, EventKind, LintFinding, Resolved, RunStarted};
use crate::log::Problem;
use crate::outcome::{Cause, Outcome, Source, Tier, Verdict};
use crate::record::{
    LintRecord, OperationRecord, Record, RepoLocalRecord, RetryRecord, RunFault, RunFaultKind,
    SCHEMA, Span, TierRecord,
};
use crate::verdict;

mod parts;
mod tiers;
mod timeline;

use parts::{Operation, Teardown, Trial};

impl Record {
    /// The record of a run, from all its events or from those that are there.
    pub fn from_events(events: &[Event]) -> Self {
        Self::from_log(events, &[])
    }

    /// The same, of what [`crate::log::read_events`] gave: a line that could not be read may have
    /// held an outcome, so it is a fault.
    pub fn from_log(events: &[Event], problems: &[Problem]) -> Self {
        let mut fold = Fold::default();
        for event in events {
            fold.add(event);
        }
        fold.finish(problems)
    }
}

#[derive(Default)]
struct Fold {
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    started: Option<RunStarted>,
    resolved: Option<Resolved>,
    operations: Vec<Operation>,
    trials: Vec<Trial>,
    notes: Vec<(Option<Tier>, String)>,
    retries: Vec<RetryRecord>,
    repo_local: Vec<RepoLocalRecord>,
    lint: Option<LintRecord>,
    cancelled_by: Option<String>,
    teardown: Teardown,
    lost: Vec<String>,
    runner_failed: Option<String>,
    finished: bool,
    /// Why the app is still live although the tests are done.
    kept: Option<String>,
    waiting: Option<String>,
    /// Stretches that have begun: kind, name, tier, when.
    open: Vec<(&'static str, String, Option<Tier>, Timestamp)>,
    timeline: Vec<Span>,
}

impl Fold {
    fn add(&mut self, event: &Event) {
        let at = event.at;
        self.first.get_or_insert(at);
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
        if !matches!(event.kind, EventKind::Waiting { .. }) {
            self.waiting = None;
        }
        match event.kind.clone() {
            EventKind::RunStarted(started) => {
                self.started.get_or_insert(*started);
            }
            EventKind::Narrowed { tiers } => {
                if let Some(started) = &mut self.started {
                    started.tiers.retain(|tier| !tiers.contains(tier));
                }
            }
            EventKind::Resolved(resolved) => self.resolved = Some(*resolved),
            EventKind::PhaseStarted { phase } => self.begin("phase", phase, None, at),
            EventKind::PhaseEnded { phase, duration_ms } => {
                self.end("phase", phase, None, at, duration_ms);
            }
            EventKind::Waiting {
                subject,
                status,
                elapsed_ms,
                ..
            } => {
                let seconds = elapsed_ms / 1_000;
                self.waiting = Some(format!("waiting for {subject} ({status}), {seconds} s"));
            }
            EventKind::OperationStarted { tier } => {
                self.begin("operation", tier.to_string(), Some(tier), at);
                self.operation(tier).running = true;
            }
            EventKind::OperationEnded {
                tier,
                outcome,
                duration_ms,
                facts,
                evidence,
            } => {
                self.end("operation", tier.to_string(), Some(tier), at, duration_ms);
                self.operation(tier).end(OperationRecord {
                    outcome,
                    duration_ms,
                    facts,
                    evidence,
                });
            }
            EventKind::TrialStarted { tier, name, source } => {
                self.begin("test", name.clone(), Some(tier), at);
                self.trial(tier, name, source).begin();
            }
            EventKind::TrialEnded {
                tier,
                name,
                source,
                outcome,
                duration_ms,
                evidence,
            } => {
                self.end("test", name.clone(), Some(tier), at, duration_ms);
                self.trial(tier, name, source)
                    .end(outcome, duration_ms, evidence);
            }
            EventKind::Note { tier, text } => self.notes.push((tier, text)),
            EventKind::Retry {
                tier,
                what,
                why,
                attempt,
            } => self.retries.push(RetryRecord {
                tier,
                what,
                why,
                attempt,
            }),
            EventKind::RepoLocal { path, ran, reason } => {
                self.repo_local.push(RepoLocalRecord { path, ran, reason });
            }
            EventKind::Lint {
                by,
                outcome,
                findings,
            } => self.add_lint(by, outcome, findings),
            EventKind::CancelRequested { by } => {
                self.cancelled_by.get_or_insert(by);
            }
            EventKind::Kept { reason } => self.kept = Some(reason),
            EventKind::TeardownStarted => {
                self.kept = None;
                self.teardown.started = true;
                self.begin("teardown", "teardown".to_owned(), None, at);
            }
            EventKind::TeardownEnded {
                duration_ms,
                residue,
                errors,
            } => {
                let name = "teardown".to_owned();
                self.end("teardown", name, None, at, duration_ms);
                self.teardown.ended = true;
                self.teardown.duration_ms += duration_ms;
                self.teardown.residue.extend(residue);
                self.teardown.errors.extend(errors);
            }
            EventKind::SessionLost { reason } => self.lost.push(reason),
            EventKind::RunnerEnded { success, status } => {
                if !success {
                    self.runner_failed = Some(status);
                }
            }
            EventKind::RunFinished => self.finished = true,
        }
    }

    fn add_lint(&mut self, by: String, outcome: Outcome, findings: Vec<LintFinding>) {
        match &mut self.lint {
            Some(lint) => {
                lint.outcome = lint.outcome.clone().worse(outcome);
                lint.findings.extend(findings);
            }
            None => {
                self.lint = Some(LintRecord {
                    outcome,
                    by,
                    findings,
                });
            }
        }
    }

    fn operation(&mut self, tier: Tier) -> &mut Operation {
        let found = self.operations.iter().position(|op| op.tier == tier);
        let index = found.unwrap_or_else(|| {
            self.operations.push(Operation {
                tier,
                running: false,
                ended: None,
                ever_passed: false,
            });
            self.operations.len() - 1
        });
        &mut self.operations[index]
    }

    fn trial(&mut self, tier: Tier, name: String, source: Source) -> &mut Trial {
        let found = self
            .trials
            .iter()
            .position(|trial| trial.tier == tier && trial.name == name && trial.source == source);
        let index = found.unwrap_or_else(|| {
            self.trials.push(Trial {
                tier,
                name,
                source,
                running: false,
                tries: Vec::new(),
                duration_ms: 0,
                evidence: Vec::new(),
            });
            self.trials.len() - 1
        });
        &mut self.trials[index]
    }

    fn finish(mut self, problems: &[Problem]) -> Record {
        let faults = self.faults(problems);
        self.close_timeline();
        let tiers = self.tiers();
        let flaky = flaky(&tiers);
        let started = self.started.take().unwrap_or_else(unknown_run);
        let resolved = self.resolved.take();
        let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        let mut record = Record {
            schema: SCHEMA,
            run_id: started.run_id,
            recipe: started.recipe,
            source: started.source,
            head: resolved.as_ref().map(|known| known.head.clone()),
            head_version: resolved
                .as_ref()
                .and_then(|known| known.head_version.clone()),
            requested_ref: started.requested_ref,
            base: resolved.as_ref().and_then(|known| known.base.clone()),
            no_base: resolved.as_ref().and_then(|known| known.no_base.clone()),
            target: resolved.as_ref().and_then(|known| known.target.clone()),
            pr: started.pr,
            engine: started.engine,
            engine_version: resolved
                .as_ref()
                .and_then(|known| known.engine_version.clone()),
            site: started.site,
            domain: resolved.map(|known| known.domain),
            started: time(self.first),
            finished: time(self.last),
            verdict: Verdict::Error,
            verdict_reason: String::new(),
            level: None,
            level_reason: String::new(),
            ladder: Vec::new(),
            tiers_asked: started.tiers,
            tiers,
            skipped_generic: started.skipped_generic,
            lint: self.lint.take().unwrap_or_else(no_lint),
            settings: started.settings,
            retries: self.retries,
            flaky,
            repo_local: self.repo_local,
            notes: self
                .notes
                .iter()
                .filter(|(tier, _)| tier.is_none())
                .map(|(_, text)| text.clone())
                .collect(),
            teardown: self.teardown.record(self.kept.as_deref()),
            phases_ms: self
                .timeline
                .iter()
                .filter(|span| span.kind != "test")
                .fold(std::collections::BTreeMap::new(), |mut phases, span| {
                    *phases.entry(span.name.clone()).or_default() += span.duration_ms;
                    phases
                }),
            faults,
            cancelled_by: self.cancelled_by,
            comparison: None,
            timeline: self.timeline,
        };
        if let Some(status) = self.runner_failed
            && record.cancelled_by.is_none()
            && verdict::all_green(&record)
        {
            record.faults.push(RunFault {
                kind: RunFaultKind::RunnerFailed,
                text: format!(
                    "the runner failed ({status}) though everything in the record is green"
                ),
            });
        }
        (record.verdict, record.verdict_reason) = verdict::run_verdict(&record);
        (record.level, record.level_reason) = verdict::level(&record);
        record.ladder = verdict::ladder(&record);
        record
    }

    fn faults(&self, problems: &[Problem]) -> Vec<RunFault> {
        let lost = self.lost.iter().map(|reason| RunFault {
            kind: RunFaultKind::SessionLost,
            text: format!("the session was lost: {reason}"),
        });
        let unreadable = problems.iter().map(|problem| RunFault {
            kind: RunFaultKind::EventsUnreadable,
            text: problem.to_string(),
        });
        let unfinished = (!self.tests_are_done() || self.started.is_none()).then(|| RunFault {
            kind: RunFaultKind::NotFinished,
            text: format!(
                "the run did not finish; the last that is known: {}",
                self.last_known()
            ),
        });
        lost.chain(unfinished).chain(unreadable).collect()
    }

    /// Whether nothing more is to come that bears on the verdict of a tier.
    fn tests_are_done(&self) -> bool {
        self.finished || self.kept.is_some()
    }

    fn last_known(&self) -> String {
        if let Some(waiting) = &self.waiting {
            return waiting.clone();
        }
        if self.teardown.ended {
            return "its teardown ended".to_owned();
        }
        match (self.open.last(), self.timeline.last()) {
            (Some((kind, name, _, _)), _) => format!("{kind} {name} began"),
            (None, Some(span)) => format!("{} {} ended", span.kind, span.name),
            (None, None) if self.started.is_some() => "it started".to_owned(),
            (None, None) => "nothing, not even its start".to_owned(),
        }
    }
}

fn flaky(tiers: &[TierRecord]) -> Vec<String> {
    let of = |tier: &TierRecord| {
        let flaky = tier.tests.iter().filter(|test| test.is_flaky());
        let names: Vec<_> = flaky
            .map(|test| format!("{}::{}", tier.name, test.name))
            .collect();
        names
    };
    tiers.iter().flat_map(of).collect()
}

fn unknown_run() -> RunStarted {
    RunStarted {
        run_id: String::new(),
        recipe: String::new(),
        source: String::new(),
        requested_ref: None,
        pr: 0,
        engine: String::new(),
        site: String::new(),
        tiers: Vec::new(),
        planned: Vec::new(),
        settings: serde_json::Map::new(),
        skipped_generic: Vec::new(),
    }
}

fn no_lint() -> LintRecord {
    LintRecord {
        outcome: Outcome::unverified(Cause::Absent, "lint never reported"),
        by: "none".to_owned(),
        findings: Vec::new(),
    }
}
