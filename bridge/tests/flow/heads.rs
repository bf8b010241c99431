//! Which commit is run: the one that somebody saw who asked for it.

use std::time::Duration;

use forge_model::gitea::Push;
use forge_model::{Fault, Kind, Rule};
use rstest::rstest;

use crate::world::{LONG, REPO, World, full};

/// A pull request with one head, and a bridge that sees nothing until the test lets it.
async fn open(world: &mut World) -> u64 {
    let number = world.pull(REPO, "aaa1111");
    world.up().await;
    world.down().await;
    number
}

fn push(world: &World, number: u64, push: Push) {
    world.gitea.push_with(REPO, number, push).unwrap();
}

fn tick(world: &World) {
    world.gitea.clock().advance(Duration::from_secs(2));
}

/// Nothing was started, and the answer says so with these words.
async fn nothing_but(world: &World, number: u64, words: &[&str]) {
    let said = world.only(REPO, number, "nothing was started").await.body;
    for word in words {
        assert!(said.contains(word), "no {word:?}: {said}");
    }
    world.settle().await;
    world.only(REPO, number, "nothing was started").await;
    assert_eq!(world.builds(), Vec::new());
}

async fn runs(world: &World, number: u64, head: &str) {
    world
        .until("a run that passes", || {
            let said = world.said(REPO, number);
            let passes = said.iter().any(|comment| comment.body.contains("**PASS**"));
            if passes { Ok(()) } else { Err(said) }
        })
        .await;
    let builds = world.builds();
    assert_eq!(builds.len(), 1, "{builds:?}");
    assert_eq!(builds[0].params.as_ref().unwrap()["REF"], full(head));
}

#[rstest]
#[case::later(Duration::from_secs(2), false)]
#[case::in_the_same_second(Duration::ZERO, false)]
#[case::by_force(Duration::from_secs(2), true)]
#[tokio::test]
async fn what_is_pushed_after_the_comment_is_not_run_under_it(
    #[case] later: Duration,
    #[case] by_force: bool,
) {
    let mut world = World::new().await;
    let number = open(&mut world).await;
    world.say(REPO, number, "ada", "!testme");
    world.gitea.clock().advance(later);
    let new = Push::new(&full("bbb2222"));
    push(&world, number, if by_force { new.forced() } else { new });
    world.up().await;
    let by_name = format!("!testme {}", full("bbb2222"));
    let words = ["`aaa11110`", "`bbb22220`", &by_name];
    nothing_but(&world, number, &words).await;
    let page = world.get("/").await;
    assert!(page.contains("not known to be from before"), "{page}");
    // It is as the answer says.
    tick(&world);
    world.say(REPO, number, "ada", &by_name);
    runs(&world, number, "bbb2222").await;
    world.down().await;
}

#[tokio::test]
async fn a_push_in_the_second_of_the_comment_counts_as_after() {
    let mut world = World::new().await;
    let number = open(&mut world).await;
    push(&world, number, Push::new(&full("bbb2222")));
    world.say(REPO, number, "ada", "!testme");
    world.up().await;
    nothing_but(&world, number, &["`bbb22220`"]).await;
    world.down().await;
}

#[tokio::test]
async fn what_was_pushed_before_the_comment_is_run() {
    let mut world = World::new().await;
    let number = open(&mut world).await;
    push(&world, number, Push::new(&full("bbb2222")).forced());
    tick(&world);
    world.say(REPO, number, "ada", "!testme");
    world.up().await;
    runs(&world, number, "bbb2222").await;
    world.down().await;
}

#[tokio::test]
async fn a_head_that_was_forced_away_and_back_is_not_run() {
    let mut world = World::new().await;
    let number = open(&mut world).await;
    world.say(REPO, number, "ada", "!testme");
    tick(&world);
    push(&world, number, Push::new(&full("bbb2222")).forced());
    push(&world, number, Push::new(&full("aaa1111")).forced());
    world.up().await;
    nothing_but(&world, number, &["`!testme aaa11110000"]).await;
    world.down().await;
}

/// The forge writes the entry a moment after the push.
#[tokio::test]
async fn a_head_that_the_timeline_does_not_have_yet_is_not_run() {
    let mut world = World::new().await;
    let number = open(&mut world).await;
    world.say(REPO, number, "ada", "!testme");
    push(&world, number, Push::new(&full("bbb2222")).not_noted());
    world.up().await;
    nothing_but(&world, number, &["`aaa11110`", "`bbb22220`"]).await;
    world.down().await;
}

#[tokio::test]
async fn what_was_pushed_while_it_was_closed_is_not_run() {
    let mut world = World::new().await;
    let number = open(&mut world).await;
    world.gitea.close(REPO, number).unwrap();
    world.say(REPO, number, "ada", "!testme");
    tick(&world);
    world.gitea.reopen(REPO, number).unwrap();
    world.up().await;
    nothing_but(&world, number, &["can't tell"]).await;
    world.down().await;
}

#[tokio::test]
async fn a_head_whose_whole_id_is_named_is_run_whatever_the_timeline_says() {
    let mut world = World::new().await;
    let number = open(&mut world).await;
    world
        .gitea
        .faults()
        .set(1, [Rule::new(Fault::ErrorBefore(404)).on([Kind::Timeline])]);
    push(&world, number, Push::new(&full("aaa1111")));
    let text = format!("!testme {} quick", full("AAA1111"));
    world.say(REPO, number, "ada", &text);
    world.up().await;
    runs(&world, number, "aaa1111").await;
    assert_eq!(world.gitea.traffic().count(Kind::Timeline), 0);
    world.down().await;
}

/// Two commits with the same beginning are soon made: one to be looked at, one to be run.
#[tokio::test]
async fn a_head_whose_beginning_is_named_has_to_be_from_before() {
    let mut world = World::new().await;
    let number = open(&mut world).await;
    world.say(REPO, number, "ada", "!testme aaa1111");
    push(&world, number, Push::new(&full("aaa11112")));
    world.up().await;
    nothing_but(&world, number, &["!testme aaa11112000"]).await;
    tick(&world);
    world.say(REPO, number, "ada", "!testme aaa1111");
    runs(&world, number, "aaa11112").await;
    world.down().await;
}

#[rstest]
#[case::another("!testme bbb2222", "`bbb2222`")]
#[case::the_one_before("!testme aaa1111", "`aaa1111`")]
#[case::longer("!testme ccc3333000000000000000000000000000000001", "0001`")]
#[tokio::test]
async fn a_commit_that_is_not_the_head_is_not_run(#[case] text: &str, #[case] named: &str) {
    let mut world = World::new().await;
    let number = open(&mut world).await;
    push(&world, number, Push::new(&full("ccc3333")).ago(LONG));
    world.say(REPO, number, "ada", text);
    world.up().await;
    nothing_but(&world, number, &["is `ccc33330`", named]).await;
    world.down().await;
}

#[rstest]
#[case::not_there(Fault::ErrorBefore(404))]
#[case::no_right(Fault::ErrorBefore(403))]
#[tokio::test]
async fn without_a_timeline_nothing_is_run(#[case] fault: Fault) {
    let mut world = World::new().await;
    let number = open(&mut world).await;
    let rule = Rule::new(fault).on([Kind::Timeline]);
    world.gitea.faults().set(1, [rule]);
    world.say(REPO, number, "ada", "!testme");
    world.up().await;
    nothing_but(&world, number, &["does not show", "`!testme aaa11110000"]).await;
    world.down().await;
}

#[rstest]
#[case::an_error(Fault::ErrorBefore(503))]
#[case::a_page(Fault::Html)]
#[tokio::test]
async fn a_timeline_that_can_not_be_had_now_is_asked_for_again(#[case] fault: Fault) {
    let mut world = World::new().await;
    let number = open(&mut world).await;
    let rule = Rule::new(fault).on([Kind::Timeline]);
    world.gitea.faults().set(1, [rule]);
    world.say(REPO, number, "ada", "!testme");
    world.up().await;
    world.settle().await;
    assert_eq!(world.builds(), Vec::new());
    assert_eq!(world.said(REPO, number), Vec::new());
    assert!(world.gitea.traffic().count(Kind::Timeline) > 1);
    world.gitea.faults().clear();
    runs(&world, number, "aaa1111").await;
    world.down().await;
}

#[tokio::test]
async fn a_push_between_decision_and_start_changes_nothing() {
    let mut world = World::new().await;
    let number = open(&mut world).await;
    // Drone takes nothing for now.
    let rule = Rule::new(Fault::ErrorBefore(503)).on([Kind::BuildStart]);
    world.drone.faults().set(1, [rule.times(3)]);
    world.say(REPO, number, "ada", "!testme");
    world.up().await;
    world.only(REPO, number, "aaa1111").await;
    tick(&world);
    push(&world, number, Push::new(&full("bbb2222")));
    runs(&world, number, "aaa1111").await;
    assert!(world.drone.traffic().count(Kind::BuildStart) > 3);
    world.down().await;
}
