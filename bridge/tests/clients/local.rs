//! The entrypoint on this machine, played by a script.

use std::fs;
use std::time::{Duration, Instant};

use bridge::executor::{Build, End, Executor as _, Local, LocalSettings, Seen, StartError};
use results::outcome::{Tier, Verdict};
use rstest::rstest;

use super::run::{HEAD, Run};

/// Makes the run's directory, as the entrypoint does, and remembers its arguments.
const BEGINS: &str = r#"
printf '%s\n' "$@" >> "$CCCI_STATE_DIR/arguments"
for argument in "$@"; do
    case "$argument" in --run-id=*) mkdir "$CCCI_STATE_DIR/runs/${argument#--run-id=}" ;; esac
done
"#;

fn local(run: &Run, script: &str) -> Local {
    let path = run.state.path().join("entrypoint");
    fs::write(&path, script).unwrap();
    fs::create_dir_all(run.state.path().join("runs")).unwrap();
    Local::new(LocalSettings {
        program: vec!["/bin/sh".to_owned(), path.display().to_string()],
        folder: Some(run.state.path().to_owned()),
        runs: run.dirs(),
        slots: 2,
    })
}

fn refused(error: StartError) -> String {
    match error {
        StartError::Refused(why) => why,
        other => panic!("{other:?}"),
    }
}

fn arguments(run: &Run) -> Vec<String> {
    let text = fs::read_to_string(run.state.path().join("arguments")).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_run_is_started_once_and_found_by_its_key() {
    let run = Run::none();
    let local = local(&run, BEGINS);
    assert_eq!(local.slots(), Some(2));
    assert_eq!(local.find(&run.order).await.unwrap(), None);
    let build = local.start(&run.order).await.unwrap();
    assert_eq!(build, Build(run.order.key.to_string()));
    assert_eq!(local.find(&run.order).await.unwrap(), Some(build.clone()));
    // Whoever lost the answer starts it again.
    assert_eq!(local.start(&run.order).await.unwrap(), build);
    let expected = [
        "--recipe=custom-html".to_owned(),
        "--source=https://forge.test/coop-cloud/custom-html.git".to_owned(),
        format!("--ref={HEAD}"),
        "--pr=7".to_owned(),
        format!("--run-id={}", run.order.key),
        "--detach".to_owned(),
        "--yes".to_owned(),
    ];
    assert_eq!(arguments(&run), expected);
}

#[tokio::test]
async fn what_was_asked_for_is_an_option_and_what_is_hostile_is_its_value() {
    let mut run = Run::none();
    run.order.tiers = vec![Tier::Install, Tier::Backup];
    run.order.quick = true;
    run.order.from = Some("--yes $(id) ; `id`".to_owned());
    run.order.source = "--upload-pack=id".to_owned();
    let local = local(&run, BEGINS);
    local.start(&run.order).await.unwrap();
    let arguments = arguments(&run);
    assert_eq!(arguments[1], "--source=--upload-pack=id");
    assert_eq!(
        arguments[7..],
        [
            "--tiers=install,backup",
            "--quick",
            "--from=--yes $(id) ; `id`"
        ]
    );
}

#[rstest]
#[case::usage(
    "echo fine; echo 'error: there is no recipe x' >&2; exit 2",
    "no recipe x"
)]
#[case::setup("echo 'error: docker does not answer' >&2; exit 3", "code 3")]
#[case::signal("kill -9 $$", "signal 9")]
#[case::silent("exit 1", "it said nothing")]
#[case::nothing_done("exit 0", "same state directory")]
#[case::endless_output("head -c 3000000 /dev/zero | tr '\\0' x; exit 3", "code 3")]
#[tokio::test]
async fn what_did_not_begin_is_refused_with_its_words(#[case] script: &str, #[case] why: &str) {
    let run = Run::none();
    let error = local(&run, script).start(&run.order).await.unwrap_err();
    let text = refused(error);
    assert!(text.contains(why), "{text}");
    assert!(text.len() < 2000, "{}", text.len());
}

#[tokio::test]
async fn a_run_that_has_its_directory_was_started_whatever_the_exit_says() {
    let run = Run::none();
    let local = local(&run, &format!("{BEGINS}\nexit 3"));
    local.start(&run.order).await.unwrap();
}

#[tokio::test]
async fn an_entrypoint_that_hangs_is_killed_with_its_children() {
    let run = Run::none();
    let script = "sleep 600 & echo $! > child; sleep 600";
    let local = local(&run, script).with_deadline(Duration::from_millis(500));
    let began = Instant::now();
    let text = refused(local.start(&run.order).await.unwrap_err());
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(text.contains("was killed"), "{text}");
    let child = fs::read_to_string(run.state.path().join("child")).unwrap();
    assert!(ends(child.trim()), "{child}");
}

/// Whether a process is gone, or gone but for its parent's taking note.
fn ends(pid: &str) -> bool {
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

#[tokio::test]
async fn a_child_that_holds_the_output_does_not_hold_the_start() {
    let run = Run::none();
    let local = local(&run, "sleep 60 & echo $! > child; exit 3");
    let began = Instant::now();
    refused(local.start(&run.order).await.unwrap_err());
    assert!(began.elapsed() < Duration::from_secs(20));
    let child = fs::read_to_string(run.state.path().join("child")).unwrap();
    let child = rustix::process::Pid::from_raw(child.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_program_that_is_not_there_is_refused_and_found_by_the_check() {
    let run = Run::none();
    let missing = Local::new(LocalSettings {
        program: vec!["/nowhere/cc-ci".to_owned()],
        folder: None,
        runs: run.dirs(),
        slots: 1,
    });
    let text = refused(missing.start(&run.order).await.unwrap_err());
    assert!(text.contains("/nowhere/cc-ci"), "{text}");
    let findings = missing.check().await;
    assert!(!findings[0].good && findings[1].good, "{findings:?}");
    let findings = local(&run, "").check().await;
    assert!(findings.iter().all(|finding| finding.good), "{findings:?}");
}

#[tokio::test]
async fn a_run_is_looked_at_and_asked_to_stop_in_its_directory() {
    let run = Run::begun();
    let local = local(&run, "");
    let build = Build(run.order.key.to_string());
    let ago = Duration::from_secs(1);
    let seen = local.look(&run.order, &build, ago).await.unwrap();
    assert!(matches!(seen, Seen::Running(_)));
    local.cancel(&run.order, &build, "alice").await.unwrap();
    assert_eq!(run.wish().as_deref(), Some("alice"));

    let run = Run::whole();
    let local = self::local(&run, "");
    let seen = local.look(&run.order, &build, ago).await.unwrap();
    let Seen::Over(End::Recorded(summary)) = seen else {
        panic!("{seen:?}");
    };
    assert_eq!(summary.verdict, Verdict::Fail);
    fs::remove_dir_all(&run.dir).unwrap();
    let seen = local.look(&run.order, &build, ago).await.unwrap();
    assert!(matches!(seen, Seen::Over(End::NoRecord(_))));
}
