//! Builds: of which comment, how many, and of what.

use std::collections::HashMap;

use super::{Build, Index, Posted, Rule, Violation, What, headline, marker_of_status};
use crate::words::Wish;

pub fn check(index: &Index<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut keys: HashMap<&str, u64> = HashMap::new();
    for build in &index.facts.builds {
        let comment = build.comment();
        if let Some(other) = keys.insert(build.get("RUN_KEY"), build.number) {
            let text = format!(
                "builds {other} and {} have the key {}",
                build.number,
                build.get("RUN_KEY")
            );
            found.push(Violation::new(Rule::KeyTwice, comment, text));
        }
        let posted = comment.and_then(|id| index.posted.get(&id));
        match posted.map(|posted| (&posted.what, posted)) {
            Some((What::Alone(wish) | What::Among(wish), posted)) => {
                found.extend(of(index, posted, wish, build));
            }
            Some((what, posted)) => {
                let text = format!(
                    "build {} is of comment {}, which is {what:?}",
                    build.number, posted.id
                );
                found.push(Violation::new(Rule::BuildOfNothing, comment, text));
            }
            None => {
                let id = build.get("COMMENT_ID");
                let text = format!(
                    "build {} is of comment {id:?}, which nobody wrote",
                    build.number
                );
                found.push(Violation::new(Rule::BuildOfNothing, comment, text));
            }
        }
    }
    for posted in &index.facts.posted {
        found.extend(number(index, posted));
    }
    found
}

/// Whether a build is of what its comment asks for.
fn of(index: &Index<'_>, posted: &Posted, wish: &Wish, build: &Build) -> Option<Violation> {
    let (repo, pull) = &posted.place;
    let heads = index.heads(posted);
    let wanted = [
        ("PR", pull.to_string()),
        (
            "RECIPE",
            repo.rsplit('/').next().unwrap_or_default().to_owned(),
        ),
        ("TIERS", wish.tiers.to_owned()),
        ("QUICK", if wish.quick { "1" } else { "" }.to_owned()),
        ("FROM", wish.from.to_owned()),
    ];
    let mut wrong: Vec<_> = wanted
        .iter()
        .filter(|(name, value)| build.get(name) != value)
        .map(|(name, value)| format!("{name} is {:?} and not {value:?}", build.get(name)))
        .collect();
    if !heads.iter().any(|head| head == build.get("REF")) {
        wrong.push(format!(
            "REF is {:?}, and heads were {heads:?}",
            build.get("REF")
        ));
    }
    if !build.get("SRC").contains(repo.as_str()) {
        wrong.push(format!("SRC is {:?}", build.get("SRC")));
    }
    (!wrong.is_empty()).then(|| {
        let text = format!(
            "build {} of comment {}: {}",
            build.number,
            posted.id,
            wrong.join(", ")
        );
        Violation::new(Rule::OtherBuild, Some(posted.id), text)
    })
}

fn number(index: &Index<'_>, posted: &Posted) -> Option<Violation> {
    let builds = index.builds(posted.id);
    let id = posted.id;
    if builds.len() > 1 {
        let numbers: Vec<_> = builds.iter().map(|build| build.number).collect();
        let text = format!("comment {id} has the builds {numbers:?}");
        return Some(Violation::new(Rule::TwoBuilds, Some(id), text));
    }
    if !builds.is_empty() {
        return None;
    }
    match posted.what {
        What::Alone(_) => {
            let text = format!("comment {id} has no build");
            Some(Violation::new(Rule::MissingBuild, Some(id), text))
        }
        What::Among(_) if !is_accounted(index, posted) => {
            let text = format!("comment {id} has no build, and no answer says why");
            Some(Violation::new(Rule::Unaccounted, Some(id), text))
        }
        _ => None,
    }
}

/// Whether a reply, or the comment of a head that it may be about, says that no run comes of it.
fn is_accounted(index: &Index<'_>, posted: &Posted) -> bool {
    let here = index.facts.posted.iter();
    let mut after = here.filter(|other| other.place == posted.place && other.may_follow(posted));
    // What may end a run that waits.
    let ended = after.any(|other| other.what == What::Stop || other.heads != posted.heads);
    let says_so = |head: &String| {
        let said = index.marked(&marker_of_status(&posted.place, head));
        // The comment is about the last run of a head.
        let newer = index.facts.builds.iter().any(|build| {
            let other = index.posted_of(build);
            build.get("REF") == *head && other.is_some_and(|other| other.may_follow(posted))
        });
        said.iter().any(|said| {
            let line = headline(said);
            (newer && ended)
                || line.starts_with("**Superseded**")
                || line.starts_with("**CANCELLED**")
        })
    };
    !index.replies(posted).is_empty() || index.heads(posted).iter().any(says_so)
}
