//! One hostile run: its witnesses, its run by the entrypoint, and a look at what stands outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fixtures::hostile::{At, By, Expect, Verdict};
use harness::recipe::{AppDomain, StackName};
use harness::site::Site;
use results::Record;
use tokio::process::Command;
use tokio::sync::watch;

use super::super::once::{Place, RUN_WITHIN, command, end, left_of};
use super::super::witness::{self, Beside, Personal, Shared, Spoilt, Suspect, docker};
use super::super::{abra, files};
use super::{Subject, Turn, judge};

/// The suite of a recipe that has none of its own.
pub const GENERIC: (&str, &str) = ("generic-tests", "generic");
/// Kinds of objects that a recipe might leave, in the order of their removal.
const KINDS: [&str; 5] = ["service", "network", "config", "secret", "volume"];
const SESSION_SECONDS: u64 = 240;
const TEARDOWN_SECONDS: u64 = 60;

/// What came of a run that reported.
pub struct Got {
    pub record: Record,
    pub elapsed: Duration,
    /// What is not as it was outside.
    pub spoilt: Vec<Spoilt>,
    /// What is not as it was expected of the run.
    pub faults: Vec<String>,
}

/// Runs one. An error: it did not report, or a witness can't be looked at.
pub async fn run(
    turn: &Turn,
    place: &Place,
    shared: &Shared,
    stopping: watch::Receiver<bool>,
) -> Result<Got> {
    let id = format!(
        "{}-{}-{}-{}",
        shared.mark,
        turn.name(),
        turn.at(),
        turn.by.as_str()
    );
    let since = shared.so_far().await;
    let personal = Personal::set_up(&id, shared).await?;
    let values = personal.values(&id, turn.name(), shared).await;
    let out = place.state.join(format!("{id}.json"));
    let log = place.state.join(format!("{id}.log"));
    let mut command = command(place);
    command
        .args(["ci", "--recipe", turn.name(), "--run-id", &id])
        .args(["--pr", &number(place, turn).to_string()])
        .args(["--yes", "--json", "--site"])
        .arg(site(turn, place, &id)?)
        .stdout(fs::File::create(&out).context("making a file")?)
        .stderr(fs::File::create(&log).context("making a log")?)
        .envs(personal.environment(shared)?);
    let mut beside = None;
    let expect = match &turn.subject {
        Subject::BuiltIn(_) => good(),
        Subject::Case(case) => {
            let sources = place.state.join("sources").join(&id);
            let repository = case.materialise(&values, &sources)?;
            let stack = stack_of(turn, case.head(), &repository, place).await?;
            beside = Some(Beside::make(stack.as_str(), &shared.mark).await?);
            command
                .args(["--ref", case.head(), "--source"])
                .arg(repository);
            case.expect(&values)?
        }
    };
    let tiers: Vec<_> = turn.tiers().iter().map(|tier| tier.as_str()).collect();
    command.args(["--tiers", &tiers.join(",")]);
    let started = Instant::now();
    let child = command.spawn().context("starting a run")?;
    let ended = tokio::time::timeout(RUN_WITHIN, end(child, stopping)).await;
    let elapsed = started.elapsed();
    let status = ended.context("the run did not end within 15 minutes")??;
    let json = fs::read(&out).context("reading the record")?;
    let record: Record = serde_json::from_slice(&json).with_context(|| {
        let said = fs::read_to_string(&log).unwrap_or_default();
        let last = said.lines().last().unwrap_or("it said nothing");
        format!("no record, {status}: {last}")
    })?;
    let mut spoilt = witness::end_of(&id).await?;
    spoilt.extend(personal.look()?);
    if let Some(beside) = beside {
        spoilt.extend(beside.end().await?);
    }
    spoilt.extend(left(&record, shared, turn).await?);
    let stack = record
        .domain
        .as_deref()
        .map(|domain| domain.replace('.', "_"));
    let suspect = Suspect {
        since,
        case: turn.name(),
        stack: stack.as_deref(),
    };
    spoilt.extend(shared.look(&suspect).await?);
    let mut heard = personal.dropped.heard();
    heard.extend(shared.told_by(&id).await);
    spoilt.extend(told(&expect, &heard));
    for file in [&out, &log] {
        spoilt.extend(witness::tokens_in(file, &shared.tokens)?);
    }
    let folder = place.state.join("runs").join(&id);
    spoilt.extend(witness::tokens_below(&folder, &shared.tokens)?);
    let seen = shared.seen().await?;
    spoilt.extend(judge::given(
        &seen,
        stack.as_deref(),
        &expect,
        turn.at() == At::Install.as_str(),
        &shared.tokens,
    ));
    let mut faults = judge::faults(&record, &expect);
    faults.extend(files::faults(
        &folder,
        &fixtures::known_bad::Files::default(),
    )?);
    Ok(Got {
        record,
        elapsed,
        spoilt,
        faults,
    })
}

/// The name that the run's stack will have.
async fn stack_of(turn: &Turn, head: &str, repository: &Path, place: &Place) -> Result<StackName> {
    let output = Command::new("git")
        .arg("--git-dir")
        .arg(repository)
        .args(["rev-parse", "--verify", head])
        .output();
    let sha = String::from_utf8(output.await.context("starting git")?.stdout)?;
    let zone = Site::default().zone;
    let (recipe, number) = (turn.name().parse()?, number(place, turn));
    let domain = AppDomain::of_run(&recipe, number, &sha.trim().parse()?, &zone);
    Ok(domain.stack())
}

/// No other app has the same name: the engines' runs of one recipe are those of two pull requests.
fn number(place: &Place, turn: &Turn) -> u64 {
    2 * place.pr + u64::from(turn.by == By::Abra)
}

fn good() -> Expect {
    Expect {
        verdict: Verdict::Pass,
        ..Expect::default()
    }
}

/// A site of the run's own.
fn site(turn: &Turn, place: &Place, id: &str) -> Result<PathBuf> {
    let path = place.state.join(format!("{id}.toml"));
    let mut text = match turn.by {
        By::Stack => String::new(),
        By::Abra => {
            let program = place.state.join("abra").join("abra");
            abra::by_abra(&place.state.join("abra").join(id), &program)?
        }
    };
    text.push_str(&format!(
        "[limits]\nmax_tests = 16\nsession_seconds = {SESSION_SECONDS}\nteardown_seconds = {TEARDOWN_SECONDS}\n"
    ));
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

/// What the payload has told: nothing, or what it was to tell.
fn told(expect: &Expect, heard: &[String]) -> Vec<Spoilt> {
    let spoilt = |how: String| Spoilt {
        witness: "the payload's listener",
        how,
    };
    match &expect.heard {
        None => heard.iter().cloned().map(spoilt).collect(),
        Some(text) if heard.iter().any(|one| one.contains(text)) => Vec::new(),
        Some(text) => vec![spoilt(format!(
            "it did not hear `{text}`, so it hears nothing"
        ))],
    }
}

/// What a run has left in Docker: of its stack, and by the names that attacks give to what they make
/// outside of it. It is removed.
async fn left(record: &Record, shared: &Shared, turn: &Turn) -> Result<Vec<Spoilt>> {
    let mut spoilt = Vec::new();
    for what in left_of(record).await? {
        spoilt.push(Spoilt {
            witness: "the swarm",
            how: format!("{what} is left"),
        });
    }
    let mut prefixes = vec![format!("{}-made-{}", shared.mark, turn.name())];
    prefixes.extend(
        record
            .domain
            .as_deref()
            .map(|domain| domain.replace('.', "_")),
    );
    for kind in KINDS {
        for prefix in &prefixes {
            let filter = format!("name={prefix}");
            let names = docker(&[kind, "ls", "--format", "{{.Name}}", "--filter", &filter]).await?;
            for name in names
                .lines()
                .filter(|name| name.starts_with(prefix.as_str()))
            {
                spoilt.push(Spoilt {
                    witness: "the swarm",
                    how: format!("{kind} {name} is there after the run"),
                });
                // In use for a moment yet: then the name stays, and is said at the next look.
                let _ = docker(&[kind, "rm", name]).await;
            }
        }
    }
    Ok(spoilt)
}
