use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use clap::Parser;
use rstest::rstest;
use tempfile::{TempDir, tempdir};

use super::watch::{Ended, Stop};
use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    ci: Ci,
}

fn parsed(arguments: &[&str]) -> Result<Request, String> {
    let line = Line::try_parse_from([&["ci"], arguments].concat()).map_err(|e| e.to_string())?;
    line.ci
        .plan()
        .map(|plan| plan.request)
        .map_err(|fault| fault.to_string())
}

/// A plan with a state directory of its own.
fn plan(arguments: &[&str]) -> (TempDir, Plan) {
    let state = tempdir().unwrap();
    let line = Line::try_parse_from([&["ci"], arguments].concat()).unwrap();
    let mut plan = line.ci.plan().unwrap();
    plan.paths = Paths::new(state.path(), &plan.request.run_id);
    (state, plan)
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
        "upgrade,custom,upgrade",
        "--run-id",
        "r-1",
        "--keep",
        "--from",
        "1.0.0+1.25",
    ])
    .unwrap();
    let shown: Vec<_> = request
        .to_environment()
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
    CCCI_TIERS=install,upgrade,custom
    CCCI_FROM=1.0.0+1.25
    CCCI_QUICK unset
    CCCI_KEEP=1
    CCCI_COMPLETE=1
    ");
}

#[rstest]
#[case(&[], None)]
#[case(&[Tier::Custom], Some(&[Tier::Install, Tier::Custom][..]))]
#[case(&[Tier::Upgrade, Tier::Backup, Tier::Restore, Tier::Custom], None)]
fn install_is_always_among_the_tiers_and_all_of_them_are_a_whole_run(
    #[case] named: &[Tier],
    #[case] expected: Option<&[Tier]>,
) {
    assert_eq!(request::asked(named).as_deref(), expected);
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
#[case(&["--recipe", "x", "--summary-line", "--json"])]
#[case(&["--recipe", "x", "--summary-line", "--detach"])]
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
    let (_state, plan) = plan(&["--recipe", "custom-html", "--run-id", "r-1"]);
    preflight::request(&plan.request, &plan.site, &plan.paths).unwrap();
    create_run_dir(&plan).unwrap();
    let error = create_run_dir(&plan).unwrap_err();
    assert_eq!(exit::of_error(&error), exit::USAGE);
    let fault = preflight::request(&plan.request, &plan.site, &plan.paths).unwrap_err();
    insta::assert_snapshot!(fault, @"there is a run r-1 already, and an id is used once; see it with cargo xtask report r-1, or leave --run-id out");
}

#[test]
fn an_unknown_recipe_is_told_the_nearest_names() {
    let (_state, plan) = plan(&["--recipe", "custom-htlm"]);
    let fault = preflight::request(&plan.request, &plan.site, &plan.paths).unwrap_err();
    assert!(matches!(fault, Fault::Usage(_)));
    let text = fault.to_string();
    assert!(text.contains("(nearest: custom-html"), "{text}");
}

#[test]
fn a_password_in_an_address_is_not_in_the_record() {
    let address = "https://me:s3cret@forge.test/a/b.git";
    let (_state, plan) = plan(&["--recipe", "anything", "--source", address]);
    let shown = plan.request.source_shown();
    assert_eq!(shown, "https://forge.test/a/b.git");
}

#[test]
fn with_a_source_any_name_goes() {
    let (_state, plan) = plan(&["--recipe", "anything", "--source", "https://forge.test/a"]);
    preflight::request(&plan.request, &plan.site, &plan.paths).unwrap();
}

#[test]
fn a_recipe_without_a_crate_is_tested_by_the_generic_suite() {
    let root = tempdir().unwrap();
    let name = "hedge-doc".parse().unwrap();
    let shown = |root: &Path| runner::arguments(&name, None, root).join(" ");
    insta::assert_snapshot!(shown(root.path()), @"nextest run --locked -p generic-tests --test generic");
    fs::create_dir_all(root.path().join("recipes/hedge-doc")).unwrap();
    fs::write(root.path().join("recipes/hedge-doc/Cargo.toml"), "").unwrap();
    insta::assert_snapshot!(shown(root.path()), @"nextest run --locked -p recipe-hedge-doc");
}

#[test]
fn a_suite_that_is_named_is_run_whatever_the_recipe_has() {
    let suite = "generic-tests::known_bad".parse().unwrap();
    let name = "custom-html".parse().unwrap();
    let shown = runner::arguments(&name, Some(&suite), &crate::place::workspace()).join(" ");
    insta::assert_snapshot!(shown, @"nextest run --locked -p generic-tests --test known_bad");
    for wrong in ["known_bad", "a::b::c", "--x::y", "a::", "a::b c"] {
        assert!(wrong.parse::<runner::NamedSuite>().is_err(), "{wrong}");
    }
}

#[test]
fn wishes_to_stop_grow_stronger() {
    let all: Vec<_> = (0..4).map(|n| Stop::of_wish(n, true)).collect();
    assert_eq!(
        all,
        [
            Stop::Ask,
            Stop::EndRunner,
            Stop::KillRunner,
            Stop::KillRunner
        ]
    );
    assert_eq!(Stop::of_wish(0, false), Stop::EndRunner);
}

#[test]
fn who_asked_first_to_stop_is_named() {
    let dir = tempdir().unwrap();
    assert!(results::stop::ask_to_stop(dir.path(), "a person").unwrap());
    assert!(!results::stop::ask_to_stop(dir.path(), "another").unwrap());
    let by = fs::read_to_string(dir.path().join(results::stop::CANCEL)).unwrap();
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
    let (_state, plan) = plan(&["--recipe", "x", "--run-id", "r-1"]);
    fs::create_dir_all(&plan.paths.run).unwrap();
    fs::write(plan.paths.log(), "error: could not compile\n").unwrap();
    let ended = Ended {
        status: ExitStatus::from_raw(101 << 8),
        began: false,
        stopped: false,
    };
    let mut feed = watch::Feed::new(&plan.paths);
    let teardown = plan.site.limits.teardown();
    let error = ending::finish(&plan.paths, teardown, &ended, &mut feed)
        .await
        .unwrap_err();
    assert_eq!(exit::of_error(&error), exit::INFRA);
    let text = error.to_string();
    assert!(
        text.contains("code 101") && text.contains("could not compile"),
        "{text}"
    );
}

#[test]
fn a_record_that_can_not_be_read_is_no_verdict() {
    let (_state, plan) = plan(&["--recipe", "x", "--run-id", "r-1"]);
    fs::create_dir_all(&plan.paths.run).unwrap();
    assert!(known::record(&plan.paths).unwrap().is_none());
    fs::write(plan.paths.run.join("result.json"), "{").unwrap();
    let fault = known::record(&plan.paths).unwrap_err();
    assert!(matches!(fault, Fault::Infra(_)));
}

#[test]
fn a_run_that_nobody_knows_is_answered_with_those_that_are_known() {
    let state = tempdir().unwrap();
    fs::create_dir_all(state.path().join("runs/r-1")).unwrap();
    let fault = known::find(state.path(), &"r-2".parse().unwrap()).unwrap_err();
    let text = fault.to_string();
    let text = text.replace(&state.path().display().to_string(), "STATE");
    insta::assert_snapshot!(text, @"there is no run r-2 in STATE; runs: r-1");
    assert!(known::live(state.path()).is_empty());
}
