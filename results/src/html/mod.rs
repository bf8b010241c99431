//! The report of a run: one HTML file, no script, nothing loaded from anywhere.
//!
//! Invariants: text from outside is text, never markup, and a path from outside is only ever a
//! link to a file below the run's directory; what is embedded is bounded by whoever gives it.
//!
//! Must not know: where evidence lies. The caller's function answers for a path.

mod cause;
mod evidence;
mod tiers;
mod timeline;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::{Map, Value};

use crate::evidence::Find;
use crate::outcome::{Outcome, Verdict};
use crate::record::Record;
use crate::remarks::{news, remarks};
use crate::text::{block, duration, line, short};

/// The report. `find` gives evidence; what it does not know is named as missing.
pub fn render(record: &Record, find: Find<'_>) -> String {
    let title = format!("{}: {}", line(&record.recipe), record.verdict);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Should anything slip through, the browser still runs and loads nothing.
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";
                title { (title) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                main {
                    (header(record))
                    (cause::cause(record, find))
                    (what(record))
                    (tiers::overview(record))
                    (tiers::ladder(record))
                    (comparison(record))
                    (timeline::timeline(record))
                    (tiers::sections(record, find))
                    (lint(record))
                    (teardown(record))
                    (notes(record))
                    (environment(record))
                }
                footer { p { "Run " code { (line(&record.run_id)) } ", schema " (record.schema) "." } }
            }
        }
    };
    page.into_string()
}

fn header(record: &Record) -> Markup {
    let verdict = record.verdict.to_string();
    let level = match record.level {
        Some(level) => format!("level {level} of 5"),
        None => "no level".to_owned(),
    };
    html! {
        header class={ "verdict " (verdict_class(record.verdict)) } {
            p.eyebrow { "Test run of the recipe" }
            h1 { (line(&record.recipe)) " " span.badge { (verdict) } " " span.level { (level) } }
            p.reason { (line(&record.verdict_reason)) }
            // Where the same cause holds the level down, once is enough.
            @if record.level_reason != record.verdict_reason { p.muted { "Level: " (line(&record.level_reason)) } }
        }
    }
}

fn what(record: &Record) -> Markup {
    html! {
        dl.facts {
            dt { "Head" }
            dd {
                @if let Some(head) = &record.head { code title=(line(head)) { (short(head)) } }
                @else { "not known" }
                @if let Some(version) = &record.head_version { " " (line(version)) }
                @if let Some(asked) = &record.requested_ref { span.muted { " asked for as " (line(asked)) } }
            }
            dt { "Base" }
            dd {
                @if let Some(base) = &record.base {
                    (line(&base.version)) " " code { (short(&base.commit)) }
                    span.muted { " " (line(&base.reason)) }
                } @else {
                    "none" @if let Some(why) = &record.no_base { span.muted { " " (line(why)) } }
                }
            }
            @if record.pr > 0 { dt { "Pull request" } dd { (record.pr) } }
            dt { "Started" }
            dd { time datetime=(line(&record.started)) { (readable(&record.started)) } ", took " (duration(record.elapsed_ms())) }
            dt { "Where" }
            dd { "site " (line(&record.site)) ", engine " (line(&record.engine))
                @if let Some(version) = &record.engine_version { " " (line(version)) }
            }
        }
    }
}

fn comparison(record: &Record) -> Markup {
    html! {
        @if let Some(comparison) = &record.comparison {
            section #comparison {
                h2 { "Against " (line(&comparison.branch)) }
                ul { @for news in news(comparison) { li { (news) } } }
            }
        }
    }
}

fn lint(record: &Record) -> Markup {
    let lint = &record.lint;
    html! {
        section #lint {
            h2 { "Lint " (status(&lint.outcome)) span.muted { " by " (line(&lint.by)) } }
            (reason(&lint.outcome))
            @if !lint.findings.is_empty() {
                div.scroll { table {
                    thead { tr { th scope="col" { "Rule" } th scope="col" { "Severity" } th scope="col" { "Finding" } th scope="col" { "Where" } } }
                    tbody { @for finding in &lint.findings {
                        tr {
                            td { (line(&finding.rule)) } td { (line(&finding.severity)) } td { (line(&finding.message)) }
                            td {
                                @if let Some(file) = &finding.file { code { (line(file)) } }
                                @if let Some(number) = finding.line { ":" (number) }
                            }
                        }
                    } }
                } }
            }
        }
    }
}

fn teardown(record: &Record) -> Markup {
    let teardown = &record.teardown;
    html! {
        section #teardown {
            h2 { "Teardown " (status(&teardown.outcome)) span.muted { " " (duration(teardown.duration_ms)) } }
            (reason(&teardown.outcome))
            @if !teardown.residue.is_empty() {
                ul { @for left in &teardown.residue { li { (line(&left.kind)) " " code { (line(&left.name)) } } } }
            }
        }
    }
}

/// Faults of the run, then what is worth a line.
fn notes(record: &Record) -> Markup {
    let notes = remarks(record);
    html! {
        @if !notes.is_empty() || !record.faults.is_empty() {
            section #notes {
                h2 { "Notes" }
                ul {
                    @for fault in &record.faults { li { (status(&Outcome::error(""))) " " (line(&fault.text)) } }
                    @for note in &notes { li { (note) } }
                }
            }
        }
    }
}

fn environment(record: &Record) -> Markup {
    html! {
        section #environment {
            h2 { "Environment" }
            details {
                summary { "Where it ran, settings and phases" }
                dl.facts {
                    dt { "Source" } dd { (line(&record.source)) }
                    dt { "Domain" } dd { (record.domain.as_deref().map_or("not known".to_owned(), line)) }
                    dt { "Finished" } dd { (readable(&record.finished)) }
                    dt { "Tiers asked for" }
                    dd { (record.tiers_asked.iter().map(|tier| tier.as_str()).collect::<Vec<_>>().join(", ")) }
                }
                h3 { "Settings" }
                (facts(&record.settings))
                h3 { "Phases" }
                dl.facts { @for (phase, ms) in &record.phases_ms { dt { (line(phase)) } dd { (duration(*ms)) } } }
            }
        }
    }
}

/// A map of JSON as a list, each value on one line.
fn facts(map: &Map<String, Value>) -> Markup {
    html! {
        @if map.is_empty() { p.muted { "None." } }
        @else {
            dl.facts { @for (name, value) in map {
                dt { (line(name)) }
                dd {
                    @match value {
                        Value::String(text) => (line(text)),
                        Value::Array(items) if !items.is_empty() => {
                            (folded(&format!("{} entries", items.len()), value))
                        }
                        Value::Object(fields) if !fields.is_empty() => {
                            (folded(&fields.keys().map(|key| line(key)).collect::<Vec<_>>().join(", "), value))
                        }
                        other => code { (line(&other.to_string())) },
                    }
                }
            } }
        }
    }
}

/// A value that is too long for a line.
fn folded(summary: &str, value: &Value) -> Markup {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    html! { details { summary { (line(summary)) } pre { (block(&text)) } } }
}

/// The word of an outcome, coloured; the word says what the colour says.
fn status(outcome: &Outcome) -> Markup {
    html! { span class={ "status " (outcome.word()) } { (outcome.word()) } }
}

fn reason(outcome: &Outcome) -> Markup {
    html! {
        @if let Some(reason) = outcome.reason() { p class={ "why " (outcome.word()) } { (block(reason)) } }
    }
}

fn verdict_class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Error => "error",
        Verdict::Cancelled => "unverified",
    }
}

/// `2026-01-31 12:00:00 UTC`; the text itself where it is no time.
fn readable(time: &str) -> String {
    match time.parse::<jiff::Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => line(time),
    }
}
