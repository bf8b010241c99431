//! Cells that take the engine or the node away. They disturb everything else on the machine, so they
//! are played on request only, and one at a time.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use harness::point::Point;
use harness::session::lifetime::ProcessId;
use harness::wait::{Probe, Unwatched, wait_until};
use results::Verdict;
use rustix::process::Signal;

use super::cell::Expected;
use super::play::{Played, judge};
use super::stage::Stage;
use super::subject::{Start, Subject};
use crate::exit;

const PID_FILE: &str = "/var/run/docker.pid";
const STOPS_WITHIN: Duration = Duration::from_secs(90);
const DRAINS_WITHIN: Duration = Duration::from_secs(60);
/// Nobody waits for long for an engine that is not there.
const SITE: &str = "[limits]\nmax_tests = 12\ndeploy_seconds = 60\nteardown_seconds = 15\n";

/// Whom a cell takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    Engine,
    Node,
}

pub fn all() -> Vec<(String, Away, Point)> {
    let engine = [
        Point::SetUp,
        Point::Deployed,
        Point::Between,
        Point::Redeployed,
        Point::Backup,
        Point::Restore,
        Point::Custom,
        Point::Freshed,
        Point::Teardown,
        Point::Record,
    ];
    let node = [
        Point::Deployed,
        Point::Redeployed,
        Point::Custom,
        Point::Freshed,
    ];
    let engine = engine.map(|point| (format!("engine/stop/{}", point.name()), Away::Engine, point));
    let node = node.map(|point| (format!("node/drain/{}", point.name()), Away::Node, point));
    engine.into_iter().chain(node).collect()
}

pub fn play(stage: &Stage, id: &str, away: Away, point: Point) -> Result<Played> {
    let site = stage.work(id)?.join("site.toml");
    fs::write(&site, SITE)?;
    let how = Start {
        tiers: tiers(point),
        point: Some(point),
        site: Some(site),
        ..Start::default()
    };
    let mut subject = Subject::start(stage, id, stage.pr(), how)?;
    subject.until_held()?;
    let hit = Instant::now();
    let back = Back { stage, away };
    match away {
        Away::Engine => stop_engine()?,
        Away::Node => drain()?,
    }
    subject.let_go()?;
    let status = subject.until_quiet()?;
    back.again()?;
    // What could not be removed is registered still: the janitor's work.
    stage.xtask(&["reap"], &stage.state())?;
    let mut played = Played {
        exit: Some(exit::of_child(status)),
        clean_up: Some(hit.elapsed()),
        note: "the janitor came after".to_owned(),
        ..Played::default()
    };
    judge(&subject, &expected(point), &mut played)?;
    Ok(played)
}

fn tiers(point: Point) -> Option<&'static str> {
    match point {
        Point::Between | Point::Redeployed => Some("install,upgrade"),
        Point::Backup => Some("install,backup"),
        Point::Restore => Some("install,backup,restore"),
        Point::Custom => Some("install,custom"),
        Point::Freshed => None,
        _ => Some("install"),
    }
}

fn expected(point: Point) -> Expected {
    // All was looked at and removed before.
    let (verdicts, exits): (&[_], &[_]) = if point == Point::Record {
        (&[Verdict::Pass], &[exit::PASS])
    } else {
        (&[Verdict::Error], &[exit::INFRA])
    };
    Expected {
        verdicts,
        exits: Some(exits),
        reaped: false,
    }
}

/// Brings back what was taken away, whatever came of the cell.
struct Back<'a> {
    stage: &'a Stage,
    away: Away,
}

impl Back<'_> {
    fn again(&self) -> Result<()> {
        match self.away {
            Away::Engine => self
                .stage
                .xtask(&["doctor", "--fix", "--yes"], &self.stage.state()),
            Away::Node => availability("active"),
        }
    }
}

impl Drop for Back<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.again() {
            eprintln!("what was taken away is not back: {error:#}");
        }
    }
}

fn stop_engine() -> Result<()> {
    if Path::new("/run/systemd/system").exists() {
        return run(&["systemctl", "stop", "docker.socket", "docker"]);
    }
    let pid = fs::read_to_string(PID_FILE).context("no engine of this machine runs")?;
    let engine = ProcessId::of(pid.trim().parse()?).context("the engine has ended")?;
    engine.signal(Signal::TERM);
    let look = Duration::from_millis(50);
    crate::block_on(wait_until(
        "the engine's end",
        STOPS_WITHIN,
        look,
        &Unwatched,
        || async {
            match engine.pidfd() {
                None => Probe::Ready(()),
                Some(_) => Probe::NotYet("it runs".to_owned()),
            }
        },
    ))?;
    Ok(())
}

/// A test that is faster than the swarm would still see the app.
fn drain() -> Result<()> {
    availability("drain")?;
    let running = ["ps", "--quiet", "--filter", "label=com.docker.swarm.task"];
    let look = Duration::from_millis(50);
    crate::block_on(wait_until(
        "the end of all tasks on the node",
        DRAINS_WITHIN,
        look,
        &Unwatched,
        || async {
            match Command::new("docker").args(running).output() {
                Ok(output) if !output.status.success() => Probe::NotYet(output.status.to_string()),
                Ok(output) if output.stdout.is_empty() => Probe::Ready(()),
                Ok(_) => Probe::NotYet("some run".to_owned()),
                Err(error) => Probe::Never(error.to_string()),
            }
        },
    ))?;
    Ok(())
}

fn availability(word: &str) -> Result<()> {
    run(&["docker", "node", "update", "--availability", word, &node()?])
}

/// The id of this node.
fn node() -> Result<String> {
    let output = Command::new("docker")
        .args(["info", "--format={{.Swarm.NodeID}}"])
        .output()?;
    ensure!(output.status.success(), "docker info: {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn run(argv: &[&str]) -> Result<()> {
    let output = Command::new(argv[0]).args(&argv[1..]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", argv.join(" "));
    Ok(())
}
