//! `lint`: formatting, clippy, licences and sources of dependencies, and the house rules.
//!
//! Every step runs whatever the others found, so that one look shows all there is to mend.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::setup::{self, Ask};
use crate::text::Colour;
use crate::{exit, place, tidy};

/// Check formatting, clippy, dependencies and the house rules
#[derive(Debug, Args)]
pub struct Lint {
    /// Apply what rustfmt and clippy can mend
    #[arg(long)]
    fix: bool,
    /// Don't ask before a tool is installed
    #[arg(long)]
    yes: bool,
}

impl Lint {
    pub fn run(self) -> Result<u8> {
        setup::tool(setup::deny, Ask::from_environment(self.yes))?;
        let mut results = Vec::new();
        for (name, arguments) in steps(self.fix) {
            eprintln!("$ cargo {}", arguments.join(" "));
            results.push((name, cargo(arguments)?));
        }
        let findings = tidy::check(&place::workspace())?;
        for finding in &findings {
            eprintln!("{finding}");
        }
        results.push(("house rules", !findings.iter().any(tidy::Finding::is_error)));
        eprintln!("{}", summary(&results, Colour::of_stderr()));
        let good = results.iter().all(|(_, good)| *good);
        Ok(if good { exit::PASS } else { exit::FAILED })
    }
}

fn steps(fix: bool) -> [(&'static str, &'static [&'static str]); 3] {
    let (fmt, clippy): (&[_], &[_]) = if fix {
        (
            &["fmt", "--all"],
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--locked",
                "--fix",
                "--allow-dirty",
                "--allow-staged",
                "--",
                "-D",
                "warnings",
            ],
        )
    } else {
        (
            &["fmt", "--all", "--check"],
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--locked",
                "--",
                "-D",
                "warnings",
            ],
        )
    };
    [
        ("rustfmt", fmt),
        ("clippy", clippy),
        (
            "cargo-deny",
            &["deny", "--locked", "check", "bans", "licenses", "sources"],
        ),
    ]
}

/// Whether it found nothing. One that can't be started is an error of ours.
fn cargo(arguments: &[&str]) -> Result<bool> {
    let status = Command::new("cargo")
        .args(arguments)
        .current_dir(place::workspace())
        .env("PATH", place::search_path())
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("starting cargo {}", arguments.join(" ")))?;
    Ok(status.success())
}

pub fn summary(results: &[(&str, bool)], colour: Colour) -> String {
    let lines: Vec<_> = results
        .iter()
        .map(|(name, good)| {
            let word = colour.status(if *good { "ok  " } else { "fail" });
            format!("{word}  {name}")
        })
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_every_step() {
        insta::assert_snapshot!(summary(&[("rustfmt", true), ("clippy", false)], Colour::Never), @r"
        ok    rustfmt
        fail  clippy
        ");
    }

    #[test]
    fn only_a_fix_changes_files() {
        let changes = |fix| {
            let words = steps(fix)
                .map(|(_, arguments)| arguments.join(" "))
                .join(" ");
            words.contains("--fix") || !words.contains("fmt --all --check")
        };
        assert!(changes(true));
        assert!(!changes(false));
    }
}
