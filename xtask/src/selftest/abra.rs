//! The built-in recipes through the engine `abra`, with the stand-in for that program, and with each
//! of its documented faults in turn.
//!
//! Invariant: every run has to be what it would be with the engine `stack`: a pass in all tiers,
//! with nothing left. Where a fault is one that lint has to find, the level says so.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fixtures::abra::Bot;
use harness::fault::Fault;
use harness::site::Site;
use results::{Outcome, Record, Tier, Verdict};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::front::Front;
use super::once::{self, Place};
use crate::exit;
use crate::text::clean;

const RECIPES: [&str; 3] = ["custom-html", "canary", "keycloak"];
/// Each as the stand-in names it; and all at once, which is what the quick part runs.
const FAULTS: [&str; 8] = [
    "moves-checkout",
    "lint-finds",
    "refuses-untracked",
    "wait-gives-up",
    "commented-length-hints",
    "lightweight-tags",
    "prompts",
    "no-snapshot-id",
];
const RUN_WITHIN: Duration = Duration::from_secs(900);

/// What apps are reached through.
#[derive(Clone, Copy, PartialEq)]
enum Through {
    Edge,
    /// A site as a server has it: its own proxy, and no edge.
    Proxy,
    /// The same where that proxy is down: nobody's recipe is to blame.
    Nobody,
}

/// Where nobody listens.
const NOBODY: &str = "127.0.0.1:1";

/// One run: a recipe, and what is wrong with its abra.
struct Case {
    recipe: &'static str,
    faults: Vec<&'static str>,
    through: Through,
}

impl Case {
    fn name(&self) -> String {
        match self.faults.as_slice() {
            [] if self.through == Through::Proxy => format!("{}-on-a-server", self.recipe),
            [] if self.through == Through::Nobody => format!("{}-proxy-is-down", self.recipe),
            [] => format!("{}-as-documented", self.recipe),
            [fault] => format!("{}-{fault}", self.recipe),
            _ => format!("{}-all-faults", self.recipe),
        }
    }

    /// The level that is to come of it: a lint error takes the last rung.
    fn level(&self) -> u8 {
        let by_lint = ["lint-finds", "lightweight-tags"];
        match self.faults.iter().any(|fault| by_lint.contains(fault)) {
            _ if !self.has_functional_tests() => 3,
            true => 4,
            false => 5,
        }
    }

    fn has_functional_tests(&self) -> bool {
        self.recipe != "canary"
    }
}

/// What came of a case.
struct Ended {
    case: Case,
    got: String,
    took: Duration,
    differences: Vec<String>,
}

pub fn run(quick: bool, only: &[String], place: &Place) -> Result<u8> {
    let cases = cases(quick, only)?;
    let _bot = bot()?;
    crate::block_on(one_by_one(cases, place))
}

/// The backup bot of all runs; it goes when it is dropped.
pub fn bot() -> Result<Bot> {
    fixtures::images::ensure("cc-ci.local/backup-bot:1", &mut |line| eprintln!("{line}"))?;
    let bot = Bot::start(&format!("cc-ci-selftest-bot-{}", std::process::id()))?;
    Ok(bot)
}

/// A stop is passed on to the run that goes on, and is the last.
async fn one_by_one(cases: Vec<Case>, place: &Place) -> Result<u8> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (stop, stopping) = watch::channel(false);
    let heard = tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        let _ = stop.send(true);
        stop.closed().await;
    });
    let total = cases.len();
    let started = Instant::now();
    let mut ended = Vec::new();
    for case in cases {
        let one = one(case, place, stopping.clone()).await?;
        if *stopping.borrow() {
            return Ok(exit::CANCELLED);
        }
        let word = if one.differences.is_empty() {
            "as expected"
        } else {
            "DIFFERS"
        };
        let (name, seconds) = (one.case.name(), one.took.as_secs());
        ended.push(one);
        eprintln!("[{}/{total}] {name}: {word}, {seconds} s", ended.len());
    }
    heard.abort();
    print!("{}", table(&ended, started.elapsed()));
    if ended.iter().any(|one| !one.differences.is_empty()) {
        println!("What they left to read is in {}", place.state.display());
        return Ok(exit::FAILED);
    }
    fs::remove_dir_all(&place.state)
        .with_context(|| format!("removing {}", place.state.display()))?;
    Ok(exit::PASS)
}

fn cases(quick: bool, only: &[String]) -> Result<Vec<Case>> {
    let with = |recipe, faults: &[&'static str], through| Case {
        recipe,
        faults: faults.to_vec(),
        through,
    };
    let server = |through| with(RECIPES[0], &[], through);
    let mut cases = vec![server(Through::Proxy), server(Through::Nobody)];
    if quick {
        cases.push(with(RECIPES[0], &FAULTS, Through::Edge));
        return Ok(cases);
    }
    for recipe in RECIPES {
        cases.push(with(recipe, &[], Through::Edge));
        cases.extend(FAULTS.map(|fault| with(recipe, &[fault], Through::Edge)));
        cases.push(with(recipe, &FAULTS, Through::Edge));
    }
    if let Some(unknown) = only
        .iter()
        .find(|name| !cases.iter().any(|case| case.name() == **name))
    {
        let names: Vec<String> = cases.iter().map(Case::name).collect();
        return Err(Fault::usage(format!(
            "there is no case `{unknown}`; there are {}",
            names.join(", ")
        ))
        .into());
    }
    cases.retain(|case| only.is_empty() || only.contains(&case.name()));
    Ok(cases)
}

async fn one(case: Case, place: &Place, stopping: watch::Receiver<bool>) -> Result<Ended> {
    let name = case.name();
    let folder = place.state.join("abra").join(&name);
    let program = fixtures::abra::stand_in(&folder, &case.faults)?;
    let zone = Site::default().zone;
    let front = match case.through {
        Through::Edge | Through::Nobody => None,
        Through::Proxy => Some(Front::start(&folder, &zone)?),
    };
    let site = site(&folder, &program, case.through, front.as_ref())?;
    let log = place.state.join(format!("{name}.log"));
    let out = place.state.join(format!("{name}.json"));
    let started = Instant::now();
    let mut command = once::command(place);
    command
        .args(["ci", "--recipe", case.recipe, "--run-id", &name])
        .args(["--pr", &place.pr.to_string(), "--yes", "--json", "--site"])
        .arg(site)
        .stdout(Stdio::from(fs::File::create(&out)?))
        .stderr(fs::File::create(&log)?);
    let child = command.spawn().context("starting a run")?;
    let status = tokio::time::timeout(RUN_WITHIN, once::end(child, stopping)).await;
    let status = status.context("the run did not end within 15 minutes")??;
    let took = started.elapsed();
    let json = fs::read(&out)?;
    let (got, differences) = match serde_json::from_slice::<Record>(&json) {
        Ok(record) => {
            let left = once::left_of(&record).await?;
            let level = record
                .level
                .map_or("-".to_owned(), |level| level.to_string());
            (
                format!("{} level {level}", record.verdict),
                differences(&case, &record, &left),
            )
        }
        Err(_) => {
            let said = fs::read_to_string(&log).unwrap_or_default();
            let last = said.lines().last().unwrap_or("it said nothing").to_owned();
            ("no record".to_owned(), vec![format!("{status}: {last}")])
        }
    };
    Ok(Ended {
        case,
        got,
        took,
        differences,
    })
}

/// What a site file says of the stand-in, with an abra directory in that folder.
pub fn by_abra(folder: &Path, program: &Path) -> Result<String> {
    let dir = folder.join("operator");
    fs::create_dir_all(&dir)?;
    Ok(format!(
        "name = \"stand-in\"\nengine = \"abra\"\n[abra]\nprogram = {program:?}\ndir = {dir:?}\n"
    ))
}

fn site(folder: &Path, program: &Path, through: Through, front: Option<&Front>) -> Result<PathBuf> {
    let path = folder.join("site.toml");
    let mut text = by_abra(folder, program)?;
    text.push_str("[limits]\nmax_tests = 8\n");
    if let Some(Front { address, roots, .. }) = front {
        let _ = write!(
            text,
            "[proxy]\nkind = \"traefik\"\naddress = \"{address}\"\nroots = {roots:?}\n"
        );
    }
    if through == Through::Nobody {
        let _ = write!(
            text,
            "[proxy]\nkind = \"traefik\"\naddress = \"{NOBODY}\"\n"
        );
    }
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

fn differences(case: &Case, record: &Record, left: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut expect = |holds: bool, text: String| {
        if !holds {
            found.push(text);
        }
    };
    expect(
        left.is_empty(),
        format!("left in Docker: {}", left.join(", ")),
    );
    let reason = &record.verdict_reason;
    if case.through == Through::Nobody {
        let said = format!("the site's proxy at {NOBODY} does not serve the zone");
        expect(
            record.verdict == Verdict::Error && reason.contains(&said),
            format!("the verdict is {}: {reason}", record.verdict),
        );
        return found;
    }
    expect(
        record.verdict == Verdict::Pass,
        format!(
            "the verdict is {}: {}",
            record.verdict, record.verdict_reason
        ),
    );
    let level = case.level();
    expect(
        record.level == Some(level),
        format!(
            "the level is {:?}, not {level}: {}",
            record.level, record.level_reason
        ),
    );
    let tiers = record.tiers.iter();
    for tier in tiers.filter(|tier| tier.name != Tier::Custom || case.has_functional_tests()) {
        expect(
            tier.outcome == Outcome::Pass,
            format!("{} did not pass", tier.name),
        );
    }
    expect(
        record.engine == "abra" && record.engine_version.is_some(),
        format!(
            "the engine is {} {:?}",
            record.engine, record.engine_version
        ),
    );
    let by = &record.lint.by;
    expect(by.starts_with("abra "), format!("lint was by {by}"));
    found
}

fn table(ended: &[Ended], elapsed: Duration) -> String {
    let width = ended.iter().map(|one| one.case.name().len()).max();
    let width = width.unwrap_or_default();
    let mut out = String::from("\n");
    for one in ended {
        let word = if one.differences.is_empty() {
            "ok  "
        } else {
            "fail"
        };
        let (name, seconds) = (one.case.name(), one.took.as_secs());
        let _ = writeln!(out, "{word}  {name:width$}  {:14}  {seconds:>4} s", one.got);
        for difference in &one.differences {
            let _ = writeln!(out, "      {}", clean(difference));
        }
    }
    let differ = ended.iter().filter(|one| !one.differences.is_empty());
    let _ = writeln!(
        out,
        "\n{} runs with the stand-in for abra, {} not as expected, {} s",
        ended.len(),
        differ.count(),
        elapsed.as_secs()
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(quick: bool, only: &[&str]) -> Vec<String> {
        let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
        let cases = cases(quick, &only).unwrap();
        cases.iter().map(Case::name).collect()
    }

    #[test]
    fn the_quick_part_is_three_runs() {
        let quick = [
            "custom-html-on-a-server",
            "custom-html-proxy-is-down",
            "custom-html-all-faults",
        ];
        assert_eq!(names(true, &[]), quick);
    }

    #[test]
    fn each_recipe_is_run_with_each_fault() {
        let all = names(false, &[]);
        assert_eq!(all.len(), 2 + RECIPES.len() * (FAULTS.len() + 2));
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(names(false, &["canary-prompts"]), ["canary-prompts"]);
        let unknown = cases(false, &["canary-promts".to_owned()]);
        assert!(unknown.is_err());
    }
}
