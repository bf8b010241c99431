//! How comments are found: polls, hooks, restarts, enrolment.

use forge_model::faults::{Fault, Rule};
use forge_model::gitea::{Content, NewRepo};
use forge_model::kind::Kind;

use crate::world::{OTHER, REPO, World};

#[tokio::test]
async fn what_was_there_counts_as_seen_and_what_came_while_it_was_down_is_found() {
    let mut world = World::new().await;
    let (old, new) = (world.pull(REPO, "abc1"), world.pull(OTHER, "abc2"));
    world.say(REPO, old, "ada", "!testme");
    world.up().await;
    world.settle().await;
    assert_eq!(world.builds(), Vec::new());
    world.down().await;
    world.say(OTHER, new, "ada", "!testme");
    world.up().await;
    world.only(OTHER, new, "**PASS**").await;
    assert_eq!(world.builds().len(), 1);
    world.down().await;
}

#[tokio::test]
async fn an_idle_round_is_one_request() {
    let mut world = World::new().await;
    world.pull(REPO, "abc1");
    world
        .gitea
        .clock()
        .advance(std::time::Duration::from_secs(60));
    world.up().await;
    world.settle().await;
    let (all, searches) = (
        world.gitea.traffic().total(),
        world.gitea.traffic().count(Kind::IssueSearch),
    );
    world.settle().await;
    let rounds = world.gitea.traffic().count(Kind::IssueSearch) - searches;
    assert!(rounds >= 2, "{rounds}");
    assert_eq!(world.gitea.traffic().total() - all, rounds);
    world.down().await;
}

#[tokio::test]
async fn a_hook_is_sooner_than_a_poll_and_fires_no_second_time() {
    let mut world = World::new().await;
    world.interval = 60;
    let number = world.pull(REPO, "abc1");
    world.up().await;
    let url = format!("http://{}/hook", world.listen);
    let secret = "a secret of the hook";
    let events = ["pull_request_comment"];
    world
        .gitea
        .add_hook(REPO, &url, Content::Json, secret, &events)
        .unwrap();
    world.say(REPO, number, "ada", "!testme");
    world.only(REPO, number, "**PASS**").await;
    world.settle().await;
    assert_eq!(world.builds().len(), 1);
    let figures = world.get("/metrics").await;
    assert!(
        figures.contains("cc_ci_bridge_hooks_total{result=\"nudged\"}"),
        "{figures}"
    );
    world.down().await;
}

#[tokio::test]
async fn repositories_are_asked_one_by_one_where_there_is_no_search() {
    let mut world = World::new().await;
    let number = world.pull(REPO, "abc1");
    let none = Rule::new(Fault::ErrorBefore(404)).on([Kind::IssueSearch]);
    world.gitea.faults().set(1, [none]);
    world.up().await;
    world.say(REPO, number, "ada", "!testme");
    world.only(REPO, number, "**PASS**").await;
    let page = world.get("/").await;
    assert!(page.contains("asked one by one"), "{page}");
    world.down().await;
}

#[tokio::test]
async fn a_topic_enrols_a_repository_and_what_was_there_counts_as_seen() {
    let mut world = World::new().await;
    let fresh = NewRepo::new("coop/n8n").topic("cc-ci");
    world.gitea.add_repo(fresh).unwrap();
    let number = world.pull("coop/n8n", "abc1");
    world.say("coop/n8n", number, "ada", "!testme");
    world.poll = "organisations = [{ name = \"coop\", topic = \"cc-ci\" }]".to_owned();
    world.up().await;
    world.settle().await;
    assert_eq!(world.builds(), Vec::new());
    world.say("coop/n8n", number, "ada", "!testme");
    world.only("coop/n8n", number, "**PASS**").await;
    world.down().await;
}

#[tokio::test]
async fn a_clock_that_is_put_back_hides_no_comment() {
    let mut world = World::new().await;
    let number = world.pull(REPO, "abc1");
    world.up().await;
    world.settle().await;
    world
        .gitea
        .clock()
        .jump(jiff::SignedDuration::from_hours(-1));
    world.say(REPO, number, "ada", "!testme");
    world.only(REPO, number, "**PASS**").await;
    world.down().await;
}

#[tokio::test]
async fn a_clock_that_is_put_back_and_soon_forward_again_hides_no_comment() {
    let mut world = World::new().await;
    let number = world.pull(REPO, "abc1");
    world.up().await;
    world.settle().await;
    let hour = jiff::SignedDuration::from_hours(1);
    world.gitea.clock().jump(-hour);
    // That the clock was put back is seen, and no poll that knows it succeeds.
    let broken = Rule::new(Fault::ErrorBefore(502)).on([Kind::IssueSearch]);
    world.gitea.faults().set(1, [broken.after(1)]);
    world.say(REPO, number, "ada", "!testme");
    let failed = || match world.gitea.faults().happened() {
        0 => Err("no poll failed"),
        times => Ok(times),
    };
    world.until("poll that fails", failed).await;
    world.gitea.clock().jump(hour);
    world.gitea.faults().clear();
    world.only(REPO, number, "**PASS**").await;
    world.down().await;
}

#[tokio::test]
async fn trouble_with_one_pull_request_delays_no_other() {
    let mut world = World::new().await;
    let (bad, good) = (world.pull(REPO, "abc1"), world.pull(OTHER, "abc2"));
    world.up().await;
    // The first look is at the first comment.
    let sick = Rule::new(Fault::ErrorBefore(502))
        .on([Kind::ThreadComments])
        .times(1);
    world.gitea.faults().set(1, [sick]);
    world.say(REPO, bad, "ada", "!testme");
    world.say(OTHER, good, "ada", "!testme");
    world.only(OTHER, good, "**PASS**").await;
    world.only(REPO, bad, "**PASS**").await;
    assert_eq!(world.builds().len(), 2);
    world.down().await;
}
