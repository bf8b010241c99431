//! `test`: all tests of the project, recipe suites included.
//!
//! Invariant: when it ends, nothing that it started is left but Docker. Keepers outlive the runner
//! for their teardown, so their end is waited for.

pub(crate) mod leftovers;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus};

use anyhow::{Context as _, Result};
use clap::Args;
use harness::site::Site;
use tokio::signal::unix::{SignalKind, signal};

use crate::setup::{self, Ask};
use crate::{exit, place};

/// The variable by which the processes of one test run are known.
pub use leftovers::VARIABLE as TEST_RUN;

/// Run all tests of the project, recipe suites included
#[derive(Debug, Args)]
pub struct Test {
    /// Don't ask before each step of the set-up
    #[arg(long)]
    yes: bool,
    /// Handed to nextest: filters, `-p`, `-E`, …
    #[arg(last = true)]
    nextest: Vec<String>,
}

impl Test {
    pub fn run(self) -> Result<u8> {
        setup::setup(&Site::default(), Ask::from_environment(self.yes))?;
        let marker = leftovers::Marker::new();
        let mut nextest = self.nextest.clone();
        if nextest.is_empty() {
            nextest.push("--workspace".to_owned());
        }
        let tests = cargo(["nextest", "run", "--locked"], &nextest, &marker)?;
        leftovers::wait_for_end(&marker)?;
        let mut codes = vec![exit::of_child(tests)];
        // A filter asks for some tests, and none of these is among them.
        if self.nextest.is_empty() {
            if has_doctests(&place::workspace())? {
                let doctests = ["test", "--doc", "--workspace", "--locked"];
                codes.push(exit::of_child(cargo(doctests, &[], &marker)?));
            }
            codes.push(crate::selftest::quick()?);
            codes.push(crate::chaos::quick()?);
        }
        Ok(first_failure(&codes))
    }
}

/// The first that failed, as it failed.
fn first_failure(codes: &[u8]) -> u8 {
    let failed = codes.iter().find(|code| **code != exit::PASS);
    failed.copied().unwrap_or(exit::PASS)
}

/// Runs cargo in our own process group: a Ctrl-C reaches it, and we outlive it to look for what it
/// left.
fn cargo<const N: usize>(
    arguments: [&str; N],
    more: &[String],
    marker: &leftovers::Marker,
) -> Result<ExitStatus> {
    let mut command = Command::new("cargo");
    command
        .args(arguments)
        .args(more)
        .current_dir(place::workspace())
        .env("PATH", place::search_path())
        .env(leftovers::VARIABLE, marker.as_str());
    for name in place::variables_of_a_package() {
        command.env_remove(name);
    }
    crate::block_on(async {
        // Once asked for, a signal no longer ends this process.
        let _interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut child = tokio::process::Command::from(command)
            .spawn()
            .context("starting cargo")?;
        loop {
            tokio::select! {
                status = child.wait() => return Ok(status?),
                _ = terminate.recv() => pass_on(&child),
            }
        }
    })
}

/// A SIGTERM is sent to us alone, where a Ctrl-C goes to the group.
fn pass_on(child: &tokio::process::Child) {
    let pid = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended just now.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

/// Whether any library has an example in its documentation.
fn has_doctests(root: &Path) -> Result<bool> {
    for krate in ["results", "fixtures", "harness", "generic-tests"] {
        let source = root.join(krate).join("src");
        if source.is_dir() && folder_has_doctests(&source)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn folder_has_doctests(folder: &Path) -> Result<bool> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let found = if path.is_dir() {
            folder_has_doctests(&path)?
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text =
                fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            text.lines()
                .map(str::trim)
                .any(|line| line.starts_with("/// ```") || line.starts_with("//! ```"))
        } else {
            false
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&[0], 0)]
    #[case(&[100, 0, 1], 100)]
    #[case(&[0, 101, 1], 101)]
    #[case(&[137, 101], 137)]
    fn the_first_failure_gives_the_code(#[case] codes: &[u8], #[case] expected: u8) {
        assert_eq!(first_failure(codes), expected);
    }

    #[rstest]
    #[case("/// ```\n/// f();\n/// ```\nfn f() {}", true)]
    #[case("// ```\nfn f() {}", false)]
    fn doctests_are_found_in_documentation_only(#[case] text: &str, #[case] expected: bool) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        fs::write(folder.path().join("deep/a.rs"), text).unwrap();
        assert_eq!(folder_has_doctests(folder.path()).unwrap(), expected);
    }
}
