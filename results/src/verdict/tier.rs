//! The status of one tier, from its operation and its tests.

use crate::outcome::{Cause, Outcome, Source, Tier};
use crate::record::TestRecord;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    Asked,
    Deselected,
}

/// All that the status of a tier depends on.
#[derive(Debug, Clone, Copy)]
pub struct TierFacts<'a> {
    pub tier: Tier,
    pub selection: Selection,
    pub operation: Option<&'a Outcome>,
    pub tests: &'a [TestRecord],
    /// What a tier is that never reported, where there is a known reason for its silence: the run
    /// was cancelled, did not finish, or a tier before it failed.
    pub silence: Option<&'a Outcome>,
}

/// Whether a test asserts something, rather than performing the operation (`0_…`).
pub fn is_assertion(test: &TestRecord) -> bool {
    let last = test.name.rsplit("::").next().unwrap_or(&test.name);
    !last.starts_with("0_")
}

/// Whether a test says what the app is for: the recipe's own, from this project or from the
/// recipe's repository.
pub fn is_functional(test: &TestRecord) -> bool {
    is_assertion(test) && matches!(test.source, Source::Custom | Source::RepoLocal)
}

/// The status of a tier. A failure wins, then an error, then what was not verified because of
/// one. Only then does it count that the tier was not asked for, that its operation does not
/// apply, or that something could not be verified for another reason.
pub fn tier_outcome(facts: TierFacts<'_>) -> Outcome {
    let worst = worst(facts);
    if let Some(outcome) = worst.clone()
        && outcome.is_red()
    {
        return outcome;
    }
    if facts.selection == Selection::Deselected {
        return Outcome::unverified(Cause::Deselected, "not among the tiers asked for");
    }
    if let Some(outcome @ Outcome::Skip { .. }) = facts.operation {
        return outcome.clone();
    }
    if let Some(outcome @ Outcome::Unverified { .. }) = worst {
        return outcome;
    }
    if facts.operation.is_none() && (facts.tier != Tier::Custom || facts.tests.is_empty()) {
        if let Some(silence) = facts.silence {
            return silence.clone();
        }
        if facts.tier != Tier::Custom {
            return Outcome::error("its operation never reported back");
        }
    }
    asserted(facts.tier, facts.tests)
}

/// What the assertions of a tier with nothing red prove.
fn asserted(tier: Tier, tests: &[TestRecord]) -> Outcome {
    let counts = |test: &&TestRecord| match tier {
        Tier::Custom => is_functional(test),
        _ => is_assertion(test),
    };
    if tier == Tier::Custom && !tests.iter().any(|test| counts(&test)) {
        return Outcome::unverified(
            Cause::Absent,
            "the recipe has no functional tests of its own",
        );
    }
    let mut asserting = tests.iter().filter(counts);
    if asserting.any(|test| test.outcome == Outcome::Pass) {
        return Outcome::Pass;
    }
    let first_skip = tests
        .iter()
        .filter(counts)
        .find_map(|test| Some((&test.name, test.outcome.reason()?)));
    Outcome::error(match first_skip {
        Some((name, reason)) => {
            format!("nothing was asserted: every test was skipped ({name}: {reason})")
        }
        None => "nothing was asserted".to_owned(),
    })
}

/// The worst outcome of the tier, the operation's before those of its tests, with the test's name.
fn worst(facts: TierFacts<'_>) -> Option<Outcome> {
    let badness = |outcome: &Outcome| outcome.badness();
    let tests = facts.tests.iter().map(|test| badness(&test.outcome)).max();
    let operation = facts.operation.map(badness);
    if operation >= tests {
        return facts.operation.cloned();
    }
    let mut worst = facts
        .tests
        .iter()
        .filter(|test| Some(badness(&test.outcome)) == tests);
    let first = worst.next()?;
    let more = match worst.count() {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    };
    let name = &first.name;
    let named = |reason: &str| format!("{name}: {reason}{more}");
    Some(match &first.outcome {
        Outcome::Pass => Outcome::Pass,
        Outcome::Fail { reason } => Outcome::fail(named(reason)),
        Outcome::Skip { reason } => Outcome::skip(named(reason)),
        Outcome::Unverified { cause, reason } => Outcome::unverified(*cause, named(reason)),
        Outcome::Error { reason } => Outcome::error(named(reason)),
    })
}
