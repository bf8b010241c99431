//! The level of a run: the highest rung that passed, with every rung below it pass or skip.

use super::say_outcome;
use crate::outcome::{Outcome, Tier};
use crate::record::Record;

/// What a rung came to.
enum Rung {
    Passed,
    /// Does not apply: it blocks nothing, and it is not a rung that one stands on.
    Skipped(String),
    Blocked(String),
}

/// The level, 0 to 5, and why it is not higher; no level for a partial run.
pub fn level(record: &Record) -> (Option<u8>, String) {
    let missing: Vec<_> = Tier::NAMED
        .into_iter()
        .filter(|tier| !record.tiers_asked.contains(tier))
        .map(Tier::as_str)
        .collect();
    if !missing.is_empty() {
        let list = missing.join(", ");
        return (None, format!("a partial run has no level: without {list}"));
    }

    let mut level = 0;
    let mut skipped = Vec::new();
    for (number, rung) in (1..).zip(rungs(record)) {
        match rung {
            Rung::Passed => level = number,
            Rung::Skipped(why) => skipped.push(why),
            Rung::Blocked(why) => return (Some(level), why),
        }
    }
    let reason = if skipped.is_empty() {
        "every rung passed".to_owned()
    } else {
        skipped.join("; ")
    };
    (Some(level), reason)
}

fn rungs(record: &Record) -> [Rung; 5] {
    let tier = |tier: Tier| {
        record
            .tier(tier)
            .map(|found| (tier.as_str(), &found.outcome))
    };
    let lint = Some(("lint", &record.lint.outcome));
    [
        install(tier(Tier::Install), tier(Tier::Fresh)),
        both(&[tier(Tier::Upgrade)]),
        both(&[tier(Tier::Backup), tier(Tier::Restore)]),
        both(&[tier(Tier::Custom)]),
        both(&[lint]),
    ]
}

type Named<'a> = Option<(&'static str, &'a Outcome)>;

/// Install has to pass; where fresh applies, it has to pass too.
fn install(install: Named<'_>, fresh: Named<'_>) -> Rung {
    match (both(&[install]), fresh) {
        (Rung::Skipped(why), _) => Rung::Blocked(why),
        (Rung::Passed, Some(_)) => match both(&[fresh]) {
            Rung::Skipped(_) => Rung::Passed,
            rung => rung,
        },
        (rung, _) => rung,
    }
}

/// Passed if all parts passed; skipped if a part was skipped and the others passed.
fn both(parts: &[Named<'_>]) -> Rung {
    let mut skipped = None;
    for part in parts {
        match part {
            Some((_, Outcome::Pass)) => {}
            Some((name, outcome @ Outcome::Skip { .. })) => {
                skipped.get_or_insert_with(|| say_outcome(name, outcome));
            }
            Some((name, outcome)) => return Rung::Blocked(say_outcome(name, outcome)),
            None => return Rung::Blocked("a tier never reported".to_owned()),
        }
    }
    skipped.map_or(Rung::Passed, Rung::Skipped)
}
