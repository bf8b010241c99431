//! The rules of a verdict: pure functions of a record.
//!
//! Invariants: nothing happened is never a pass; another red outcome never makes a verdict or a
//! level better; a run that did not finish is neither a pass nor a failure.
//!
//! Must not know: where the record comes from, how it is shown.

mod head;
mod level;
mod tier;

pub use head::{COMMIT, not_of_head};
pub use level::{ladder, level};
pub use tier::{Selection, TierFacts, is_assertion, is_functional, tier_outcome};

use crate::outcome::{Cause, Outcome, Tier, Verdict};
use crate::record::{Record, RunFault, RunFaultKind, TierRecord};
use crate::text::count;

/// The verdict of a run and the one line that explains it: the first cause, not a symptom.
pub fn run_verdict(record: &Record) -> (Verdict, String) {
    if let Some(by) = &record.cancelled_by {
        let reason = after_failure(record, format!("cancelled by {by}"));
        return (Verdict::Cancelled, reason);
    }
    let failed = first(record, |outcome| matches!(outcome, Outcome::Fail { .. }));
    let unfinished = fault(record, RunFaultKind::NotFinished);
    if let (Some(tier), None) = (failed, unfinished) {
        return (Verdict::Fail, say(tier));
    }
    if let Some(reason) = error_reason(record) {
        return (Verdict::Error, reason);
    }
    (Verdict::Pass, pass_reason(record))
}

/// Whether nothing in the record is red: what a runner that failed disagrees with.
pub fn all_green(record: &Record) -> bool {
    !record.teardown.outcome.is_red()
        && record.faults.is_empty()
        && record.tiers.iter().all(|tier| !tier.outcome.is_red())
}

/// Why the run is an error, if it is one. A lost session comes first: tests that ended without a
/// word are its symptoms. So does a list of events that ends too early.
fn error_reason(record: &Record) -> Option<String> {
    let lost = fault(record, RunFaultKind::SessionLost);
    if let Some(fault) = lost.or_else(|| fault(record, RunFaultKind::NotFinished)) {
        return Some(after_failure(record, fault.text.clone()));
    }
    let is_error = |outcome: &Outcome| matches!(outcome, Outcome::Error { .. });
    let tier = first(record, is_error).or_else(|| {
        first(record, |outcome| {
            matches!(
                outcome,
                Outcome::Unverified {
                    cause: Cause::Error | Cause::Fail,
                    ..
                }
            )
        })
    });
    if let Some(tier) = tier {
        return Some(say(tier));
    }
    if let Some(reason) = record.teardown.outcome.reason()
        && record.teardown.outcome.is_red()
    {
        return Some(format!("teardown: {reason}"));
    }
    if let Some(fault) = record.faults.first() {
        return Some(fault.text.clone());
    }
    install_not_proven(record).or_else(|| head::never_live(record))
}

fn install_not_proven(record: &Record) -> Option<String> {
    let Some(install) = record.tier(Tier::Install) else {
        return Some("install never reported, so nothing is proven".to_owned());
    };
    let asserted = install
        .tests
        .iter()
        .any(|test| is_assertion(test) && test.outcome == Outcome::Pass);
    match &install.outcome {
        Outcome::Pass if asserted => None,
        Outcome::Pass => Some("install: nothing was asserted".to_owned()),
        Outcome::Unverified {
            cause: Cause::Deselected,
            ..
        } => asked_not_proven(record),
        _ => Some(format!("nothing is proven: {}", say(install))),
    }
}

/// Where install was not asked for, it is no prerequisite: but then every tier that was asked for
/// has to stand, and one of them has to have asserted something.
fn asked_not_proven(record: &Record) -> Option<String> {
    let asked = || {
        let of = |tier: &&TierRecord| record.tiers_asked.contains(&tier.name);
        record.tiers.iter().filter(of)
    };
    let stands = |tier: &TierRecord| matches!(tier.outcome, Outcome::Pass | Outcome::Skip { .. });
    if let Some(tier) = asked().find(|tier| !stands(tier)) {
        return Some(format!("nothing is proven: {}", say(tier)));
    }
    let asserted = asked()
        .flat_map(|tier| &tier.tests)
        .any(|test| is_assertion(test) && test.outcome == Outcome::Pass);
    (!asserted).then(|| {
        "install was not asked for, and nothing else was asserted; ask for install too".to_owned()
    })
}

fn pass_reason(record: &Record) -> String {
    let asserted = record
        .tiers
        .iter()
        .flat_map(|tier| &tier.tests)
        .filter(|test| is_assertion(test) && test.outcome == Outcome::Pass)
        .count();
    let (mut passed, mut skipped, mut deselected) = (Vec::new(), Vec::new(), Vec::new());
    let mut unverified = Vec::new();
    for TierRecord { name, outcome, .. } in &record.tiers {
        match outcome {
            Outcome::Unverified {
                cause: Cause::Deselected,
                ..
            } => deselected.push(name.to_string()),
            Outcome::Unverified { reason, .. } => unverified.push(format!("{name} ({reason})")),
            Outcome::Skip { .. } => skipped.push(name.to_string()),
            _ => passed.push(name.to_string()),
        }
    }
    let mut reason = format!(
        "{} passed, {}",
        passed.join(", "),
        count(asserted, "assertion")
    );
    if !record.flaky.is_empty() {
        reason = format!("{reason} ({} only on a second try)", record.flaky.len());
    }
    let others = [
        ("does not apply", skipped),
        ("not verified", unverified),
        ("not asked for", deselected),
    ];
    for (words, tiers) in others {
        if !tiers.is_empty() {
            reason = format!("{reason}; {words}: {}", tiers.join(", "));
        }
    }
    reason
}

/// `reason`, and what had failed until then: a reader should not lose it.
fn after_failure(record: &Record, reason: String) -> String {
    match first(record, |outcome| matches!(outcome, Outcome::Fail { .. })) {
        Some(tier) => format!("{reason}; before that, {}", say(tier)),
        None => reason,
    }
}

fn first(record: &Record, wanted: impl Fn(&Outcome) -> bool) -> Option<&TierRecord> {
    record.tiers.iter().find(|tier| wanted(&tier.outcome))
}

fn fault(record: &Record, kind: RunFaultKind) -> Option<&RunFault> {
    record.faults.iter().find(|fault| fault.kind == kind)
}

/// One line for a tier: `upgrade failed: …`.
fn say(tier: &TierRecord) -> String {
    say_outcome(tier.name.as_str(), &tier.outcome)
}

pub(crate) fn say_outcome(name: &str, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Pass => format!("{name} passed"),
        Outcome::Fail { reason } => format!("{name} failed: {reason}"),
        Outcome::Skip { reason } => format!("{name} does not apply: {reason}"),
        Outcome::Unverified { reason, .. } => format!("{name} was not verified: {reason}"),
        Outcome::Error { reason } => format!("{name} met an error: {reason}"),
    }
}
