//! Short answers where no run comes of a comment.

use super::Note;
use super::inert::{code, link};
use super::marker::Marker;
use super::status::note;
use crate::command::{Unknown, Why};
use crate::names::CommitSha;

const WORD: usize = 64;

const HELP: &str = "\
| say | and |
| --- | --- |
| `!testme` | all tests are run on the head of this pull request |
| `!testme upgrade custom` | only these tiers: `install` (always), `upgrade`, `backup`, `restore`, `custom` |
| `!testme <commit>` | as `!testme`, if the head is that commit; its first seven digits are enough where it was pushed before |
| `!testme quick` | a run begins from the warm volume of the recipe, where there is one |
| `!testme from=1.2.0+3.4.5` | the upgrade begins from that version |
| `!testme stop` | what waits or runs for this pull request is stopped |
| `!testme help` | this is said |

It has to be at the start of a line of its own, in a new comment.";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// With what was not understood, if that is why.
    Help {
        unknown: Option<Unknown>,
    },
    NoMember,
    /// The bot can't see who is a member.
    MembersHidden,
    /// The comment was edited before it was first seen.
    Edited,
    Closed,
    Merged,
    ForkGone,
    NotEnrolled,
    /// The head is no full commit id.
    BadHead,
    /// The head was pushed, or may have been, after the comment. With the head of then, where it is
    /// known.
    Unseen {
        then: Option<CommitSha>,
        head: CommitSha,
    },
    /// The forge does not say when the head was pushed.
    NoHistory {
        head: CommitSha,
    },
    /// A commit was named that is not the head.
    OtherHead {
        named: String,
        head: CommitSha,
    },
    /// A run of this head is live. With the comment that says how it goes.
    Live {
        link: Option<String>,
    },
    NothingToStop,
}

/// The answer, with its marker as the first line.
pub fn reply(reply: &Reply, notes: &[Note], marker: &Marker) -> String {
    let mut parts = vec![marker.to_string(), text(reply)];
    parts.extend(notes.iter().map(note));
    parts.join("\n\n") + "\n"
}

fn text(reply: &Reply) -> String {
    match reply {
        Reply::Help { unknown: None } => return HELP.to_owned(),
        Reply::Help {
            unknown: Some(unknown),
        } => return format!("{} Nothing was started.\n\n{HELP}", puzzled(unknown)),
        Reply::NoMember => "Sorry: only members of the organisation that owns this repository can start a run here, so nothing was started. Ask one of them to write `!testme`.",
        Reply::MembersHidden => "Nothing was started, and that is not your fault: I am not set up to see who is a member here. An operator has to make my account a member of the organisation; then write `!testme` in a new comment.",
        Reply::Edited => "This comment was edited before I first read it, and I can't tell by whom, so nothing was started. Please write a new one.",
        Reply::Closed => "This pull request is closed, so nothing was started. Open it again, then write `!testme` in a new comment.",
        Reply::Merged => "This pull request is merged, so nothing was started: its branch is tested no more.",
        Reply::ForkGone => "The repository that this pull request comes from is gone, so nothing was started. Push the branch again and open a new pull request.",
        Reply::NotEnrolled => "This repository is not enrolled here, so nothing was started. An operator can add it.",
        Reply::BadHead => "The forge does not say which commit is the head of this pull request, so nothing was started. Push again, then write `!testme` in a new comment.",
        Reply::Unseen { then, head } => {
            let was = match then {
                Some(then) => format!("`{}` was the head when this was written, and now it is `{}`", then.short(), head.short()),
                None => format!("The head is `{}`, and I can't tell that it was there before this was written", head.short()),
            };
            return format!("{was}, so nothing was started: nobody's word counts for what came after it. {}", by_commit(head));
        }
        Reply::NoHistory { head } => {
            return format!("The forge does not show me when the head, `{}`, was pushed, so nothing was started. {}", head.short(), by_commit(head));
        }
        Reply::OtherHead { named, head } => {
            return format!("The head of this pull request is `{}`, and not {}, so nothing was started. {}", head.short(), code(named, WORD), by_commit(head));
        }
        Reply::Live { link: url } => {
            let there = link("its comment", url.as_deref()).unwrap_or("its comment".to_owned());
            return format!("A run of this commit is under way already; {there} says how it goes. To begin anew, write `!testme stop` first.");
        }
        Reply::NothingToStop => "Nothing waits or runs for this pull request, so there is nothing to stop.",
    }
    .to_owned()
}

/// How somebody says which commit is meant.
fn by_commit(head: &CommitSha) -> String {
    format!("To have that commit tested, look at it, and write `!testme {head}` in a new comment.")
}

fn puzzled(unknown: &Unknown) -> String {
    let word = code(&unknown.word, WORD);
    match (unknown.why, &unknown.nearest) {
        (Why::NoSuchWord, Some(nearest)) => {
            let nearest = code(nearest, WORD);
            format!("I don't know the word {word}; is {nearest} meant?")
        }
        (Why::NoSuchWord, None) => format!("I don't know the word {word}."),
        (Why::NoVersion, _) => format!("After {word} there has to be a version."),
        (Why::NotAVersion, _) => {
            format!("{word} can't be a version: those have letters, digits and `.+_-`, at most 64.")
        }
        (Why::TwoVersions, _) => {
            format!("A run can begin from one version only, and {word} is not the only one.")
        }
        (Why::TwoCommits, _) => {
            format!("A run is of one commit only, and {word} is not the only one.")
        }
        (Why::StopAndMore, _) => format!("`stop` stands alone, and here is {word}, too."),
    }
}
