//! Lines for people that table and report share. All of them are inert.

use crate::compare::Comparison;
use crate::outcome::Outcome;
use crate::record::{Record, Rung, TestRecord, TierRecord};
use crate::text::{count, duration, line, short};
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
    for tier in &record.tiers {
        let flaky = tier.tests.iter().filter(|test| test.is_flaky());
        remarks.extend(flaky.map(|test| {
            let (name, tries) = (line(&test.name), test.earlier.len() + 1);
            format!(
                "{} {name} is flaky: it passed on try {tries}; before: {}",
                tier.name,
                earlier(test)
            )
        }));
    }
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

/// Why a rung is what it is; the cause of the run is said at the top, and not again.
pub(crate) fn rung_reason(record: &Record, rung: &Rung) -> String {
    match &rung.reason {
        Some(reason) if *reason == record.verdict_reason => "see above".to_owned(),
        reason => line(reason.as_deref().unwrap_or_default()),
    }
}

/// What a run of a pull request changes, a line each.
pub(crate) fn news(comparison: &Comparison) -> Vec<String> {
    let branch = line(&comparison.branch);
    let mut news = Vec::new();
    match &comparison.with {
        None => news.push(format!(
            "no run of {branch} on this host has passed or failed yet: nothing to compare with"
        )),
        Some(with) => news.push(format!(
            "compared with run {} of {branch} ({}, {})",
            line(&with.run_id),
            short(&with.head),
            with.verdict
        )),
    }
    let changes = comparison.newly_red.iter().map(|change| ("red", change));
    let green = comparison.newly_green.iter();
    let changes = changes.chain(green.map(|change| ("green", change)));
    news.extend(changes.map(|(colour, change)| {
        let what = line(&change.what);
        let (before, now) = (change.before.word(), change.now.word());
        format!("newly {colour}: {what} ({before} there, {now} here)")
    }));
    news.extend(comparison.slower.iter().map(|slower| {
        let (before, now) = (duration(slower.before_ms), duration(slower.now_ms));
        format!("slower: {} took {now}, {before} there", line(&slower.what))
    }));
    if comparison.with.is_some() && news.len() == 1 {
        news.push("nothing is newly red, newly green or slower".to_owned());
    }
    news.extend(comparison.history.iter().map(|history| {
        let mut often = Vec::new();
        if history.red > 0 {
            often.push(format!("red in {}", history.red));
        }
        if history.flaky > 0 {
            often.push(format!("flaky in {}", history.flaky));
        }
        let (what, runs) = (line(&history.what), history.runs);
        let runs = if runs == 1 {
            "the last run".to_owned()
        } else {
            format!("the last {runs} runs")
        };
        format!("{what} was {} of {runs} of {branch}", often.join(" and "))
    }));
    if comparison.unreadable > 0 {
        let unreadable = usize::try_from(comparison.unreadable).unwrap_or(usize::MAX);
        let records = count(unreadable, "record");
        news.push(format!("{records} of earlier runs could not be read"));
    }
    news
}

/// What came of the tries before the last one.
pub(crate) fn earlier(test: &TestRecord) -> String {
    let earlier = test.earlier.iter();
    let said = earlier.map(|outcome| {
        let reason = line(outcome.reason().unwrap_or_default());
        format!("{}: {reason}", outcome.word())
    });
    said.collect::<Vec<_>>().join("; ")
}

/// How many assertions a tier has, and how many of them passed where that is fewer. Empty for a
/// tier that does not apply.
pub(crate) fn tests_cell(tier: &TierRecord) -> String {
    let asserting = tier.tests.iter().filter(|test| is_assertion(test));
    let (passed, all) = asserting.fold((0, 0), |(passed, all), test| {
        (passed + usize::from(test.outcome == Outcome::Pass), all + 1)
    });
    let flaky = tier.tests.iter().filter(|test| test.is_flaky()).count();
    let flaky = match flaky {
        0 => String::new(),
        flaky => format!(", {flaky} flaky"),
    };
    match &tier.outcome {
        Outcome::Skip { .. } => String::new(),
        _ if all == 0 => String::new(),
        _ if passed == all => format!("{all}{flaky}"),
        _ => format!("{passed} of {all} passed{flaky}"),
    }
}
