use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use clap::Parser;
use rstest::rstest;
use tempfile::tempdir;

use super::watch::{Ended, Stop};
use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    ci: Ci,
}

fn parsed(arguments: &[&str]) -> Result<Request, String> {
    let line = Line::try_parse_from([&["ci"], arguments].concat()).map_err(|e| e.to_string())?;
    line.ci.request().map_err(|fault| fault.to_string())
}

#[test]
fn a_request_reaches_the_runners_children_by_the_environment() {
    let request = parsed(&[
        "--recipe",
        "custom-html",
        "--ref",
        "feature/x",
        "--pr",
        "7",
        "--tiers",
        "upgrade,install,upgrade",
        "--run-id",
        "r-1",
        "--keep",
        "--from",
        "1.0.0+1.25",
    ])
    .unwrap();
    let shown: Vec<_> = request
        .environment()
        .into_iter()
        .filter(|(name, _)| *name != "CCCI_RUNNER")
        .map(|(name, value)| match value {
            Some(value) => format!("{name}={}", value.to_string_lossy()),
            None => format!("{name} unset"),
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @"
    CCCI_RUN_ID=r-1
    CCCI_RECIPE=custom-html
    CCCI_SOURCE unset
    CCCI_REF=feature/x
    CCCI_PR=7
    CCCI_TIERS=install,upgrade
    CCCI_FROM=1.0.0+1.25
    CCCI_QUICK unset
    CCCI_KEEP=1
    CCCI_COMPLETE=1
    CCCI_SITE unset
    ");
}

#[test]
fn the_runner_is_named_by_process_and_start_time() {
    let request = parsed(&["--recipe", "x"]).unwrap();
    let environment = request.environment();
    let (_, runner) = environment
        .iter()
        .find(|(name, _)| *name == "CCCI_RUNNER")
        .unwrap();
    let runner = runner.as_ref().unwrap().to_str().unwrap();
    let (pid, start) = runner.split_once(':').unwrap();
    assert_eq!(pid.parse(), Ok(std::process::id()));
    assert!(start.parse::<u64>().unwrap() > 0);
}

#[rstest]
#[case(&["--recipe", "../etc"])]
#[case(&["--recipe", "x", "--tiers", "fresh"])]
#[case(&["--recipe", "x", "--tiers", "instal"])]
#[case(&["--recipe", "x", "--run-id", "a/b"])]
#[case(&["--recipe", "x", "--ref=--upload-pack=x"])]
#[case(&["--recipe", "x", "--source=-x"])]
#[case(&["--recipe", "x", "--from", "1 2"])]
#[case(&["--recipe", "x", "--site", "/there/is/no/such.toml"])]
#[case(&["--recipe", "x", "--detach", "--json"])]
#[case(&["--recipe", "x", "--detached"])]
fn what_can_not_be_is_refused_before_anything_is_done(#[case] arguments: &[&str]) {
    parsed(arguments).unwrap_err();
}

#[rstest]
#[case("custom-html", "custom-html-20300102-030405-00ab")]
#[case(
    "a123456789012345678901234567890123456789012345678901234567890123",
    "a1234567890123456789012345678901234567890123456789012345678-20300102-030405-00ab"
)]
fn a_run_id_says_recipe_and_time(#[case] recipe: &str, #[case] expected: &str) {
    let now = "2030-01-02T03:04:05Z".parse().unwrap();
    let id = request::new_run_id(&recipe.parse().unwrap(), now, 0xab);
    assert_eq!(id.as_str(), expected);
}

#[test]
fn a_runs_directory_is_used_once() {
    let state = tempdir().unwrap();
    let id = "r-1".parse().unwrap();
    create_run_dir(state.path(), &id).unwrap();
    let error = create_run_dir(state.path(), &id).unwrap_err();
    assert_eq!(exit::of_error(&error), exit::USAGE);
}

#[test]
fn a_recipe_without_a_crate_is_tested_by_the_generic_suite() {
    let root = tempdir().unwrap();
    let name = "hedge-doc".parse().unwrap();
    let shown = |root: &Path| runner::arguments(&name, root).join(" ");
    insta::assert_snapshot!(shown(root.path()), @"nextest run --locked -p generic-tests --test generic");
    fs::create_dir_all(root.path().join("recipes/hedge-doc")).unwrap();
    fs::write(root.path().join("recipes/hedge-doc/Cargo.toml"), "").unwrap();
    insta::assert_snapshot!(shown(root.path()), @"nextest run --locked -p recipe-hedge-doc");
}

#[test]
fn wishes_to_stop_grow_stronger() {
    let all: Vec<_> = (0..4).map(Stop::of_wish).collect();
    assert_eq!(
        all,
        [
            Stop::Ask,
            Stop::EndRunner,
            Stop::KillRunner,
            Stop::KillRunner
        ]
    );
}

#[test]
fn who_asked_first_to_stop_is_named() {
    let dir = tempdir().unwrap();
    assert!(watch::ask_to_stop(dir.path(), "a person").unwrap());
    assert!(!watch::ask_to_stop(dir.path(), "another").unwrap());
    let by = fs::read_to_string(dir.path().join(watch::CANCEL)).unwrap();
    assert_eq!(by, "a person");
}

#[test]
fn the_second_half_of_detach_has_the_id_and_does_not_detach_again() {
    let id = "r-1".parse().unwrap();
    let given = ["ci", "--recipe", "x", "--detach"].map(str::to_owned);
    let arguments = detached_arguments(given.into_iter(), &id);
    assert_eq!(
        arguments,
        ["ci", "--recipe", "x", "--detached", "--run-id", "r-1"]
    );
    let given = ["ci", "--detach", "--run-id=r-1"].map(str::to_owned);
    assert_eq!(
        detached_arguments(given.into_iter(), &id),
        ["ci", "--run-id=r-1", "--detached"]
    );
}

#[tokio::test]
async fn a_runner_that_never_began_is_an_infrastructure_error_with_its_last_words() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join(runner::LOG), "error: could not compile\n").unwrap();
    let ended = Ended {
        status: ExitStatus::from_raw(101 << 8),
        began: false,
        stopped: false,
    };
    let error = outcome::wait_for_record(dir.path(), &ended, &mut || Ok(()))
        .await
        .unwrap_err();
    assert_eq!(exit::of_error(&error), exit::INFRA);
    let text = error.to_string();
    assert!(
        text.contains("code 101") && text.contains("could not compile"),
        "{text}"
    );
}

#[tokio::test]
async fn a_record_that_can_not_be_read_is_no_verdict() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join(outcome::RESULT), "{").unwrap();
    let ended = Ended {
        status: ExitStatus::from_raw(0),
        began: true,
        stopped: false,
    };
    let error = outcome::wait_for_record(dir.path(), &ended, &mut || Ok(()))
        .await
        .unwrap_err();
    assert_eq!(exit::of_error(&error), exit::INFRA);
}

#[test]
fn events_are_read_as_they_come_and_a_line_only_when_it_is_whole() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let mut events = events::Events::new(path.clone());
    assert!(events.news().unwrap().is_empty() && !events.began());
    let line = |kind: &str| format!("{{\"at\":\"2030-01-02T03:04:05Z\",\"event\":\"{kind}\"}}\n");
    let mut file = fs::File::create(&path).unwrap();
    let (start, end) = (line("teardown_started"), line("run_finished"));
    file.write_all(&start.as_bytes()[..20]).unwrap();
    assert!(events.news().unwrap().is_empty() && events.began());
    file.write_all(&start.as_bytes()[20..]).unwrap();
    file.write_all(line("kind_of_a_later_version").as_bytes())
        .unwrap();
    file.write_all(end.as_bytes()).unwrap();
    let kinds: Vec<_> = events
        .news()
        .unwrap()
        .into_iter()
        .map(|event| event.kind)
        .collect();
    use results::EventKind::{RunFinished, TeardownStarted};
    assert_eq!(kinds, [TeardownStarted, RunFinished]);
    assert!(events.news().unwrap().is_empty());
}
