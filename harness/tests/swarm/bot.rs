//! The backup bot's repository, while somebody else works in it.

use std::process::{Command, Stdio};

use fixtures::abra::Bot;
use harness::engine::abra::forget_snapshots;
use harness::recipe::AppDomain;
use harness::swarm::Swarm;

/// A backup whose data come slowly: it holds the repository for as long.
const SLOW: &str = "(sleep 3; echo x) | restic backup --quiet --stdin --tag other";

fn restic(container: &str, script: &str) -> Command {
    let mut command = Command::new("docker");
    command
        .args(["exec", container, "/bin/bash", "-c", script])
        .stdin(Stdio::null());
    command
}

fn tags(container: &str) -> String {
    let listed = restic(container, "restic snapshots --json")
        .output()
        .unwrap();
    String::from_utf8(listed.stdout).unwrap()
}

#[tokio::test]
async fn docker_bot_snapshots_are_forgotten_once_nobody_works_in_the_repository() {
    let name = format!("cc-ci-bot-test-{}", std::process::id());
    let bot = tokio::task::spawn_blocking(move || Bot::start(&name));
    let bot = bot.await.unwrap().unwrap();
    let container = bot.container().unwrap();
    let domain: AppDomain = format!("bot-{}.ci.test", std::process::id())
        .parse()
        .unwrap();
    let stack = domain.stack();
    let made = format!("echo y | restic backup --quiet --stdin --tag {stack}");
    assert!(restic(&container, &made).status().unwrap().success());
    assert!(tags(&container).contains(stack.as_str()));

    let mut slow = restic(&container, SLOW).spawn().unwrap();
    let locked = "until ls /repository/locks | grep -q .; do sleep 0.05; done";
    assert!(
        restic(&container, &format!("timeout 20 bash -c '{locked}'"))
            .status()
            .unwrap()
            .success()
    );
    let swarm = Swarm::connect().await.unwrap();
    forget_snapshots(&swarm, &stack).await.unwrap();
    assert!(slow.wait().unwrap().success());
    let left = tags(&container);
    assert!(!left.contains(stack.as_str()), "{left}");
    assert!(
        left.contains("other"),
        "what is not the app's stays: {left}"
    );
    tokio::task::spawn_blocking(move || drop(bot))
        .await
        .unwrap();
}
