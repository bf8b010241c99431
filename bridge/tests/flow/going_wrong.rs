//! Lost answers, missing rights, a CI engine that does nothing: the comment stays true.

use forge_model::drone::Pipeline;
use forge_model::faults::{Fault, Rule};
use forge_model::gitea::NewRepo;
use forge_model::kind::Kind;

use crate::world::{CI, LONG, REPO, World, full};

#[tokio::test]
async fn a_comment_whose_answer_was_lost_is_found_and_not_posted_again() {
    let mut world = World::new().await;
    let number = world.pull(REPO, "abc1");
    world.up().await;
    let lost = Rule::new(Fault::ClosedAfter)
        .on([Kind::CommentCreate])
        .times(1);
    world.gitea.faults().set(1, [lost]);
    world.say(REPO, number, "ada", "!testme");
    world.only(REPO, number, "**PASS**").await;
    assert_eq!(world.gitea.faults().happened(), 1);
    assert_eq!(world.gitea.traffic().count(Kind::CommentCreate), 1);
    world.down().await;
}

#[tokio::test]
async fn a_build_whose_answer_was_lost_is_found_by_its_key() {
    let mut world = World::new().await;
    let number = world.pull(REPO, "abc1");
    world.up().await;
    let lost = Rule::new(Fault::ClosedAfter)
        .on([Kind::BuildStart])
        .times(1);
    world.drone.faults().set(1, [lost]);
    world.say(REPO, number, "ada", "!testme");
    world.only(REPO, number, "**PASS**").await;
    assert_eq!(world.drone.faults().happened(), 1);
    assert_eq!(world.builds().len(), 1);
    world.down().await;
}

#[tokio::test]
async fn a_bot_that_may_not_write_code_says_all_in_the_comment() {
    let mut world = World::new().await;
    let readers = "coop/only-read";
    world.gitea.add_repo(NewRepo::new(readers)).unwrap();
    world.poll = format!("repositories = [{readers:?}]");
    let number = world.pull(readers, "abc1");
    world.up().await;
    world.say(readers, number, "ada", "!testme");
    world.only(readers, number, "**PASS**").await;
    world.settle().await;
    assert_eq!(world.gitea.statuses(readers, &full("abc1")), Vec::new());
    assert_eq!(
        world.gitea.traffic().count(Kind::StatusCreate),
        1,
        "asked once"
    );
    let page = world.get("/").await;
    assert!(page.contains("write access to code"), "{page}");
    world.down().await;
}

#[tokio::test]
async fn a_pipeline_that_leaves_our_builds_out_is_an_infrastructure_error() {
    let mut world = World::new().await;
    world.drone.add_repo(CI, Pipeline::NotCustom);
    world.drone.add_token(
        "drone-token",
        crate::world::BOT,
        CI,
        forge_model::drone::Right::Write,
    );
    let number = world.pull(REPO, "abc1");
    world.up().await;
    world.say(REPO, number, "ada", "!testme");
    let comment = world.only(REPO, number, "not your fault").await;
    assert!(comment.body.contains("custom"), "{}", comment.body);
    world.down().await;
}

#[tokio::test]
async fn a_forge_that_drone_can_not_reach_only_delays_a_run() {
    let mut world = World::new().await;
    world.drone.forge_is_down(true);
    let number = world.pull(REPO, "abc1");
    world.up().await;
    world.say(REPO, number, "ada", "!testme");
    world.only(REPO, number, "**Queued**").await;
    world.drone.forge_is_down(false);
    world.only(REPO, number, "**PASS**").await;
    assert_eq!(world.builds().len(), 1);
    world.down().await;
}

#[tokio::test]
async fn a_page_of_html_is_no_answer_and_loses_nothing() {
    let mut world = World::new().await;
    let number = world.pull(REPO, "abc1");
    world.up().await;
    let kinds = [
        Kind::ThreadComments,
        Kind::Pull,
        Kind::Member,
        Kind::CommentCreate,
        Kind::BuildStart,
    ];
    for kind in kinds {
        world
            .gitea
            .faults()
            .add(Rule::new(Fault::Html).on([kind]).times(1));
        world
            .drone
            .faults()
            .add(Rule::new(Fault::Html).on([kind]).times(1));
    }
    world.say(REPO, number, "ada", "!testme");
    world.only(REPO, number, "**PASS**").await;
    assert_eq!(world.builds().len(), 1);
    world.down().await;
}

#[tokio::test]
async fn a_status_comment_that_somebody_deleted_is_not_posted_again() {
    let mut world = World::new().await;
    let number = world.pull(REPO, "abc1");
    world.drone.on_step(|mut step| async move {
        step.killed().await;
        137
    });
    world.up().await;
    world.say(REPO, number, "ada", "!testme");
    let comment = world.only(REPO, number, "**Running**").await;
    world.gitea.delete_comment(comment.id, "ada").unwrap();
    world.say(REPO, number, "ada", "!testme stop");
    world.settle().await;
    assert!(world.said(REPO, number).is_empty());
    world.down().await;
}

#[tokio::test]
async fn a_full_disk_delays_what_is_written_and_loses_nothing() {
    let mut world = World::new().await;
    let state = world.path("state");
    std::fs::create_dir(&state).unwrap();
    let mounted = std::process::Command::new("mount")
        .args([
            "-t",
            "tmpfs",
            "-o",
            "size=1m,mode=0700",
            "cc-ci-test",
            &state,
        ])
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("not tried: only root can mount a small disk");
        return;
    }
    let _disk = Unmount(state.clone());
    let number = world.pull(REPO, "abc1");
    world.up().await;
    // All that is left of it: what is written from now on finds no room.
    let filler = format!("{state}/filler");
    let room = std::process::Command::new("dd")
        .args([
            "if=/dev/zero",
            &format!("of={filler}"),
            "bs=4096",
            "status=none",
        ])
        .stderr(std::process::Stdio::null())
        .status();
    assert!(!room.unwrap().success(), "the disk is not full");
    for nth in 0..200 {
        world.say(REPO, number, "ada", &format!("> {nth}\n> !testme"));
    }
    world.say(REPO, number, "ada", "!testme");
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(15);
    while !world.get("/").await.contains("is full") {
        assert!(
            tokio::time::Instant::now() < end,
            "nobody is told that the disk is full"
        );
        world.settle().await;
    }
    assert_eq!(world.builds(), Vec::new());
    std::fs::remove_file(&filler).unwrap();
    world.only(REPO, number, "**PASS**").await;
    assert_eq!(world.builds().len(), 1);
    world.down().await;
}

struct Unmount(String);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

#[tokio::test]
async fn hostile_names_of_branches_are_text_and_nothing_else() {
    let mut world = World::new().await;
    world.up().await;
    let hostile = [
        "$(touch /tmp/x)`id`;&&|<>\"'",
        "<img src=x onerror=alert(1)>@ada #1",
        "../../..%2f?x=y&REF=main#",
        "\u{202e}\n::set-env",
    ];
    for (nth, branch) in hostile.into_iter().enumerate() {
        let sha = full(&format!("abc{nth}"));
        let head = forge_model::gitea::Head::branch(branch, &sha).ago(LONG);
        let number = world.gitea.open_pull(REPO, "ada", head).unwrap();
        world.say(REPO, number, "ada", "!testme");
        let said = world.only(REPO, number, "**PASS**").await.body;
        assert!(
            !said.contains("onerror") && !said.contains("touch"),
            "{said}"
        );
    }
    assert_eq!(world.builds().len(), hostile.len());
    world.down().await;
}
