//! The timeline, drawn to scale with plain boxes: where the time went, at a glance.

use maud::{Markup, html};

use crate::outcome::Outcome;
use crate::record::{Record, Span};
use crate::text::{duration, line};

/// A line of the drawing: everything of one name, or all tests of a tier.
struct Row<'a> {
    name: String,
    class: &'static str,
    spans: Vec<&'a Span>,
}

pub(super) fn timeline(record: &Record) -> Markup {
    let end = record.timeline.iter().map(end_ms).max().unwrap_or(0);
    // At least one, for it divides; the run's own end may lie after the last span's.
    let total = end.max(record.elapsed_ms()).max(1);
    let rows = rows(&record.timeline);
    html! {
        @if !rows.is_empty() {
            section #timeline {
                h2 { "Timeline" }
                div.timeline {
                    @for row in &rows { (draw(row, record, total)) }
                    div.row.axis aria-hidden="true" {
                        span {}
                        span.track { @for tick in ticks(total) {
                            span.tick style={ "left:" (percent(tick, total)) } { (tick_label(tick)) }
                        } }
                        span {}
                    }
                }
                p.legend.muted {
                    span.key.phase {} " preparation " span.key.operation {} " operation "
                    span.key.test {} " tests " span.key.teardown {} " teardown "
                    span.key.red {} " did not pass"
                }
            }
        }
    }
}

fn draw(row: &Row<'_>, record: &Record, total: u64) -> Markup {
    let took: u64 = row.spans.iter().map(|span| span.duration_ms).sum();
    html! {
        div.row {
            span.label { (row.name) }
            span.track {
                @for span in &row.spans {
                    span class={ "bar " (row.class) @if is_red(span, record) { " red" } }
                        style={ "left:" (percent(span.start_ms, total)) ";width:" (percent(span.duration_ms, total)) }
                        title={ (line(&span.name)) ": " (duration(span.duration_ms)) ", at " (duration(span.start_ms)) } {}
                }
            }
            span.took { (duration(took)) }
        }
    }
}

/// In the order in which they begin.
fn rows(timeline: &[Span]) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    // What took no time did not happen: an operation that could not begin, say.
    for span in timeline.iter().filter(|span| span.duration_ms > 0) {
        let (class, name) = match (span.kind.as_str(), span.tier) {
            ("test", Some(tier)) => ("test", format!("{tier} tests")),
            ("operation", _) => ("operation", line(&span.name)),
            ("teardown", _) => ("teardown", line(&span.name)),
            _ => ("phase", line(&span.name)),
        };
        match rows
            .iter_mut()
            .find(|row| row.class == class && row.name == name)
        {
            Some(row) => row.spans.push(span),
            None => rows.push(Row {
                name,
                class,
                spans: vec![span],
            }),
        }
    }
    rows
}

fn is_red(span: &Span, record: &Record) -> bool {
    let red = Outcome::is_red;
    let tier = span.tier.and_then(|tier| record.tier(tier));
    match span.kind.as_str() {
        "teardown" => red(&record.teardown.outcome),
        "operation" => tier
            .and_then(|tier| tier.operation.as_ref())
            .is_some_and(|operation| red(&operation.outcome)),
        "test" => tier.is_some_and(|tier| {
            let mut named = tier.tests.iter().filter(|test| test.name == span.name);
            named.any(|test| red(&test.outcome))
        }),
        _ => false,
    }
}

fn end_ms(span: &Span) -> u64 {
    span.start_ms.saturating_add(span.duration_ms)
}

fn percent(part: u64, total: u64) -> String {
    let hundredths = u128::from(part) * 10_000 / u128::from(total);
    format!("{}.{:02}%", hundredths / 100, hundredths % 100)
}

/// About six marks at round times, from zero.
fn ticks(total_ms: u64) -> impl Iterator<Item = u64> {
    const STEPS_S: [u64; 13] = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600];
    let step = STEPS_S
        .into_iter()
        .map(|seconds| seconds * 1_000)
        .find(|step| total_ms / step <= 6)
        .unwrap_or(total_ms / 6);
    (0..=total_ms / step).map(move |tick| tick * step)
}

fn tick_label(ms: u64) -> String {
    match ms / 1_000 {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{}:{:02} min", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(1, &["0 s"])]
    #[case(28_200, &["0 s", "5 s", "10 s", "15 s", "20 s", "25 s"])]
    #[case(430_000, &["0 s", "2 min", "4 min", "6 min"])]
    fn marks_are_few_and_round(#[case] total: u64, #[case] labels: &[&str]) {
        assert_eq!(ticks(total).map(tick_label).collect::<Vec<_>>(), labels);
    }

    #[test]
    fn a_run_of_days_has_few_marks() {
        assert!(ticks(u64::MAX / 2).count() <= 8);
    }
}
