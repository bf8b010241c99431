use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::forge::Author;

fn sha(digit: char) -> CommitSha {
    digit.to_string().repeat(40).parse().unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

fn comment(id: u64, seconds: i64) -> Comment {
    Comment {
        id,
        author: Author {
            id: 1,
            login: "ada".to_owned(),
        },
        body: "!testme".to_owned(),
        created: at(seconds),
        updated: at(seconds),
        html_url: String::new(),
    }
}

fn push(id: u64, seconds: i64, commits: &str) -> Event {
    Event {
        id,
        at: at(seconds),
        what: Happened::Pushed(commits.chars().map(sha).collect()),
    }
}

fn force(id: u64, seconds: i64, before: char, after: char) -> Event {
    Event {
        id,
        at: at(seconds),
        what: Happened::Forced {
            before: Some(sha(before)),
            after: Some(sha(after)),
        },
    }
}

fn reopen(id: u64, seconds: i64) -> Event {
    Event {
        id,
        at: at(seconds),
        what: Happened::Reopened,
    }
}

fn other(then: char) -> Seen {
    Seen::Other(Some(sha(then)))
}

/// The comment has the id 50 and was written at 500; the head is `b`.
#[rstest]
#[case::pushed_before([push(10, 100, "a"), push(20, 200, "b")], Seen::Head)]
#[case::several_commits([push(10, 100, "a"), push(20, 200, "cdb")], Seen::Head)]
#[case::not_the_last_commit([push(10, 100, "a"), push(20, 200, "cbd")], other('d'))]
#[case::pushed_after([push(10, 100, "a"), push(60, 600, "b")], other('a'))]
#[case::in_the_same_second([push(10, 100, "a"), push(40, 500, "b")], other('a'))]
#[case::in_the_same_second_and_later([push(10, 100, "a"), push(60, 500, "b")], other('a'))]
#[case::after_by_its_id_alone([push(10, 100, "a"), push(60, 400, "b")], other('a'))]
#[case::after_by_its_time_alone([push(10, 100, "a"), push(40, 600, "b")], other('a'))]
#[case::forced_before([push(10, 100, "a"), force(20, 200, 'a', 'b')], Seen::Head)]
#[case::forced_after([push(10, 100, "a"), force(60, 600, 'a', 'b')], other('a'))]
#[case::forced_away_and_back([push(10, 100, "b"), force(60, 600, 'b', 'a'), force(61, 601, 'a', 'b')], Seen::Other(None))]
#[case::only_forced_after([force(60, 600, 'a', 'b')], other('a'))]
#[case::no_event([], Seen::Other(None))]
#[case::not_noted_yet([push(10, 100, "a")], other('a'))]
#[case::pushed_something([push(10, 100, "b"), push(20, 200, "")], Seen::Other(None))]
#[case::reopened_before([push(10, 100, "b"), reopen(20, 200)], Seen::Head)]
#[case::reopened_after([push(10, 100, "b"), reopen(60, 600)], Seen::Other(None))]
#[case::pushed_while_closed([push(10, 100, "a"), reopen(20, 200)], other('a'))]
fn a_head_is_seen_if_all_was_before(
    #[case] events: impl IntoIterator<Item = Event>,
    #[case] is: Seen,
) {
    let history = events.into_iter().collect();
    assert_eq!(seen(&history, &comment(50, 500), &sha('b')), is);
}

proptest! {
    #[test]
    fn a_head_of_which_no_push_is_before_is_never_seen(
        events in prop::collection::vec((0u64..100, 0i64..1000, 0usize..4, 0usize..4, 0u8..3), 0..8),
        id in 0u64..100,
        when in 0i64..1000,
    ) {
        let commit = |at: usize| sha(['a', 'b', 'c', 'd'][at]);
        let events: Vec<_> = events
            .into_iter()
            .map(|(id, seconds, one, two, kind)| Event {
                id,
                at: at(seconds),
                what: match kind {
                    0 => Happened::Pushed(vec![commit(one), commit(two)]),
                    1 => Happened::Forced { before: Some(commit(one)), after: Some(commit(two)) },
                    _ => Happened::Reopened,
                },
            })
            .collect();
        let comment = comment(id, when);
        let history = events.iter().cloned().collect();
        let before = |event: &&Event| event.id < comment.id && event.at < comment.created;
        for digit in ['a', 'b', 'c', 'd'] {
            if seen(&history, &comment, &sha(digit)) == Seen::Head {
                prop_assert!(events.iter().all(|event| before(&event)));
                let brings = |event: &&Event| match &event.what {
                    Happened::Pushed(commits) => commits.contains(&sha(digit)),
                    Happened::Forced { after, .. } => *after == Some(sha(digit)),
                    Happened::Reopened => false,
                };
                prop_assert!(events.iter().filter(before).any(|event| brings(&event)));
            }
        }
    }
}
