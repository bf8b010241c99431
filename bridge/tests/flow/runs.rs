//! A command that starts a run, and what is said until its end.

use std::sync::Arc;

use forge_model::drone::Status;
use forge_model::gitea::Push;
use forge_model::{Kind, When};
use results::outcome::Verdict;
use tokio::sync::Semaphore;

use crate::world::{LONG, REPO, World, full, pass, summary};

#[tokio::test]
async fn a_command_starts_one_run_whose_end_is_in_one_comment() {
    let mut world = World::new().await;
    let number = world.pull(REPO, "abc1");
    world.up().await;
    let asked = world.say(
        REPO,
        number,
        "ada",
        "Looks good.\n\n!testme upgrade from=1.0.0+1",
    );
    world.only(REPO, number, "**PASS**").await;
    let builds = world.builds();
    let params = builds[0].params.clone().unwrap();
    assert_eq!(builds.len(), 1);
    let of = |name: &str| params[name].as_str();
    assert_eq!(of("RECIPE"), "custom-html");
    assert_eq!(
        (of("REF"), of("PR")),
        (full("abc1").as_str(), number.to_string().as_str())
    );
    assert_eq!(
        (of("TIERS"), of("QUICK"), of("FROM")),
        ("upgrade", "", "1.0.0+1")
    );
    assert_eq!(of("COMMENT_ID"), asked.to_string());
    world
        .until("success on the commit", || {
            let all = world.gitea.statuses(REPO, &full("abc1"));
            match all.last() {
                Some(last) if last.state == "success" && last.context == "cc-ci/testme/partial" => {
                    Ok(())
                }
                _ => Err(all),
            }
        })
        .await;
    let reactions = world.gitea.comment_seen(asked).unwrap().reactions;
    assert_eq!(reactions.len(), 1, "{reactions:?}");
    world.down().await;
}

#[tokio::test]
async fn a_finished_run_is_run_anew_in_the_same_comment() {
    let mut world = World::new().await;
    let number = world.pull(REPO, "abc2");
    world.up().await;
    world.say(REPO, number, "ada", "!testme");
    let first = world.only(REPO, number, "**PASS**").await;
    world.drone.on_step(|step| async move {
        step.say(&summary(&step, Verdict::Fail).to_line());
        1
    });
    world.say(REPO, number, "ada", "!testme");
    let second = world.only(REPO, number, "**FAIL**").await;
    assert_eq!(first.id, second.id);
    assert_eq!(world.builds().len(), 2);
    world.down().await;
}

/// Steps wait until they are let go, one a permit.
fn hold(world: &World) -> Arc<Semaphore> {
    let gate = Arc::new(Semaphore::new(0));
    let own = Arc::clone(&gate);
    world.drone.on_step(move |step| {
        let gate = Arc::clone(&own);
        async move {
            gate.acquire().await.unwrap().forget();
            pass(&step)
        }
    });
    gate
}

#[tokio::test]
async fn a_second_command_for_a_live_head_points_to_its_run() {
    let mut world = World::new().await;
    let gate = hold(&world);
    let number = world.pull(REPO, "abc3");
    world.up().await;
    world.say(REPO, number, "ada", "!testme");
    let status = world.only(REPO, number, "**Running**").await;
    world.say(REPO, number, "ada", "!testme");
    world
        .until("an answer that points to the run", || {
            let said = world.said(REPO, number);
            let points = said.iter().any(|comment| {
                comment.id != status.id
                    && comment
                        .body
                        .contains(&format!("issuecomment-{}", status.id))
            });
            if points { Ok(()) } else { Err(said) }
        })
        .await;
    gate.add_permits(10);
    world
        .until("the end of the run", || {
            let body = world.gitea.comment_seen(status.id).unwrap().body;
            if body.contains("**PASS**") {
                Ok(())
            } else {
                Err(body)
            }
        })
        .await;
    assert_eq!(world.builds().len(), 1);
    world.down().await;
}

#[tokio::test]
async fn a_newer_head_takes_the_place_of_one_that_waits() {
    let mut world = World::new().await;
    world.drone.set_capacity(1);
    let gate = hold(&world);
    let (first, second) = (world.pull(REPO, "aaa1"), world.pull(REPO, "bbb1"));
    world.up().await;
    world.say(REPO, first, "ada", "!testme");
    world.only(REPO, first, "**Running**").await;
    world.say(REPO, second, "ada", "!testme");
    world.only(REPO, second, "**Queued**").await;
    let newer = Push::new(&full("bbb2")).ago(LONG);
    world.gitea.push_with(REPO, second, newer).unwrap();
    world.say(REPO, second, "ada", "!testme");
    world
        .until("both comments of the second pull request", || {
            let said = world.said(REPO, second);
            let has = |text: &str| said.iter().any(|comment| comment.body.contains(text));
            if has("moved on to `bbb2") && has("It takes the place of the run of `bbb1") {
                Ok(())
            } else {
                Err(said)
            }
        })
        .await;
    gate.add_permits(10);
    world
        .until("the end of the newer head's run", || {
            let said = world.said(REPO, second);
            let done = said.iter().any(|comment| comment.body.contains("**PASS**"));
            if done { Ok(()) } else { Err(said) }
        })
        .await;
    let killed = world
        .builds()
        .iter()
        .filter(|build| build.status == Status::Killed)
        .count();
    assert_eq!((world.builds().len(), killed), (3, 1));
    assert_eq!(world.said(REPO, second).len(), 2);
    world.down().await;
}

#[tokio::test]
async fn a_stop_that_comes_during_a_start_that_fails_ends_the_run() {
    let mut world = World::new().await;
    let number = world.pull(REPO, "abc1");
    let (held, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (begun, free) = (Arc::clone(&held), Arc::clone(&go));
    world.drone.traffic().on_request(move |seen| {
        let start = seen.kind == Kind::BuildStart && seen.when == When::Before;
        let (begun, free) = (Arc::clone(&begun), Arc::clone(&free));
        async move {
            if start {
                begun.add_permits(1);
                free.acquire().await.unwrap().forget();
            }
        }
    });
    world.drone.forge_is_down(true);
    world.up().await;
    world.say(REPO, number, "ada", "!testme");
    held.acquire().await.unwrap().forget();
    let stop = world.say(REPO, number, "ada", "!testme stop");
    let decided = || match world.gitea.comment_seen(stop).unwrap().reactions.len() {
        1 => Ok(()),
        other => Err(other),
    };
    world.until("reaction to the stop", decided).await;
    go.add_permits(100);
    world.only(REPO, number, "**CANCELLED** by `ada`").await;
    assert_eq!(world.builds(), Vec::new());
    world.down().await;
}

#[tokio::test]
async fn stop_ends_what_goes_on_and_says_by_whom() {
    let mut world = World::new().await;
    world.drone.on_step(|mut step| async move {
        step.killed().await;
        137
    });
    let number = world.pull(REPO, "abc4");
    world.up().await;
    world.say(REPO, number, "ada", "!testme");
    world.only(REPO, number, "**Running**").await;
    world.say(REPO, number, "eve", "!testme stop");
    world
        .until("a refusal", || {
            let said = world.said(REPO, number);
            if said.len() == 2 { Ok(()) } else { Err(said) }
        })
        .await;
    world.say(REPO, number, "ada", "!testme stop");
    world
        .until("a cancelled run", || {
            let body = world.said(REPO, number)[0].body.clone();
            if body.contains("**CANCELLED** by `ada`") {
                Ok(())
            } else {
                Err(body)
            }
        })
        .await;
    assert_eq!(world.builds()[0].status, Status::Killed);
    world.down().await;
}

#[tokio::test]
async fn a_run_that_waits_knows_its_place_and_when_it_should_begin() {
    let mut world = World::new().await;
    world.drone.set_capacity(1);
    let past = world.pull(REPO, "ccc1");
    let pulls = ["ccc2", "ccc3", "ccc4"].map(|sha| world.pull(REPO, sha));
    world.up().await;
    world.say(REPO, past, "ada", "!testme");
    world.only(REPO, past, "**PASS**").await;
    let gate = hold(&world);
    world.say(REPO, pulls[0], "ada", "!testme");
    world.only(REPO, pulls[0], "**Running**").await;
    for pull in &pulls[1..] {
        world.say(REPO, *pull, "ada", "!testme");
        world.only(REPO, *pull, "**Queued**").await;
    }
    let next = world.only(REPO, pulls[1], "It is the next.").await.body;
    assert!(next.contains("It should begin in about"), "{next}");
    world
        .only(REPO, pulls[2], "It is number 2 in the queue.")
        .await;
    gate.add_permits(1);
    world.only(REPO, pulls[2], "It is the next.").await;
    gate.add_permits(10);
    world.only(REPO, pulls[2], "**PASS**").await;
    world.down().await;
}

#[tokio::test]
async fn each_kind_of_run_has_a_commit_status_that_ends() {
    let mut world = World::new().await;
    world.drone.on_step(|mut step| async move {
        if step.environment["QUICK"] == "1" {
            return pass(&step);
        }
        step.killed().await;
        137
    });
    let number = world.pull(REPO, "abc7");
    world.up().await;
    world.say(REPO, number, "ada", "!testme");
    world.only(REPO, number, "**Running**").await;
    world.say(REPO, number, "ada", "!testme stop");
    world.say(REPO, number, "ada", "!testme quick");
    world.only(REPO, number, "**PASS**").await;
    world
        .until("both statuses at their end", || {
            let all = world.gitea.statuses(REPO, &full("abc7"));
            let last = |context: &str| {
                let of = all.iter().rev().find(|status| status.context == context);
                of.map(|status| status.state.clone())
            };
            match (last("cc-ci/testme"), last("cc-ci/testme/quick")) {
                (Some(whole), Some(quick)) if whole == "error" && quick == "success" => Ok(()),
                _ => Err(all),
            }
        })
        .await;
    world.down().await;
}

#[tokio::test]
async fn a_run_that_goes_on_is_followed_by_the_next_bridge() {
    let mut world = World::new().await;
    let gate = hold(&world);
    let number = world.pull(REPO, "abc5");
    world.up().await;
    world.say(REPO, number, "ada", "!testme");
    world.only(REPO, number, "**Running**").await;
    world.down().await;
    gate.add_permits(10);
    world.up().await;
    world.only(REPO, number, "**PASS**").await;
    assert_eq!(world.builds().len(), 1);
    world.down().await;
}

#[tokio::test]
async fn a_run_of_another_commit_is_believed_by_nobody() {
    let mut world = World::new().await;
    world.drone.on_step(|step| async move {
        let mut other = summary(&step, Verdict::Pass);
        other.head = Some(full("fff").parse().unwrap());
        step.say(&other.to_line());
        0
    });
    let number = world.pull(REPO, "abc6");
    world.up().await;
    world.say(REPO, number, "ada", "!testme");
    let comment = world.only(REPO, number, "not your fault").await;
    assert!(comment.body.contains(&full("fff")), "{}", comment.body);
    world.down().await;
}
