//! `result.json`, schema 1.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::compare::Comparison;
use crate::event::{Base, Leftover, LintFinding, Target};
use crate::outcome::{Outcome, Source, Tier, Verdict};

/// The version of the shape of [`Record`].
pub const SCHEMA: u32 = 1;

/// A whole run, as it is stored in `result.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    pub schema: u32,
    pub run_id: String,
    pub recipe: String,
    pub source: String,
    /// Full sha of the commit under test; none if the run ended before it was known.
    #[serde(rename = "ref")]
    pub head: Option<String>,
    pub head_version: Option<String>,
    pub requested_ref: Option<String>,
    pub base: Option<Base>,
    pub no_base: Option<String>,
    /// The branch that a change goes to. A run with no pull request whose `ref` is its tip is a run
    /// of that branch.
    #[serde(default)]
    pub target: Option<Target>,
    pub pr: u64,
    pub engine: String,
    /// Of the program that the engine drives (abra), where it drives one.
    #[serde(default)]
    pub engine_version: Option<String>,
    pub site: String,
    pub domain: Option<String>,
    /// RFC 3339, UTC.
    pub started: String,
    pub finished: String,
    pub verdict: Verdict,
    /// The one line that explains the verdict.
    pub verdict_reason: String,
    /// 0 to 5; none for a partial run.
    pub level: Option<u8>,
    pub level_reason: String,
    /// What each rung of the level came to, lowest first; empty for a partial run.
    #[serde(default)]
    pub ladder: Vec<Rung>,
    /// The tiers asked for. Not all five named ones: a partial run, which has no level.
    pub tiers_asked: Vec<Tier>,
    /// The five named tiers in their order, then fresh where it applies.
    pub tiers: Vec<TierRecord>,
    pub skipped_generic: Vec<Tier>,
    pub lint: LintRecord,
    pub settings: Map<String, Value>,
    pub retries: Vec<RetryRecord>,
    /// Tests that passed only on a second try.
    pub flaky: Vec<String>,
    pub repo_local: Vec<RepoLocalRecord>,
    pub notes: Vec<String>,
    pub teardown: TeardownRecord,
    /// Milliseconds of each phase and operation.
    pub phases_ms: BTreeMap<String, u64>,
    /// What bears on the verdict and belongs to no tier: a lost session, a runner that failed.
    pub faults: Vec<RunFault>,
    /// Who asked for the run to stop, if anybody did.
    pub cancelled_by: Option<String>,
    /// What differs from the last runs of the target branch; none where this is one of them.
    #[serde(default)]
    pub comparison: Option<Comparison>,
    /// Start and length of each phase, operation and test, for the timeline.
    pub timeline: Vec<Span>,
}

impl Record {
    /// The record of one tier. The named tiers are always there; fresh only where it applies.
    pub fn tier(&self, tier: Tier) -> Option<&TierRecord> {
        self.tiers.iter().find(|record| record.name == tier)
    }

    /// Milliseconds from the start of the run to its end; 0 if either is no time.
    pub fn elapsed_ms(&self) -> u64 {
        let at = |text: &str| text.parse::<jiff::Timestamp>().ok();
        match (at(&self.started), at(&self.finished)) {
            (Some(started), Some(finished)) => {
                u64::try_from(finished.duration_since(started).as_millis()).unwrap_or(0)
            }
            _ => 0,
        }
    }
}

/// A rung of the level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rung {
    /// From 1.
    pub rung: u8,
    pub name: String,
    pub state: RungState,
    /// Why it is skipped, blocked or out of reach.
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RungState {
    /// It passed, and every rung below it passed or was skipped.
    Passed,
    /// Does not apply: it blocks nothing, and it is not a rung that one stands on.
    Skipped,
    Blocked,
    /// It passed, and a rung below it is blocked.
    OutOfReach,
}

impl RungState {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Skipped => "skipped",
            Self::Blocked => "blocked",
            Self::OutOfReach => "out of reach",
        }
    }
}

/// Something that went wrong with the run itself. Each one makes a run an error at least.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunFault {
    pub kind: RunFaultKind,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunFaultKind {
    /// The session's keeper was gone before it had finished.
    SessionLost,
    /// The list of events ends before the run did: this record is of a part of it.
    NotFinished,
    /// A line of the events could not be read, so an outcome may be missing.
    EventsUnreadable,
    /// The runner said failure while nothing in the record is red.
    RunnerFailed,
}

/// A stretch of the run, in milliseconds since its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// `phase`, `operation`, `test` or `teardown`.
    pub kind: String,
    pub name: String,
    pub tier: Option<Tier>,
    pub start_ms: u64,
    pub duration_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TierRecord {
    pub name: Tier,
    #[serde(flatten)]
    pub outcome: Outcome,
    pub duration_ms: u64,
    pub operation: Option<OperationRecord>,
    pub tests: Vec<TestRecord>,
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperationRecord {
    #[serde(flatten)]
    pub outcome: Outcome,
    pub duration_ms: u64,
    pub facts: Map<String, Value>,
    pub evidence: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TestRecord {
    pub name: String,
    pub source: Source,
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Of all tries.
    pub duration_ms: u64,
    pub evidence: Vec<String>,
    /// What came of the tries before the last one, as far as they did not pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Outcome>,
}

impl TestRecord {
    /// Whether it passed, but only on a later try.
    pub fn is_flaky(&self) -> bool {
        self.outcome == Outcome::Pass && !self.earlier.is_empty()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LintRecord {
    #[serde(flatten)]
    pub outcome: Outcome,
    pub by: String,
    pub findings: Vec<LintFinding>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RetryRecord {
    pub tier: Tier,
    pub what: String,
    pub why: String,
    pub attempt: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RepoLocalRecord {
    pub path: String,
    pub ran: bool,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TeardownRecord {
    #[serde(flatten)]
    pub outcome: Outcome,
    pub residue: Vec<Leftover>,
    pub duration_ms: u64,
}
