//! All that is known of a comment and its pull request, for whoever looks for the fault.

use std::fmt::Write as _;

use super::{Index, What, headline};

const LINES: usize = 60;

pub fn of(index: &Index<'_>, comment: u64) -> String {
    let mut text = String::new();
    let Some(posted) = index.posted.get(&comment) else {
        return text;
    };
    let place = &posted.place;
    let _ = writeln!(
        text,
        "  {}#{}, heads {:?}",
        place.0,
        place.1,
        index.facts.heads.get(place)
    );
    let here = index
        .facts
        .posted
        .iter()
        .filter(|other| other.place == *place);
    let commands = here.filter(|other| other.what != What::Chatter || other.id == comment);
    for other in commands.take(LINES) {
        let reacted = if index.facts.reacted.contains(&other.id) {
            ", reacted"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "  {:>7} ms  comment {} by {}: {:?} ({:?}){reacted}",
            other.at, other.id, other.author, other.text, other.what
        );
        for (at, edited) in &other.edits {
            let _ = writeln!(text, "  {at:>7} ms    edited to {edited:?}");
        }
        for build in index.builds(other.id) {
            let _ = writeln!(
                text,
                "              build {} of {}: {:?}, {}",
                build.number,
                build.get("REF"),
                build.status,
                build.get("RUN_KEY")
            );
        }
    }
    for said in index
        .facts
        .said
        .iter()
        .filter(|said| said.place == *place)
        .take(LINES)
    {
        let marker = said.body.lines().next().unwrap_or_default();
        let _ = writeln!(
            text,
            "  the bot's {}: {marker} {:?}",
            said.id,
            headline(said)
        );
    }
    for head in index.facts.heads.get(place).into_iter().flatten() {
        let set = index.facts.statuses.get(&(place.0.clone(), head.clone()));
        for (context, state) in set.into_iter().flatten() {
            let _ = writeln!(text, "  status {context} of {head}: {state}");
        }
    }
    text
}
