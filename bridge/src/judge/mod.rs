//! Reads the comments of pull requests that changed, and decides each that holds a command.
//!
//! Invariants: a comment is decided once, in one transaction with all that follows from it; nothing
//! is started or said before that; whoever may not be proved to be allowed is not, and a head that
//! may not be proved to be the one that was seen is not run.

mod head;
mod rule;
mod store_it;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::bridge::Bridge;
use crate::command::{self, Command, Parsed};
use crate::forge::{Comment, ForgeError, History, Membership, Pull};
use crate::names::{PullNumber, Repo};
use crate::point::{self, Point};
use crate::poll;
use crate::stage::{Stage, Trouble};
use crate::store::{self, Due, StoreError};

pub use head::{Seen, seen};
pub use rule::{Ruling, Standing, rule};

/// The stage of decisions.
pub struct Judge(pub Arc<Bridge>);

#[async_trait]
impl Stage for Judge {
    type Key = (Repo, PullNumber);

    fn name(&self) -> &'static str {
        "judge"
    }

    async fn due(&self) -> Result<Vec<Self::Key>, StoreError> {
        self.0.store.read(store::due_pulls).await
    }

    async fn work(&self, (repo, number): &Self::Key) -> Result<Option<Duration>, Trouble> {
        let (of, number) = (repo.clone(), *number);
        let due = self.0.store.read(move |db| {
            let due = store::one_due_pull(db, &of, number)?;
            let seen = store::enrolment(db, &of)?;
            let owner = poll::source_of(of.owner());
            Ok(due.map(|due| (due, seen, store::source(db, &owner).ok().flatten())))
        });
        let Some((due, seen, source)) = due.await? else {
            return Ok(None);
        };
        let listed = self.0.rules.repositories.iter().any(|known| known.is(repo));
        let begin = match (seen, source) {
            (Some(seen), _) => Begin::After(seen),
            // It will be enrolled soon, and what is new then counts.
            (None, _) if listed => return Ok(Some(Duration::from_secs(1))),
            (None, Some(source)) => Begin::Since(source.began),
            (None, None) => Begin::Since(Timestamp::now()),
        };
        self.look(&due, begin).await?;
        Ok(None)
    }

    fn trouble(&self, (repo, number): &Self::Key, trouble: Option<&Trouble>) {
        let name = format!("comments of {repo}#{number}");
        match trouble {
            Some(trouble) => self
                .0
                .troubles
                .set(&name, &format!("{name} can't be decided: {}", trouble.text)),
            None => self.0.troubles.clear(&name),
        }
    }
}

/// From which comment on a repository's comments count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// Enrolled: those after this one.
    After(u64),
    /// Not enrolled: those since this, and none starts a run.
    Since(Timestamp),
}

/// A comment with all that its decision rests on.
struct Case {
    comment: Comment,
    parsed: Parsed,
    standing: Standing,
    /// Which head it is about.
    seen: Seen,
}

impl Judge {
    /// Decides all comments of a pull request that are not decided yet.
    async fn look(&self, due: &Due, begin: Begin) -> Result<(), Trouble> {
        let Some(thread) = self.thread(due).await? else {
            return self.done(due, due.since).await;
        };
        let newest = thread.iter().map(|comment| comment.updated).max();
        let bot = &self.0.rules.bot;
        let holding: Vec<_> = thread
            .into_iter()
            .filter(|comment| match begin {
                Begin::After(seen) => comment.id > seen,
                Begin::Since(since) => comment.created > since,
            })
            .filter(|comment| !comment.author.login.eq_ignore_ascii_case(bot))
            .filter_map(|comment| {
                let parsed = command::parse(&comment.body);
                let holds = parsed.command.is_some() || parsed.hidden.is_some();
                holds.then_some((comment, parsed))
            })
            .collect();
        let fresh = self.undecided(&due.repo, holding).await?;
        let since = newest.map_or(due.since, |newest| newest.max(due.since));
        if fresh.is_empty() {
            return self.done(due, since).await;
        }
        let pull = self.0.forge.pull(&due.repo, due.number).await?;
        let mut known = HashMap::new();
        let mut history = None;
        let mut cases = Vec::new();
        for (comment, parsed) in fresh {
            let standing = self
                .standing(&due.repo, &comment, &parsed, &mut known)
                .await?;
            let seen = match (&parsed.command, &pull.head) {
                (Some(Command::Test(asked)), Some(head))
                    if !asked.names_a_whole_commit() && standing == Standing::Allowed =>
                {
                    if history.is_none() {
                        history = Some(self.history(due).await?);
                    }
                    let told = history.as_ref().and_then(Option::as_ref);
                    told.map_or(Seen::Unknown, |told| seen(told, &comment, head))
                }
                _ => Seen::Unknown,
            };
            cases.push(Case {
                comment,
                parsed,
                standing,
                seen,
            });
        }
        point::reach(Point::Read);
        self.decide(due, pull, cases, matches!(begin, Begin::After(_)), since)
            .await
    }

    /// None: the pull request is not there any more.
    async fn thread(&self, due: &Due) -> Result<Option<Vec<Comment>>, Trouble> {
        let (repo, number) = (&due.repo, due.number);
        let since = self.0.rules.before(due.since);
        match self.0.forge.thread(repo, number, Some(since)).await {
            Ok(thread) => Ok(Some(thread)),
            // The forge says 500 for a number that it does not know, and 404 for a repository.
            Err(error) => match self.0.forge.pull(repo, number).await {
                Err(ForgeError::Refused { status: 404, .. }) => {
                    tracing::info!(%repo, number, "is not there any more");
                    Ok(None)
                }
                _ => Err(error.into()),
            },
        }
    }

    /// None: the forge does not tell. What it can't tell now is asked again.
    async fn history(&self, due: &Due) -> Result<Option<History>, Trouble> {
        let (repo, number) = (&due.repo, due.number);
        match self.0.forge.history(repo, number).await {
            Ok(history) => Ok(Some(history)),
            Err(error @ ForgeError::Refused { .. }) => {
                tracing::warn!(%repo, number, "{error}");
                Ok(None)
            }
            // A page of HTML in its place (a proxy's, while the forge restarts) passes, too.
            Err(error) => Err(error.into()),
        }
    }

    async fn undecided(
        &self,
        repo: &Repo,
        comments: Vec<(Comment, Parsed)>,
    ) -> Result<Vec<(Comment, Parsed)>, StoreError> {
        let repo = repo.clone();
        self.0
            .store
            .read(move |db| {
                let mut fresh = Vec::new();
                for (comment, parsed) in comments {
                    if !store::is_decided(db, &repo, comment.id)? {
                        fresh.push((comment, parsed));
                    }
                }
                Ok(fresh)
            })
            .await
    }

    /// Whether somebody may. What can't be asked now is asked again, and is never a yes.
    async fn standing(
        &self,
        repo: &Repo,
        comment: &Comment,
        parsed: &Parsed,
        known: &mut HashMap<String, Standing>,
    ) -> Result<Standing, Trouble> {
        let login = &comment.author.login;
        if parsed.command.is_none() || comment.author.id <= 0 {
            return Ok(Standing::Stranger);
        }
        let mut allowed = self.0.rules.allowed.iter();
        if allowed.any(|name| name.eq_ignore_ascii_case(login)) {
            return Ok(Standing::Allowed);
        }
        if let Some(standing) = known.get(login) {
            return Ok(*standing);
        }
        let owner = repo.owner();
        let name = format!("members of {owner}");
        let standing = match self.0.forge.membership(owner, login).await {
            Ok(Membership::Member) => Standing::Allowed,
            Ok(Membership::NoMember) => Standing::Stranger,
            Ok(Membership::Hidden) => {
                self.0.troubles.set(&name, &format!(
                    "the bot can't see the members of {owner}: make {} a member of it (a team that may read is enough)",
                    self.0.rules.bot
                ));
                Standing::Unknown
            }
            Err(ForgeError::Refused { status, .. }) if status != 401 => {
                self.0.troubles.set(&name, &format!(
                    "the bot may not ask for the members of {owner} ({status}): its token needs the scope read:organization"
                ));
                Standing::Unknown
            }
            Err(error) => return Err(error.into()),
        };
        if standing != Standing::Unknown {
            self.0.troubles.clear(&name);
        }
        known.insert(login.clone(), standing);
        Ok(standing)
    }

    async fn decide(
        &self,
        due: &Due,
        pull: Pull,
        cases: Vec<Case>,
        enrolled: bool,
        since: Timestamp,
    ) -> Result<(), Trouble> {
        let bridge = Arc::clone(&self.0);
        let due = due.clone();
        let decided = self.0.store.write(move |db| {
            for case in &cases {
                store_it::one(db, &bridge, &due.repo, &pull, case, enrolled)?;
            }
            store::looked_at(db, &due, since)?;
            point::reach(Point::Deciding);
            Ok(())
        });
        decided.await?;
        point::reach(Point::Decided);
        self.0.wake.drive.notify_one();
        self.0.wake.say.notify_one();
        Ok(())
    }

    async fn done(&self, due: &Due, since: Timestamp) -> Result<(), Trouble> {
        let due = due.clone();
        let done = self
            .0
            .store
            .write(move |db| store::looked_at(db, &due, since));
        Ok(done.await?)
    }
}
