//! Whatever comes in, a comment is what it would be without it, but for what is in code.

use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use results::summary::{First, Row, Summary};

use super::sample::{BADGE, Held, LOG, OTHER, REPORT, cancelled, done, error, failed};
use super::*;
use crate::command::{Asked, Unknown, Why};

const PIECES: [&str; 34] = [
    "`",
    "``",
    "```",
    "~~~",
    "\n",
    "\n\n",
    "\r\n",
    "|",
    "\\",
    "\\|",
    "@all",
    "#1",
    "!testme",
    "[a](https://evil.test)",
    "![a](https://evil.test/x.png)",
    "https://evil.test",
    "<script>alert(1)</script>",
    "</details>",
    "<!-- ",
    " -->",
    "<https://evil.test>",
    "# ",
    "> ",
    "- ",
    "    ",
    "* * *",
    "---",
    "===",
    "[x]: https://evil.test",
    "&lt;",
    "\u{202e}",
    "\u{1b}[31m",
    "\0",
    ":smile:",
];

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => proptest::sample::select(&PIECES[..]).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => (proptest::sample::select(&PIECES[..]), 1..400_usize).prop_map(|(piece, times)| piece.repeat(times)),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// What a comment is made of, without what is in code.
#[derive(Debug, PartialEq)]
enum Part {
    Begin(String),
    End(TagEnd),
    Text(String),
    Code,
    Html(String),
    Other(String),
}

fn parts(text: &str) -> Vec<Part> {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_FOOTNOTES;
    let mut in_block = false;
    let mut parts = Vec::new();
    for event in Parser::new_ext(text, options) {
        let part = match event {
            Event::Start(Tag::CodeBlock(_)) => {
                in_block = true;
                Part::Code
            }
            Event::End(TagEnd::CodeBlock) => {
                in_block = false;
                continue;
            }
            Event::Text(_) if in_block => continue,
            Event::Code(_) => Part::Code,
            Event::Start(tag) => Part::Begin(format!("{tag:?}")),
            Event::End(tag) => Part::End(tag),
            Event::Text(text) => Part::Text(text.into_string()),
            Event::Html(html) | Event::InlineHtml(html) => Part::Html(html.into_string()),
            other => Part::Other(format!("{other:?}")),
        };
        match (&part, parts.last_mut()) {
            (Part::Text(more), Some(Part::Text(text))) => text.push_str(more),
            _ => parts.push(part),
        }
    }
    parts
}

/// Every text of a summary is this one.
fn of(text: &str, summary: Summary) -> Summary {
    let text = || text.to_owned();
    Summary {
        recipe: text(),
        verdict_reason: text(),
        level: Some(3),
        level_reason: text(),
        rows: vec![
            Row {
                name: text(),
                status: text(),
                duration_ms: 1,
                reason: Some(text()),
            };
            3
        ],
        first: Some(First {
            tier: Tier::Custom,
            test: Some(text()),
            reason: text(),
            path: Some(text()),
            lines: Some(text()),
        }),
        news: vec![text(), text()],
        target: Some(text()),
        cancelled_by: Some(text()),
        ..summary
    }
}

/// All comments that a text may get into.
fn comments(text: &str) -> Vec<String> {
    let mut held = Held::new();
    held.asked = Asked {
        tiers: vec![Tier::Custom],
        quick: true,
        from: Some(text.to_owned()),
        commit: None,
    };
    held.notes = vec![
        Note::FirstOfSeveral(2),
        Note::Supersedes(OTHER.parse().unwrap()),
    ];
    let summaries = [failed(), error(), cancelled()].map(|summary| of(text, summary));
    let mut phases: Vec<_> = summaries.iter().map(done).collect();
    phases.push(Phase::Cancelled {
        by: text,
        summary: Some(&summaries[0]),
    });
    phases.push(Phase::Infra {
        why: text,
        link: Some(LOG),
    });
    let mut comments: Vec<_> = phases
        .into_iter()
        .map(|phase| {
            let view = held.view(phase);
            let comment = status_comment(&view);
            let marker = marker::of_status(view.repo, view.pull, view.head);
            assert!(has_marker(&comment, &marker));
            comment
        })
        .collect();
    let marker = marker::of_reply(&"a/b".parse().unwrap(), 12);
    for why in [
        Why::NoSuchWord,
        Why::NoVersion,
        Why::NotAVersion,
        Why::TwoVersions,
        Why::StopAndMore,
    ] {
        let unknown = Some(Unknown {
            word: text.to_owned(),
            why,
            nearest: Some(text.to_owned()),
        });
        comments.push(reply(&Reply::Help { unknown }, &[], &marker));
    }
    comments
}

fn is_inert(text: &str) {
    let plain = comments("x");
    for (comment, plain) in comments(text).iter().zip(&plain) {
        assert!(comment.len() <= LONGEST, "{} bytes", comment.len());
        assert_eq!(parts(comment), parts(plain), "{comment}");
        let bad = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!comment.contains(bad), "{comment:?}");
    }
}

/// That what is compared with is what is meant: every kind of part, and links only to where they
/// should go.
#[test]
fn a_plain_comment_has_every_kind_of_part() {
    let parts = parts(&comments("x")[0]);
    let html: Vec<_> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Html(html) => Some(html.trim_end()),
            _ => None,
        })
        .collect();
    assert!(html[0].starts_with("<!-- cc-ci:"));
    assert_eq!(
        html[1..],
        [
            "<details>",
            "<summary>The lines that say most</summary>",
            "</details>"
        ]
    );
    let links: Vec<_> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Begin(tag) if tag.starts_with("Link") || tag.starts_with("Image") => Some(tag),
            _ => None,
        })
        .collect();
    for (link, url) in links.iter().zip([REPORT, LOG, REPORT, BADGE]) {
        assert!(link.contains(url), "{link}");
    }
    assert_eq!(links.len(), 4);
    assert!(parts.contains(&Part::Code));
    assert!(parts.contains(&Part::End(TagEnd::Table)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_hostile_text_changes_nothing_but_code(text in hostile()) {
        is_inert(&text);
    }

    #[test]
    fn a_hostile_url_is_a_link_to_itself_or_none(rest in hostile()) {
        let url = format!("https://ci.test/{rest}");
        let summary = failed();
        let phase = Phase::Done {
            summary: &summary,
            link: Some(&url),
            report_url: Some(&rest),
            badge_url: Some(&url),
        };
        let comment = status_comment(&Held::new().view(phase));
        for part in parts(&comment) {
            if let Part::Begin(tag) = part
                && (tag.starts_with("Link") || tag.starts_with("Image"))
            {
                let mut mine = [&url, &rest].into_iter().filter_map(|url| inert::destination(url));
                let is_mine = |to: String| tag.contains(&format!("\"{}\"", to.trim_matches(['<', '>'])));
                prop_assert!(mine.any(is_mine), "{tag}");
            }
        }
    }
}

#[test]
fn each_piece_alone_and_very_often_is_inert() {
    for piece in PIECES {
        is_inert(piece);
        is_inert(&piece.repeat(300));
        is_inert(&format!("{piece}\n").repeat(300));
    }
}

#[test]
fn what_takes_the_most_bytes_is_cut_in_the_lines() {
    let widest = format!("{}\n", "\u{10ffff}".repeat(300)).repeat(60);
    let mut summary = of(&widest, failed());
    summary.news = vec![widest.clone(); 30];
    summary.rows = vec![summary.rows[0].clone(); 100];
    let url = format!("https://ci.test/{}", "x".repeat(1_950));
    let mut held = Held::new();
    held.asked.from = Some(widest);
    let phase = Phase::Done {
        summary: &summary,
        link: Some(&url),
        report_url: Some(&url),
        badge_url: Some(&url),
    };
    let comment = status_comment(&held.view(phase));
    let kept = comment.len();
    assert!((LONGEST - 2_000..=LONGEST).contains(&kept), "{kept} bytes");
    assert!(comment.ends_with(">)\n") && comment.contains("\n```\n\n</details>\n"));
    let is_line = |line: &&str| line.starts_with('\u{10ffff}');
    let lines = comment.lines().filter(is_line).count();
    assert!((20..39).contains(&lines), "{lines} lines");
    // News are not cut for it.
    assert_eq!(
        comment
            .lines()
            .filter(|line| line.starts_with("- `"))
            .count(),
        20
    );
}
