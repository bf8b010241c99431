//! One run of `cargo xtask ci`, watched from outside.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use results::event::EventKind;
use results::{Event, Tier};

use crate::place;

/// How often the keeper's memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a run took, and what is seen in its events.
pub struct Run {
    /// From the start of the program to its end, set-up check and report included, but without the
    /// time that it queued behind other runs.
    pub wall: Duration,
    /// Peak of what the keeper had resident.
    pub keeper_mib: f64,
    pub events: Vec<Event>,
}

/// Runs the program that a user runs, with a state directory of its own. `number` makes the app's
/// name its own.
pub fn run(recipe: &str, state: &Path, number: u32) -> Result<Run> {
    let run_id = format!("{recipe}-bench-{}-{number}", std::process::id());
    let log = state.join(format!("{run_id}.log"));
    let out = std::fs::File::create(&log).context("making a log")?;
    let mut command = Command::new("/proc/self/exe");
    command
        .args(["ci", "--recipe", recipe, "--yes", "--run-id", &run_id])
        .args(["--pr", &format!("{}", 100_000 + std::process::id())])
        .args(
            std::env::var_os("CCCI_SITE")
                .iter()
                .flat_map(|site| ["--site".as_ref(), site.as_os_str()]),
        )
        .env("CCCI_STATE_DIR", state)
        .env("PATH", place::search_path())
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out);
    let (status, wall, peak_kib) = crate::block_on(watch(command, &run_id))?;
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    ensure!(
        status.success(),
        "the run of {recipe} ended with {status}, so its time says nothing:\n{said}"
    );
    let path = state.join("runs").join(&run_id).join("events.jsonl");
    let (events, _) = results::log::read_events(&path)?;
    ensure!(peak_kib > 0, "the keeper of {run_id} was never seen");
    let mut run = Run {
        wall,
        keeper_mib: f64::from(peak_kib) / 1024.0,
        events,
    };
    let queued = run.phase("queue").unwrap_or(0.0);
    run.wall = run
        .wall
        .saturating_sub(Duration::from_secs_f64(queued / 1000.0));
    Ok(run)
}

/// Runs the program to its end. Gives how it ended, how long that took, and the keeper's peak in
/// KiB.
async fn watch(command: Command, run_id: &str) -> Result<(ExitStatus, Duration, u32)> {
    let mut look = tokio::time::interval(LOOK_EVERY);
    let (mut keeper, mut peak_kib) = (None, 0);
    let started = Instant::now();
    let mut child = tokio::process::Command::from(command)
        .spawn()
        .context("starting a run")?;
    loop {
        tokio::select! {
            status = child.wait() => {
                let status = status.context("waiting for a run")?;
                return Ok((status, started.elapsed(), peak_kib));
            }
            _ = look.tick() => {
                keeper = keeper.or_else(|| find_keeper(run_id));
                peak_kib = peak_kib.max(keeper.as_deref().and_then(peak_of).unwrap_or(0));
            }
        }
    }
}

impl Run {
    /// The commits that were deployed: base, then head.
    pub fn commits(&self) -> Result<(String, String)> {
        let resolved = self.events.iter().find_map(|event| match &event.kind {
            EventKind::Resolved(resolved) => Some(resolved),
            _ => None,
        });
        let resolved = resolved.context("the run never said what it deployed")?;
        let base = resolved.base.as_ref().context("the run had no base")?;
        Ok((base.commit.clone(), resolved.head.clone()))
    }

    /// Seconds of the operations, by tier.
    pub fn operations(&self) -> BTreeMap<Tier, f64> {
        let operations = self.events.iter().filter_map(|event| match &event.kind {
            EventKind::OperationEnded {
                tier, duration_ms, ..
            } => Some((*tier, seconds(*duration_ms))),
            _ => None,
        });
        operations.collect()
    }

    /// Seconds of the removal with its look for what is left.
    pub fn removal(&self) -> Option<f64> {
        self.events.iter().find_map(|event| match &event.kind {
            EventKind::TeardownEnded { duration_ms, .. } => Some(seconds(*duration_ms)),
            _ => None,
        })
    }

    /// Milliseconds of a phase.
    pub fn phase(&self, name: &str) -> Option<f64> {
        self.events.iter().find_map(|event| match &event.kind {
            EventKind::PhaseEnded { phase, duration_ms } if phase == name => {
                Some(seconds(*duration_ms) * 1000.0)
            }
            _ => None,
        })
    }

    /// Milliseconds from the end of one assertion to the beginning of the next of the same tier:
    /// the trial's process ends, the runner notices and starts the next, which finds the keeper.
    pub fn gaps(&self) -> Vec<f64> {
        let pairs =
            self.events
                .windows(2)
                .filter_map(|pair| match (&pair[0].kind, &pair[1].kind) {
                    (
                        EventKind::TrialEnded { tier: before, .. },
                        EventKind::TrialStarted { tier, .. },
                    ) if before == tier => {
                        let gap = pair[1].at.duration_since(pair[0].at);
                        Some(gap.as_secs_f64() * 1000.0)
                    }
                    _ => None,
                });
        pairs.collect()
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of a run are far from 2^52"
)]
fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}

/// The folder of the keeper of a run, in `/proc`.
fn find_keeper(run_id: &str) -> Option<PathBuf> {
    let wanted = format!("CCCI_RUN_ID={run_id}");
    std::fs::read_dir("/proc").ok()?.find_map(|entry| {
        let dir = entry.ok()?.path();
        let command = std::fs::read(dir.join("cmdline")).ok()?;
        let role = command.split(|byte| *byte == 0).nth(1)?;
        if role != harness::session::client::KEEPER_ROLE.as_bytes() {
            return None;
        }
        let environment = std::fs::read(dir.join("environ")).ok()?;
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == wanted.as_bytes())
            .then_some(dir)
    })
}

/// KiB that a process had resident at most up to now.
fn peak_of(process: &Path) -> Option<u32> {
    let status = std::fs::read_to_string(process.join("status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
