//! The operator's page: one HTML file, no script, nothing loaded from anywhere.
//!
//! Invariants: text from outside is text, on one line and bounded; a link leads to http or https.

use std::sync::LazyLock;

use axum::http::HeaderValue;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use results::text;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::view::{Decision, Mention, PageView, Repository, Run};

const STYLE: &str = include_str!("style.css");
const REFRESH_SECONDS: u32 = 30;
/// The longest text that is shown, in characters.
const LONGEST: usize = 300;
/// More repositories than this are folded away; those with trouble are shown all the same.
const MANY: usize = 20;

/// The policy under which a browser shows what the bridge answers: only this page's own style.
pub fn policy() -> HeaderValue {
    static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
        let style = BASE64_STANDARD.encode(Sha256::digest(STYLE));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        HeaderValue::from_str(&policy).expect("base64 may stand in a header")
    });
    POLICY.clone()
}

pub fn render(view: &PageView) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="refresh" content=(REFRESH_SECONDS);
                title { "cc-ci bridge" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "cc-ci bridge" }
                    p.muted {
                        "Watches pull requests for " code { "!testme" } ". Last poll: "
                        @match view.last_poll { Some(at) => (ago(view.now, at)), None => "none yet" }
                        "."
                    }
                }
                main {
                    (troubles(&view.troubles))
                    (runs(view.now, &view.runs))
                    (decisions(view.now, &view.decisions))
                    (mentions(view.now, &view.mentions))
                    (repositories(view.now, &view.repositories))
                }
                footer {
                    p { "cc-ci bridge " (inert(&view.version)) ", " (moment(view.now)) ". Loads anew every " (REFRESH_SECONDS) " s." }
                }
            }
        }
    };
    page.into_string()
}

fn troubles(troubles: &[String]) -> Markup {
    html! {
        @if !troubles.is_empty() {
            section.trouble {
                h2 { "To be mended" }
                ul { @for trouble in troubles { li { (inert(trouble)) } } }
            }
        }
    }
}

fn runs(now: Timestamp, runs: &[Run]) -> Markup {
    let row = |run: &Run| {
        html! {
            tr {
                th scope="row" { (run.recipe) }
                td { (pull(&run.repo.to_string(), run.pull, Some(&run.pull_url))) }
                td { code title=(run.head) { (run.head.short()) } }
                td { (link(run.link.as_deref(), &inert(&run.state))) }
                td.when { (ago(now, run.since)) }
            }
        }
    };
    let rows = runs.iter().map(row).collect();
    let titles = ["Recipe", "Pull request", "Head", "State", "Since"];
    table(
        "Runs",
        "None: nothing waits and nothing runs.",
        &titles,
        rows,
    )
}

fn decisions(now: Timestamp, decisions: &[Decision]) -> Markup {
    let row = |decision: &Decision| {
        let repo = decision.repo.to_string();
        html! {
            tr {
                td.when { (ago(now, decision.at)) }
                td { (pull(&repo, decision.pull, decision.url.as_deref())) }
                td { (bdi(&decision.who)) }
                td { code { (bdi(&decision.wrote)) } }
                td {
                    b { (inert(&decision.outcome)) }
                    @if let Some(why) = &decision.why { ": " (inert(why)) }
                }
            }
        }
    };
    let rows = decisions.iter().map(row).collect();
    let titles = ["When", "Pull request", "Who", "Wrote", "Outcome"];
    table("Recent decisions", "None yet.", &titles, rows)
}

fn mentions(now: Timestamp, mentions: &[Mention]) -> Markup {
    let row = |mention: &Mention| {
        let repo = mention.repo.to_string();
        html! {
            tr {
                td.when { (ago(now, mention.at)) }
                td { (pull(&repo, mention.pull, mention.url.as_deref())) }
                td { (bdi(&mention.who)) }
            }
        }
    };
    let rows: Vec<_> = mentions.iter().map(row).collect();
    html! {
        @if !rows.is_empty() {
            section {
                h2 { "Called where nobody watches" }
                p.muted { "To watch such a repository, add it to " code { "poll.repositories" } ", or give it the topic." }
                (grid(&["When", "Pull request", "Who"], rows))
            }
        }
    }
}

fn repositories(now: Timestamp, repositories: &[Repository]) -> Markup {
    let row = |repository: &Repository| {
        html! {
            tr {
                th scope="row" { (repository.repo) }
                td { (inert(&repository.enrolled)) }
                td.when { @match repository.last_poll { Some(at) => (ago(now, at)), None => "not yet" } }
                td { @if let Some(trouble) = &repository.trouble { span.bad { (inert(trouble)) } } @else { "no trouble" } }
            }
        }
    };
    let titles = ["Repository", "Watched", "Last poll", "Trouble"];
    let rows = |some: &mut dyn Iterator<Item = &Repository>| some.map(row).collect::<Vec<_>>();
    if repositories.len() <= MANY {
        let all = rows(&mut repositories.iter());
        return table("Repositories", "None is watched.", &titles, all);
    }
    let (bad, good): (Vec<_>, Vec<_>) = repositories.iter().partition(|it| it.trouble.is_some());
    html! {
        (table("Repositories", "None has trouble.", &titles, rows(&mut bad.into_iter())))
        details {
            summary { (good.len()) " more without trouble" }
            (grid(&titles, rows(&mut good.into_iter())))
        }
    }
}

fn table(title: &str, none: &str, titles: &[&str], rows: Vec<Markup>) -> Markup {
    html! {
        section {
            h2 { (title) }
            @if rows.is_empty() { p.muted { (none) } } @else { (grid(titles, rows)) }
        }
    }
}

fn grid(titles: &[&str], rows: Vec<Markup>) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr { @for title in titles { th scope="col" { (title) } } } }
                tbody { @for row in rows { (row) } }
            }
        }
    }
}

fn pull(repo: &str, number: u64, url: Option<&str>) -> Markup {
    link(url, &format!("{repo}#{number}"))
}

/// `text` is inert already.
fn link(url: Option<&str>, text: &str) -> Markup {
    let is_web =
        |url: &&str| Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    html! {
        @match url.filter(is_web) {
            Some(url) => a href=(url) rel="noreferrer" { (text) },
            None => (text),
        }
    }
}

/// A stranger's text can't turn what stands beside it round.
fn bdi(text: &str) -> Markup {
    html! { bdi { (inert(text)) } }
}

fn inert(text: &str) -> String {
    let line = text::line(text);
    if line.chars().count() <= LONGEST {
        return line;
    }
    line.chars().take(LONGEST).chain(['…']).collect()
}

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn ago(now: Timestamp, at: Timestamp) -> Markup {
    let seconds = now.as_second().saturating_sub(at.as_second());
    let text = match seconds {
        // Another clock than ours.
        ..0 => moment(at),
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    };
    html! { time datetime=(at) title=(moment(at)) { (text) } }
}
