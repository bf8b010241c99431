//! Figures for Prometheus, all named `cc_ci_bridge_…`.
//!
//! Labels are words of the code, never of anybody outside: else a stranger could make series.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// One label.
type By = [(&'static str, &'static str); 1];

/// Seconds from a comment to its run: a poll's interval is the usual wait.
const WAITS: [f64; 11] = [
    1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0, 900.0,
];

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    polls: Family<By, Counter>,
    last_poll: Gauge,
    forge_requests: Counter<u64, AtomicU64>,
    forge_failures: Counter<u64, AtomicU64>,
    decisions: Family<By, Counter>,
    runs: Family<By, Gauge>,
    builds_started: Counter,
    runs_ended: Family<By, Counter>,
    outbox_pending: Gauge,
    hooks: Family<By, Counter>,
    comment_to_start: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("cc_ci_bridge"),
            polls: Family::default(),
            last_poll: Gauge::default(),
            forge_requests: Counter::default(),
            forge_failures: Counter::default(),
            decisions: Family::default(),
            runs: Family::default(),
            builds_started: Counter::default(),
            runs_ended: Family::default(),
            outbox_pending: Gauge::default(),
            hooks: Family::default(),
            comment_to_start: Histogram::new(WAITS),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("polls", "Rounds of polling, by result", self.polls.clone());
        registry.register_with_unit(
            "last_poll_timestamp",
            "When the last round of polling that succeeded ended, since 1970",
            Unit::Seconds,
            self.last_poll.clone(),
        );
        registry.register(
            "forge_requests",
            "Requests to the forge",
            self.forge_requests.clone(),
        );
        registry.register(
            "forge_failures",
            "Requests to the forge that failed",
            self.forge_failures.clone(),
        );
        registry.register(
            "decisions",
            "Comments that were decided, by outcome",
            self.decisions.clone(),
        );
        registry.register(
            "runs",
            "Runs that are not over, by state",
            self.runs.clone(),
        );
        registry.register(
            "builds_started",
            "Runs that the executor took",
            self.builds_started.clone(),
        );
        registry.register(
            "runs_ended",
            "Runs that are over, by verdict",
            self.runs_ended.clone(),
        );
        registry.register(
            "outbox_pending",
            "What is still to be said to the forge",
            self.outbox_pending.clone(),
        );
        registry.register("hooks", "Webhooks received, by result", self.hooks.clone());
        registry.register_with_unit(
            "comment_to_start",
            "From a comment to the start of its run",
            Unit::Seconds,
            self.comment_to_start.clone(),
        );
    }

    /// A round of polling ended, at `now`.
    pub fn polled(&self, result: Polled, now: Timestamp) {
        let by = [("result", result.as_str())];
        self.polls.get_or_create(&by).inc();
        if result != Polled::Failed {
            self.last_poll.set(now.as_second());
        }
    }

    /// What the forge's client counted until now.
    pub fn forge(&self, requests: u64, failures: u64) {
        self.forge_requests
            .inner()
            .store(requests, Ordering::Relaxed);
        self.forge_failures
            .inner()
            .store(failures, Ordering::Relaxed);
    }

    pub fn decided(&self, outcome: &'static str) {
        self.decisions.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// How many runs are in a state; also to be said where it is none.
    pub fn runs(&self, state: &'static str, runs: usize) {
        let runs = i64::try_from(runs).unwrap_or(i64::MAX);
        self.runs.get_or_create(&[("state", state)]).set(runs);
    }

    /// The executor took a run. `wait` is how long it is since the comment.
    pub fn started(&self, wait: Duration) {
        self.builds_started.inc();
        self.comment_to_start.observe(wait.as_secs_f64());
    }

    pub fn ended(&self, verdict: &'static str) {
        self.runs_ended.get_or_create(&[("verdict", verdict)]).inc();
    }

    pub fn outbox(&self, pending: usize) {
        let pending = i64::try_from(pending).unwrap_or(i64::MAX);
        self.outbox_pending.set(pending);
    }

    pub fn hook(&self, result: &'static str) {
        self.hooks.get_or_create(&[("result", result)]).inc();
    }

    /// All of them, as Prometheus reads them.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes all that is written");
        text
    }
}

/// How a round of polling ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// Nothing had changed.
    Idle,
    Changed,
    /// Something could not be asked.
    Failed,
}

impl Polled {
    fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Changed => "changed",
            Self::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_written() {
        let metrics = Metrics::new();
        let now = Timestamp::from_second(1_790_000_000).unwrap();
        metrics.polled(Polled::Changed, now);
        metrics.polled(Polled::Idle, now);
        metrics.polled(
            Polled::Failed,
            Timestamp::from_second(1_790_000_030).unwrap(),
        );
        metrics.forge(7, 1);
        metrics.forge(9, 2);
        metrics.decided("start");
        metrics.runs("waiting", 3);
        metrics.runs("waiting", 0);
        metrics.started(Duration::from_millis(12_500));
        metrics.ended("pass");
        metrics.outbox(4);
        metrics.hook("nudged");
        let text = metrics.text();
        // Within a figure, any order of the labels is right.
        let mut lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        lines.sort_unstable();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
