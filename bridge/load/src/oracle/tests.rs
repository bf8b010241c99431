use std::collections::BTreeMap;

use forge_model::drone::Status;
use rstest::rstest;

use super::*;
use crate::step::{Ending, ending};

const HEAD: &str = "c0ffee0000000000000000000000000000000001";

fn place() -> Place {
    ("coop/app".to_owned(), 3)
}

fn posted(id: u64, what: What) -> Posted {
    Posted {
        id,
        place: place(),
        author: "mia",
        text: "!testme".to_owned(),
        what,
        heads: 1,
        at: 0,
        created: 1_000 + i64::try_from(id).unwrap(),
        edits: Vec::new(),
    }
}

fn key(comment: u64) -> String {
    format!("app-pr3-c{comment}")
}

fn build(number: u64, comment: u64) -> Build {
    let params = [
        ("RUN_KEY", key(comment)),
        ("COMMENT_ID", comment.to_string()),
        ("REF", HEAD.to_owned()),
        ("PR", "3".to_owned()),
        ("RECIPE", "app".to_owned()),
        ("SRC", "http://forge/coop/app.git".to_owned()),
    ];
    let params: BTreeMap<_, _> = params.map(|(name, value)| (name.to_owned(), value)).into();
    Build {
        number,
        status: Status::Success,
        params,
    }
}

fn said(id: u64, marker: &str, rest: &str) -> Said {
    Said {
        id,
        place: place(),
        body: format!("{marker}\n\n{rest}\n"),
    }
}

/// A comment whose run passes.
fn passing() -> u64 {
    let passes =
        |comment: &u64| ending(&key(*comment)) == Ending::Recorded(results::outcome::Verdict::Pass);
    (10..).find(passes).unwrap()
}

/// One command, its build, its comment, its reaction, its status.
fn good() -> Facts {
    let id = passing();
    let contexts = [("cc-ci/testme".to_owned(), "success".to_owned())];
    Facts {
        posted: vec![posted(id, What::Alone(Wish::default()))],
        heads: [(place(), vec![HEAD.to_owned()])].into(),
        builds: vec![build(1, id)],
        said: vec![said(
            900,
            &marker_of_status(&place(), HEAD),
            "**PASS**, level 4 of 5",
        )],
        reacted: [id].into(),
        statuses: [(("coop/app".to_owned(), HEAD.to_owned()), contexts.into())].into(),
        writable: ["coop/app".to_owned()].into(),
    }
}

fn rules(facts: &Facts) -> Vec<Rule> {
    let mut rules: Vec<_> = violations(facts).iter().map(|found| found.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

#[test]
fn what_is_as_it_has_to_be_is_no_violation() {
    assert_eq!(rules(&good()), []);
}

#[rstest]
#[case::a_second_build(|facts: &mut Facts| {
    let mut second = facts.builds[0].clone();
    second.number = 2;
    second.params.insert("RUN_KEY".to_owned(), "another".to_owned());
    facts.builds.push(second);
}, &[Rule::TwoBuilds])]
#[case::a_second_build_with_the_key(|facts: &mut Facts| {
    let mut second = facts.builds[0].clone();
    second.number = 2;
    facts.builds.push(second);
}, &[Rule::TwoBuilds, Rule::KeyTwice])]
#[case::no_build(|facts: &mut Facts| facts.builds.clear(), &[Rule::MissingBuild])]
#[case::a_build_of_nobody(|facts: &mut Facts| facts.builds.push(build(2, 7)), &[Rule::BuildOfNothing])]
#[case::a_build_of_a_stranger(|facts: &mut Facts| {
    facts.posted[0].what = What::Stranger;
    facts.reacted.clear();
}, &[Rule::BuildOfNothing, Rule::Stray])]
#[case::a_build_of_an_edited_one(|facts: &mut Facts| {
    facts.posted[0].what = What::EditedAtOnce;
    facts.reacted.clear();
}, &[Rule::BuildOfNothing, Rule::Stray])]
#[case::another_head(|facts: &mut Facts| {
    facts.builds[0].params.insert("REF".to_owned(), "c0ffee".to_owned());
}, &[Rule::OtherBuild, Rule::MissingStatusComment, Rule::StaleStatus])]
#[case::another_pull(|facts: &mut Facts| {
    facts.builds[0].params.insert("PR".to_owned(), "4".to_owned());
}, &[Rule::OtherBuild])]
#[case::quick_unasked(|facts: &mut Facts| {
    facts.builds[0].params.insert("QUICK".to_owned(), "1".to_owned());
}, &[Rule::OtherBuild])]
#[case::a_second_comment(|facts: &mut Facts| {
    let mut second = facts.said[0].clone();
    second.id = 901;
    facts.said.push(second);
}, &[Rule::CommentTwice])]
#[case::no_status_comment(|facts: &mut Facts| facts.said.clear(), &[Rule::MissingStatusComment])]
#[case::a_comment_that_stays(|facts: &mut Facts| {
    facts.said[0].body = facts.said[0].body.replace("**PASS**", "**Running**");
}, &[Rule::StaleComment])]
#[case::a_comment_with_another_verdict(|facts: &mut Facts| {
    facts.said[0].body = facts.said[0].body.replace("**PASS**", "**FAIL**");
}, &[Rule::StaleComment])]
#[case::a_status_that_stays(|facts: &mut Facts| status(facts, "pending"), &[Rule::StaleStatus])]
#[case::a_status_with_another_verdict(|facts: &mut Facts| status(facts, "failure"), &[Rule::StaleStatus])]
#[case::no_status(|facts: &mut Facts| facts.statuses.clear(), &[Rule::StaleStatus])]
#[case::no_reaction(|facts: &mut Facts| facts.reacted.clear(), &[Rule::MissingReaction])]
#[case::a_comment_without_a_marker(|facts: &mut Facts| {
    facts.said.push(said(901, "Hello!", "**PASS**"));
}, &[Rule::Stray])]
#[case::a_comment_of_another_head(|facts: &mut Facts| {
    let other = HEAD.replace("01", "02");
    facts.said.push(said(901, &marker_of_status(&place(), &other), "**PASS**"));
}, &[Rule::Stray])]
#[case::a_needless_reply(|facts: &mut Facts| {
    let marker = marker_of_reply("coop/app", facts.posted[0].id);
    facts.said.push(said(901, &marker, "Hm."));
}, &[Rule::NeedlessReply])]
#[case::an_answer_to_chatter(|facts: &mut Facts| {
    facts.posted.push(posted(800, What::Chatter));
    facts.reacted.insert(800);
    facts.said.push(said(901, &marker_of_reply("coop/app", 800), "Hm."));
}, &[Rule::NeedlessReply, Rule::NeedlessReaction])]
#[case::help_without_an_answer(|facts: &mut Facts| {
    facts.posted.push(posted(800, What::Help));
    facts.reacted.insert(800);
}, &[Rule::MissingReply])]
#[case::four_refusals(|facts: &mut Facts| {
    for id in 800..804 {
        facts.posted.push(posted(id, What::Stranger));
        facts.said.push(said(id + 100, &marker_of_reply("coop/app", id), "Sorry"));
    }
}, &[Rule::TooManyRefusals])]
fn what_is_not_is_named(#[case] change: fn(&mut Facts), #[case] expected: &[Rule]) {
    let mut facts = good();
    change(&mut facts);
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(rules(&facts), expected);
}

fn status(facts: &mut Facts, state: &str) {
    for contexts in facts.statuses.values_mut() {
        contexts.insert("cc-ci/testme".to_owned(), state.to_owned());
    }
}

/// Of several commands on a pull request, one without a build.
#[rstest]
#[case::nothing(None, None, &[Rule::Unaccounted])]
#[case::a_reply(Some("A run goes on."), None, &[])]
#[case::superseded(None, Some("**Superseded**"), &[])]
#[case::cancelled(None, Some("**CANCELLED**"), &[])]
#[case::a_comment_that_stays(None, Some("**Queued**"), &[Rule::Unaccounted, Rule::StaleComment])]
fn one_of_several_is_built_or_accounted_for(
    #[case] reply: Option<&str>,
    #[case] status: Option<&str>,
    #[case] expected: &[Rule],
) {
    let mut facts = good();
    facts.posted[0].what = What::Among(Wish::default());
    let id = facts.posted[0].id + 1;
    facts.posted.push(posted(id, What::Among(Wish::default())));
    facts.reacted.insert(id);
    if let Some(text) = reply {
        let marker = marker_of_reply("coop/app", id);
        facts.said.push(said(901, &marker, text));
    }
    if let Some(word) = status {
        facts.said[0].body = facts.said[0].body.replace("**PASS**", word);
    }
    assert_eq!(rules(&facts), expected);
}

/// A command without a build before one with a build: something has to have ended it.
#[rstest]
#[case::nothing(false, 0, &[Rule::Unaccounted])]
#[case::a_stop(true, 0, &[])]
#[case::a_stop_by_a_clock_that_was_put_back(true, -500, &[])]
fn one_before_the_last_is_accounted_for_where_something_ended_it(
    #[case] stopped: bool,
    #[case] clock: i64,
    #[case] expected: &[Rule],
) {
    let mut facts = good();
    facts.posted[0].what = What::Among(Wish::default());
    let mut before = posted(2, What::Among(Wish::default()));
    before.created += clock;
    facts.reacted.extend([2, 3]);
    if stopped {
        facts.posted.push(posted(3, What::Stop));
    } else {
        facts.reacted.remove(&3);
    }
    facts.posted.push(before);
    assert_eq!(rules(&facts), expected);
}

#[test]
fn a_violation_comes_with_the_history_of_its_comment() {
    let mut facts = good();
    facts.posted[0].edits.push((5, "!testme quick".to_owned()));
    facts.builds.clear();
    let found = violations(&facts);
    assert_eq!(found.len(), 1);
    let history = &found[0].history;
    for part in [
        "coop/app#3",
        HEAD,
        "!testme",
        "quick",
        "reacted",
        "**PASS**",
        "success",
    ] {
        assert!(history.contains(part), "{part} is not in {history}");
    }
}
