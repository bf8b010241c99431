//! A decision and all that follows from it, in the transaction that makes it.

use rusqlite::Transaction;

use super::{Case, Ruling, rule};
use crate::bridge::Bridge;
use crate::command::Asked;
use crate::comment::{Note, Reply, marker, reply};
use crate::executor::Order;
use crate::forge::Pull;
use crate::names::{CommitSha, RecipeName, Repo, run_key};
use crate::say::present;
use crate::store::{self, Decision, EndedRun, Kind, Outcome, Run, State, Stop};

/// How many refusals of one person are answered in an hour.
const REFUSALS_AN_HOUR: u64 = 3;
const HOUR: i64 = 3_600;

/// Decides one comment, if nobody did before.
pub fn one(
    db: &Transaction<'_>,
    bridge: &Bridge,
    repo: &Repo,
    pull: &Pull,
    case: &Case,
    enrolled: bool,
) -> rusqlite::Result<()> {
    let desk = Desk {
        db,
        bridge,
        repo,
        pull,
        case,
    };
    let ruling = rule(
        &case.comment,
        &case.parsed,
        case.standing,
        &case.seen,
        pull,
        enrolled,
    );
    match ruling {
        Ruling::Only {
            outcome,
            reason,
            reply,
        } => desk.answer(outcome, reason, reply),
        Ruling::Start { asked, head } => desk.test(&asked, &head),
        Ruling::Stop => desk.stop(),
    }
}

struct Desk<'a> {
    db: &'a Transaction<'a>,
    bridge: &'a Bridge,
    repo: &'a Repo,
    pull: &'a Pull,
    case: &'a Case,
}

impl Desk<'_> {
    /// Nothing but an answer, at most.
    fn answer(
        &self,
        outcome: Outcome,
        mut reason: String,
        reply: Option<Reply>,
    ) -> rusqlite::Result<()> {
        let spared = reply.is_some() && self.is_too_much(outcome)?;
        if spared {
            reason.push_str(", and this was said often enough");
        }
        let reply = reply.filter(|_| !spared);
        let new = self.decide(outcome, reason, None, reply.is_some())?;
        if new.is_none() {
            return Ok(());
        }
        if matches!(outcome, Outcome::Help | Outcome::Unseen) {
            self.react()?;
        }
        match reply {
            Some(reply) => self.reply(&reply),
            None => Ok(()),
        }
    }

    fn is_too_much(&self, outcome: Outcome) -> rusqlite::Result<bool> {
        match outcome {
            Outcome::Refuse => {
                let since = store::now() - HOUR;
                let author = self.case.comment.author.id;
                Ok(store::replies_since(self.db, author, since)? >= REFUSALS_AN_HOUR)
            }
            Outcome::NotEnrolled => store::mentioned(self.db, self.repo, self.pull.number),
            _ => Ok(false),
        }
    }

    fn test(&self, asked: &Asked, head: &CommitSha) -> rusqlite::Result<()> {
        let Ok(recipe) = self.repo.name().parse::<RecipeName>() else {
            let reason = "the repository's name is no recipe's".to_owned();
            return self.answer(Outcome::Ignore, reason, None);
        };
        let live = store::live_of_pull(self.db, self.repo, self.pull.number)?;
        let same = |run: &&Run| run.order.head == *head && run.stop.is_none();
        if let Some(run) = live.iter().find(same) {
            let reason = format!("run {} of this head goes on", run.order.key);
            return self.point_to(head, reason);
        }
        let comment = self.case.comment.id;
        let order = Order {
            key: run_key(
                &self.bridge.rules.forge,
                &recipe,
                self.repo,
                self.pull.number,
                comment,
            ),
            recipe,
            source: self.pull.clone_url.clone(),
            head: head.clone(),
            pull: self.pull.number,
            comment,
            tiers: asked.tiers.clone(),
            quick: asked.quick,
            from: asked.from.clone(),
        };
        let reason = format!("run {}", order.key);
        let Some(decision) = self.decide(Outcome::Start, reason, Some(head), false)? else {
            return Ok(());
        };
        self.react()?;
        let mut notes = self.notes();
        for run in live.iter().filter(|run| has_not_begun(run)) {
            if run.order.head != *head {
                self.end(run, &Stop::Superseded(head.clone()))?;
                notes.push(Note::Supersedes(run.order.head.clone()));
            }
        }
        let asked = self.case.comment.created;
        store::insert_run(self.db, decision, self.repo, &order, &notes, asked)?;
        present(self.db, self.bridge, self.repo, self.pull.number, head)
    }

    fn point_to(&self, head: &CommitSha, reason: String) -> rusqlite::Result<()> {
        let new = self.decide(Outcome::Live, reason, Some(head), true)?;
        if new.is_none() {
            return Ok(());
        }
        self.react()?;
        let subject = marker::of_status(self.repo, self.pull.number, head).to_string();
        let said = store::said_of(self.db, self.repo, Kind::Comment, &subject)?;
        let link = said.and_then(|said| said.link);
        self.reply(&Reply::Live { link })
    }

    fn stop(&self) -> rusqlite::Result<()> {
        let live = store::live_of_pull(self.db, self.repo, self.pull.number)?;
        let live: Vec<_> = live.iter().filter(|run| run.stop.is_none()).collect();
        let reason = format!("{} to stop", live.len());
        let none = live.is_empty();
        if self.decide(Outcome::Stop, reason, None, none)?.is_none() {
            return Ok(());
        }
        self.react()?;
        for run in &live {
            self.end(run, &Stop::By(self.case.comment.author.login.clone()))?;
        }
        if none {
            return self.reply(&Reply::NothingToStop);
        }
        Ok(())
    }

    /// What waits ends here; what may have been started is ended by whoever drives it.
    fn end(&self, run: &Run, stop: &Stop) -> rusqlite::Result<()> {
        store::ask_stop(self.db, &run.order.key, stop)?;
        if run.state == State::Waiting {
            store::settle(self.db, &run.order.key, &EndedRun::NotStarted)?;
        }
        let (pull, head) = (self.pull.number, &run.order.head);
        present(self.db, self.bridge, self.repo, pull, head)
    }

    /// None: it was decided before.
    fn decide(
        &self,
        outcome: Outcome,
        reason: String,
        head: Option<&CommitSha>,
        replied: bool,
    ) -> rusqlite::Result<Option<i64>> {
        let decision = Decision {
            outcome,
            reason,
            command: self.case.parsed.command.clone(),
            head: head.or(self.pull.head.as_ref()).cloned(),
            replied,
        };
        let comment = &self.case.comment;
        let number = store::decide(self.db, self.repo, self.pull.number, comment, &decision)?;
        if let Some(number) = number {
            self.bridge.metrics.decided(decision.outcome.as_str());
            tracing::info!(
                decision = number,
                repository = %self.repo,
                pull = self.pull.number,
                comment = comment.id,
                by = comment.author.login,
                outcome = outcome.as_str(),
                "{}",
                decision.reason
            );
        }
        Ok(number)
    }

    /// A sign that the comment was seen.
    fn react(&self) -> rusqlite::Result<()> {
        let subject = self.case.comment.id.to_string();
        let (db, pull) = (self.db, self.pull.number);
        store::want(db, self.repo, Kind::Reaction, &subject, pull, "eyes").map(|_| ())
    }

    fn reply(&self, what: &Reply) -> rusqlite::Result<()> {
        let marker = marker::of_reply(self.repo, self.case.comment.id);
        let text = reply(what, &self.notes(), &marker);
        let (db, pull) = (self.db, self.pull.number);
        store::want(
            db,
            self.repo,
            Kind::Comment,
            &marker.to_string(),
            pull,
            &text,
        )
        .map(|_| ())
    }

    /// What is to be said of the comment itself.
    fn notes(&self) -> Vec<Note> {
        match self.case.parsed.others {
            0 => Vec::new(),
            others => vec![Note::FirstOfSeveral(others)],
        }
    }
}

/// Whether a run still waits, here or with the executor.
fn has_not_begun(run: &Run) -> bool {
    run.progress.is_none() && run.stop.is_none()
}
