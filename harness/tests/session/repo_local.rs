//! Whole runs of a recipe whose repository ships tests: on the list, and not on it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use results::{Outcome, Record, Source, Tier};

use crate::live::Live;

/// Only who runs as an unprivileged user, with the variable that `before-install` set, passes.
const WHO: &str = r#"
[ "$(id -u)" != 0 ] || { echo runs as root; exit 1; }
grep -q '^GREETING=hello$' "$CCCI_APP_ENV" || { echo no greeting; exit 1; }
grep -q '"created"' "$CCCI_STATE" || { echo no state; exit 1; }
"#;

const APPROVED: [(&str, &str); 5] = [
    ("before-install", "echo GREETING=hello >> \"$CCCI_APP_ENV\""),
    ("before-custom", "echo seeded"),
    ("install", WHO),
    ("custom/who", WHO),
    ("custom/mail", "echo no mail here; exit 77"),
];

/// Any of these would make the run red.
const NOT_APPROVED: [(&str, &str); 3] = [
    ("before-install", "exit 1"),
    ("install", "exit 1"),
    ("custom/who", "exit 1"),
];

/// custom-html with these files in `tests/`, at a commit on top of its newest version.
fn recipe(dir: &Path, files: &[(&str, &str)]) -> anyhow::Result<String> {
    let bare = fixtures::catalogue::materialise("custom-html", dir)?;
    let tree = dir.join("tree");
    git(dir, &["clone", "--quiet", path(&bare)?, path(&tree)?])?;
    for (name, script) in files {
        let file = tree.join("tests").join(name);
        fs::create_dir_all(file.parent().context("no folder")?)?;
        fs::write(&file, format!("#!/bin/sh\n{script}\n"))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    }
    std::os::unix::fs::symlink("custom/who", tree.join("tests/upgrade"))?;
    git(&tree, &["add", "tests"])?;
    let who = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
    git(
        &tree,
        &[&who[..], &["commit", "--quiet", "-m", "Tests"]].concat(),
    )?;
    Ok(path(&tree)?.to_owned())
}

fn path(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path that is no text")
}

fn git(dir: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(())
}

/// The outcomes of the recipe's own tests in a tier.
fn own(record: &Record, tier: Tier) -> Vec<(&str, &Outcome)> {
    let tests = record.tier(tier).into_iter().flat_map(|tier| &tier.tests);
    tests
        .filter(|test| test.source == Source::RepoLocal)
        .map(|test| (test.name.as_str(), &test.outcome))
        .collect()
}

fn listed(record: &Record) -> Vec<(&str, bool)> {
    let mut listed: Vec<_> = record
        .repo_local
        .iter()
        .map(|found| (found.path.as_str(), found.ran))
        .collect();
    listed.sort_unstable();
    listed
}

pub fn approved_tests_run() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let source = recipe(dir.path(), &APPROVED)?;
    let live = Live::new("approves-own-tests")?.with("CCCI_SOURCE", source);
    live.passes("5_custom::repo_local")?;
    live.passes("1_install::repo_local")?;
    live.passes("1_install::overlay::is_replaced")?;
    live.passes("7_teardown::leaves_nothing")?;
    let record = live.record()?;
    ensure!(record.lint.by == "native", "{:?}", record.lint);
    let (pass, skip) = (Outcome::Pass, Outcome::skip("no mail here"));
    ensure!(
        own(&record, Tier::Custom) == [("custom/mail", &skip), ("custom/who", &pass)],
        "{:?}",
        own(&record, Tier::Custom)
    );
    ensure!(
        own(&record, Tier::Install) == [("install", &pass)],
        "{record:?}"
    );
    let expected = [
        ("tests/before-custom", true),
        ("tests/before-install", true),
        ("tests/custom/mail", true),
        ("tests/custom/who", true),
        ("tests/install", true),
        ("tests/upgrade", false),
    ];
    ensure!(listed(&record) == expected, "{:?}", record.repo_local);
    let kept = live.run_files()?;
    let hook = kept
        .iter()
        .find(|(path, _)| path.ends_with("evidence/repo-local-before-custom.txt"));
    ensure!(hook.is_some_and(|(_, text)| text == "seeded\n"), "{hook:?}");
    live.left_nothing()
}

pub fn unapproved_tests_are_listed() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let source = recipe(dir.path(), &NOT_APPROVED)?;
    let live = Live::new("plain")?.with("CCCI_SOURCE", source);
    live.passes("5_custom::looks")?;
    live.passes("5_custom::repo_local")?;
    live.passes("1_install::repo_local")?;
    live.passes("7_teardown::leaves_nothing")?;
    let record = live.record()?;
    let expected = [
        ("tests/before-install", false),
        ("tests/custom/who", false),
        ("tests/install", false),
        ("tests/upgrade", false),
    ];
    ensure!(listed(&record) == expected, "{:?}", record.repo_local);
    for found in &record.repo_local {
        let link = found.path == "tests/upgrade";
        let reason = if link {
            "is a symbolic link"
        } else {
            "not on the list"
        };
        ensure!(found.reason.contains(reason), "{found:?}");
    }
    for tier in Tier::ALL {
        ensure!(own(&record, tier).is_empty(), "{tier}: {record:?}");
    }
    live.left_nothing()
}
