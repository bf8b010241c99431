//! Lines for people that table and report share. All of them are inert.

use crate::outcome::Outcome;
use crate::record::{Record, TierRecord};
use crate::text::line;
use crate::verdict::is_assertion;

/// What is worth a line beside the outcomes: notes of the run, second tries, opt-outs, tests that
/// were found in the recipe.
pub(crate) fn remarks(record: &Record) -> Vec<String> {
    let mut remarks: Vec<_> = record.notes.iter().map(|note| line(note)).collect();
    remarks.extend(record.retries.iter().map(|retry| {
        let (tier, attempt) = (retry.tier, retry.attempt);
        let (what, why) = (line(&retry.what), line(&retry.why));
        format!("{tier}: try {attempt} of {what}: {why}")
    }));
    let flaky = record.flaky.iter();
    remarks.extend(flaky.map(|name| format!("{} passed only on a second try", line(name))));
    if !record.skipped_generic.is_empty() {
        let tiers: Vec<_> = record
            .skipped_generic
            .iter()
            .map(|tier| tier.as_str())
            .collect();
        remarks.push(format!(
            "generic assertions are opted out of: {}",
            tiers.join(", ")
        ));
    }
    remarks.extend(record.repo_local.iter().map(|found| {
        let ran = if found.ran { "run" } else { "not run" };
        format!(
            "{} was found in the recipe and {ran}: {}",
            line(&found.path),
            line(&found.reason)
        )
    }));
    remarks
}

/// How many assertions a tier has, and how many of them passed where that is fewer. Empty for a
/// tier that does not apply.
pub(crate) fn tests_cell(tier: &TierRecord) -> String {
    let asserting = tier.tests.iter().filter(|test| is_assertion(test));
    let (passed, all) = asserting.fold((0, 0), |(passed, all), test| {
        (passed + usize::from(test.outcome == Outcome::Pass), all + 1)
    });
    match &tier.outcome {
        Outcome::Skip { .. } => String::new(),
        _ if all == 0 => String::new(),
        _ if passed == all => all.to_string(),
        _ => format!("{passed} of {all} passed"),
    }
}
