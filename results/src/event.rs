//! What happened, in the order in which it happened: one line of JSON an event.
//!
//! `events.jsonl` is the only thing a run writes about its outcome while it goes on. A reader that
//! follows the file sees the run live; a reader that comes after a crash has all that was known.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::outcome::{Outcome, Source, Tier};

/// One line of `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// RFC 3339, UTC.
    #[schemars(with = "String")]
    pub at: Timestamp,
    #[serde(flatten)]
    pub kind: EventKind,
}

impl Event {
    /// An event that happens now.
    pub fn now(kind: EventKind) -> Self {
        Self {
            at: Timestamp::now(),
            kind,
        }
    }
}

/// What is known of a run before anything is fetched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunStarted {
    pub run_id: String,
    pub recipe: String,
    /// Where the recipe comes from: a URL, a path, or `catalogue`.
    pub source: String,
    /// The ref that was asked for, as it was given. None: the default branch's tip.
    pub requested_ref: Option<String>,
    /// 0 where there is no pull request.
    pub pr: u64,
    pub engine: String,
    pub site: String,
    /// The tiers asked for. Fewer than all named ones make a partial run, which has no level.
    pub tiers: Vec<Tier>,
    /// Every trial that must report, where the runner was given the list; empty where the runner
    /// (a bare `cargo nextest run`) may filter as it likes.
    pub planned: Vec<PlannedTrial>,
    /// Resolved settings, as they are printed.
    pub settings: Map<String, Value>,
    /// Tiers whose generic assertions are opted out of.
    pub skipped_generic: Vec<Tier>,
}

/// A trial that the runner was told to run.
///
/// A trial whose name (its last segment) begins with `0_` performs the tier's operation: it may
/// report as any other, but it is no assertion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedTrial {
    pub tier: Tier,
    pub name: String,
    pub source: Source,
}

/// The version that is deployed before the upgrade to head, and why that one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Base {
    /// A version tag, or the short commit where the base has none.
    pub version: String,
    pub commit: String,
    pub reason: String,
}

/// What is known once the recipe was fetched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resolved {
    /// Full sha of the commit under test.
    #[serde(rename = "ref")]
    pub head: String,
    /// The version that head declares, where it declares one.
    pub head_version: Option<String>,
    pub base: Option<Base>,
    /// Why there is no base, where there is none.
    pub no_base: Option<String>,
    pub domain: String,
    pub stack: String,
    /// Of the program that the engine drives, where it drives one.
    #[serde(default)]
    pub engine_version: Option<String>,
    /// The branch that a change goes to; none where the source has no default branch.
    #[serde(default)]
    pub target: Option<Target>,
}

/// The default branch of where the recipe comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    pub branch: String,
    /// Full sha of its tip when the recipe was fetched.
    pub tip: String,
}

/// What is left of a run after its teardown, an item a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Leftover {
    /// `container`, `service`, `volume`, `secret`, `config`, `network`, `image`, `file`.
    pub kind: String,
    pub name: String,
}

/// A finding of the lint rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LintFinding {
    pub rule: String,
    /// `error` or `warn`.
    pub severity: String,
    pub message: String,
    pub file: Option<String>,
    pub line: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    RunStarted(Box<RunStarted>),
    Resolved(Box<Resolved>),
    /// A named stretch of time outside the operations: `fetch`, `queue`, `images`, `edge`, ….
    PhaseStarted {
        phase: String,
    },
    PhaseEnded {
        phase: String,
        duration_ms: u64,
    },
    /// What the run waits for now, for people who follow it.
    Waiting {
        subject: String,
        status: String,
        elapsed_ms: u64,
        deadline_ms: u64,
    },
    OperationStarted {
        tier: Tier,
    },
    OperationEnded {
        tier: Tier,
        outcome: Outcome,
        duration_ms: u64,
        /// What the operation learned: version before and after, snapshot id, and so on.
        facts: Map<String, Value>,
        evidence: Vec<String>,
    },
    TrialStarted {
        tier: Tier,
        name: String,
        source: Source,
    },
    TrialEnded {
        tier: Tier,
        name: String,
        source: Source,
        outcome: Outcome,
        duration_ms: u64,
        /// Paths below the run's directory.
        evidence: Vec<String>,
    },
    /// Worth a line in the report, without a bearing on the verdict.
    Note {
        tier: Option<Tier>,
        text: String,
    },
    /// A second try inside an operation.
    Retry {
        tier: Tier,
        what: String,
        why: String,
        attempt: u32,
    },
    /// A repo-local test that was found.
    RepoLocal {
        path: String,
        ran: bool,
        reason: String,
    },
    Lint {
        /// `abra`, `native` or `none`.
        by: String,
        outcome: Outcome,
        findings: Vec<LintFinding>,
    },
    /// The runner's own filter left these tiers out: they were not asked for after all.
    Narrowed {
        tiers: Vec<Tier>,
    },
    CancelRequested {
        by: String,
    },
    /// The tests are done and the app stays live on request. The run ends later, with its teardown.
    Kept {
        /// Until when, in words.
        reason: String,
    },
    TeardownStarted,
    TeardownEnded {
        duration_ms: u64,
        residue: Vec<Leftover>,
        /// What could not be looked at or removed, in words; empty if all went well.
        errors: Vec<String>,
    },
    /// The keeper was gone before it had finished: whoever noticed writes this after reaping.
    SessionLost {
        reason: String,
    },
    /// The runner (nextest) ended. `success` is its own view, which must agree with the record.
    RunnerEnded {
        success: bool,
        status: String,
    },
    RunFinished,
}
