//! What is seen of a build: by Drone, by the run's directory, by the log.

use std::time::Duration;

use bridge::executor::{Build, Drone, End, Executor as _, Progress, Seen, Trouble};
use jiff::Timestamp;
use results::outcome::{Tier, Verdict};
use results::summary::Summary;
use rstest::rstest;
use serde_json::{Value, json};

use super::drone::{BUILDS, at, build};
use super::run::{Run, order};
use super::server::{Asked, Reply, Server, json as reply, status};

async fn look(drone: &Drone) -> Result<Seen, Trouble> {
    let ago = Duration::from_secs(60);
    drone.look(&order(), &Build("5".to_owned()), ago).await
}

fn no_record(seen: Seen) -> String {
    match seen {
        Seen::Over(End::NoRecord(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn verdict(seen: Seen) -> Verdict {
    match seen {
        Seen::Over(End::Recorded(summary)) => summary.verdict,
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[case("pending", Seen::Waiting)]
#[case("blocked", Seen::Waiting)]
#[case("waiting_on_dependencies", Seen::Waiting)]
#[case("running", Seen::Running(Progress::default()))]
#[tokio::test]
async fn a_build_that_is_not_over(#[case] word: &'static str, #[case] seen: Seen) {
    let server = Server::start(move |_| reply(&build(5, word))).await;
    assert_eq!(look(&at(&server.url, None)).await.unwrap(), seen);
    assert_eq!(server.last().path, format!("{BUILDS}/5"));
}

#[tokio::test]
async fn a_status_that_nobody_knows_is_trouble() {
    let server = Server::start(|_| reply(&build(5, "paused"))).await;
    let trouble = look(&at(&server.url, None)).await.unwrap_err();
    assert!(trouble.to_string().contains("`paused`"), "{trouble}");
}

#[tokio::test]
async fn a_run_on_this_host_says_how_far_it_is() {
    let run = Run::begun();
    let keeper = run.keeper();
    run.failed();
    let server = Server::start(|_| reply(&build(5, "running"))).await;
    let drone = at(&server.url, Some(&run));
    let Seen::Running(progress) = look(&drone).await.unwrap() else {
        panic!("it does not run");
    };
    assert_eq!(progress.tier, Some(Tier::Install));
    drop(keeper);
}

#[rstest]
#[case("killed")]
#[case("failure")]
#[case("error")]
#[case("success")]
#[tokio::test]
async fn a_run_goes_on_after_its_build_and_its_record_counts(#[case] word: &'static str) {
    let run = Run::begun();
    let keeper = run.keeper();
    let server = Server::start(move |_| reply(&build(5, word))).await;
    let drone = at(&server.url, Some(&run));
    assert!(matches!(look(&drone).await.unwrap(), Seen::Running(_)));
    run.keeper_ends(keeper);

    let run = Run::whole();
    let drone = at(&server.url, Some(&run));
    assert_eq!(verdict(look(&drone).await.unwrap()), Verdict::Fail);
}

#[tokio::test]
async fn a_run_whose_runner_of_builds_was_killed_is_over_by_its_record() {
    let run = Run::whole();
    let server = Server::start(|_| reply(&build(5, "running"))).await;
    let seen = look(&at(&server.url, Some(&run))).await.unwrap();
    assert_eq!(verdict(seen), Verdict::Fail);

    let mut stale = build(5, "running");
    stale["started"] = json!(Timestamp::now().as_second() - 2 * 3600);
    let server = Server::start(move |_| reply(&stale)).await;
    let why = no_record(look(&at(&server.url, None)).await.unwrap());
    assert!(why.contains("120 minutes"), "{why}");
}

#[tokio::test]
async fn an_end_without_a_record_names_the_status_and_the_error() {
    let mut ended = build(5, "error");
    ended["error"] = json!("yaml: line 3\nmapping values");
    let server = Server::start(move |_| reply(&ended)).await;
    for run in [None, Some(Run::none())] {
        let why = no_record(look(&at(&server.url, run.as_ref())).await.unwrap());
        assert!(
            why.contains("`error` (yaml: line 3 mapping values)"),
            "{why}"
        );
    }
}

#[rstest]
#[case::deleted(404, r#"{"message":"sql: no rows in result set"}"#, true)]
#[case::the_forge_is_down(
    404,
    r#"{"message":"Get \"https://f.test\": dial tcp: i/o timeout"}"#,
    false
)]
#[case::broken(502, "", false)]
#[case::bad_token(401, "", false)]
#[case::html(200, "<html>", false)]
#[tokio::test]
async fn only_a_build_that_is_gone_is_gone(
    #[case] code: u16,
    #[case] body: &'static str,
    #[case] gone: bool,
) {
    let server = Server::start(move |_| status(code, body)).await;
    let seen = look(&at(&server.url, None)).await;
    assert_eq!(seen.is_ok(), gone, "{seen:?}");
    if let Ok(seen) = seen {
        let why = no_record(seen);
        assert!(why.contains("no longer has build 5"), "{why}");
    }
    // Its run may go on, and have a record.
    let run = Run::whole();
    let seen = look(&at(&server.url, Some(&run))).await;
    assert_eq!(seen.is_ok_and(|seen| verdict(seen) == Verdict::Fail), gone);
}

fn summary() -> Summary {
    Summary::of(&Run::whole().record(), &|_| None).unwrap()
}

/// A build of three steps, of which the first two have a log.
fn logged(lines: Value) -> impl Fn(&Asked) -> Reply {
    let mut ended = build(5, "failure");
    ended["stages"] = json!([
        {"number": 1, "steps": [{"number": 1}, {"number": 2}]},
        {"number": 2, "steps": [{"number": 1}]},
    ]);
    let log = |stage: u64, step: u64| format!("{BUILDS}/5/logs/{stage}/{step}");
    move |asked| match asked.path.as_str() {
        path if path == log(2, 1) => status(404, r#"{"message":"sql: no rows in result set"}"#),
        path if path == log(1, 2) => reply(&lines),
        path if path == log(1, 1) => panic!("the log of an earlier step says nothing of the end"),
        _ => reply(&ended),
    }
}

async fn look_at(lines: Value) -> Seen {
    let server = Server::start(logged(lines)).await;
    look(&at(&server.url, None)).await.unwrap()
}

#[tokio::test]
async fn the_record_is_the_last_line_of_the_last_log() {
    let line = summary().to_line();
    let (begin, end) = line.split_at(line.len() / 2);
    let seen = look_at(json!([
        {"pos": 0, "out": "+ exec cc-ci\n", "time": 0},
        {"pos": 1, "out": begin, "time": 1},
        {"pos": 3, "out": "\n", "time": 1},
        {"pos": 2, "out": format!("{end}\n"), "time": 1},
    ]))
    .await;
    assert_eq!(verdict(seen), Verdict::Fail);
}

#[tokio::test]
async fn a_record_before_the_last_line_is_somebody_elses() {
    let line = summary().to_line();
    let seen = look_at(json!([
        {"pos": 0, "out": format!("{line}\n")},
        {"pos": 1, "out": "Killed\n"},
    ]))
    .await;
    let why = no_record(seen);
    assert!(why.contains("`failure` and without a record"), "{why}");
}

#[rstest]
#[case::another_run(|summary: &mut Summary| summary.run_id = "another".parse().unwrap(), "run")]
#[case::another_recipe(|summary: &mut Summary| summary.recipe = "keycloak".to_owned(), "recipe")]
#[case::another_commit(
    |summary: &mut Summary| summary.head = "f".repeat(40).parse().ok(),
    "commit"
)]
#[case::another_pull_request(|summary: &mut Summary| summary.pr = 8, "pull request")]
#[case::no_commit(|summary: &mut Summary| summary.head = None, "commit")]
#[tokio::test]
async fn a_logged_record_of_something_else_is_none(
    #[case] change: fn(&mut Summary),
    #[case] what: &str,
) {
    let mut other = summary();
    change(&mut other);
    let why = no_record(look_at(json!([{"pos": 0, "out": other.to_line()}])).await);
    assert!(why.contains(&format!("the record is of {what}")), "{why}");
}

#[rstest]
#[case::cut("cc-ci-summary: {\"schema\": 1, ")]
#[case::another_version("cc-ci-summary: {\"schema\": 2}")]
#[tokio::test]
async fn a_logged_record_that_cannot_be_read_says_why(#[case] line: &str) {
    let why = no_record(look_at(json!([{"pos": 0, "out": line}])).await);
    assert!(why.contains("without a record: the summary"), "{why}");
}

#[tokio::test]
async fn a_log_without_lines_and_one_that_is_not_answered() {
    no_record(look_at(json!(null)).await);
    no_record(look_at(json!([])).await);
    let server = Server::start(|asked: &Asked| match asked.path.contains("logs") {
        true => status(502, ""),
        false => logged(json!([]))(asked),
    })
    .await;
    assert!(look(&at(&server.url, None)).await.is_err());
}
