//! The suite over the engines that there are: that of abra with the stand-in for that program, as it
//! is documented, and with each of its faults.

#![expect(clippy::unwrap_used, reason = "a test's own helpers panic like a test")]

use std::cell::RefCell;
use std::path::Path;

use conformance::{Outcome, Part, Row, Spec};
use fixtures::abra::Bot;
use harness::recipe::AppDomain;
use harness::session::locks::Registry;
use harness::site::{AbraSite, EngineKind, Site};
use harness::swarm::{self, Before, Swarm};
use tokio::sync::Notify;

/// Oddities that abra is known to have: the engine is built for them.
const ODD: [&str; 8] = [
    "moves-checkout",
    "refuses-untracked",
    "wait-gives-up",
    "commented-length-hints",
    "no-snapshot-id",
    "prompts",
    "unknown-flag=--offline",
    "version=0.9.0",
];

fn spec<'a>(engine: EngineKind, site: &'a Site, dir: &'a Path, part: Part) -> Spec<'a> {
    Spec {
        engine,
        site,
        dir,
        part,
        told: &|row| println!("{:>6.1?}  {}: {:?}", row.took, row.area, row.outcome),
    }
}

/// A site whose abra is the stand-in with these faults.
fn site_of(dir: &Path, faults: &[&str]) -> Site {
    let operator = dir.join("operator");
    std::fs::create_dir_all(&operator).unwrap();
    Site {
        engine: EngineKind::Abra,
        abra: AbraSite {
            program: fixtures::abra::stand_in(&dir.join("program"), faults).unwrap(),
            dir: Some(operator),
            ..AbraSite::default()
        },
        ..Site::default()
    }
}

fn bot(name: &str) -> Bot {
    Bot::start(&format!("conformance-bot-{name}-{}", std::process::id())).unwrap()
}

/// Tries the engine `abra` with a stand-in that has these faults.
async fn with_abra(faults: &[&str], part: Part) -> Vec<Row> {
    println!("--- {faults:?}");
    let dir = tempfile::tempdir().unwrap();
    let site = site_of(dir.path(), faults);
    let spec = spec(EngineKind::Abra, &site, dir.path(), part);
    conformance::run(&spec).await.unwrap()
}

async fn assumed_with(faults: &[&str]) -> Vec<Row> {
    println!("--- {faults:?}");
    let dir = tempfile::tempdir().unwrap();
    let site = site_of(dir.path(), faults);
    let spec = spec(EngineKind::Abra, &site, dir.path(), Part::Whole);
    conformance::assumptions(&spec).await.unwrap()
}

/// The areas that differ.
fn differ(rows: &[Row]) -> Vec<&str> {
    let differs = |row: &&Row| matches!(row.outcome, Outcome::Differs { .. });
    rows.iter().filter(differs).map(|row| row.area).collect()
}

#[track_caller]
fn all_hold(rows: &[Row], count: usize) {
    assert_eq!(rows.len(), count);
    let holds = rows.iter().all(|row| row.outcome == Outcome::Holds);
    assert!(holds, "{}", conformance::table("rows", rows));
}

#[tokio::test]
async fn docker_the_stack_engine_does_what_an_engine_owes() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::default();
    let spec = spec(EngineKind::Stack, &site, dir.path(), Part::Whole);
    all_hold(&conformance::run(&spec).await.unwrap(), 34);
}

#[tokio::test]
async fn docker_a_suite_that_is_dropped_leaves_nothing() {
    let (dir, site) = (tempfile::tempdir().unwrap(), Site::default());
    let (secret, deployed) = (RefCell::new(String::new()), Notify::new());
    let told = |row: &Row| match row.area {
        "secret" => secret.borrow_mut().push_str(&row.raw),
        "deploy" => deployed.notify_one(),
        _ => {}
    };
    let spec = Spec {
        told: &told,
        ..spec(EngineKind::Stack, &site, dir.path(), Part::Quick)
    };
    tokio::select! {
        rows = conformance::run(&spec) => panic!("it was over: {rows:?}"),
        () = deployed.notified() => {}
    }
    let secret = secret.into_inner();
    let stack = secret.strip_suffix("_token_v1").unwrap();
    let domain: AppDomain = stack.replace('_', ".").parse().unwrap();
    assert_eq!(domain.stack().as_str(), stack);
    let swarm = Swarm::connect().await.unwrap();
    let left = swarm::residue(&swarm, &domain.stack(), &Before::Unknown, &[].into()).await;
    assert_eq!(left, Ok(vec![]));
    let registry = Registry::of_engine(&swarm).unwrap();
    assert!(!registry.registered().unwrap().contains(&domain));
}

#[tokio::test]
async fn docker_bot_the_abra_engine_does_what_an_engine_owes() {
    let _bot = bot("whole");
    all_hold(&with_abra(&[], Part::Whole).await, 34);
}

#[tokio::test]
async fn docker_bot_the_abra_engine_does_it_with_each_known_oddity_of_abra() {
    let _bot = bot("odd");
    for fault in ODD {
        all_hold(&with_abra(&[fault], Part::Quick).await, 24);
    }
}

#[tokio::test]
async fn docker_bot_an_abra_that_does_less_is_named_by_its_row() {
    let _bot = bot("less");
    let rows = with_abra(&["lint-finds", "backup-empty"], Part::Quick).await;
    assert_eq!(differ(&rows), ["lint", "backup"]);
    let rest = rows.iter();
    let rest = rest.filter(|row| matches!(row.outcome, Outcome::NotRun { .. }));
    let rest: Vec<_> = rest.map(|row| row.area).collect();
    assert_eq!(rest, ["backup-paths", "restore"]);
}

#[tokio::test]
async fn docker_bot_what_is_assumed_of_abra_is_so_of_the_stand_in() {
    let _bot = bot("assumed");
    all_hold(&assumed_with(&[]).await, 20);
}

#[tokio::test]
async fn docker_bot_an_abra_of_which_something_else_is_true_is_named_by_its_row() {
    let _bot = bot("other");
    let faults = [
        "timeout-text=it took too long",
        "default-wait=5",
        "chaos-needs-force",
        "no-snapshot-id",
        "offline-fetches",
        "stack-name-uncut",
    ];
    let rows = assumed_with(&faults).await;
    let wanted = [
        "assumed-timeout",
        "assumed-default-wait",
        "assumed-chaos",
        "assumed-backup",
        "assumed-offline",
        "assumed-stack-name",
    ];
    assert_eq!(
        differ(&rows),
        wanted,
        "{}",
        conformance::table("rows", &rows)
    );
}
