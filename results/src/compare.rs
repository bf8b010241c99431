//! What a run of a pull request changes, against the branch that it goes to.
//!
//! Invariants: a comparison is news for people and never changes a verdict; only runs that were
//! over before this one began are looked at, so it comes out the same whenever it is made.
//!
//! Must not know: where records lie.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::outcome::{Outcome, Verdict};
use crate::record::Record;

/// How many runs of the target branch are looked at.
pub const RUNS: usize = 10;
/// What takes less than this longer is no news, whatever the share.
const FLOOR_MS: u64 = 1_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// The target branch's name.
    pub branch: String,
    /// The last run of the branch that passed or failed; none: there is none on this host.
    pub with: Option<ComparedRun>,
    /// Passed there, and failed or met an error here.
    pub newly_red: Vec<Change>,
    /// The other way round.
    pub newly_green: Vec<Change>,
    /// Passed in both, and took more than half as long again.
    pub slower: Vec<Slower>,
    /// The last runs of the branch, whatever their verdict.
    pub runs: u64,
    /// What is in this run and was red or flaky in some of them.
    pub history: Vec<History>,
    /// Records that were passed over because they can't be read.
    pub unreadable: u64,
}

/// The run that is compared with. A verdict is nothing without the run that it is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComparedRun {
    pub run_id: String,
    #[serde(rename = "ref")]
    pub head: String,
    pub verdict: Verdict,
    pub finished: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// `<tier>` for its operation, `<tier>::<test>`, `lint` or `teardown`.
    pub what: String,
    pub before: Outcome,
    pub now: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Slower {
    pub what: String,
    pub before_ms: u64,
    pub now_ms: u64,
}

/// How often something was red in the runs in which it came to pass, fail or error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct History {
    pub what: String,
    pub red: u64,
    pub flaky: u64,
    pub runs: u64,
}

/// Whether a run is of the target branch: no pull request, and the branch's tip.
pub fn is_of_target(record: &Record) -> bool {
    let tip = record.target.as_ref().map(|target| &target.tip);
    record.pr == 0 && tip.is_some() && record.head.as_ref() == tip
}

/// Compares a run with those of the target branch, the last one first. None: it is of the target
/// branch itself, or does not know it.
pub fn compare(record: &Record, past: &[Record], unreadable: u64) -> Option<Comparison> {
    let branch = record.target.as_ref()?.branch.clone();
    if is_of_target(record) {
        return None;
    }
    let last = past
        .iter()
        .find(|past| matches!(past.verdict, Verdict::Pass | Verdict::Fail));
    let items = items(record);
    let mut comparison = Comparison {
        branch,
        with: last.map(|last| ComparedRun {
            run_id: last.run_id.clone(),
            head: last.head.clone().unwrap_or_default(),
            verdict: last.verdict,
            finished: last.finished.clone(),
        }),
        newly_red: Vec::new(),
        newly_green: Vec::new(),
        slower: Vec::new(),
        runs: u64::try_from(past.len()).unwrap_or(u64::MAX),
        history: history(&items, past),
        unreadable,
    };
    let before = by_key(last);
    for now in &items {
        if let Some(before) = before.get(&now.key) {
            comparison.add(before, now);
        }
    }
    Some(comparison)
}

impl Comparison {
    fn add(&mut self, before: &Item<'_>, now: &Item<'_>) {
        let change = || Change {
            what: now.what.clone(),
            before: before.outcome.clone(),
            now: now.outcome.clone(),
        };
        match (before.outcome, now.outcome) {
            (Outcome::Pass, Outcome::Pass) => {
                let more = now.ms.saturating_sub(before.ms);
                if more >= FLOOR_MS && more > before.ms / 2 {
                    self.slower.push(Slower {
                        what: now.what.clone(),
                        before_ms: before.ms,
                        now_ms: now.ms,
                    });
                }
            }
            (Outcome::Pass, outcome) if is_red(outcome) => self.newly_red.push(change()),
            (outcome, Outcome::Pass) if is_red(outcome) => self.newly_green.push(change()),
            _ => {}
        }
    }
}

/// What did not run because of something else is that something's news.
fn is_red(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Fail { .. } | Outcome::Error { .. })
}

struct Item<'a> {
    /// Tests of two sources may have one name.
    key: String,
    what: String,
    outcome: &'a Outcome,
    ms: u64,
    flaky: bool,
}

fn items(record: &Record) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    let mut add = |key: &str, what: &str, outcome, ms, flaky| {
        items.push(Item {
            key: key.to_owned(),
            what: what.to_owned(),
            outcome,
            ms,
            flaky,
        });
    };
    for tier in &record.tiers {
        let name = tier.name.as_str();
        if let Some(operation) = &tier.operation {
            add(name, name, &operation.outcome, operation.duration_ms, false);
        }
        for test in &tier.tests {
            let what = format!("{name}::{}", test.name);
            let key = format!("{what} {}", test.source);
            add(
                &key,
                &what,
                &test.outcome,
                test.duration_ms,
                test.is_flaky(),
            );
        }
    }
    add("lint", "lint", &record.lint.outcome, 0, false);
    let teardown = &record.teardown;
    let ms = teardown.duration_ms;
    add("teardown", "teardown", &teardown.outcome, ms, false);
    items
}

fn by_key(record: Option<&Record>) -> BTreeMap<String, Item<'_>> {
    let items = record.map(items).into_iter().flatten();
    items.map(|item| (item.key.clone(), item)).collect()
}

fn history(items: &[Item<'_>], past: &[Record]) -> Vec<History> {
    let past: Vec<_> = past.iter().map(|record| by_key(Some(record))).collect();
    let of = |item: &Item<'_>| {
        let mut history = History {
            what: item.what.clone(),
            red: 0,
            flaky: 0,
            runs: 0,
        };
        for then in past.iter().filter_map(|run| run.get(&item.key)) {
            history.red += u64::from(is_red(then.outcome));
            history.flaky += u64::from(then.flaky);
            history.runs += u64::from(is_red(then.outcome) || *then.outcome == Outcome::Pass);
        }
        history
    };
    let all = items.iter().map(of);
    all.filter(|history| history.red + history.flaky > 0)
        .collect()
}
