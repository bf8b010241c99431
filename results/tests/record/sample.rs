//! Runs as lists of events, to start tests from.

use jiff::{Timestamp, ToSpan};
use results::event::{
    Base, Event, EventKind, Leftover, LintFinding, PlannedTrial, Resolved, RunStarted, Target,
};
use results::{Cause, Outcome, Source, Tier};
use serde_json::{Map, json};

/// A run that is written down step by step, each with a time of its own.
pub struct Run {
    pub events: Vec<Event>,
    clock: Timestamp,
    /// What install deploys.
    installed: &'static str,
}

pub const HEAD: &str = "4be1c2d9a07735f0c1d2e3f4a5b6c7d8e9f00112";
pub const BASE: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567";

/// What an operation learned while that commit was live.
pub fn facts(commit: &str) -> Map<String, serde_json::Value> {
    Map::from_iter([("commit".to_owned(), json!(commit))])
}

pub fn started(tiers: &[Tier], planned: Vec<PlannedTrial>) -> EventKind {
    let mut settings = Map::new();
    settings.insert("health_path".to_owned(), json!("/"));
    settings.insert("health_ok".to_owned(), json!([200, 301, 302]));
    EventKind::RunStarted(Box::new(RunStarted {
        run_id: "custom-html-7f3a".to_owned(),
        recipe: "custom-html".to_owned(),
        source: "built-in".to_owned(),
        requested_ref: Some("main".to_owned()),
        pr: 7,
        engine: "stack".to_owned(),
        site: "local".to_owned(),
        tiers: tiers.to_vec(),
        planned,
        settings,
        skipped_generic: Vec::new(),
    }))
}

pub fn resolved() -> EventKind {
    EventKind::Resolved(Box::new(Resolved {
        head: HEAD.to_owned(),
        head_version: Some("1.11.0+1.29.0".to_owned()),
        base: Some(Base {
            version: "1.10.0+1.28.0".to_owned(),
            commit: BASE.to_owned(),
            reason: "the newest tag that is an ancestor of head".to_owned(),
        }),
        no_base: None,
        domain: "cust-0f3a9c.ci.test".to_owned(),
        stack: "cust-0f3a9c_ci_test".to_owned(),
        engine_version: None,
        target: Some(Target {
            branch: "main".to_owned(),
            tip: BASE.to_owned(),
        }),
    }))
}

impl Run {
    /// A run of the given tiers that has begun.
    pub fn of(tiers: &[Tier]) -> Self {
        let mut run = Self {
            events: Vec::new(),
            clock: "2026-03-01T12:00:00Z".parse().unwrap(),
            installed: if tiers.contains(&Tier::Upgrade) {
                BASE
            } else {
                HEAD
            },
        };
        run.push(started(tiers, Vec::new()));
        run.phase("fetch", 400);
        run.push(resolved());
        run
    }

    pub fn whole() -> Self {
        Self::of(&Tier::NAMED)
    }

    pub fn push(&mut self, kind: EventKind) -> &mut Self {
        self.events.push(Event {
            at: self.clock,
            kind,
        });
        self
    }

    pub fn wait(&mut self, ms: u64) -> &mut Self {
        self.clock += i64::try_from(ms).unwrap().milliseconds();
        self
    }

    pub fn phase(&mut self, name: &str, ms: u64) -> &mut Self {
        let phase = name.to_owned();
        self.push(EventKind::PhaseStarted {
            phase: phase.clone(),
        });
        self.wait(ms).push(EventKind::PhaseEnded {
            phase,
            duration_ms: ms,
        })
    }

    pub fn operation(&mut self, tier: Tier, outcome: Outcome, ms: u64) -> &mut Self {
        let commit = match tier {
            Tier::Install => self.installed,
            _ => HEAD,
        };
        let facts = match outcome {
            Outcome::Pass => facts(commit),
            _ => Map::new(),
        };
        self.push(EventKind::OperationStarted { tier });
        self.wait(ms).push(EventKind::OperationEnded {
            tier,
            outcome,
            duration_ms: ms,
            facts,
            evidence: Vec::new(),
        })
    }

    pub fn test(&mut self, tier: Tier, source: Source, name: &str, outcome: Outcome) -> &mut Self {
        self.push(trial_started(tier, source, name));
        self.wait(120)
            .push(trial_ended(tier, source, name, outcome))
    }

    /// An operation that passed and two assertions that did.
    pub fn good(&mut self, tier: Tier, ms: u64) -> &mut Self {
        self.operation(tier, Outcome::Pass, ms)
            .test(tier, Source::Generic, "services_converged", Outcome::Pass)
            .test(tier, Source::Overlay, "page_survives", Outcome::Pass)
    }

    /// An operation that did not pass, and its assertion that could not be checked.
    pub fn blocked(&mut self, tier: Tier, cause: Cause, reason: &str) -> &mut Self {
        let outcome = Outcome::unverified(cause, reason);
        self.operation(tier, outcome.clone(), 0).test(
            tier,
            Source::Generic,
            "services_converged",
            outcome,
        )
    }

    pub fn functional(&mut self) -> &mut Self {
        let name = "unknown_path_is_404";
        self.test(Tier::Custom, Source::Custom, name, Outcome::Pass)
    }

    pub fn lint(&mut self, outcome: Outcome) -> &mut Self {
        let findings = match &outcome {
            Outcome::Fail { reason } => vec![LintFinding {
                rule: "R009".to_owned(),
                severity: "error".to_owned(),
                message: reason.clone(),
                file: Some("compose.yml".to_owned()),
                line: Some(12),
            }],
            _ => Vec::new(),
        };
        self.push(EventKind::Lint {
            by: "native".to_owned(),
            outcome,
            findings,
        })
    }

    /// Teardown that left `residue`, the runner's word, and the end.
    pub fn end(&mut self, residue: &[(&str, &str)], runner_succeeded: bool) -> &mut Self {
        let residue = residue
            .iter()
            .map(|(kind, name)| Leftover {
                kind: (*kind).to_owned(),
                name: (*name).to_owned(),
            })
            .collect();
        self.push(EventKind::TeardownStarted);
        self.wait(600).push(EventKind::TeardownEnded {
            duration_ms: 600,
            residue,
            errors: Vec::new(),
        });
        self.push(EventKind::RunnerEnded {
            success: runner_succeeded,
            status: if runner_succeeded {
                "exit 0"
            } else {
                "exit 100"
            }
            .to_owned(),
        });
        self.push(EventKind::RunFinished)
    }

    pub fn record(&self) -> results::Record {
        results::Record::from_events(&self.events)
    }
}

pub fn trial_started(tier: Tier, source: Source, name: &str) -> EventKind {
    EventKind::TrialStarted {
        tier,
        name: name.to_owned(),
        source,
    }
}

pub fn trial_ended(tier: Tier, source: Source, name: &str, outcome: Outcome) -> EventKind {
    EventKind::TrialEnded {
        tier,
        name: name.to_owned(),
        source,
        outcome,
        duration_ms: 120,
        evidence: Vec::new(),
    }
}

pub fn all_pass() -> Run {
    let mut run = Run::whole();
    run.good(Tier::Install, 3_200)
        .good(Tier::Upgrade, 7_800)
        .good(Tier::Backup, 300)
        .good(Tier::Restore, 200)
        .functional()
        .good(Tier::Fresh, 3_100)
        .lint(Outcome::Pass)
        .end(&[], true);
    run
}

pub fn upgrade_failed() -> Run {
    let reason = "the update of service app was rolled back: the new task never became healthy";
    let after = "head is not live: upgrade failed";
    let mut run = Run::whole();
    run.good(Tier::Install, 3_200)
        .operation(Tier::Upgrade, Outcome::fail(reason), 42_000)
        .test(
            Tier::Upgrade,
            Source::Generic,
            "head_is_live",
            Outcome::unverified(Cause::Fail, "upgrade failed"),
        )
        .blocked(Tier::Backup, Cause::Fail, after)
        .blocked(Tier::Restore, Cause::Fail, after)
        .test(
            Tier::Custom,
            Source::Custom,
            "unknown_path_is_404",
            Outcome::unverified(Cause::Fail, after),
        )
        .lint(Outcome::Pass)
        .end(&[], false);
    run
}

pub fn no_deployable_base() -> Run {
    let reason = "base 1.10.0+1.28.0 can't be deployed: no such image docker.example/nginx:1.28";
    let mut run = Run::whole();
    run.good(Tier::Install, 6_400)
        .blocked(Tier::Upgrade, Cause::Base, reason)
        .good(Tier::Backup, 300)
        .good(Tier::Restore, 200)
        .functional()
        .lint(Outcome::Pass)
        .end(&[], true);
    run
}

pub fn not_backup_capable() -> Run {
    let skip = || Outcome::skip("no service has the label backupbot.backup");
    let mut run = Run::whole();
    run.good(Tier::Install, 3_200)
        .good(Tier::Upgrade, 7_800)
        .operation(Tier::Backup, skip(), 0)
        .test(Tier::Backup, Source::Generic, "snapshot_is_there", skip())
        .operation(Tier::Restore, skip(), 0)
        .functional()
        .good(Tier::Fresh, 3_100)
        .lint(Outcome::Pass)
        .end(&[], true);
    run
}

pub fn cancelled() -> Run {
    let mut run = Run::whole();
    run.good(Tier::Install, 3_200)
        .push(EventKind::OperationStarted {
            tier: Tier::Upgrade,
        })
        .wait(2_000)
        .push(EventKind::CancelRequested {
            by: "the CI engine".to_owned(),
        })
        .end(&[], false);
    run
}

pub fn residue() -> Run {
    let mut run = Run::whole();
    run.good(Tier::Install, 3_200)
        .good(Tier::Upgrade, 7_800)
        .good(Tier::Backup, 300)
        .good(Tier::Restore, 200)
        .functional()
        .good(Tier::Fresh, 3_100)
        .lint(Outcome::Pass)
        .end(&[("volume", "cust-0f3a9c_ci_test_content")], false);
    run
}

pub fn no_functional_tests() -> Run {
    let mut run = Run::whole();
    run.good(Tier::Install, 3_200)
        .good(Tier::Upgrade, 7_800)
        .good(Tier::Backup, 300)
        .good(Tier::Restore, 200)
        .good(Tier::Fresh, 3_100)
        .lint(Outcome::fail("the recipe has no README"))
        .end(&[], true);
    run
}
