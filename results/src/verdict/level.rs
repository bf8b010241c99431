//! The ladder of a run, and its level: the highest rung that passed, with every rung below it
//! passed or skipped.

use super::say_outcome;
use crate::outcome::{Outcome, Tier};
use crate::record::{Record, Rung, RungState};

/// The rungs of a whole run, lowest first, each with its state and the reason for it. A partial run
/// has none.
pub fn ladder(record: &Record) -> Vec<Rung> {
    if !missing(record).is_empty() {
        return Vec::new();
    }
    let tier = |tier: Tier| {
        record
            .tier(tier)
            .map(|found| (tier.as_str(), &found.outcome))
    };
    let lint = Some(("lint", &record.lint.outcome));
    let rungs = [
        ("install", install(tier(Tier::Install), tier(Tier::Fresh))),
        ("upgrade", all(&[tier(Tier::Upgrade)])),
        (
            "backup and restore",
            all(&[tier(Tier::Backup), tier(Tier::Restore)]),
        ),
        ("functional", all(&[tier(Tier::Custom)])),
        ("lint", all(&[lint])),
    ];
    let mut blocked = None;
    let mut ladder = Vec::new();
    for (number, (name, (mut state, mut reason))) in (1..).zip(rungs) {
        match (state, blocked) {
            (RungState::Passed, Some((below, by))) => {
                state = RungState::OutOfReach;
                reason = Some(format!("it passed, but rung {below} ({by}) is blocked"));
            }
            (RungState::Blocked, None) => blocked = Some((number, name)),
            _ => {}
        }
        ladder.push(Rung {
            rung: number,
            name: name.to_owned(),
            state,
            reason,
        });
    }
    ladder
}

/// The level, 0 to 5, and why it is not higher; no level for a partial run.
pub fn level(record: &Record) -> (Option<u8>, String) {
    let missing = missing(record);
    if !missing.is_empty() {
        let list = missing.join(", ");
        return (None, format!("a partial run has no level: without {list}"));
    }
    let ladder = ladder(record);
    let passed = ladder
        .iter()
        .filter(|rung| rung.state == RungState::Passed)
        .map(|rung| rung.rung)
        .max();
    let why = |state| {
        let rungs = ladder.iter().filter(move |rung| rung.state == state);
        rungs.filter_map(|rung| rung.reason.clone())
    };
    let skipped: Vec<_> = why(RungState::Skipped).collect();
    let reason = match why(RungState::Blocked).next() {
        Some(blocked) => blocked,
        None if skipped.is_empty() => "every rung passed".to_owned(),
        None => skipped.join("; "),
    };
    (Some(passed.unwrap_or(0)), reason)
}

fn missing(record: &Record) -> Vec<&'static str> {
    let asked = &record.tiers_asked;
    let missing = Tier::NAMED.iter().filter(|tier| !asked.contains(tier));
    missing.map(|tier| tier.as_str()).collect()
}

type Named<'a> = Option<(&'static str, &'a Outcome)>;
type State = (RungState, Option<String>);

/// Install has to pass; where fresh applies, it has to pass too.
fn install(install: Named<'_>, fresh: Named<'_>) -> State {
    match (all(&[install]), fresh) {
        ((RungState::Skipped, why), _) => (RungState::Blocked, why),
        ((RungState::Passed, _), Some(_)) => match all(&[fresh]) {
            (RungState::Skipped, why) => (RungState::Passed, why),
            state => state,
        },
        (state, _) => state,
    }
}

/// Passed if all parts passed; skipped if a part was skipped and the others passed.
fn all(parts: &[Named<'_>]) -> State {
    let mut skipped = None;
    for part in parts {
        match part {
            Some((_, Outcome::Pass)) => {}
            Some((name, outcome @ Outcome::Skip { .. })) => {
                skipped.get_or_insert_with(|| say_outcome(name, outcome));
            }
            Some((name, outcome)) => {
                return (RungState::Blocked, Some(say_outcome(name, outcome)));
            }
            None => {
                let never = "a tier never reported".to_owned();
                return (RungState::Blocked, Some(never));
            }
        }
    }
    match skipped {
        None => (RungState::Passed, None),
        why => (RungState::Skipped, why),
    }
}
