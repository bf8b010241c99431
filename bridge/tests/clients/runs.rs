//! How a run stands by its directory.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use bridge::executor::{End, Progress, RunDirs, Stand};
use results::event::EventKind;
use results::outcome::{Source, Tier, Verdict};
use rstest::rstest;

use super::run::{HEAD, Run, written_before};

const AT_ONCE: Duration = Duration::ZERO;
const NEVER: Duration = Duration::from_secs(3600);

fn look(dirs: &RunDirs, run: &Run) -> Stand {
    dirs.look(&run.order).unwrap()
}

fn no_record(stand: Stand) -> String {
    match stand {
        Stand::Over(End::NoRecord(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn open(stand: Stand) -> (bool, Progress) {
    match stand {
        Stand::Open { queued, progress } => (queued, progress),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_run_is_followed_from_nothing_to_its_record() {
    let run = Run::none();
    let dirs = run.dirs();
    assert_eq!(look(&dirs, &run), Stand::Nothing);
    assert!(!dirs.has(&run.order.key));

    fs::create_dir_all(&run.dir).unwrap();
    assert!(dirs.has(&run.order.key));
    assert_eq!(open(look(&dirs, &run)), (false, Progress::default()));

    let keeper = run.keeper();
    run.say(run.started());
    let phase = "queue".to_owned();
    run.say(EventKind::PhaseStarted { phase });
    run.say(EventKind::Waiting {
        subject: "a slot".to_owned(),
        status: "2 before\n\u{1b}[31mus".to_owned(),
        elapsed_ms: 1,
        deadline_ms: 2,
    });
    let (queued, progress) = open(look(&dirs, &run));
    assert!(queued);
    assert_eq!(progress.doing.as_deref(), Some("a slot: 2 before us"));

    run.say(EventKind::PhaseEnded {
        phase: "queue".to_owned(),
        duration_ms: 3,
    });
    run.resolved(HEAD);
    run.say(EventKind::TrialStarted {
        tier: Tier::Install,
        name: "serves".to_owned(),
        source: Source::Custom,
    });
    let (queued, progress) = open(look(&dirs, &run));
    assert!(!queued);
    assert_eq!(progress.tier, Some(Tier::Install));
    assert_eq!(progress.doing.as_deref(), Some("serves"));

    run.failed();
    run.finished();
    run.write_record();
    assert!(matches!(look(&dirs, &run), Stand::Open { .. }));
    run.keeper_ends(keeper);
    // The runner's word is still to come.
    assert!(matches!(look(&dirs, &run), Stand::Open { .. }));
    run.runner_ended();
    run.write_record();
    let Stand::Over(End::Recorded(summary)) = look(&dirs, &run) else {
        panic!("no record");
    };
    assert_eq!(summary.verdict, Verdict::Fail);
    let first = summary.first.unwrap();
    assert_eq!(first.lines.as_deref(), Some("line of evidence"));
}

#[test]
fn a_record_that_is_about_to_be_written_anew_is_not_believed() {
    let run = Run::whole();
    written_before(&run.dir.join("result.json"), Duration::from_secs(10));
    assert!(matches!(look(&run.dirs(), &run), Stand::Open { .. }));
    // Nobody came to write it anew.
    let dirs = run.dirs().with_patience(NEVER, AT_ONCE);
    assert!(matches!(look(&dirs, &run), Stand::Over(End::Recorded(_))));
}

#[test]
fn the_last_word_of_a_runner_that_was_killed_is_not_waited_for_long() {
    let run = Run::begun();
    run.resolved(HEAD);
    run.failed();
    run.finished();
    run.write_record();
    assert!(matches!(look(&run.dirs(), &run), Stand::Open { .. }));
    let dirs = run.dirs().with_patience(NEVER, AT_ONCE);
    assert!(matches!(look(&dirs, &run), Stand::Over(End::Recorded(_))));
}

#[test]
fn a_run_is_dead_after_a_silence_without_a_keeper() {
    let run = Run::begun();
    let dirs = run.dirs().with_patience(AT_ONCE, NEVER);
    let keeper = run.keeper();
    assert!(matches!(look(&dirs, &run), Stand::Open { .. }));
    // Killed: its lock's file stays.
    drop(keeper);
    assert!(matches!(look(&run.dirs(), &run), Stand::Open { .. }));
    let why = no_record(look(&dirs, &run));
    assert!(why.contains("the run is dead"), "{why}");
}

#[rstest]
#[case::another_commit("fedcba9876543210fedcba9876543210fedcba98", 7, "custom-html", "commit")]
#[case::another_pull_request(HEAD, 8, "custom-html", "pull request")]
#[case::another_recipe(HEAD, 7, "keycloak", "recipe")]
fn a_record_of_something_else_is_none(
    #[case] head: &str,
    #[case] pull: u64,
    #[case] recipe: &str,
    #[case] what: &str,
) {
    let mut run = Run::new();
    let ordered = run.order.clone();
    run.order.recipe = recipe.parse().unwrap();
    run.order.pull = pull;
    run.say(run.started());
    run.resolved(head);
    run.failed();
    run.finished();
    run.runner_ended();
    run.write_record();
    run.order = ordered;
    let why = no_record(look(&run.dirs(), &run));
    assert!(why.contains(what) && why.contains("and not of"), "{why}");
}

#[test]
fn the_record_of_another_run_in_this_ones_place_is_none() {
    let mut run = Run::new();
    let ordered = run.order.clone();
    run.order.key = "another".parse().unwrap();
    run.say(run.started());
    run.runner_ended();
    run.write_record();
    run.order = ordered;
    let why = no_record(look(&run.dirs(), &run));
    assert!(why.contains("another run"), "{why}");
}

#[test]
fn a_run_that_ended_before_its_commit_was_known_has_no_verdict_on_it() {
    let run = Run::begun();
    run.say(EventKind::CancelRequested {
        by: "alice".to_owned(),
    });
    run.finished();
    run.runner_ended();
    run.write_record();
    let Stand::Over(End::Recorded(summary)) = look(&run.dirs(), &run) else {
        panic!("no record");
    };
    assert_eq!((summary.verdict, summary.head), (Verdict::Cancelled, None));

    let run = Run::whole();
    let mut record = run.record();
    record.head = None;
    results::write_all(&run.dir, &record).unwrap();
    let why = no_record(look(&run.dirs(), &run));
    assert!(why.contains("commit (none)"), "{why}");
}

#[rstest]
#[case::no_json("{")]
#[case::another_schema(r#"{"schema": 99}"#)]
fn a_record_that_cannot_be_read_says_so(#[case] text: &str) {
    let run = Run::whole();
    fs::write(run.dir.join("result.json"), text).unwrap();
    let why = no_record(look(&run.dirs(), &run));
    assert!(why.contains("result.json"), "{why}");
}

#[test]
fn a_record_without_end_is_not_read() {
    let run = Run::whole();
    let file = fs::File::create(run.dir.join("result.json")).unwrap();
    file.set_len(1 << 40).unwrap();
    let why = no_record(look(&run.dirs(), &run));
    assert!(why.contains("bytes"), "{why}");
}

#[test]
fn a_link_is_as_if_nothing_was_there() {
    let elsewhere = Run::whole();
    let run = Run::none();
    fs::create_dir_all(run.dir.parent().unwrap()).unwrap();
    symlink(&elsewhere.dir, &run.dir).unwrap();
    assert_eq!(look(&run.dirs(), &run), Stand::Nothing);
    run.dirs().stop(&run.order.key, "alice").unwrap();
    assert_eq!(elsewhere.wish(), None);

    let run = Run::begun();
    run.runner_ended();
    symlink(
        elsewhere.dir.join("result.json"),
        run.dir.join("result.json"),
    )
    .unwrap();
    assert!(matches!(look(&run.dirs(), &run), Stand::Open { .. }));
}

#[test]
fn a_run_is_asked_to_stop_once_and_not_after_its_end() {
    let run = Run::begun();
    run.dirs().stop(&run.order.key, "alice\nbob").unwrap();
    run.dirs().stop(&run.order.key, "carol").unwrap();
    assert_eq!(run.wish().as_deref(), Some("alice bob"));

    let over = Run::whole();
    over.dirs().stop(&over.order.key, "alice").unwrap();
    assert_eq!(over.wish(), None);

    let none = Run::none();
    none.dirs().stop(&none.order.key, "alice").unwrap();
    assert!(!none.dir.exists());
}

#[test]
fn a_state_directory_that_is_not_there_is_said() {
    let run = Run::new();
    assert!(run.dirs().check().good);
    let nowhere = RunDirs::new(run.state.path().join("nowhere"));
    let finding = nowhere.check();
    assert!(
        !finding.good && finding.text.contains("nowhere"),
        "{finding:?}"
    );
}
