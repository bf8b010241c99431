//! What holds for any comment.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use rstest::rstest;

use super::*;

/// What structure is made of.
const PIECES: [&str; 38] = [
    "!testme",
    "!TESTME",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    " ",
    "    ",
    "\t",
    "> ",
    "- ",
    "1. ",
    "# ",
    "```",
    "~~~",
    "`",
    "``",
    "*",
    "**",
    "_",
    "~~",
    "[",
    "](",
    ")",
    "![",
    "]: ",
    "[^1]",
    "<a ",
    ">",
    "<!--",
    "-->",
    "|",
    "\\",
    "\0",
    "\u{202e}",
    "quick",
    "ABCDEF1",
    "0a1b2c3d4e",
];

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => proptest::sample::select(&PIECES[..]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// Words that make nothing but text, whatever stands beside them.
fn plain() -> impl Strategy<Value = String> {
    "([a-z]{1,8}[ ,.]{1,2}){0,6}[a-z]{1,8}"
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(body in hostile()) {
        let parsed = parse(&body);
        let lines = body.split(['\n', '\r']);
        let may_be = lines
            .filter(|line| {
                let line = line.trim_start_matches(' ');
                line.get(..WORD.len()).is_some_and(|word| word.eq_ignore_ascii_case(WORD))
            })
            .count();
        let commands = usize::from(parsed.command.is_some()) + parsed.others;
        prop_assert!(commands <= may_be, "{parsed:?}");
        prop_assert!(parsed.command.is_some() || parsed.others == 0);
        if let Some(Command::Test(asked)) = parsed.command {
            prop_assert!(asked.tiers.is_sorted_by(|one, other| one < other));
            let version = asked.from.unwrap_or_default();
            prop_assert!(version.len() <= 64 && !version.starts_with('-'));
            let commit = asked.commit.unwrap_or("0000000".to_owned());
            prop_assert!((7..=40).contains(&commit.len()), "{commit}");
            prop_assert!(commit.bytes().all(|byte| b"0123456789abcdef".contains(&byte)), "{commit}");
        }
    }

    #[test]
    fn a_command_in_a_plain_paragraph_is_found(
        before in proptest::collection::vec(plain(), 0..5),
        after in proptest::collection::vec(plain(), 0..5),
        blanks in " {0,3}",
        gap in "\n{1,3}",
    ) {
        let mut lines = before;
        lines.push(format!("{blanks}!testme quick"));
        lines.extend(after);
        let parsed = parse(&lines.join(&gap));
        prop_assert!(matches!(parsed.command, Some(Command::Test(Asked { quick: true, .. }))), "{parsed:?}");
        prop_assert_eq!(parsed.others, 0);
    }

    #[test]
    fn a_commit_is_one_in_any_case_and_nothing_else_is(
        commit in "[0-9a-fA-F]{7,40}",
        other in "[0-9a-fA-F]{0,6}|[0-9a-fA-F]{41,60}|[0-9a-f]{3,20}[g-zG-Z:./\\\\][0-9a-f]{3,20}",
    ) {
        let asked = |word: &str| match parse(&format!("!testme {word}")).command {
            Some(Command::Test(asked)) => asked.commit,
            _ => None,
        };
        prop_assert_eq!(asked(&commit), Some(commit.to_ascii_lowercase()));
        prop_assert_eq!(asked(&other), None);
    }

    #[test]
    fn a_command_after_a_blank_line_behind_a_closed_fence_is_found_and_one_inside_never(
        inside in hostile(),
    ) {
        let fence = "~".repeat(100);
        let body = format!("{fence}\n{inside}\n!testme\n{fence}\n");
        let parsed = parse(&body);
        prop_assert_eq!(parsed.command, None);
        prop_assert_eq!(parsed.hidden, Some(Hidden::CodeBlock));
        let parsed = parse(&format!("{body}\n!testme stop"));
        prop_assert_eq!(parsed.command, Some(Command::Stop));
    }
}

const LARGE: usize = 60_000;

fn filled(piece: &str) -> String {
    piece.repeat(LARGE / piece.len())
}

/// Each with a command in a line of its own after it, in a paragraph that nothing is open in.
#[rstest]
#[case::quotes(filled(">"))]
#[case::quotes_line_by_line((1..340).map(|n| format!("{}\n", ">".repeat(n))).collect())]
#[case::lists(filled("- "))]
#[case::lists_line_by_line((0..240).map(|n| format!("{}- a\n", "  ".repeat(n))).collect())]
#[case::brackets(filled("["))]
#[case::closed_brackets(format!("{}{}", filled("[").split_at(LARGE / 2).0, filled("](a)")))]
#[case::images(filled("![a]("))]
#[case::emphasis(filled("*a_ "))]
#[case::strikes(filled("~~a ~b "))]
#[case::ticks((1..340).map(|n| format!("{} ", "`".repeat(n))).collect())]
#[case::html(filled("<a "))]
#[case::comments(filled("a <!-- "))]
#[case::entities(filled("&#"))]
#[case::nul(filled("\0"))]
#[case::right_to_left(filled("\u{202e}a"))]
#[case::table(format!("a\n|-|\n{}", filled("|")))]
#[case::footnotes(filled("[^1]: a\n"))]
#[case::definitions(filled("[a]: b\n"))]
#[case::words(filled("!testme "))]
fn a_large_comment_is_read_in_good_time(#[case] before: String) {
    let began = Instant::now();
    let parsed = parse(&format!("{before}\n\n\n***\n\n!testme stop"));
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let commands = usize::from(parsed.command.is_some()) + parsed.others;
    assert!(commands >= 1, "{parsed:?}");
}

#[test]
fn ten_thousand_lines_are_ten_thousand_commands() {
    let parsed = parse(&"!testme quick\n".repeat(10_000));
    assert_eq!(parsed.others, 9_999);
}

#[test]
fn what_is_beyond_any_comment_is_not_read() {
    let before = "ä\n".repeat(200_000);
    assert_eq!(parse(&format!("{before}\n!testme")), Parsed::default());
}
