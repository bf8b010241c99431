//! Comments that start nothing, and what is answered.

use forge_model::gitea::{Head, Visible};
use rstest::rstest;

use crate::world::{BOT, ORG, OTHER, REPO, STRANGE, World, full};

/// One comment, one answer, no run.
async fn answered(world: &World, repo: &str, number: u64, text: &str) {
    world.only(repo, number, text).await;
    world.settle().await;
    world.only(repo, number, text).await;
    assert_eq!(world.builds(), Vec::new());
}

#[rstest]
#[case::help("!testme help", "all tests are run")]
#[case::a_word_that_is_none("!testme upgrad", "`upgrade` meant?")]
#[case::nothing_to_stop("!testme stop", "nothing to stop")]
#[case::several("!testme help\n\n!testme", "one more command")]
#[tokio::test]
async fn a_member_is_answered(#[case] text: &str, #[case] answer: &str) {
    let mut world = World::new().await;
    let number = world.pull(REPO, "abc1");
    world.up().await;
    world.say(REPO, number, "ada", text);
    answered(&world, REPO, number, answer).await;
    world.down().await;
}

#[rstest]
#[case::closed("closed", "This pull request is closed")]
#[case::merged("merged", "This pull request is merged")]
#[case::fork_gone("fork gone", "comes from is gone")]
#[tokio::test]
async fn a_pull_request_that_is_over_is_not_tested(#[case] how: &str, #[case] answer: &str) {
    let mut world = World::new().await;
    let head = Head::fork("eve/custom-html", "change", &full("abc1"));
    let number = world.gitea.open_pull(REPO, "eve", head).unwrap();
    world.up().await;
    match how {
        "closed" => world.gitea.close(REPO, number),
        "merged" => world.gitea.merge(REPO, number),
        _ => world.gitea.delete_fork(REPO, number),
    }
    .unwrap();
    world.say(REPO, number, "ada", "!testme");
    answered(&world, REPO, number, answer).await;
    world.down().await;
}

#[tokio::test]
async fn a_branch_that_is_gone_is_tested_from_the_repository_it_goes_to() {
    let mut world = World::new().await;
    let number = world.pull(REPO, "abc1");
    world.gitea.delete_branch(REPO, number).unwrap();
    world.up().await;
    world.say(REPO, number, "ada", "!testme");
    world.only(REPO, number, "**PASS**").await;
    world.down().await;
}

#[tokio::test]
async fn somebody_on_the_list_may_and_a_stranger_is_told_three_times_an_hour() {
    let mut world = World::new().await;
    world.gitea.add_user("grace");
    let (number, other) = (world.pull(REPO, "abc1"), world.pull(OTHER, "abc2"));
    world.up().await;
    for _ in 0..5 {
        world.say(REPO, number, "eve", "!testme");
    }
    world.say(OTHER, other, "grace", "!testme");
    world.only(OTHER, other, "**PASS**").await;
    world.settle().await;
    let said = world.said(REPO, number);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(
        said.iter()
            .all(|comment| comment.body.contains("only members"))
    );
    assert_eq!(world.builds().len(), 1);
    let page = world.get("/").await;
    assert!(page.contains("said often enough"), "{page}");
    world.down().await;
}

#[tokio::test]
async fn an_edited_comment_fires_neither_before_nor_after_it_was_seen() {
    let mut world = World::new().await;
    let (early, late) = (world.pull(REPO, "abc1"), world.pull(OTHER, "abc2"));
    // Edits are seen from the second after the comment.
    world.up().await;
    world.down().await;
    let comment = world.say(REPO, early, "ada", "Looks good");
    world
        .gitea
        .clock()
        .advance(std::time::Duration::from_secs(2));
    world.gitea.edit_comment(comment, "eve", "!testme").unwrap();
    world.up().await;
    world.only(REPO, early, "edited before").await;

    let chatter = world.say(OTHER, late, "ada", "!testme help");
    world.only(OTHER, late, "all tests are run").await;
    world
        .gitea
        .clock()
        .advance(std::time::Duration::from_secs(2));
    world.gitea.edit_comment(chatter, "ada", "!testme").unwrap();
    world.say(OTHER, late, "ada", "so?");
    world.settle().await;
    assert_eq!(world.builds(), Vec::new());
    assert_eq!(world.said(OTHER, late).len(), 1);
    assert_eq!(world.said(REPO, early).len(), 1);
    world.down().await;
}

#[tokio::test]
async fn what_is_no_command_and_where_nothing_can_be_said_is_shown_to_the_operator() {
    let mut world = World::new().await;
    let (locked, hidden) = (world.pull(REPO, "abc1"), world.pull(OTHER, "abc2"));
    world.up().await;
    world.gitea.lock(REPO, locked).unwrap();
    world.say(REPO, locked, "ada", "!testme");
    world.say(OTHER, hidden, "ada", "```\n!testme\n```");
    world.say(OTHER, hidden, "ada", "> !testme");
    world.say(OTHER, hidden, BOT, "!testme");
    world.settle().await;
    assert_eq!(world.builds(), Vec::new());
    assert!(world.said(REPO, locked).is_empty());
    assert_eq!(world.said(OTHER, hidden).len(), 1, "its own");
    let page = world.get("/").await;
    for why in ["the thread is locked", "code block", "quote"] {
        assert!(page.contains(why), "{why}: {page}");
    }
    world.down().await;
}

#[tokio::test]
async fn a_repository_that_is_not_enrolled_is_answered_once_and_shown() {
    let mut world = World::new().await;
    let number = world.pull(STRANGE, "abc1");
    world.up().await;
    world
        .gitea
        .clock()
        .advance(std::time::Duration::from_secs(2));
    world.say(STRANGE, number, "eve", "!testme");
    world.say(STRANGE, number, "ada", "!testme");
    world.say(STRANGE, number, "ada", "!testme");
    answered(&world, STRANGE, number, "not enrolled").await;
    let page = world.get("/").await;
    assert!(page.contains("coop/not-enrolled"), "{page}");
    world.down().await;
}

#[tokio::test]
async fn a_bot_that_sees_no_members_says_so_and_starts_nothing() {
    let mut world = World::new().await;
    world.gitea.remove_member(ORG, BOT).unwrap();
    let number = world.pull(REPO, "abc1");
    world.up().await;
    world.say(REPO, number, "ada", "!testme");
    answered(&world, REPO, number, "not set up to see who is a member").await;
    let page = world.get("/").await;
    assert!(page.contains("make cc-ci-bot a member of it"), "{page}");
    world
        .gitea
        .add_member(ORG, BOT, Visible::Concealed)
        .unwrap();
    world.say(REPO, number, "ada", "!testme");
    world
        .until("a run", || {
            if world.builds().len() == 1 {
                Ok(())
            } else {
                Err(world.builds())
            }
        })
        .await;
    world.down().await;
}
