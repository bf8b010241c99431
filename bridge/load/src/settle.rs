//! When all is said and done, by what is seen from outside.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use forge_model::drone::Status;
use forge_model::{Drone, Gitea, Kind};

use crate::oracle::{Build, Facts, Said, Violation, violations};
use crate::outside::Outside;
use crate::poster::Script;
use crate::world::{BOT, CI, World};

/// How long no question but the poll is asked when there is nothing to do.
const QUIET: Duration = Duration::from_secs(3);
/// Who waits longer after a failure is not seen from outside: so long it is given where something
/// is still missing.
const LONG_QUIET: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(250);

/// Requests but for the poll itself.
pub fn deeds(gitea: &Gitea, drone: &Drone) -> u64 {
    let polls = gitea.traffic().count(Kind::IssueSearch);
    gitea.traffic().total() - polls + drone.traffic().total()
}

/// Waits until nothing goes on any more; what is not as it has to be then.
pub async fn settled(
    world: &World,
    outside: &Outside,
    script: &Script,
    deadline: Duration,
) -> Result<(Facts, Vec<Violation>)> {
    let until = Instant::now() + deadline;
    let mut quiet_since = Instant::now();
    let mut last = deeds(&world.gitea, &world.drone);
    let mut judged = false;
    let mut every = tokio::time::interval(LOOK);
    loop {
        every.tick().await;
        let now = deeds(&world.gitea, &world.drone);
        if now != last {
            (last, quiet_since, judged) = (now, Instant::now(), false);
        }
        let quiet = quiet_since.elapsed();
        if quiet >= QUIET && !judged && is_idle(world, outside).await {
            let facts = facts(world, script);
            let found = violations(&facts);
            judged = true;
            if found.is_empty() {
                return Ok((facts, found));
            }
        }
        if quiet >= LONG_QUIET && is_idle(world, outside).await {
            let facts = facts(world, script);
            let found = violations(&facts);
            return Ok((facts, found));
        }
        if Instant::now() >= until {
            let facts = facts(world, script);
            let found = violations(&facts);
            if found.is_empty() {
                bail!(
                    "after {deadline:?} the bridge still did something, though nothing is missing"
                );
            }
            return Ok((facts, found));
        }
    }
}

async fn is_idle(world: &World, outside: &Outside) -> bool {
    let built = world.drone.slots_taken() == 0
        && world
            .drone
            .builds(CI)
            .iter()
            .all(|build| build.status.is_final());
    built
        && outside
            .metrics()
            .await
            .is_ok_and(|metrics| metrics.is_idle())
}

/// What both models hold now.
pub fn facts(world: &World, script: &Script) -> Facts {
    let own: HashSet<u64> = script.posted.iter().map(|posted| posted.id).collect();
    let builds = world.drone.builds(CI).into_iter().map(|build| Build {
        number: build.number,
        status: build.status,
        params: build.params.unwrap_or_default(),
    });
    let said = world.gitea.comments_by(BOT).into_iter();
    let reacted = script.posted.iter().filter(|posted| {
        let seen = world.gitea.comment_seen(posted.id);
        seen.is_some_and(|seen| seen.reactions.iter().any(|(who, _)| who == BOT))
    });
    let mut facts = Facts {
        posted: script.posted.clone(),
        heads: script.heads.clone(),
        builds: builds.collect(),
        said: said
            .filter(|comment| !own.contains(&comment.id))
            .map(|comment| Said {
                id: comment.id,
                place: (comment.repo, comment.number),
                body: comment.body,
            })
            .collect(),
        reacted: reacted.map(|posted| posted.id).collect(),
        writable: world.writable.clone(),
        ..Facts::default()
    };
    for ((repo, _), heads) in &script.heads {
        for head in heads {
            let set = world.gitea.statuses(repo, head).into_iter();
            let set = set.map(|status| (status.context, status.state)).collect();
            facts.statuses.insert((repo.clone(), head.clone()), set);
        }
    }
    facts
}

/// How many builds came to each end.
pub fn count(facts: &Facts, status: Status) -> usize {
    facts
        .builds
        .iter()
        .filter(|build| build.status == status)
        .count()
}
