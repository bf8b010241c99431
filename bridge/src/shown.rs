//! What the page, `/readyz` and the figures say of the store and the loops.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::bridge::Bridge;
use crate::names::Repo;
use crate::poll;
use crate::serve::{Decision, Mention, PageView, Repository, Run};
use crate::store::{self, State, Stop};

/// How many troubles the page shows.
const TROUBLES: usize = 50;
/// How many decisions the page shows.
const DECISIONS: usize = 50;
/// How long a call for a repository that nobody watches is shown.
const MENTIONS: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Why the bridge does not do its work, if it does not.
pub fn ready(bridge: &Bridge) -> Result<(), Vec<String>> {
    let polls = bridge.polls();
    let late = bridge.rules.poll * 3 + Duration::from_secs(30);
    let mut reasons = Vec::new();
    for owner in poll::owners(&bridge.rules) {
        match polls.get(&owner) {
            None => reasons.push(format!("{owner} was never polled since the start")),
            Some(last) if ago(*last) > late => {
                reasons.push(format!(
                    "{owner} was last polled {} s ago",
                    ago(*last).as_secs()
                ));
            }
            Some(_) => {}
        }
    }
    if reasons.is_empty() {
        Ok(())
    } else {
        Err(reasons)
    }
}

fn ago(at: Timestamp) -> Duration {
    Duration::try_from(Timestamp::now().duration_since(at)).unwrap_or(Duration::ZERO)
}

/// The page, from the store. A store that does not answer is its first trouble.
pub async fn page(bridge: Arc<Bridge>) -> PageView {
    let now = Timestamp::now();
    let mut troubles = bridge.troubles.all();
    let more = troubles.len().saturating_sub(TROUBLES);
    troubles.truncate(TROUBLES);
    if more > 0 {
        troubles.push(format!("and {more} more, see the log"));
    }
    let mut view = PageView {
        now,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        last_poll: bridge.polls().values().max().copied(),
        troubles,
        repositories: Vec::new(),
        runs: Vec::new(),
        decisions: Vec::new(),
        mentions: Vec::new(),
    };
    let read = bridge.store.read(move |db| {
        Ok((
            store::enrolled_shown(db)?,
            store::live_runs(db)?,
            store::decisions_shown(db, DECISIONS)?,
            store::mentions_shown(db, now - MENTIONS)?,
        ))
    });
    let (enrolled, runs, decisions, mentions) = match read.await {
        Ok(read) => read,
        Err(error) => {
            view.troubles.insert(0, crate::stage::chain(&error));
            return view;
        }
    };
    let polls = bridge.polls();
    let repositories = enrolled.into_iter().filter_map(|shown| {
        let repo: Repo = shown.name.parse().ok()?;
        Some(Repository {
            last_poll: polls.get(&repo.owner().to_ascii_lowercase()).copied(),
            trouble: bridge.troubles.get(&format!("repository {repo}")),
            enrolled: shown.how,
            repo,
        })
    });
    view.repositories = repositories.collect();
    view.runs = runs.iter().map(|run| shown_run(&bridge, run)).collect();
    // First those that run.
    view.runs.sort_by_key(|run| run.state.starts_with("waits"));
    let forge = &bridge.rules.forge;
    let link = |repo: &Repo, pull: u64| Some(format!("{forge}/{repo}/pulls/{pull}"));
    view.decisions = decisions
        .into_iter()
        .filter_map(|shown| {
            let repo: Repo = shown.repo.parse().ok()?;
            Some(Decision {
                at: shown.at,
                url: link(&repo, shown.pull),
                repo,
                pull: shown.pull,
                who: shown.login,
                wrote: shown.text,
                why: (shown.outcome != "start").then_some(shown.reason),
                outcome: shown.outcome,
            })
        })
        .collect();
    view.mentions = mentions
        .into_iter()
        .filter_map(|shown| {
            let repo: Repo = shown.repo.parse().ok()?;
            Some(Mention {
                at: shown.at,
                url: link(&repo, shown.pull),
                repo,
                pull: shown.pull,
                who: shown.login,
            })
        })
        .collect();
    view
}

fn shown_run(bridge: &Bridge, run: &store::Run) -> Run {
    let order = &run.order;
    let stop = match &run.stop {
        Some(Stop::By(login)) => format!(", told to stop by {login}"),
        Some(Stop::Superseded(_)) => ", superseded".to_owned(),
        None => String::new(),
    };
    let state = match (run.state, &run.progress) {
        (State::Over, _) => "over".to_owned(),
        (_, Some(progress)) => match progress.tier {
            Some(tier) => format!("runs: {tier}"),
            None => "runs".to_owned(),
        },
        (State::Waiting, None) => "waits".to_owned(),
        (State::Starting, None) => "starts".to_owned(),
        (State::Started, None) => "waits in the executor's queue".to_owned(),
    };
    Run {
        recipe: order.recipe.clone(),
        repo: run.repo.clone(),
        pull: order.pull,
        pull_url: format!("{}/{}/pulls/{}", bridge.rules.forge, run.repo, order.pull),
        head: order.head.clone(),
        state: state + &stop,
        since: run.began.or(run.started).unwrap_or(run.asked),
        link: run
            .build
            .as_ref()
            .and_then(|build| bridge.executor.link(build)),
    }
}

/// Figures that are read from the store.
pub async fn figures(bridge: &Bridge) {
    bridge
        .metrics
        .forge(bridge.forge.requests(), bridge.forge.failures());
    let read = bridge
        .store
        .read(|db| Ok((store::states(db)?, store::due_said_count(db)?)));
    match read.await {
        Ok((states, pending)) => {
            for state in [State::Waiting, State::Starting, State::Started] {
                let count = states.get(state.as_str()).copied().unwrap_or(0);
                bridge.metrics.runs(state.as_str(), count);
            }
            bridge
                .metrics
                .outbox(usize::try_from(pending).unwrap_or(usize::MAX));
            bridge.troubles.clear("store");
        }
        Err(error) => bridge.troubles.set("store", &crate::stage::chain(&error)),
    }
}
