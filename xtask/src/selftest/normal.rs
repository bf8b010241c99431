//! What a maintainer reads, without what is another in each run: names, ids, times, numbers.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use results::Record;

/// Replaces what changes from run to run by a word for it. A deadline stays: it is the recipe's.
pub fn normal(text: &str, record: &Record) -> String {
    let mut text = text.to_owned();
    for (value, word) in names_of(record) {
        text = text.replace(&value, word);
    }
    for (pattern, word) in PATTERNS.iter() {
        text = pattern.replace_all(&text, *word).into_owned();
    }
    TIME.replace_all(&text, |found: &Captures<'_>| {
        if found.get(1).is_some() {
            found[0].to_owned()
        } else {
            "<time>".to_owned()
        }
    })
    .into_owned()
}

/// Values and their words, the longer ones first where one is part of the other.
fn names_of(record: &Record) -> Vec<(String, &'static str)> {
    let mut names = Vec::new();
    if let Some(domain) = &record.domain {
        names.push((domain.clone(), "<domain>"));
        names.push((domain.replace('.', "_"), "<stack>"));
    }
    let base = record.base.as_ref().map(|base| base.commit.clone());
    for (sha, word) in [(record.head.clone(), "<head>"), (base, "<base>")] {
        if let Some(sha) = sha {
            names.push((sha.clone(), word));
            names.push((sha.chars().take(8).collect(), word));
        }
    }
    names
}

static PATTERNS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    [
        // Never fewer than three; how many more depends on the machine.
        (r"\bfailed (three|\d+) times\b", "failed <n> times"),
        (r"\b[0-9a-f]{64}\b", "<digest>"),
        // Of the swarm, and of containers.
        (r"\b[a-z0-9]{25}\b", "<id>"),
        (r"\b[0-9a-f]{12}\b", "<id>"),
        (r"\b\d{1,3}(\.\d{1,3}){3}\b", "<address>"),
        (r"\b\d+ bytes\b", "<n> bytes"),
        (r"\b\d+ assertions?\b", "<n> assertions"),
    ]
    .map(|(pattern, word)| (compiled(pattern), word))
    .into()
});

static TIME: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"(within )?\b(?:\d+ min )?\d+(?:\.\d+)? (?:ms|s)\b"));

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is right: each is used by a test")
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A record of nothing.
    pub fn record() -> Record {
        let mut record = Record::from_events(&[]);
        record.domain = Some("soun-0a1b2c.ci.test".to_owned());
        record.head = Some("0123456789abcdef0123456789abcdef01234567".to_owned());
        record
    }

    #[rstest::rstest]
    #[case("https://soun-0a1b2c.ci.test/", "https://<domain>/")]
    #[case("soun-0a1b2c_ci_test_app", "<stack>_app")]
    #[case(
        "commit 01234567 of 0123456789abcdef0123456789abcdef01234567",
        "commit <head> of <head>"
    )]
    #[case(
        "not within 60 s (running for 0.4 s so far)",
        "not within 60 s (running for <time> so far)"
    )]
    #[case("after 3 min 20 s, 7 ms", "after <time>, <time>")]
    #[case("not within 2 min 0 s", "not within 2 min 0 s")]
    #[case(
        "task kl3h5k2j3h45kj2h34kj5h23k on 10.0.1.17",
        "task <id> on <address>"
    )]
    #[case(
        "1 assertion, 21 assertions, 512 bytes",
        "<n> assertions, <n> assertions, <n> bytes"
    )]
    #[case(
        "exit 137: `the database does not exist`",
        "exit 137: `the database does not exist`"
    )]
    fn what_changes_has_a_word(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(normal(text, &record()), expected);
    }
}
