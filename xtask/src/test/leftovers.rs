//! What a test run started and has not ended, whoever its parent is by now.
//!
//! Every process of the run has a variable in its environment that no other process has, so nothing
//! of anybody else's is ever taken for ours.

use std::fs;
use std::io;
use std::time::Duration;

use anyhow::{Result, bail};
use harness::wait::{Probe, Unwatched, wait_until};

pub const VARIABLE: &str = "CCCI_TEST_RUN";
/// A keeper's teardown, evidence and record.
const DEADLINE: Duration = Duration::from_secs(300);

/// The value that only this run's processes carry.
#[derive(Debug, Clone)]
pub struct Marker(String);

impl Marker {
    pub fn new() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns once no process of the run is left; an error names those that stay.
pub fn wait_for_end(marker: &Marker) -> Result<()> {
    let seen = crate::block_on(wait_until(
        "the end of what the tests started",
        DEADLINE,
        Duration::from_millis(200),
        &Unwatched,
        || async {
            match running(marker) {
                Ok(left) if left.is_empty() => Probe::Ready(()),
                Ok(left) => Probe::NotYet(left.join(", ")),
                Err(error) => Probe::Never(format!("/proc can't be read: {error}")),
            }
        },
    ));
    if let Err(error) = seen {
        bail!("the tests left processes behind: {error}");
    }
    Ok(())
}

/// Process id and name of each process that carries the marker.
fn running(marker: &Marker) -> io::Result<Vec<String>> {
    let sought = format!("{VARIABLE}={}", marker.0);
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        // Not a process, not ours to look at, or gone while we looked.
        let Ok(environment) = fs::read(path.join("environ")) else {
            continue;
        };
        if environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == sought.as_bytes())
        {
            let pid = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
            found.push(format!("process {pid} ({})", name.trim()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_that_left_its_parent_is_still_found_and_its_end_is_seen() {
        let marker = Marker::new();
        let mut child = Command::new("setsid")
            .args(["cat"])
            .env(VARIABLE, marker.as_str())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        assert_eq!(running(&marker).unwrap().len(), 1);
        assert!(running(&Marker::new()).unwrap().is_empty());
        drop(child.stdin.take());
        child.wait().unwrap();
        wait_for_end(&marker).unwrap();
    }
}
