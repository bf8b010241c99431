//! The program: how it ends, and what it says then.

use std::process::Output;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use crate::world::{CI, ORG, World};

async fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cc-ci-bridge"));
    command.args(arguments).env_remove("DRONE_URL");
    command.output().await.unwrap()
}

fn ended(output: &Output, code: i32, says: &str) {
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(says), "{says}: {said}");
}

#[tokio::test]
async fn what_can_not_be_used_ends_it_with_2() {
    ended(&run(&["--no-such-flag"]).await, 2, "--no-such-flag");
    ended(
        &run(&["--config", "/no/such/file"]).await,
        2,
        "/no/such/file",
    );
    ended(&run(&[]).await, 2, "the environment's");
    let mut world = World::new().await;
    world.up().await;
    let settings = world.settings();
    ended(
        &run(&["--config", &settings]).await,
        2,
        "is another bridge running",
    );
    world.down().await;
}

#[tokio::test]
async fn check_says_0_or_3() {
    let world = World::new().await;
    let settings = world.settings();
    let check = ["--config", settings.as_str(), "check"];
    ended(&run(&check).await, 0, "is a member of coop");
    world.gitea.remove_member(ORG, crate::world::BOT).unwrap();
    ended(&run(&check).await, 3, "WRONG");
    world.drone.remove_repo(CI);
    ended(&run(&check).await, 3, CI);
}

#[tokio::test]
async fn told_to_end_it_ends_with_0() {
    let world = World::new().await;
    let mut program = world.program(None);
    world.ready().await;
    let pid = program
        .id()
        .and_then(|id| Pid::from_raw(i32::try_from(id).unwrap()));
    kill_process(pid.unwrap(), Signal::TERM).unwrap();
    assert_eq!(program.wait().await.unwrap().code(), Some(0));
}
