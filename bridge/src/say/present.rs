//! What the forge is to show of a run, from what the store knows: called in each transaction that
//! changes a run, so that the two never differ.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use results::outcome::Verdict;
use rusqlite::Transaction;
use serde::{Deserialize, Serialize};

use crate::bridge::Bridge;
use crate::command::Asked;
use crate::comment::{Phase, View, commit_status, marker, status_comment};
use crate::executor::Order;
use crate::forge::{CommitState, CommitStatus};
use crate::names::{CommitSha, PullNumber, Repo};
use crate::store::{self, Ahead, EndedRun, Kind, Run, State, Stop, json};

/// How many past runs tell how long the next one takes.
const PAST: usize = 11;

/// Wishes for the comment of a head, as its last run stands, and for a commit status of each kind of
/// run that it had.
pub fn present(
    db: &Transaction<'_>,
    bridge: &Bridge,
    repo: &Repo,
    pull: PullNumber,
    head: &CommitSha,
) -> rusqlite::Result<()> {
    let mut contexts = BTreeSet::new();
    for (nth, run) in store::runs_of_head(db, repo, pull, head)?
        .iter()
        .enumerate()
    {
        let context = context(&run.order);
        let is_last_of_kind = contexts.insert(context);
        if !is_last_of_kind {
            continue;
        }
        let asked = Asked {
            tiers: run.order.tiers.clone(),
            quick: run.order.quick,
            from: run.order.from.clone(),
            commit: None,
        };
        let links = Links::new(bridge, run);
        let view = View {
            recipe: &run.order.recipe,
            repo,
            pull,
            head,
            asked: &asked,
            phase: phase(db, bridge, run, &links)?,
            notes: &run.notes,
        };
        if nth == 0 {
            let subject = marker::of_status(repo, pull, head).to_string();
            let text = status_comment(&view);
            store::want(db, repo, Kind::Comment, &subject, pull, &text)?;
        }
        let wanted = Wanted::new(&view, context, &links);
        let subject = format!("{head} {context}");
        store::want(db, repo, Kind::Status, &subject, pull, &json(&wanted))?;
    }
    Ok(())
}

/// The context of a run's commit status. A run of a part, or from a warm volume, says less than a
/// whole one, and so never stands in its place.
pub fn context(order: &Order) -> &'static str {
    if order.quick {
        "cc-ci/testme/quick"
    } else if order.tiers.is_empty() {
        "cc-ci/testme"
    } else {
        "cc-ci/testme/partial"
    }
}

struct Links {
    build: Option<String>,
    report: Option<String>,
    badge: Option<String>,
}

impl Links {
    fn new(bridge: &Bridge, run: &Run) -> Self {
        // What is not over has no report yet.
        let report = bridge.rules.report.as_ref();
        let report = report.filter(|_| run.state == State::Over);
        Self {
            build: run
                .build
                .as_ref()
                .and_then(|build| bridge.executor.link(build)),
            report: report.map(|report| report.of_run(&run.order.key)),
            badge: report.map(|report| report.badge(&run.order.recipe)),
        }
    }
}

fn phase<'a>(
    db: &Transaction<'_>,
    bridge: &Bridge,
    run: &'a Run,
    links: &'a Links,
) -> rusqlite::Result<Phase<'a>> {
    let link = links.build.as_deref();
    Ok(match (&run.ended, &run.progress, run.state) {
        (Some(ended), _, _) => over(run, ended, links),
        (None, Some(progress), _) => Phase::Running {
            tier: progress.tier,
            elapsed: since(run.began),
            link,
        },
        (None, None, State::Starting) => Phase::Starting,
        (None, None, _) => {
            let ahead = store::ahead(db, run.decision)?;
            Phase::Queued {
                position: Some(ahead.waiting + 1),
                expected: expected(db, bridge, ahead)?,
            }
        }
    })
}

fn over<'a>(run: &'a Run, ended: &'a EndedRun, links: &'a Links) -> Phase<'a> {
    let link = links.build.as_deref();
    match (ended, &run.stop) {
        // It may have come to its end before the stop reached it.
        (EndedRun::Recorded(summary), _) if summary.verdict != Verdict::Cancelled => Phase::Done {
            summary,
            link,
            report_url: links.report.as_deref(),
            badge_url: links.badge.as_deref(),
        },
        (_, Some(Stop::Superseded(head))) => Phase::Superseded { head },
        (EndedRun::Recorded(summary), stop) => Phase::Cancelled {
            by: match stop {
                Some(Stop::By(login)) => login,
                _ => summary.cancelled_by.as_deref().unwrap_or("an operator"),
            },
            summary: Some(summary),
        },
        (_, Some(Stop::By(login))) => Phase::Cancelled {
            by: login,
            summary: None,
        },
        (EndedRun::NoRecord(why), None) => Phase::Infra { why, link },
        (EndedRun::NotStarted, None) => Phase::Infra {
            why: "it was not started",
            link,
        },
    }
}

/// How long until a run begins: what is before it takes as long as the last ones did. None: nobody
/// knows, or nothing is before it.
fn expected(
    db: &Transaction<'_>,
    bridge: &Bridge,
    ahead: Ahead,
) -> rusqlite::Result<Option<Duration>> {
    let at_once = u32::try_from(bridge.executor.slots().unwrap_or(1)).unwrap_or(u32::MAX);
    let rounds = (ahead.waiting + ahead.running) / at_once.max(1);
    let mut past = store::durations(db, PAST)?;
    past.sort_unstable();
    let usual = past.get(past.len() / 2).filter(|_| rounds > 0);
    Ok(usual.map(|usual| *usual * rounds))
}

fn since(at: Option<Timestamp>) -> Duration {
    let at = at.unwrap_or_else(Timestamp::now);
    Duration::try_from(Timestamp::now().duration_since(at)).unwrap_or(Duration::ZERO)
}

/// A commit status, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    state: String,
    context: String,
    description: String,
    target_url: Option<String>,
}

impl Wanted {
    fn new(view: &View<'_>, context: &str, links: &Links) -> Self {
        let (state, description) = commit_status(view);
        Self {
            state: state.as_str().to_owned(),
            context: context.to_owned(),
            description,
            target_url: links.report.clone().or_else(|| links.build.clone()),
        }
    }

    pub fn parse(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }
}

impl From<Wanted> for CommitStatus {
    fn from(wanted: Wanted) -> Self {
        let all = [
            CommitState::Pending,
            CommitState::Success,
            CommitState::Failure,
        ];
        let state = all.into_iter().find(|state| state.as_str() == wanted.state);
        Self {
            state: state.unwrap_or(CommitState::Error),
            context: wanted.context,
            description: wanted.description,
            target_url: wanted.target_url,
        }
    }
}
