//! Runs by an entrypoint on this machine, whose bridge is killed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use rstest::rstest;

use crate::world::{REPO, World};

/// An entrypoint that takes a run's id once, like the real one, and notes that it did.
const ENTRYPOINT: &str = r#"#!/bin/sh
for argument; do
    case $argument in --run-id=*) key=${argument#--run-id=} ;; esac
done
mkdir "$CCCI_STATE_DIR/runs/$key" || exit 2
echo "$key" >>"$CCCI_STATE_DIR/begun"
echo "$key"
"#;

#[rstest]
#[case::before_it_is_asked("starting")]
#[case::after_it_was_asked("asked")]
#[case::after_it_was_stored("started")]
#[tokio::test]
async fn a_run_is_begun_once_though_its_bridge_is_killed(#[case] point: &str) {
    let mut world = World::new().await;
    let runs = world.path("cc-ci");
    fs::create_dir_all(Path::new(&runs).join("runs")).unwrap();
    let program = world.path("entrypoint");
    fs::write(&program, ENTRYPOINT).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    world.executor = Some(format!(
        "kind = \"local\"\nprogram = [{program:?}]\nruns = {runs:?}"
    ));
    let number = world.pull(REPO, "abc1");
    let mut first = world.program(Some(point));
    world.ready().await;
    world.say(REPO, number, "ada", "!testme");
    let ended = first.wait().await.unwrap();
    assert_eq!(ended.signal(), Some(9), "{ended}");

    let mut second = world.program(None);
    world.only(REPO, number, "**Running**").await;
    let begun = fs::read_to_string(Path::new(&runs).join("begun")).unwrap();
    assert_eq!(begun.lines().count(), 1, "{begun}");
    assert!(begun.starts_with("custom-html-pr1-c"), "{begun}");
    second.kill().await.unwrap();
}
