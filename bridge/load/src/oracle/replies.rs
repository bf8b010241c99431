//! What the bot said to people, and its reactions.

use std::collections::{BTreeMap, HashMap};

use super::{Index, Posted, Rule, Said, Violation, What, marker_of_reply, marker_of_status};
use crate::world::Place;

/// How many refusals somebody is told in an hour, which is longer than any trial.
const REFUSALS: usize = 3;

pub fn check(index: &Index<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (marker, said) in &index.marked {
        if said.len() > 1 {
            let ids: Vec<_> = said.iter().map(|said| said.id).collect();
            let text = format!("the comments {ids:?} have one marker: {marker}");
            found.push(Violation::new(
                Rule::CommentTwice,
                about(index, said[0]),
                text,
            ));
        }
    }
    let known = known(index);
    for said in &index.facts.said {
        let marker = said.body.lines().next().unwrap_or_default().trim_end();
        if !known.contains_key(marker) {
            let (repo, pull) = &said.place;
            let text = format!(
                "comment {} of the bot on {repo}#{pull} begins {marker:?}",
                said.id
            );
            found.push(Violation::new(Rule::Stray, about(index, said), text));
        }
    }
    let mut refusals: BTreeMap<&str, usize> = BTreeMap::new();
    let mut elsewhere: HashMap<&Place, usize> = HashMap::new();
    for posted in &index.facts.posted {
        let replies = index.replies(posted).len();
        found.extend(one(index, posted, replies));
        match posted.what {
            What::Stranger | What::EditedAtOnce | What::MadeCommand | What::Shut => {
                *refusals.entry(posted.author).or_default() += replies;
            }
            What::Elsewhere => *elsewhere.entry(&posted.place).or_default() += replies,
            _ => {}
        }
    }
    for (author, told) in refusals.into_iter().filter(|(_, told)| *told > REFUSALS) {
        let text = format!("{author} was told {told} times within an hour that he may not");
        found.push(Violation::new(Rule::TooManyRefusals, None, text));
    }
    for ((repo, pull), told) in elsewhere.into_iter().filter(|(_, told)| *told > 1) {
        let text = format!("{repo}#{pull} was told {told} times that it is not enrolled");
        found.push(Violation::new(Rule::TooManyRefusals, None, text));
    }
    found
}

/// The markers that comments of the bot may have.
fn known(index: &Index<'_>) -> HashMap<String, u64> {
    let mut known = HashMap::new();
    for posted in &index.facts.posted {
        match posted.what {
            What::Alone(_) | What::Among(_) => {
                let heads = index.heads(posted).iter();
                known.extend(heads.map(|head| (marker_of_status(&posted.place, head), posted.id)));
            }
            _ => {}
        }
        known.insert(marker_of_reply(&posted.place.0, posted.id), posted.id);
    }
    known
}

/// The first command on the pull request, for its history.
fn about(index: &Index<'_>, said: &Said) -> Option<u64> {
    let mut here = index
        .facts
        .posted
        .iter()
        .filter(|posted| posted.place == said.place);
    here.find(|posted| posted.what != What::Chatter)
        .map(|posted| posted.id)
}

fn one(index: &Index<'_>, posted: &Posted, replies: usize) -> Vec<Violation> {
    let id = posted.id;
    let reacted = index.facts.reacted.contains(&id);
    // At least and at most so many replies, and whether there has to be a reaction.
    let (least, most, reaction) = match posted.what {
        What::Chatter | What::ByBot | What::Locked | What::Old => (0, 0, false),
        What::Alone(_) => (0, 0, true),
        What::Among(_) | What::Stop => (0, 1, true),
        What::Help => (1, 1, true),
        What::Stranger | What::EditedAtOnce | What::MadeCommand | What::Shut | What::Elsewhere => {
            (0, 1, false)
        }
    };
    let what = &posted.what;
    let mut found = Vec::new();
    let mut add = |rule, text| found.push(Violation::new(rule, Some(id), text));
    if replies < least {
        add(
            Rule::MissingReply,
            format!("comment {id} ({what:?}) has no reply"),
        );
    }
    // More than one is told of by its marker.
    if replies > most && most == 0 {
        add(
            Rule::NeedlessReply,
            format!("comment {id} ({what:?}) has a reply"),
        );
    }
    match (reaction, reacted) {
        (true, false) => add(
            Rule::MissingReaction,
            format!("comment {id} ({what:?}) has no reaction"),
        ),
        (false, true) => add(
            Rule::NeedlessReaction,
            format!("comment {id} ({what:?}) has a reaction"),
        ),
        _ => {}
    }
    found
}
