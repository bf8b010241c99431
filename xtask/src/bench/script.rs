//! One run of the shell script that does the same without us.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

const SCRIPT: &str = include_str!("run.sh");

/// What the script works on.
pub struct Script {
    recipe: String,
    folder: PathBuf,
    base: PathBuf,
    head: PathBuf,
    needs_dnsrr: bool,
}

/// What a run of it took.
pub struct Took {
    pub wall: Duration,
    /// Phases and their seconds, in order; one that comes twice is there twice.
    pub phases: Vec<(String, f64)>,
}

impl Script {
    /// Writes the script and the recipe's files at the two commits into `folder`.
    pub fn new(recipe: &str, folder: &Path, commits: &(String, String)) -> Result<Self> {
        let repository = fixtures::catalogue::materialise(recipe, &folder.join("catalogue"))?;
        let export = |name: &str, commit: &str| -> Result<PathBuf> {
            let tree = folder.join(name);
            std::fs::create_dir_all(&tree)?;
            let archive = folder.join(format!("{name}.tar"));
            let exported = Command::new("git")
                .arg("--git-dir")
                .arg(&repository)
                .args(["archive", "--format=tar", "--output"])
                .arg(&archive)
                .arg(commit)
                .status()?;
            ensure!(exported.success(), "git archive of {commit}: {exported}");
            tar::Archive::new(std::fs::File::open(&archive)?).unpack(&tree)?;
            Ok(tree)
        };
        std::fs::write(folder.join("run.sh"), SCRIPT)?;
        Ok(Self {
            recipe: recipe.to_owned(),
            base: export("base", &commits.0)?,
            head: export("head", &commits.1)?,
            folder: folder.to_owned(),
            needs_dnsrr: crate::block_on(harness::swarm::Swarm::connect())?.needs_dnsrr(),
        })
    }

    pub fn run(&self) -> Result<Took> {
        let name = format!("bench{}", std::process::id());
        let log = self.folder.join("script.log");
        let started = Instant::now();
        let output = Command::new("sh")
            .arg(self.folder.join("run.sh"))
            .env("RECIPE", &self.recipe)
            .env("STACK", format!("{name}_ci_test"))
            .env("DOMAIN", format!("{name}.ci.test"))
            .env("BASE", &self.base)
            .env("HEAD", &self.head)
            .env("SCRATCH", &self.folder)
            .env("NEEDS_DNSRR", if self.needs_dnsrr { "1" } else { "0" })
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .output()
            .context("starting the script")?;
        let wall = started.elapsed();
        ensure!(
            output.status.success(),
            "the script for {} ended with {}:\n{}",
            self.recipe,
            output.status,
            std::fs::read_to_string(&log).unwrap_or_default()
        );
        Ok(Took {
            wall,
            phases: phases(&String::from_utf8_lossy(&output.stdout))?,
        })
    }
}

fn phases(said: &str) -> Result<Vec<(String, f64)>> {
    let phase = |line: &str| {
        let (name, milliseconds) = line.split_once(' ')?;
        let milliseconds: f64 = milliseconds.parse().ok()?;
        Some((name.to_owned(), milliseconds / 1000.0))
    };
    let phases = said
        .lines()
        .map(|line| phase(line).with_context(|| format!("`{line}` is no phase of the script")));
    phases.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_names_and_milliseconds() {
        let read = phases("install 3200\nremoval 50\n").unwrap();
        assert_eq!(
            read,
            [("install".to_owned(), 3.2), ("removal".to_owned(), 0.05)]
        );
        assert!(phases("install soon").is_err());
    }
}
