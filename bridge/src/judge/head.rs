//! Whether the head is the one that was there when a comment was written.
//!
//! Invariant: a head counts as seen only where it is proven: it came with the last push, and every
//! push, and every opening anew, was before the comment.

use crate::forge::{Comment, Event, Happened, History};
use crate::names::CommitSha;

/// Which head somebody meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The one that is there.
    Head,
    /// Another one, or it is not known; with the head of then where that is known.
    Other(Option<CommitSha>),
    /// The forge does not tell.
    Unknown,
}

/// The head as it was for whoever wrote the comment.
pub fn seen(history: &History, comment: &Comment, head: &CommitSha) -> Seen {
    let (before, after): (Vec<_>, Vec<_>) = history
        .events()
        .iter()
        .partition(|event| is_before(event, comment));
    let mut pushes = before.iter().rev();
    let last = pushes.find(|event| event.what != Happened::Reopened);
    let last = last.and_then(|event| newest(&event.what));
    if after.is_empty() && last == Some(head) {
        return Seen::Head;
    }
    let then = last.or(match after.first().map(|event| &event.what) {
        Some(Happened::Forced { before, .. }) => before.as_ref(),
        _ => None,
    });
    Seen::Other(then.filter(|then| *then != head).cloned())
}

/// Times have whole seconds, and a clock may go back: what is not earlier by both is after.
fn is_before(event: &Event, comment: &Comment) -> bool {
    event.id < comment.id && event.at < comment.created
}

/// The head that it left, where that is told.
fn newest(what: &Happened) -> Option<&CommitSha> {
    match what {
        Happened::Pushed(commits) => commits.last(),
        Happened::Forced { after, .. } => after.as_ref(),
        Happened::Reopened => None,
    }
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
