//! The listing of a suite.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::figure::{Aim, Figure};
use super::say;
use crate::place;

const LISTINGS: u32 = 20;

/// nextest on the suite of one recipe.
pub fn nextest(what: &str, recipe: &str) -> Command {
    let mut command = Command::new("cargo");
    command
        .args([
            "nextest",
            what,
            "--locked",
            "-p",
            &format!("recipe-{recipe}"),
        ])
        .current_dir(place::workspace())
        .env("PATH", place::search_path())
        .stdin(Stdio::null());
    command
}

/// The binary of a suite, asked for its tests as nextest asks: from its start to its end.
pub fn listing(recipe: &str) -> Result<Vec<Figure>> {
    say(&format!("listing the suite of {recipe}"));
    let binary = binary_of(recipe)?;
    let list = || -> Result<f64> {
        let started = Instant::now();
        let output = Command::new(&binary)
            .args(["--list", "--format", "terse"])
            .output()
            .with_context(|| format!("starting {}", binary.display()))?;
        let took = started.elapsed();
        ensure!(
            output.status.success() && !output.stdout.is_empty(),
            "{} listed nothing",
            binary.display()
        );
        Ok(took.as_secs_f64() * 1000.0)
    };
    list()?;
    let raw = (0..LISTINGS).map(|_| list()).collect::<Result<_>>()?;
    let figure = Figure::median(
        "listing a suite",
        "ms",
        raw,
        "20 listings by the test binary",
    );
    Ok(vec![figure.aim(Aim::AtMost(20.0))])
}

fn binary_of(recipe: &str) -> Result<PathBuf> {
    let output = nextest("list", recipe)
        .args([
            "--list-type",
            "binaries-only",
            "--message-format",
            "json",
            "--cargo-quiet",
        ])
        .stderr(Stdio::inherit())
        .output()
        .context("starting cargo nextest")?;
    ensure!(
        output.status.success(),
        "cargo nextest list: {}",
        output.status
    );
    let listed: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let binaries = listed["rust-binaries"]
        .as_object()
        .context("nextest listed no binaries")?;
    let path = binaries
        .values()
        .find(|binary| binary["kind"] == "test")
        .and_then(|binary| binary["binary-path"].as_str())
        .with_context(|| format!("recipe-{recipe} has no test binary"))?;
    Ok(path.into())
}
