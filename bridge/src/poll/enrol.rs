//! Which repositories are watched, and since which comment.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;

use super::AT_ONCE;
use crate::bridge::{Bridge, Rules};
use crate::names::{RecipeName, Repo};
use crate::point::{self, Point};
use crate::stage::Trouble;
use crate::store::{self, Enrolled};

/// Topics are asked for each so many polls: a repository is not enrolled every minute.
const TOPIC_ROUNDS: u64 = 20;

/// Owners, each of whom is polled on its own.
pub fn owners(rules: &Rules) -> BTreeSet<String> {
    let of_repositories = rules.repositories.iter().map(Repo::owner);
    let of_topics = rules.topics.iter().map(|(owner, _)| owner.as_str());
    of_repositories
        .chain(of_topics)
        .map(str::to_ascii_lowercase)
        .collect()
}

/// Enrols what is not enrolled yet.
pub async fn round(bridge: &Bridge, owner: &str, rounds: u64) -> Result<(), Trouble> {
    let mut wanted: Vec<(Repo, Enrolled)> = Vec::new();
    let listed = bridge.rules.repositories.iter();
    for repo in listed.filter(|repo| repo.owner().eq_ignore_ascii_case(owner)) {
        wanted.push((repo.clone(), Enrolled::List));
    }
    let topics = rounds.is_multiple_of(TOPIC_ROUNDS);
    if topics {
        for (_, topic) in bridge
            .rules
            .topics
            .iter()
            .filter(|(of, _)| of.eq_ignore_ascii_case(owner))
        {
            let carrying = bridge.forge.repos_with_topic(owner, topic).await?;
            for repo in carrying {
                if repo.name().parse::<RecipeName>().is_err() {
                    let text =
                        format!("{repo} carries the topic {topic}, and its name is no recipe's");
                    bridge.troubles.set(&format!("repository {repo}"), &text);
                } else if !wanted.iter().any(|(known, _)| known.is(&repo)) {
                    wanted.push((repo, Enrolled::Topic));
                }
            }
        }
    }
    let whose = owner.to_owned();
    let new = bridge.store.write(move |db| {
        for (how, now) in [(Enrolled::List, rounds == 0), (Enrolled::Topic, topics)] {
            let kept = wanted.iter().filter(|(_, wanted)| *wanted == how);
            let kept: Vec<_> = kept.map(|(repo, _)| repo.clone()).collect();
            if now {
                store::keep_enrolled(db, &whose, how, &kept)?;
            }
        }
        let mut new = Vec::new();
        for (repo, how) in wanted {
            if store::enrolment(db, &repo)?.is_none() {
                new.push((repo, how));
            }
        }
        Ok(new)
    });
    let enrolled =
        futures_util::stream::iter(new.await?.into_iter().map(|(repo, how)| async move {
            let name = format!("repository {repo}");
            let result = one(bridge, repo, how).await;
            match &result {
                Ok(()) => bridge.troubles.clear(&name),
                Err(trouble) => bridge.troubles.set(&name, &trouble.text),
            }
            result
        }));
    let results: Vec<Result<(), Trouble>> = enrolled.buffer_unordered(AT_ONCE).collect().await;
    // One that is misspelt must not keep the others from being polled: it is shown, and tried again.
    let failed = results.iter().filter(|result| result.is_err()).count();
    if failed == results.len() && failed > 1 {
        return results.into_iter().collect();
    }
    Ok(())
}

/// What is there now counts as seen.
async fn one(bridge: &Bridge, repo: Repo, how: Enrolled) -> Result<(), Trouble> {
    let newest = bridge.forge.newest_comment(&repo).await?.unwrap_or(0);
    point::reach(Point::Enrolling);
    tracing::info!(%repo, newest, "enrolled: comments up to this one count as seen");
    let enrol = bridge
        .store
        .write(move |db| store::enrol(db, &repo, newest, how));
    Ok(enrol.await?)
}

/// The enrolled repositories of an owner.
pub async fn enrolled(bridge: &Bridge, owner: &str) -> Result<Vec<Repo>, Trouble> {
    let all = bridge.store.read(store::enrolled_shown).await?;
    let repos = all.into_iter().filter_map(|shown| shown.name.parse().ok());
    Ok(repos
        .filter(|repo: &Repo| repo.owner().eq_ignore_ascii_case(owner))
        .collect())
}
