//! The tiers of a report: an overview, then each with its operation, tests and evidence.

use maud::{Markup, html};

use super::evidence::evidence;
use super::{facts, reason, status};
use crate::evidence::Find;
use crate::outcome::{Outcome, Tier};
use crate::record::{Record, RungState, TestRecord, TierRecord};
use crate::remarks::{earlier, rung_reason, tests_cell};
use crate::text::{count, duration, line};

pub(super) fn overview(record: &Record) -> Markup {
    html! {
        section #tiers {
            h2 { "Tiers" }
            div.scroll { table {
                thead { tr {
                    th scope="col" { "Tier" } th scope="col" { "Status" }
                    th.number scope="col" { "Time" } th.number scope="col" { "Tests" } th scope="col" { "Why" }
                } }
                tbody {
                    @for tier in &record.tiers {
                        (row(tier.name.as_str(), &tier.outcome, tier.duration_ms, &tests_cell(tier)))
                    }
                    (row("lint", &record.lint.outcome, 0, ""))
                    (row("teardown", &record.teardown.outcome, record.teardown.duration_ms, ""))
                }
            } }
        }
    }
}

fn row(name: &str, outcome: &Outcome, ms: u64, tests: &str) -> Markup {
    html! {
        tr {
            th scope="row" { a href={ "#" (name) } { (name) } }
            td { (status(outcome)) }
            td.number { @if ms > 0 { (duration(ms)) } }
            td.number { (tests) }
            td { (line(outcome.reason().unwrap_or_default())) }
        }
    }
}

/// Each rung of the level, with the reason where it is not plainly passed.
pub(super) fn ladder(record: &Record) -> Markup {
    html! {
        @if !record.ladder.is_empty() {
            section #level {
                h2 { "Level " @if let Some(level) = record.level { (level) " of 5" } }
                div.scroll { table {
                    thead { tr { th scope="col" { "Rung" } th scope="col" { "State" } th scope="col" { "Why" } } }
                    tbody { @for rung in &record.ladder {
                        tr {
                            th scope="row" { (rung.rung) " " (line(&rung.name)) }
                            td { span class={ "status " (rung_class(rung.state)) } { (rung.state.words()) } }
                            td { (rung_reason(record, rung)) }
                        }
                    } }
                } }
            }
        }
    }
}

fn rung_class(state: RungState) -> &'static str {
    match state {
        RungState::Passed => "pass",
        RungState::Skipped | RungState::OutOfReach => "skip",
        RungState::Blocked => "unverified",
    }
}

/// Each tier in its own section; those that failed or met an error are unfolded.
pub(super) fn sections(record: &Record, find: Find<'_>) -> Markup {
    html! {
        @for tier in &record.tiers {
            section id=(tier.name) {
                h2 { (heading(tier.name)) " " (status(&tier.outcome)) @if tier.duration_ms > 0 { span.muted { " " (duration(tier.duration_ms)) } } }
                (reason(&tier.outcome))
                @for note in &tier.notes { p.muted { "Note: " (line(note)) } }
                @if tier.operation.is_some() || !tier.tests.is_empty() {
                    details open[matches!(tier.outcome, Outcome::Fail { .. } | Outcome::Error { .. })] {
                        summary { (summary(tier)) }
                        @if let Some(operation) = &tier.operation {
                            h3 { "Operation " (status(&operation.outcome)) span.muted { " " (duration(operation.duration_ms)) } }
                            // The tier's reason was said above; it is the same where the operation gave it.
                            @if operation.outcome != tier.outcome { (reason(&operation.outcome)) }
                            @if !operation.facts.is_empty() { (facts(&operation.facts)) }
                            (evidence(&operation.evidence, find))
                        }
                        @if !tier.tests.is_empty() {
                            h3 { "Tests" }
                            ul.tests { @for entry in &tier.tests { (test(entry, tier, find)) } }
                        }
                    }
                }
            }
        }
    }
}

fn heading(tier: Tier) -> &'static str {
    match tier {
        Tier::Install => "Install",
        Tier::Upgrade => "Upgrade",
        Tier::Backup => "Backup",
        Tier::Restore => "Restore",
        Tier::Custom => "Custom",
        Tier::Fresh => "Fresh install of head",
    }
}

fn summary(tier: &TierRecord) -> String {
    let operation = tier.operation.as_ref().map(|_| "operation".to_owned());
    let tests = (!tier.tests.is_empty()).then(|| count(tier.tests.len(), "test"));
    let parts: Vec<_> = operation.into_iter().chain(tests).collect();
    parts.join(" and ")
}

fn test(test: &TestRecord, tier: &TierRecord, find: Find<'_>) -> Markup {
    html! {
        li {
            (status(&test.outcome)) " " span.name { (line(&test.name)) }
            span.muted { " " (test.source) @if test.duration_ms > 0 { ", " (duration(test.duration_ms)) } }
            @if test.is_flaky() { " " span.status.unverified { "flaky" } }
            @if !test.earlier.is_empty() { p.muted { "Tries before the last: " (earlier(test)) } }
            // What stands above all of them is not said for each one again.
            @if test.outcome != tier.outcome { (reason(&test.outcome)) }
            (evidence(&test.evidence, find))
        }
    }
}
