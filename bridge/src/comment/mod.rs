//! What is said on a pull request.
//!
//! Invariants: pure functions of what they are given; every text from outside is in a code span or
//! a fence that it can't close, so it mentions nobody, links nowhere and breaks nothing; a comment
//! is below the forge's limit whatever comes in.
//!
//! Must not know: when and how often a comment is written.

mod inert;
pub mod marker;
mod reply;
mod status;

use std::time::Duration;

use results::outcome::{Tier, Verdict};
use results::summary::Summary;
use results::text::{cut, duration, line};
use serde::{Deserialize, Serialize};

pub use marker::{Marker, has_marker};
pub use reply::{Reply, reply};
pub use status::status_comment;

use crate::command::Asked;
use crate::forge::CommitState;
use crate::names::{CommitSha, PullNumber, RecipeName, Repo};

/// The most bytes of a comment.
pub const LONGEST: usize = 60_000;
/// The most bytes of a commit status's description.
const LONGEST_DESCRIPTION: usize = 255;

/// All that the comment of a head says.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub recipe: &'a RecipeName,
    pub repo: &'a Repo,
    pub pull: PullNumber,
    pub head: &'a CommitSha,
    pub asked: &'a Asked,
    pub phase: Phase<'a>,
    pub notes: &'a [Note],
}

/// How far the run is. URLs that are none of the web are left out.
#[derive(Debug, Clone, Copy)]
pub enum Phase<'a> {
    Queued {
        /// Its place in the queue, from 1: the next.
        position: Option<u32>,
        /// How long until it starts.
        expected: Option<Duration>,
    },
    /// Given to the executor.
    Starting,
    /// Said in whole minutes and without what it waits for, so that the comment changes seldom.
    Running {
        tier: Option<Tier>,
        elapsed: Duration,
        link: Option<&'a str>,
    },
    Done {
        summary: &'a Summary,
        /// The log.
        link: Option<&'a str>,
        report_url: Option<&'a str>,
        badge_url: Option<&'a str>,
    },
    Cancelled {
        by: &'a str,
        summary: Option<&'a Summary>,
    },
    /// It still waited when another head was to be tested.
    Superseded { head: &'a CommitSha },
    /// There is no record that can be believed.
    Infra { why: &'a str, link: Option<&'a str> },
}

/// What is worth a line beside how the run goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// The comment has so many further commands.
    FirstOfSeveral(usize),
    /// The head whose run still waited, and does not any more.
    Supersedes(CommitSha),
}

/// The state and the description of the commit status. Each posting is kept by the forge for ever,
/// so it has nothing that changes from minute to minute.
pub fn commit_status(view: &View<'_>) -> (CommitState, String) {
    let (state, text) = match view.phase {
        Phase::Queued { .. } => (CommitState::Pending, "waits for its turn".to_owned()),
        Phase::Starting => (CommitState::Pending, "starts".to_owned()),
        Phase::Running { tier: None, .. } => (CommitState::Pending, "runs".to_owned()),
        Phase::Running {
            tier: Some(tier), ..
        } => (CommitState::Pending, format!("runs: {tier}")),
        Phase::Done { summary, .. } => done(summary),
        Phase::Cancelled { by, .. } => (CommitState::Error, format!("cancelled by {by}")),
        Phase::Superseded { head } => (
            CommitState::Error,
            format!("a newer commit is tested in its place: {}", short(head)),
        ),
        Phase::Infra { why, .. } => (CommitState::Error, not_your_fault(why)),
    };
    (state, within(&line(&text), LONGEST_DESCRIPTION))
}

fn done(summary: &Summary) -> (CommitState, String) {
    let took = duration(summary.elapsed_ms);
    let level = level(summary);
    let reason = &summary.verdict_reason;
    match summary.verdict {
        Verdict::Pass => (CommitState::Success, format!("pass, {level}, in {took}")),
        Verdict::Fail => (CommitState::Failure, format!("fail, {level}: {reason}")),
        Verdict::Error => (CommitState::Error, not_your_fault(reason)),
        Verdict::Cancelled => (CommitState::Error, format!("cancelled: {reason}")),
    }
}

fn not_your_fault(why: &str) -> String {
    format!("error, and not the recipe's fault: {why}")
}

fn level(summary: &Summary) -> String {
    match summary.level {
        Some(level) => format!("level {level} of 5"),
        None if summary.partial => "a part of the tests".to_owned(),
        None => "no level".to_owned(),
    }
}

/// The first twelve digits.
fn short(head: &CommitSha) -> &str {
    &head.as_str()[..12]
}

/// At most so many bytes.
fn within(text: &str, most: usize) -> String {
    let fits = |chars: &usize| cut(text, *chars).len() <= most;
    let chars = (0..=most).rev().find(fits).unwrap_or(0);
    cut(text, chars)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod reply_tests;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
