//! A comment on a pull request, on its way into a run.

use bridge::command::{Command, Parsed, WORD, parse};
use bridge::comment::marker::{has_marker, of_reply};
use bridge::comment::{Reply, reply};

/// The bytes are a comment.
pub(crate) fn holds(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if text.len() > 64 * 1024 {
        return;
    }
    let parsed = parse(&text);
    let count = usize::from(parsed.command.is_some()) + parsed.others;
    let lines = text.split(['\n', '\r']);
    let most = lines.filter(|line| begins_with_the_word(line)).count();
    assert!(count <= most, "{count} commands in {most} lines");
    assert!(parsed.command.is_none() || parsed.hidden.is_none());
    if let Some(command) = &parsed.command {
        is_harmless(command);
    }
    // Nothing gets out of a fence that it has no end of, and behind it a command is one.
    let fence = "~".repeat(text.split(|c| c != '~').map(str::len).max().unwrap_or(0) + 3);
    let fenced = format!("{fence}\n{text}\n{WORD}\n{fence}\n\n");
    assert_eq!(parse(&fenced).command, None);
    let after = parse(&format!("{fenced}{WORD} stop\n"));
    let stop = Parsed {
        command: Some(Command::Stop),
        ..Parsed::default()
    };
    assert_eq!(after, stop);
}

fn begins_with_the_word(line: &str) -> bool {
    let start = line.trim_start_matches(' ').get(..WORD.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(WORD))
}

fn is_harmless(command: &Command) {
    let json = serde_json::to_string(command).unwrap();
    assert_eq!(&serde_json::from_str::<Command>(&json).unwrap(), command);
    match command {
        Command::Test(asked) => {
            assert!(asked.tiers.is_sorted_by(|one, next| one < next));
            let from = asked.from.as_deref().unwrap_or("1");
            let plain = |c: char| c.is_ascii_alphanumeric() || ".+_-".contains(c);
            assert!(!from.is_empty() && from.len() <= 64 && from.chars().all(plain));
            assert!(!from.starts_with('-'));
        }
        Command::Help(unknown) => {
            let marker = of_reply(&"a/b".parse().unwrap(), 1);
            let unknown = unknown.clone();
            let said = reply(&Reply::Help { unknown }, &[], &marker);
            assert!(has_marker(&said, &marker));
            assert!(said.len() < 2_000, "{said}");
            // What was not understood is in the one line before the table.
            assert!(said.lines().count() <= 16, "{said}");
        }
        Command::Stop => {}
    }
}
