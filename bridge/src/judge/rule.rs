//! What follows from a comment, as far as it does not depend on other comments.

use super::Seen;
use crate::command::{Asked, Command, Parsed};
use crate::comment::Reply;
use crate::forge::{Comment, Pull, PullState};
use crate::names::CommitSha;
use crate::store::Outcome;

/// Who somebody is to the organisation that owns the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A member, or on the operator's list.
    Allowed,
    Stranger,
    /// It can't be known, which is a no.
    Unknown,
}

/// What is to be done about a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// Nothing, or an answer.
    Only {
        outcome: Outcome,
        reason: String,
        reply: Option<Reply>,
    },
    /// A run of this head, unless one goes on.
    Start { asked: Asked, head: CommitSha },
    /// An end of what goes on.
    Stop,
}

impl Ruling {
    fn refuse(reason: &str, reply: Reply) -> Self {
        Self::Only {
            outcome: Outcome::Refuse,
            reason: reason.to_owned(),
            reply: Some(reply),
        }
    }

    fn ignore(reason: impl Into<String>) -> Self {
        Self::Only {
            outcome: Outcome::Ignore,
            reason: reason.into(),
            reply: None,
        }
    }
}

/// The rules, the first that applies.
pub fn rule(
    comment: &Comment,
    parsed: &Parsed,
    standing: Standing,
    seen: &Seen,
    pull: &Pull,
    enrolled: bool,
) -> Ruling {
    let Some(command) = &parsed.command else {
        return Ruling::ignore(match &parsed.hidden {
            Some(hidden) => hidden.why().to_owned(),
            None => "there is no command in it".to_owned(),
        });
    };
    if comment.author.id <= 0 {
        return Ruling::ignore("its author is gone");
    }
    if pull.locked {
        return Ruling::ignore("the thread is locked, so nothing can be answered there");
    }
    if !enrolled {
        return unenrolled(command, standing);
    }
    if comment.was_edited() {
        return Ruling::refuse("it was edited before it was first seen", Reply::Edited);
    }
    match standing {
        Standing::Allowed => {}
        Standing::Stranger => {
            return Ruling::refuse(
                "its author is no member and not on the list",
                Reply::NoMember,
            );
        }
        Standing::Unknown => {
            return Ruling::refuse("the members can't be seen", Reply::MembersHidden);
        }
    }
    match command {
        Command::Help(unknown) => Ruling::Only {
            outcome: Outcome::Help,
            reason: match unknown {
                Some(unknown) => format!("`{}` is not understood", unknown.word),
                None => "help was asked for".to_owned(),
            },
            reply: Some(Reply::Help {
                unknown: unknown.clone(),
            }),
        },
        Command::Stop => Ruling::Stop,
        Command::Test(asked) => test(asked, seen, pull),
    }
}

fn unenrolled(command: &Command, standing: Standing) -> Ruling {
    if standing == Standing::Allowed && matches!(command, Command::Test(_)) {
        return Ruling::Only {
            outcome: Outcome::NotEnrolled,
            reason: "the repository is not enrolled".to_owned(),
            reply: Some(Reply::NotEnrolled),
        };
    }
    Ruling::ignore("the repository is not enrolled, and no member asked for a run")
}

fn test(asked: &Asked, seen: &Seen, pull: &Pull) -> Ruling {
    match (pull.state, &pull.head) {
        (PullState::Merged, _) => Ruling::refuse("the pull request is merged", Reply::Merged),
        (PullState::Closed, _) if pull.fork_gone => {
            Ruling::refuse("the fork is gone", Reply::ForkGone)
        }
        (PullState::Closed, _) => Ruling::refuse("the pull request is closed", Reply::Closed),
        (PullState::Open, None) => Ruling::refuse("the head is no full commit", Reply::BadHead),
        (PullState::Open, Some(head)) => match unseen(asked, seen, head) {
            Some((reason, reply)) => Ruling::Only {
                outcome: Outcome::Unseen,
                reason: reason.to_owned(),
                reply: Some(reply),
            },
            None => Ruling::Start {
                asked: asked.clone(),
                head: head.clone(),
            },
        },
    }
}

/// Why the head is not the one that is meant, and what is said.
fn unseen(asked: &Asked, seen: &Seen, head: &CommitSha) -> Option<(&'static str, Reply)> {
    let head = head.clone();
    if let Some(named) = &asked.commit {
        if !head.as_str().starts_with(named) {
            let named = named.clone();
            return Some(("another commit was named", Reply::OtherHead { named, head }));
        }
        if asked.names_a_whole_commit() {
            return None;
        }
    }
    match seen {
        Seen::Head => None,
        Seen::Other(then) => {
            let then = then.clone();
            let reason = "the head is not known to be from before the comment";
            Some((reason, Reply::Unseen { then, head }))
        }
        Seen::Unknown => {
            let reason = "the forge does not show when the head was pushed";
            Some((reason, Reply::NoHistory { head }))
        }
    }
}
