//! Finds pull requests that changed: one search for all repositories of an owner.
//!
//! Invariants: the cursor is the forge's own time, and moves only past what was found whole; what
//! is found is stored before anything is done with it; one owner's trouble delays no other.

mod enrol;

use std::sync::Arc;

use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::bridge::Bridge;
use crate::forge::{Changes, ForgeError};
use crate::metrics::Polled;
use crate::names::Repo;
use crate::point::{self, Point};
use crate::stage::{self, Trouble};
use crate::store::{self, Source};

pub use enrol::owners;

/// How many repositories are asked at once, where each has to be.
const AT_ONCE: usize = 8;

/// Polls the repositories of one owner until told to stop.
pub async fn run(bridge: Arc<Bridge>, owner: String, mut stop: watch::Receiver<bool>) {
    let mut rounds = 0;
    let mut failed = 0;
    let name = format!("poll {owner}");
    while !*stop.borrow() {
        let began = Instant::now();
        let wait = match round(&bridge, &owner, rounds).await {
            Ok(news) => {
                failed = 0;
                rounds += 1;
                bridge.troubles.clear(&name);
                bridge.polled(&owner);
                let result = if news > 0 {
                    Polled::Changed
                } else {
                    Polled::Idle
                };
                bridge.metrics.polled(result, Timestamp::now());
                bridge.rules.poll
            }
            Err(trouble) => {
                failed += 1;
                bridge.metrics.polled(Polled::Failed, Timestamp::now());
                tracing::warn!(owner, "{}", trouble.text);
                bridge.troubles.set(&name, &trouble.text);
                stage::wait(failed, trouble.wait)
            }
        };
        bridge.wake.judge.notify_one();
        tokio::select! {
            () = sleep_until(began + wait) => {}
            _ = stop.changed() => {}
        }
    }
}

/// The name under which it is stored how far an owner was read.
pub fn source_of(owner: &str) -> String {
    format!("owner:{}", owner.to_ascii_lowercase())
}

/// One poll of an owner. The answer: how many pull requests changed.
async fn round(bridge: &Bridge, owner: &str, rounds: u64) -> Result<u64, Trouble> {
    let name = source_of(owner);
    if source(bridge, &name).await?.is_none() {
        // What is enrolled from now on has no comment that this would miss.
        let now = bridge.forge.server_time().await?;
        let name = name.clone();
        let began = bridge
            .store
            .write(move |db| store::set_source(db, &name, now));
        began.await?;
    }
    let enrolled = enrol::round(bridge, owner, rounds).await;
    let found = match search(bridge, owner, &name).await {
        Err(Searched::Refused(why)) => {
            let text = format!(
                "the search of {owner} is refused, so its repositories are asked one by one: {why}"
            );
            bridge.troubles.set(&format!("search {owner}"), &text);
            one_by_one(bridge, owner, &name).await
        }
        Err(Searched::Trouble(trouble)) => Err(trouble),
        Ok(news) => {
            bridge.troubles.clear(&format!("search {owner}"));
            Ok(news)
        }
    };
    enrolled.and(found)
}

enum Searched {
    /// There is no search for us.
    Refused(String),
    Trouble(Trouble),
}

impl<E: Into<Trouble>> From<E> for Searched {
    fn from(error: E) -> Self {
        Self::Trouble(error.into())
    }
}

async fn search(bridge: &Bridge, owner: &str, name: &str) -> Result<u64, Searched> {
    let known = source(bridge, name).await?;
    let cursor = known.map_or(Timestamp::UNIX_EPOCH, |source| source.cursor);
    let since = bridge.rules.before(cursor);
    let answered = bridge.forge.search(owner, since).await;
    let mut changes = match answered {
        // 401 is of the token and not of the search.
        Err(error @ ForgeError::Refused { status, .. }) if status != 401 => {
            return Err(Searched::Refused(error.to_string()));
        }
        answered => answered?,
    };
    let mut since = since;
    if changes.now < cursor {
        // The forge's clock was put back: what came since then has a time before the cursor.
        since = bridge.rules.before(changes.now);
        // At once, and whatever comes of this poll: were it put forward again before one succeeds,
        // the old cursor would hide all that was written meanwhile.
        let (name, now) = (name.to_owned(), changes.now);
        let lowered = bridge
            .store
            .write(move |db| store::set_source(db, &name, now));
        lowered.await?;
        changes = bridge.forge.search(owner, since).await?;
    }
    point::reach(Point::Searched);
    Ok(keep(bridge, name, changes, since).await?)
}

/// Where there is no search: the newest comments of each repository.
async fn one_by_one(bridge: &Bridge, owner: &str, owner_source: &str) -> Result<u64, Trouble> {
    let owner_source = source(bridge, owner_source).await?;
    let repos: Vec<Repo> = enrol::enrolled(bridge, owner).await?;
    let asked = futures_util::stream::iter(repos.into_iter().map(|repo| async move {
        let name = format!("repo:{repo}");
        let known = source(bridge, &name).await?.or(owner_source);
        let cursor = known.map_or(Timestamp::UNIX_EPOCH, |source| source.cursor);
        let since = bridge.rules.before(cursor);
        let changes = bridge.forge.comments_since(&repo, since).await;
        let changes = changes.map_err(|error| {
            // One that is gone is for the operator, and no reason to ask the others less.
            let text = format!("{repo}: {error}");
            bridge.troubles.set(&format!("repository {repo}"), &text);
            Trouble::from(error)
        })?;
        bridge.troubles.clear(&format!("repository {repo}"));
        keep(bridge, &name, changes, since).await
    }));
    let results: Vec<Result<u64, Trouble>> = asked.buffer_unordered(AT_ONCE).collect().await;
    if !results.is_empty() && results.iter().all(Result::is_err) {
        return results.into_iter().sum();
    }
    Ok(results.into_iter().flatten().sum())
}

/// Stores what changed, and how far it was read.
async fn keep(
    bridge: &Bridge,
    name: &str,
    changes: Changes,
    since: Timestamp,
) -> Result<u64, Trouble> {
    let name = name.to_owned();
    let news = bridge.store.write(move |db| {
        let mut news = 0;
        for changed in &changes.items {
            news += u64::from(store::found(db, changed, since, changes.now)?);
        }
        if changes.whole {
            store::set_source(db, &name, changes.now)?;
        }
        point::reach(Point::Finding);
        Ok(news)
    });
    let news = news.await?;
    point::reach(Point::Found);
    if news > 0 {
        bridge.wake.judge.notify_one();
    }
    Ok(news)
}

async fn source(bridge: &Bridge, name: &str) -> Result<Option<Source>, Trouble> {
    let name = name.to_owned();
    Ok(bridge
        .store
        .read(move |db| store::source(db, &name))
        .await?)
}
