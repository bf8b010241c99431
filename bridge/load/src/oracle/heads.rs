//! The status comment and the commit statuses of each head that was built.

use std::collections::BTreeMap;

use forge_model::drone::Status;
use results::outcome::Verdict;

use super::{Build, Index, Rule, Said, Violation, What, headline, marker_of_status};
use crate::step::{Ending, ending};
use crate::world::Place;

pub fn check(index: &Index<'_>) -> Vec<Violation> {
    let mut heads: BTreeMap<(Place, &str), Vec<&Build>> = BTreeMap::new();
    for build in &index.facts.builds {
        let posted = build.comment().and_then(|id| index.posted.get(&id));
        if let Some(posted) = posted {
            let head = (posted.place.clone(), build.get("REF"));
            heads.entry(head).or_default().push(build);
        }
    }
    let mut found = Vec::new();
    for ((place, head), builds) in heads {
        found.extend(comment(index, &place, head, &builds));
        if index.facts.writable.contains(&place.0) {
            found.extend(statuses(index, &place, head, &builds));
        }
    }
    // Also those of heads of which no run was started.
    for said in &index.facts.said {
        let marker = said.body.lines().next().unwrap_or_default();
        if marker.contains(" status ") && !is_final(headline(said)) {
            let about = commands(index, &said.place).last().copied();
            found.push(stale(about, said));
        }
    }
    for ((repo, head), contexts) in &index.facts.statuses {
        for (context, state) in contexts.iter().filter(|(_, state)| *state == "pending") {
            let place = index.facts.heads.iter();
            let mut place = place.filter(|((of, _), heads)| of == repo && heads.contains(head));
            let about = place
                .next()
                .and_then(|(place, _)| commands(index, place).last().copied());
            let text = format!("{context} of {head} in {repo} stays {state}");
            found.push(Violation::new(Rule::StaleStatus, about, text));
        }
    }
    found
}

fn stale(about: Option<u64>, said: &Said) -> Violation {
    let text = format!("comment {} of the bot stays {:?}", said.id, headline(said));
    Violation::new(Rule::StaleComment, about, text)
}

fn is_final(line: &str) -> bool {
    [
        "**PASS**",
        "**FAIL**",
        "**ERROR**",
        "**CANCELLED**",
        "**Superseded**",
    ]
    .iter()
    .any(|word| line.starts_with(word))
}

/// The commands on a pull request that may have started a run.
fn commands(index: &Index<'_>, place: &Place) -> Vec<u64> {
    let here = index
        .facts
        .posted
        .iter()
        .filter(|posted| posted.place == *place);
    here.filter(|posted| matches!(posted.what, What::Alone(_) | What::Among(_)))
        .map(|posted| posted.id)
        .collect()
}

/// What may be said of a build: the word of the comment, and the state of the commit status.
fn ends(index: &Index<'_>, place: &Place, build: &Build) -> Vec<(&'static str, &'static str)> {
    let own = match ending(build.get("RUN_KEY")) {
        Ending::Recorded(Verdict::Pass) => ("**PASS**", "success"),
        Ending::Recorded(Verdict::Fail) => ("**FAIL**", "failure"),
        Ending::Recorded(_) | Ending::Silent => ("**ERROR**", "error"),
    };
    let cancelled = [("**CANCELLED**", "error"), ("**Superseded**", "error")];
    let silent = ending(build.get("RUN_KEY")) == Ending::Silent;
    let mut here = index
        .facts
        .posted
        .iter()
        .filter(|posted| posted.place == *place);
    match build.status {
        // A step whose cancel was not heard goes on to its end, and its record may be found.
        Status::Killed => [vec![own], cancelled.to_vec()].concat(),
        // Without a record nobody knows whether it ended before it was to stop.
        _ if silent && here.any(|posted| posted.what == What::Stop) => {
            [vec![own], cancelled.to_vec()].concat()
        }
        _ => vec![own],
    }
}

/// The builds among which the last one is.
fn last<'a>(index: &Index<'_>, builds: &[&'a Build]) -> Vec<&'a Build> {
    let follows = |build: &Build, other: &Build| {
        let both = index.posted_of(build).zip(index.posted_of(other));
        both.is_some_and(|(posted, other)| posted.id != other.id && !other.may_follow(posted))
    };
    let is_last = |build: &&&Build| !builds.iter().any(|other| follows(other, build));
    builds.iter().filter(is_last).copied().collect()
}

/// What may be said of the last of these builds.
fn may(index: &Index<'_>, place: &Place, last: &[&Build]) -> Vec<(&'static str, &'static str)> {
    let mut may: Vec<_> = last
        .iter()
        .flat_map(|build| ends(index, place, build))
        .collect();
    // A later command may have been stopped or superseded before it became a build.
    let here = index.facts.posted.iter();
    let mut unbuilt = here.filter(|posted| {
        posted.place == *place
            && matches!(posted.what, What::Alone(_) | What::Among(_))
            && index.builds(posted.id).is_empty()
    });
    let of = |build: &&Build| index.posted_of(build);
    if unbuilt.any(|posted| last.iter().filter_map(of).any(|of| posted.may_follow(of))) {
        may.extend([("**CANCELLED**", "error"), ("**Superseded**", "error")]);
    }
    may.sort_unstable();
    may.dedup();
    may
}

/// The last run of a head is the one that its comment is about.
fn comment(index: &Index<'_>, place: &Place, head: &str, builds: &[&Build]) -> Option<Violation> {
    let last = last(index, builds);
    let about = last.first()?.comment();
    let number = last.first()?.number;
    let marker = marker_of_status(place, head);
    let Some(said) = index.marked(&marker).first() else {
        let text = format!("build {number} has no comment {marker}");
        return Some(Violation::new(Rule::MissingStatusComment, about, text));
    };
    let line = headline(said);
    let may = may(index, place, &last);
    // One that is not final is told of with all others that are not.
    if !is_final(line) || may.iter().any(|(word, _)| line.starts_with(word)) {
        return None;
    }
    let text = format!(
        "comment {} of the bot says {line:?} of build {number}, which is {may:?}",
        said.id
    );
    Some(Violation::new(Rule::StaleComment, about, text))
}

fn statuses(index: &Index<'_>, place: &Place, head: &str, builds: &[&Build]) -> Vec<Violation> {
    let mut by_context: BTreeMap<&str, Vec<&Build>> = BTreeMap::new();
    for build in builds {
        let what = index.posted_of(build).map(|posted| &posted.what);
        if let Some(What::Alone(wish) | What::Among(wish)) = what {
            by_context.entry(wish.context()).or_default().push(build);
        }
    }
    let set = index
        .facts
        .statuses
        .get(&(place.0.clone(), head.to_owned()));
    let mut found = Vec::new();
    for (context, builds) in by_context {
        let last = last(index, &builds);
        let state = set.and_then(|set| set.get(context)).map(String::as_str);
        let may = may(index, place, &last);
        let fits = |state: &str| may.iter().any(|(_, other)| *other == state);
        // One that stays pending is told of with all others that do.
        if state.is_none_or(|state| state != "pending" && !fits(state)) {
            let number = last.first().map(|build| build.number);
            let about = last.first().and_then(|build| build.comment());
            let text = format!(
                "{context} of {head} in {} is {state:?}, and build {number:?} is {may:?}",
                place.0
            );
            found.push(Violation::new(Rule::StaleStatus, about, text));
        }
    }
    found
}
