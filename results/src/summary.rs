//! The record of a run in one line, for whoever is not on its host: the bridge finds it as the last
//! line of a build's log.
//!
//! Invariants: all texts are inert and bounded, so a line is at most some kilobytes; a line of
//! another version, or that is no summary, is refused and never half read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{CommitSha, RunId};
use crate::outcome::{Tier, Verdict};

/// The version of the shape of [`Summary`].
pub const SCHEMA: u32 = 1;

/// What a line begins with, before the JSON.
pub const PREFIX: &str = "cc-ci-summary: ";

/// What is said of a run where there is little room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    pub schema: u32,
    #[schemars(with = "String")]
    pub run_id: RunId,
    pub recipe: String,
    /// The commit that was tested; none: the run ended before it was known.
    #[serde(rename = "ref")]
    #[schemars(with = "Option<String>")]
    pub head: Option<CommitSha>,
    pub pr: u64,
    pub verdict: Verdict,
    pub verdict_reason: String,
    /// 0 to 5; none for a partial run.
    pub level: Option<u8>,
    pub level_reason: String,
    pub elapsed_ms: u64,
    /// The tiers in their order, then `lint` and `teardown`.
    pub rows: Vec<Row>,
    /// What the verdict rests on, where it is no pass.
    pub first: Option<First>,
    /// What differs from the target branch's last run, a line each.
    pub news: Vec<String>,
    /// The target branch, where there is something to compare with.
    pub target: Option<String>,
    pub cancelled_by: Option<String>,
    /// Not all tiers were asked for.
    pub partial: bool,
}

/// A tier, lint or the teardown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    pub name: String,
    /// `pass`, `fail`, `skip`, `unverified`, `error`.
    pub status: String,
    pub duration_ms: u64,
    /// Why it is no pass.
    pub reason: Option<String>,
}

/// The first failing thing, with the end of the file that shows why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct First {
    pub tier: Tier,
    /// None: the operation.
    pub test: Option<String>,
    pub reason: String,
    /// The file of evidence, below the run's directory.
    pub path: Option<String>,
    pub lines: Option<String>,
}
