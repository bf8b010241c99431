//! `fuzz`: looks for inputs for which a property of `properties` does not hold.
//!
//! What it learns is kept below `target/`; the corpus in `fuzz/corpus` is read and never changed, so
//! that it stays as small as a checked-in one has to be.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::setup::{self, Ask};
use crate::text::Colour;
use crate::{exit, lint, place};

/// Look for hostile input that a reader does not stand, with cargo-fuzz
#[derive(Debug, Args)]
pub struct Fuzz {
    /// The target; all of them, one after another, without
    target: Option<String>,
    /// How long each is tried
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Don't ask before cargo-fuzz is installed
    #[arg(long)]
    yes: bool,
}

impl Fuzz {
    pub fn run(self) -> Result<u8> {
        let root = place::workspace();
        let targets = chosen(&targets(&root)?, self.target.as_deref())?;
        setup::tool(setup::fuzz, Ask::from_environment(self.yes))?;
        // The versions that everything else is tested with.
        std::fs::copy(root.join("Cargo.lock"), root.join("fuzz/Cargo.lock"))
            .context("copying Cargo.lock")?;
        let mut results = Vec::new();
        for target in &targets {
            let learned = root.join("target/fuzz-corpus").join(target);
            std::fs::create_dir_all(&learned)
                .with_context(|| format!("making {}", learned.display()))?;
            let mut command = Command::new("cargo");
            command
                .args(["fuzz", "run", "--sanitizer", "none", target])
                .arg(&learned)
                .arg(root.join("fuzz/corpus").join(target))
                .arg("--")
                .arg(format!("-max_total_time={}", self.seconds))
                // A memory bomb or an input that takes for ever is a finding, too.
                .args([
                    "-timeout=20",
                    "-rss_limit_mb=1024",
                    "-max_len=8192",
                    "-print_final_stats=1",
                ])
                .env("CARGO_TARGET_DIR", root.join("target/fuzz"))
                .env("PATH", place::search_path())
                .current_dir(&root);
            for name in place::variables_of_a_package() {
                command.env_remove(name);
            }
            let status = command.status().context("starting cargo fuzz")?;
            results.push((target.as_str(), status.success()));
        }
        eprintln!("{}", lint::summary(&results, Colour::of_stderr()));
        if results.iter().all(|(_, good)| *good) {
            return Ok(exit::PASS);
        }
        eprintln!(
            "the input is in fuzz/artifacts; once it is mended, put it into fuzz/corpus/<target> under a name that says what it was"
        );
        Ok(exit::FAILED)
    }
}

fn targets(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("fuzz/fuzz_targets");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            name.strip_suffix(".rs").map(str::to_owned)
        })
        .collect();
    names.sort();
    Ok(names)
}

fn chosen(all: &[String], one: Option<&str>) -> Result<Vec<String>> {
    match one {
        _ if all.is_empty() => bail!("there is no target in fuzz/fuzz_targets"),
        None => Ok(all.to_vec()),
        Some(name) if all.iter().any(|known| known == name) => Ok(vec![name.to_owned()]),
        Some(name) => Err(harness::fault::Fault::usage(format!(
            "there is no target `{name}`; the targets are {}",
            all.join(", ")
        ))
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_is_not_there_is_refused_with_those_that_are() {
        let all = targets(&place::workspace()).unwrap();
        assert_eq!(chosen(&all, None).unwrap(), all);
        assert_eq!(chosen(&all, Some("env")).unwrap(), ["env"]);
        let error = chosen(&all, Some("x")).unwrap_err();
        assert_eq!(exit::of_error(&error), exit::USAGE);
        assert!(
            error.to_string().ends_with(
                "the targets are command, compose, env, names, paths, protocol, record, repo_local, rules, specs, summary"
            )
        );
        assert!(chosen(&[], None).is_err(), "no target is no success");
    }
}
