//! Brings the forge to what the store wants said: comments, commit statuses, reactions.
//!
//! Invariants: a comment that may have been posted is looked for, by its marker, before it is posted
//! again; all else that is said can be said twice without a trace, and an older text never comes after
//! a newer one; what is refused for good is given up with its reason and delays nothing.

mod present;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use crate::bridge::Bridge;
use crate::forge::{CommitStatus, ForgeError};
use crate::names::{CommentId, CommitSha, Repo};
use crate::point::{self, Point};
use crate::settle::Unsettled;
use crate::stage::{Stage, Trouble};
use crate::store::{self, Kind, Said, StoreError};

pub use present::{Wanted, context, present};

/// How often a status or a reaction is tried before it is given up; a comment never is.
const TRIES: u32 = 12;

/// The stage of what is said.
pub struct Say {
    bridge: Arc<Bridge>,
    /// What may still take effect, though its answer was lost.
    sent: Unsettled<i64>,
    /// Repositories that take no commit status of the bot.
    silent: Mutex<HashSet<String>>,
    tries: Mutex<std::collections::HashMap<i64, u32>>,
}

#[async_trait]
impl Stage for Say {
    type Key = i64;

    fn name(&self) -> &'static str {
        "say"
    }

    async fn due(&self) -> Result<Vec<i64>, StoreError> {
        self.bridge.store.read(store::due_said).await
    }

    async fn work(&self, id: &i64) -> Result<Option<Duration>, Trouble> {
        let id = *id;
        let Some(said) = self
            .bridge
            .store
            .read(move |db| store::one_due(db, id))
            .await?
        else {
            return Ok(None);
        };
        match said.kind {
            Kind::Comment => self.comment(&said).await,
            Kind::Status => self.status(&said).await,
            Kind::Reaction => self.reaction(&said).await.map(|()| None),
        }
    }

    fn trouble(&self, id: &i64, trouble: Option<&Trouble>) {
        let name = format!("said {id}");
        match trouble {
            Some(trouble) => self.bridge.troubles.set(&name, &trouble.text),
            None => self.bridge.troubles.clear(&name),
        }
    }
}

impl Say {
    pub fn new(bridge: Arc<Bridge>) -> Self {
        Self {
            sent: Unsettled::new(bridge.rules.settle),
            bridge,
            silent: Mutex::default(),
            tries: Mutex::default(),
        }
    }

    async fn comment(&self, said: &Said) -> Result<Option<Duration>, Trouble> {
        match (said.remote, said.asked) {
            (Some(remote), _) => self.edit(said, remote).await,
            (None, true) => self.seek(said).await,
            (None, false) => self.post(said).await,
        }
    }

    async fn post(&self, said: &Said) -> Result<Option<Duration>, Trouble> {
        let id = said.id;
        self.store(move |db| store::mark_asked(db, id, true))
            .await?;
        point::reach(Point::Posting);
        let posted = self
            .bridge
            .forge
            .post_comment(&said.repo, said.pull, &said.wanted)
            .await;
        match posted {
            Ok(comment) => {
                point::reach(Point::Posted);
                self.known(said, comment.id, comment.html_url).await?;
                Ok(None)
            }
            Err(ForgeError::Refused { status: 401, .. }) => {
                self.store(move |db| store::mark_asked(db, id, false))
                    .await?;
                Err(Trouble::new(
                    "the forge does not know the bot's token (401)",
                ))
            }
            Err(error @ ForgeError::Refused { .. }) => {
                self.give_up(said, &error).await?;
                Ok(None)
            }
            Err(error) => Err(self.lost(said, error)),
        }
    }

    /// A post whose answer was lost.
    async fn seek(&self, said: &Said) -> Result<Option<Duration>, Trouble> {
        if let Some(wait) = self.sent.wait(&said.id) {
            return Ok(Some(wait));
        }
        let found = self
            .bridge
            .forge
            .find_own(&said.repo, said.pull, &said.subject, None)
            .await?;
        point::reach(Point::Sought);
        self.sent.over(&said.id);
        match found {
            Some(comment) => {
                let revision = if comment.body == said.wanted {
                    said.revision
                } else {
                    0
                };
                let (id, remote, link) = (said.id, comment.id, comment.html_url);
                self.store(move |db| store::mark_said(db, id, revision, Some((remote, &link))))
                    .await?;
                Ok(None)
            }
            None => self.post(said).await,
        }
    }

    async fn edit(&self, said: &Said, remote: CommentId) -> Result<Option<Duration>, Trouble> {
        if let Some(wait) = self.sent.wait(&said.id) {
            return Ok(Some(wait));
        }
        let edited = self
            .bridge
            .forge
            .edit_comment(&said.repo, remote, &said.wanted)
            .await;
        point::reach(Point::Edited);
        self.set(said, edited).await.map(|()| None)
    }

    async fn status(&self, said: &Said) -> Result<Option<Duration>, Trouble> {
        let repo = said.repo.to_string();
        if self
            .silent
            .lock()
            .expect("nobody panicked with it")
            .contains(&repo)
        {
            let (id, why) = (said.id, "the bot may not write code there");
            return self
                .store(move |db| store::give_up(db, id, why))
                .await
                .map(|()| None);
        }
        let (Some(sha), Ok(wanted)) = (sha_of(&said.subject), Wanted::parse(&said.wanted)) else {
            let (id, why) = (said.id, "it can't be read");
            return self
                .store(move |db| store::give_up(db, id, why))
                .await
                .map(|()| None);
        };
        if let Some(wait) = self.sent.wait(&said.id) {
            return Ok(Some(wait));
        }
        let status = CommitStatus::from(wanted);
        let set = self
            .bridge
            .forge
            .set_status(&said.repo, &sha, &status)
            .await;
        if let Err(ForgeError::Refused { status: 403, .. }) = set {
            self.bridge.troubles.set(&format!("status {repo}"), &format!(
                "the bot may not set commit statuses in {repo}: the comment says all. To have them, give {} write access to code there, and its token the scope write:repository",
                self.bridge.rules.bot
            ));
            self.silent
                .lock()
                .expect("nobody panicked with it")
                .insert(repo);
        }
        point::reach(Point::Set);
        self.bounded(said, set).await.map(|()| None)
    }

    async fn reaction(&self, said: &Said) -> Result<(), Trouble> {
        let comment = said.subject.parse().unwrap_or_default();
        let set = self
            .bridge
            .forge
            .react(&said.repo, comment, &said.wanted)
            .await;
        point::reach(Point::Set);
        self.bounded(said, set).await
    }

    /// What is no more than a sign is not tried for ever.
    async fn bounded(&self, said: &Said, result: Result<(), ForgeError>) -> Result<(), Trouble> {
        let tries = {
            let mut tries = self.tries.lock().expect("nobody panicked with it");
            let tries = tries.entry(said.id).or_insert(0);
            *tries += 1;
            *tries
        };
        let done = match result {
            Err(error) if tries >= TRIES => self.give_up(said, &error).await,
            result => self.set(said, result).await,
        };
        if done.is_ok() {
            self.tries
                .lock()
                .expect("nobody panicked with it")
                .remove(&said.id);
        }
        done
    }

    /// What came of something that may be said twice.
    async fn set(&self, said: &Said, result: Result<(), ForgeError>) -> Result<(), Trouble> {
        let (id, revision) = (said.id, said.revision);
        match result {
            Ok(()) => {
                self.sent.over(&id);
                self.store(move |db| store::mark_said(db, id, revision, None))
                    .await
            }
            Err(error) if error.refused().is_some_and(|status| status != 401) => {
                self.give_up(said, &error).await
            }
            Err(error) => Err(self.lost(said, error)),
        }
    }

    /// It may have been done, or be done yet: until that is known nothing newer is said.
    fn lost(&self, said: &Said, error: ForgeError) -> Trouble {
        self.sent.lost(&said.id);
        let mut trouble = Trouble::from(error);
        trouble.wait = trouble.wait.max(Some(self.bridge.rules.settle));
        trouble
    }

    async fn known(&self, said: &Said, remote: CommentId, link: String) -> Result<(), Trouble> {
        let (id, revision) = (said.id, said.revision);
        self.store(move |db| store::mark_said(db, id, revision, Some((remote, &link))))
            .await?;
        point::reach(Point::Said);
        Ok(())
    }

    async fn give_up(&self, said: &Said, error: &ForgeError) -> Result<(), Trouble> {
        let (repo, kind): (&Repo, _) = (&said.repo, said.kind.as_str());
        tracing::warn!(%repo, pull = said.pull, kind, "given up: {error}");
        let (id, why) = (said.id, error.to_string());
        self.store(move |db| store::give_up(db, id, &why)).await
    }

    async fn store(
        &self,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), Trouble> {
        Ok(self.bridge.store.write(work).await?)
    }
}

/// The commit of a status' subject, `<sha> <context>`.
fn sha_of(subject: &str) -> Option<CommitSha> {
    subject.split_once(' ')?.0.parse().ok()
}
