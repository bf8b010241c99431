//! What a reader of a run that is no pass wants first: the one piece that shows why.

use maud::{Markup, html};

use super::evidence::{link, name as part_name, picture};
use super::status;
use crate::evidence::{Culprit, Evidence, Find, culprit, first_shown, piece};
use crate::record::Record;
use crate::text::{block, line};

/// The rest of the file is further down, folded.
const LINES: usize = 40;

pub(super) fn cause(record: &Record, find: Find<'_>) -> Markup {
    let Some(culprit) = culprit(record) else {
        return html! {};
    };
    let shown = first_shown(culprit.evidence, find);
    // One line of the reason is in the header.
    let reason = culprit.outcome.reason().unwrap_or_default().trim();
    let long = reason.contains('\n').then_some(reason);
    html! {
        @if shown.is_some() || long.is_some() {
            section #cause {
                h2 { "What shows it " (status(culprit.outcome)) span.muted { " " (name(&culprit)) } }
                @if let Some(reason) = long { pre tabindex="0" { (block(reason)) } }
                @if let Some((path, evidence)) = shown { (shown_of(path, evidence)) }
            }
        }
    }
}

fn name(culprit: &Culprit<'_>) -> String {
    match culprit.test {
        Some(test) => format!("{}: {}", culprit.tier, line(test)),
        None => format!("operation of {}", culprit.tier),
    }
}

fn shown_of(path: &str, evidence: Evidence) -> Markup {
    match evidence {
        Evidence::Text { text, part } => {
            let (text, part) = piece(path, &text, part, LINES);
            html! {
                p.muted { @if let Some(part) = part_name(part) { "The " (part) " of " } (link(path)) }
                pre tabindex="0" { (block(&text)) }
            }
        }
        Evidence::Image { mime, bytes } => html! {
            p.muted { (link(path)) }
            (picture(path, mime, &bytes))
        },
        Evidence::LinkOnly => html! { p { (link(path)) } },
    }
}
