//! The page, as a browser gets it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bridge::serve::{Decision, Mention, PageView, Repository, Run};
use jiff::{Timestamp, ToSpan as _};
use sha2::{Digest as _, Sha256};

use crate::{Setting, timed};

const HEAD: &str = "0123456789abcdef0123456789abcdef01234567";

fn now() -> Timestamp {
    "2026-07-01T12:00:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    now() - seconds.seconds()
}

/// A page with something in each part. `text` stands wherever a stranger's may.
fn view(text: &str, link: &str) -> PageView {
    let repo = || "coop-cloud/custom-html".parse().unwrap();
    let link = || Some(link.to_owned());
    PageView {
        now: now(),
        version: "0.1.0".to_owned(),
        last_poll: Some(ago(12)),
        troubles: vec![
            format!("the commit status can't be set: {text}"),
            "Drone's time-out is 120 min, not 60 min: an admin of Drone sets it".to_owned(),
        ],
        repositories: vec![
            Repository {
                repo: repo(),
                enrolled: "by name".to_owned(),
                last_poll: Some(ago(12)),
                trouble: None,
            },
            Repository {
                repo: "coop-cloud/hedgedoc".parse().unwrap(),
                enrolled: "topic cc-ci".to_owned(),
                last_poll: None,
                trouble: Some(text.to_owned()),
            },
        ],
        runs: vec![
            Run {
                recipe: "custom-html".parse().unwrap(),
                repo: repo(),
                pull: 7,
                pull_url: link().unwrap(),
                head: HEAD.parse().unwrap(),
                state: format!("running upgrade: {text}"),
                since: ago(185),
                link: link(),
            },
            Run {
                recipe: "hedgedoc".parse().unwrap(),
                repo: "coop-cloud/hedgedoc".parse().unwrap(),
                pull: 9,
                pull_url: link().unwrap(),
                head: HEAD.parse().unwrap(),
                state: "waiting (1st)".to_owned(),
                since: ago(20),
                link: None,
            },
        ],
        decisions: vec![
            Decision {
                at: ago(200),
                repo: repo(),
                pull: 7,
                url: link(),
                who: text.to_owned(),
                wrote: format!("!testme {text}"),
                outcome: "start".to_owned(),
                why: None,
            },
            Decision {
                at: ago(7300),
                repo: repo(),
                pull: 7,
                url: None,
                who: "eve".to_owned(),
                wrote: "!testme".to_owned(),
                outcome: "refuse".to_owned(),
                why: Some(format!("no member of coop-cloud: {text}")),
            },
        ],
        mentions: vec![Mention {
            at: ago(400_000),
            repo: "coop-cloud/other".parse().unwrap(),
            pull: 1,
            url: link(),
            who: text.to_owned(),
        }],
    }
}

async fn page(view: PageView) -> crate::Answer {
    let served = Setting {
        view,
        ..Setting::default()
    };
    served.serve().await.get("/").await
}

/// The style is left out: it has nothing to compare.
fn body(answer: &crate::Answer) -> String {
    let (before, rest) = answer.body.split_once("<style>").unwrap();
    let (_, after) = rest.split_once("</style>").unwrap();
    // A line each for what opens a part, so that a difference can be read.
    format!("{before}{after}")
        .replace("<section", "\n<section")
        .replace("<tr>", "\n<tr>")
        .replace("<td", "\n  <td")
        .replace("<footer", "\n<footer")
}

#[tokio::test]
async fn the_page_says_all_there_is() {
    let answer = page(view("as it is", "https://git.example.org/x")).await;
    assert_eq!(answer.status, 200);
    insta::assert_snapshot!(body(&answer));
}

#[tokio::test]
async fn an_empty_page_says_so() {
    let answer = page(Setting::default().view).await;
    insta::assert_snapshot!(body(&answer));
}

#[tokio::test]
async fn what_strangers_write_is_text_and_bounded() {
    let hostile =
        "</code><script>alert(1)</script><img src=x onerror=\"y\">'&\u{202e}\0\n\u{1b}[31m";
    let answer = page(view(&hostile.repeat(500), "javascript:alert(1)")).await;
    let html = &answer.body;
    for wrong in ["<script", "<img", "\u{202e}", "\0", "\u{1b}", "javascript:"] {
        assert!(!html.contains(wrong), "{wrong:?} is in the page");
    }
    // It is shown all the same, and as nothing but text.
    assert!(
        html.contains(
            "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=&quot;y&quot;&gt;"
        )
    );
    assert!(!html.contains("<a "), "such a link leads nowhere");
    assert!(html.len() < 30_000, "{} bytes", html.len());
}

#[tokio::test]
async fn a_browser_is_told_to_run_and_load_nothing() {
    let answer = page(view("x", "https://git.example.org/x")).await;
    let (_, rest) = answer.body.split_once("<style>").unwrap();
    let (style, _) = rest.split_once("</style>").unwrap();
    let hash = BASE64_STANDARD.encode(Sha256::digest(style));
    let policy = answer.header("content-security-policy").unwrap();
    assert_eq!(
        policy,
        format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
    );
    // What the policy would stop is not there in the first place.
    for wrong in [" style=", "<script", "<link", "src=", "url("] {
        assert!(!answer.body.contains(wrong), "{wrong} is in the page");
    }
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
}

/// A thousand repositories: those with trouble are seen, the others are folded away.
#[tokio::test]
async fn many_repositories_do_not_hide_the_one_with_trouble() {
    let mut view = Setting::default().view;
    view.repositories = (0..1000)
        .map(|n| Repository {
            repo: format!("coop-cloud/r{n}").parse().unwrap(),
            enrolled: "by name".to_owned(),
            last_poll: None,
            trouble: (n == 700).then(|| "403".to_owned()),
        })
        .collect();
    let answer = page(view).await;
    let (shown, folded) = answer.body.split_once("<details>").unwrap();
    assert!(shown.contains("coop-cloud/r700") && !shown.contains("coop-cloud/r701"));
    assert!(folded.contains("999 more without trouble") && folded.contains("coop-cloud/r701"));
}

#[tokio::test]
async fn a_page_that_hangs_is_an_answer_all_the_same() {
    let served = Setting {
        page_hangs: true,
        ..Setting::default()
    };
    let served = served.serve().await;
    let (answer, took) = timed(served.get("/")).await;
    assert_eq!(answer.status, 503, "after {took:?}");
    assert_eq!(
        answer.body,
        "the page could not be made in time; try again\n"
    );
}
