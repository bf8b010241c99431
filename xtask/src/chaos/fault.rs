//! Cells that kill nobody: what a run stands on is broken, or runs get into each other's way.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use harness::point::Point;
use jiff::Timestamp;
use results::event::EventKind;
use results::{Event, Verdict};

use super::cell::Expected;
use super::play::{Played, judge};
use super::stage::Stage;
use super::subject::{Start, Subject};
use crate::exit;

/// Where cargo and nextest look for what a test is started with.
#[cfg(target_arch = "x86_64")]
const RUNNER: &str = "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER";
#[cfg(target_arch = "aarch64")]
const RUNNER: &str = "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER";

type Fault = fn(&Stage, &str) -> Result<Played>;

/// Played alone, for they count who is live.
pub const ALONE: [(&str, Fault); 1] = [("slots/four-runs-two-slots", four_runs_on_two_slots)];

pub const BESIDE_OTHERS: [(&str, Fault); 10] = [
    ("run-id/reused", reused_run_id),
    ("same-app/two-runs", same_app_twice),
    ("janitor/beside-a-live-run", janitor_beside_a_live_run),
    ("janitor/of-the-next-run", janitor_of_the_next_run),
    ("disk-full/set-up", |stage, id| {
        disk_full(stage, id, Point::SetUp)
    }),
    ("disk-full/deploy", |stage, id| {
        disk_full(stage, id, Point::Deployed)
    }),
    ("disk-full/backup", |stage, id| {
        disk_full(stage, id, Point::Backup)
    }),
    ("disk-full/teardown", |stage, id| {
        disk_full(stage, id, Point::Teardown)
    }),
    ("clock/an-hour-ahead", |stage, id| {
        clock(stage, id, "+3600s")
    }),
    ("clock/an-hour-back", |stage, id| clock(stage, id, "-3600s")),
];

const PASSES: Expected = Expected {
    verdicts: &[Verdict::Pass],
    exits: Some(&[exit::PASS]),
    reaped: false,
};

/// An id is used once: the second run is refused, and the first does not notice.
fn reused_run_id(stage: &Stage, id: &str) -> Result<Played> {
    let pr = stage.pr();
    let held = Start {
        tiers: Some("install"),
        point: Some(Point::Deployed),
        ..Start::default()
    };
    let mut first = Subject::start(stage, id, pr, held)?;
    first.until_held()?;
    let again = [
        "ci",
        "--yes",
        "--recipe",
        super::stage::RECIPE,
        "--run-id",
        id,
    ];
    let second = stage.command(&again, &stage.state()).output()?;
    let code = exit::of_child(second.status);
    first.let_go()?;
    let mut played = ended(&mut first, &PASSES)?;
    if code != exit::USAGE {
        played
            .wrong
            .push(format!("the second run ended with {code}"));
    }
    Ok(played)
}

/// The second run waits, says behind whom, and has its turn.
fn same_app_twice(stage: &Stage, id: &str) -> Result<Played> {
    let pr = stage.pr();
    let held = Start {
        tiers: Some("install"),
        point: Some(Point::Deployed),
        ..Start::default()
    };
    let mut first = Subject::start(stage, id, pr, held)?;
    first.until_held()?;
    let free = Start {
        tiers: Some("install"),
        ..Start::default()
    };
    let mut second = Subject::start(stage, &format!("{id}-second"), pr, free)?;
    let behind = format!("behind {id}");
    second.until_event(
        "the second run to queue",
        |event| matches!(event, EventKind::Waiting { status, .. } if *status == behind),
    )?;
    first.let_go()?;
    let mut played = Played::default();
    // What is there of the app after the first run's end is the second's.
    let status = first.until_quiet()?;
    is_pass(&first, exit::of_child(status), &mut played);
    let after = ended(&mut second, &PASSES)?;
    played.wrong.extend(after.wrong);
    played.verdict = after.verdict;
    played.exit = after.exit;
    Ok(played)
}

/// Whoever looks for dead runs does not touch a live one.
fn janitor_beside_a_live_run(stage: &Stage, id: &str) -> Result<Played> {
    let held = Start {
        tiers: Some("install,backup"),
        point: Some(Point::Backup),
        ..Start::default()
    };
    let mut live = Subject::start(stage, id, stage.pr(), held)?;
    live.until_held()?;
    stage.xtask(&["reap"], &stage.state())?;
    live.let_go()?;
    ended(&mut live, &PASSES)
}

/// All guards of a run are dead, and nobody calls `reap`: the next run's janitor removes the app,
/// and writes the record.
fn janitor_of_the_next_run(stage: &Stage, id: &str) -> Result<Played> {
    let held = Start {
        tiers: Some("install"),
        point: Some(Point::Deployed),
        ..Start::default()
    };
    let mut dead = Subject::start(stage, id, stage.pr(), held)?;
    dead.until_held()?;
    for guard in dead.find(super::cell::Target::Both)? {
        guard.kill();
    }
    dead.until_quiet()?;
    let free = Start {
        tiers: Some("install"),
        ..Start::default()
    };
    let hit = Instant::now();
    let mut next = Subject::start(stage, &format!("{id}-next"), stage.pr(), free)?;
    let mut played = ended(&mut next, &PASSES)?;
    played.exit = None;
    played.clean_up = Some(hit.elapsed());
    "removed by the next run's janitor".clone_into(&mut played.note);
    let expected = Expected {
        verdicts: &[Verdict::Error, Verdict::Cancelled],
        exits: None,
        reaped: true,
    };
    judge(&dead, &expected, &mut played)?;
    Ok(played)
}

/// The state directory has no byte left from a point on: no statement about the recipe, and the app
/// goes all the same.
fn disk_full(stage: &Stage, id: &str, point: Point) -> Result<Played> {
    let disk = Tmpfs::mount(stage.work(id)?.join("disk"))?;
    let how = Start {
        tiers: Some("install,backup"),
        point: Some(point),
        state: Some(disk.0.clone()),
        ..Start::default()
    };
    let mut subject = Subject::start(stage, id, stage.pr(), how)?;
    subject.until_held()?;
    let hit = Instant::now();
    disk.fill()?;
    subject.let_go()?;
    let error = Expected {
        verdicts: &[Verdict::Error],
        exits: Some(&[exit::INFRA]),
        reaped: false,
    };
    // The removal makes room, and what waited for it is written then: nothing is missing.
    let expected = if point == Point::Teardown {
        &PASSES
    } else {
        &error
    };
    let mut played = ended(&mut subject, expected)?;
    played.clean_up = Some(hit.elapsed());
    Ok(played)
}

/// The clock of the keeper and of the tests jumps while the app is being deployed. Deadlines and waits
/// go by the time that passes, so nothing comes of it.
fn clock(stage: &Stage, id: &str, jump: &str) -> Result<Played> {
    let Some(library) = faketime() else {
        return Ok(Played {
            note: "not played: `apt-get install faketime` is wanted".to_owned(),
            not_played: true,
            ..Played::default()
        });
    };
    let work = stage.work(id)?;
    let offset = work.join("offset");
    fs::write(&offset, "+0s")?;
    // What nextest starts the tests with: cargo does not stand a clock of that kind.
    let runner = work.join("with-another-clock");
    fs::write(
        &runner,
        format!("#!/bin/sh\nLD_PRELOAD={} exec \"$@\"\n", library.display()),
    )?;
    fs::set_permissions(&runner, fs::Permissions::from_mode(0o755))?;
    let text = |path: &Path| path.display().to_string();
    let how = Start {
        tiers: Some("install,backup,restore"),
        point: Some(Point::Deployed),
        environment: vec![
            (RUNNER, text(&runner)),
            ("FAKETIME_TIMESTAMP_FILE", text(&offset)),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            // As a real jump: the time since boot goes on, and files have their own times.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ],
        ..Start::default()
    };
    let before = Timestamp::now();
    let mut subject = Subject::start(stage, id, stage.pr(), how)?;
    subject.until_held()?;
    fs::write(&offset, jump)?;
    subject.let_go()?;
    let mut played = ended(&mut subject, &PASSES)?;
    // Those of the keeper: the last one is xtask's, whose clock goes right.
    let jumped = |event: &Event| event.at.duration_since(before).abs().as_secs() > 3000;
    if !subject.events().iter().any(jumped) {
        played.wrong.push("the clock did not jump".to_owned());
    }
    Ok(played)
}

/// Never more apps live than the site has slots, and each run has its turn.
fn four_runs_on_two_slots(stage: &Stage, id: &str) -> Result<Played> {
    const RECIPES: [&str; 4] = ["page-one", "page-two", "page-three", "page-four"];
    let site = stage.work(id)?.join("two.toml");
    fs::write(&site, "[limits]\nmax_tests = 2\n")?;
    let catalogue = stage.path().join("catalogue");
    let source = fixtures::catalogue::materialise(super::stage::RECIPE, &catalogue)?;
    let mut runs = Vec::new();
    for recipe in RECIPES {
        let how = Start {
            recipe: Some(recipe),
            source: Some(source.clone()),
            tiers: Some("install"),
            site: Some(site.clone()),
            ..Start::default()
        };
        runs.push(Subject::start(
            stage,
            &format!("{id}-{recipe}"),
            stage.pr(),
            how,
        )?);
    }
    let mut played = Played::default();
    for run in &mut runs {
        let after = ended(run, &PASSES)?;
        played.wrong.extend(after.wrong);
        played.verdict = after.verdict;
        played.exit = after.exit;
    }
    let most = most_at_once(&runs)?;
    if most != 2 {
        played
            .wrong
            .push(format!("{most} apps were live at once, not 2"));
    }
    let waited = |run: &Subject| {
        run.events().iter().any(|event| {
            matches!(&event.kind, EventKind::Waiting { subject, .. } if subject == "a free slot")
        })
    };
    let waited = runs.iter().filter(|run| waited(run)).count();
    if waited < 2 {
        played
            .wrong
            .push(format!("only {waited} runs waited for a slot"));
    }
    played.note = format!("{most} live at most, {waited} waited");
    Ok(played)
}

/// How many of the runs had their turn at the same time, by their events.
fn most_at_once(runs: &[Subject]) -> Result<usize> {
    let mut turns = Vec::new();
    for run in runs {
        let events = run.events();
        let at = |wanted: fn(&EventKind) -> bool| {
            let found = events.iter().find(|event| wanted(&event.kind));
            found.map(|event| event.at).context("a run had no turn")
        };
        let from =
            at(|kind| matches!(kind, EventKind::PhaseEnded { phase, .. } if phase == "queue"))?;
        let to = at(|kind| matches!(kind, EventKind::TeardownEnded { .. }))?;
        turns.push((from, to));
    }
    // The most are live when some turn has just begun.
    let live_at = |now: Timestamp| {
        turns
            .iter()
            .filter(|(from, to)| *from <= now && now < *to)
            .count()
    };
    Ok(turns
        .iter()
        .map(|(from, _)| live_at(*from))
        .max()
        .unwrap_or(0))
}

fn ended(subject: &mut Subject, expected: &Expected) -> Result<Played> {
    let status = subject.until_quiet()?;
    let mut played = Played {
        exit: Some(exit::of_child(status)),
        ..Played::default()
    };
    judge(subject, expected, &mut played)?;
    Ok(played)
}

fn is_pass(subject: &Subject, code: u8, played: &mut Played) {
    match subject.record() {
        Ok(record) if record.verdict == Verdict::Pass && code == exit::PASS => {}
        Ok(record) => played.wrong.push(format!(
            "the first run: {} ({}), exit code {code}",
            record.verdict, record.verdict_reason
        )),
        Err(error) => played.wrong.push(format!("the first run: {error:#}")),
    }
}

/// Debian's place of the library that makes a clock jump for one process.
fn faketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten();
    folders
        .map(|folder| folder.path().join("faketime/libfaketime.so.1"))
        .find(|library| library.exists())
}

/// A small disk of its own, with the room that a run asks for before its first deploy.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(at: PathBuf) -> Result<Self> {
        fs::create_dir_all(&at)?;
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=384m,mode=0755", "cc-ci-chaos"])
            .arg(&at)
            .status()?;
        ensure!(
            status.success(),
            "no tmpfs can be mounted ({status}); this cell wants root"
        );
        Ok(Self(at))
    }

    /// Writes until there is no room for one more byte.
    fn fill(&self) -> Result<()> {
        use std::io::{ErrorKind, Write as _};
        let mut file = fs::File::create(self.0.join("full"))?;
        let mut piece = &[0u8; 1 << 16][..];
        loop {
            match file.write_all(piece) {
                Ok(()) => {}
                Err(error) if error.kind() != ErrorKind::StorageFull => return Err(error.into()),
                Err(_) if piece.len() == 1 => return Ok(()),
                Err(_) => piece = &piece[..1],
            }
        }
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // A process of the run may hold it for a moment yet.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
