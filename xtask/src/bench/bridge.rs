//! The bridge: whether each `!testme` starts one run however it is killed, and what it costs.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bridge_load::{Figures, Report, Settings};
use clap::Args;

use super::figure::{Aim, Figure};
use super::say;
use crate::place;

/// All of the trial, its end included.
const DEADLINE: Duration = Duration::from_secs(1_500);
const REPOSITORIES: usize = 40;
/// About one comment in so many is more than talk.
const TALK: f64 = 25.0;

/// How large the trial of the bridge is
#[derive(Debug, Args)]
pub struct Trial {
    /// Comments of the bridge's trial
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    comments: u64,
    /// How often the bridge is killed, at least
    #[arg(long, value_name = "N", default_value_t = 200)]
    kills: u64,
    /// What the bridge's trial is drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// The figures, and whether nothing was violated.
pub fn measure(trial: &Trial) -> Result<(Vec<Figure>, bool)> {
    let binary = build()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    say("measuring what the bridge costs");
    let cost = runtime.block_on(bridge_load::cost(&binary))?;
    say(&format!(
        "killing the bridge {} times while {} comments are written",
        trial.kills, trial.comments
    ));
    let report = runtime.block_on(bridge_load::exactly_once(&Settings {
        binary,
        comments: trial.comments,
        repositories: REPOSITORIES,
        kills: trial.kills,
        seed: trial.seed,
        commands: 1.0 / TALK,
        deadline: DEADLINE,
    }))?;
    say(&report.to_string());
    let mut figures = once(&report);
    figures.extend(costs(&cost));
    Ok((figures, report.is_good()))
}

fn once(report: &Report) -> Vec<Figure> {
    let one =
        |name: &str, unit, value: f64, how: &str| Figure::median(name, unit, vec![value], how);
    let how = format!(
        "{} comments, {} commands, {} builds, {} requests, {} faults",
        report.comments(),
        report.commands(),
        report.builds(),
        report.requests,
        report.faults
    );
    let wrong = report.violations.len() + report.odd().len() + report.unkilled().len();
    vec![
        one("bridge, violations", "", wrong as f64, &how).aim(Aim::AtMost(0.0)),
        one(
            "bridge, kills",
            "",
            report.kills() as f64,
            "at every fault point, and at requests",
        ),
        one("bridge, trial", "s", report.took.as_secs_f64(), "all of it"),
    ]
}

fn costs(cost: &Figures) -> Vec<Figure> {
    let idle = format!(
        "{} repositories, {} old comments, {} rounds",
        cost.repositories, cost.old_comments, cost.rounds
    );
    let changed = format!("{} pull requests, until all is done", cost.changed);
    let worst = cost.start_ms.iter().copied().fold(0.0, f64::max) / 1_000.0;
    let starts = cost.start_ms.iter().map(|ms| ms / 1_000.0).collect();
    let of = "from the poll's answer to the build's request, 20 comments";
    let one =
        |name: &str, unit, value: f64, how: &str| Figure::median(name, unit, vec![value], how);
    vec![
        one(
            "bridge, idle round, requests",
            "",
            cost.idle_requests,
            &idle,
        )
        .aim(Aim::AtMost(1.0)),
        one("bridge, idle round, processor", "ms", cost.idle_ms, &idle).aim(Aim::AtMost(20.0)),
        one("bridge, round with chatter", "s", cost.chatter_s, &changed).aim(Aim::AtMost(1.0)),
        one(
            "bridge, round with commands",
            "s",
            cost.commands_s,
            &changed,
        )
        .aim(Aim::AtMost(1.0)),
        one("bridge, resident", "MiB", cost.resident_mib, "at the end").aim(Aim::AtMost(30.0)),
        one("bridge, resident at most", "MiB", cost.most_mib, "VmHWM").aim(Aim::AtMost(30.0)),
        Figure::median("bridge, start, median", "s", starts, of).aim(Aim::AtMost(1.0)),
        one("bridge, start, worst", "s", worst, of).aim(Aim::AtMost(1.0)),
    ]
}

/// As it is run on a server: what it costs is asked of a release.
fn build() -> Result<PathBuf> {
    say("$ cargo build --release -p bridge");
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--release", "--locked", "-p", "bridge"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(place::workspace())
        .stderr(Stdio::inherit());
    for name in place::variables_of_a_package() {
        cargo.env_remove(name);
    }
    let output = cargo.output().context("starting cargo")?;
    ensure!(
        output.status.success(),
        "cargo build ended with {}",
        output.status
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let messages = text
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let program = messages
        .filter(|message| message["target"]["name"] == "cc-ci-bridge")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    program.context("cargo does not say where cc-ci-bridge is")
}
