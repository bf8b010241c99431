//! Processes of a run, on the host and in containers: each has the run's id in its environment or on
//! its command line, and no other process has.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use harness::wait::{Probe, Unwatched, wait_until};
use rustix::process::{Pid, Signal, kill_process};

use super::Spoilt;

/// For a keeper's last words, and for what the kernel has still to end.
const WITHIN: Duration = Duration::from_secs(15);

/// What is left of a run's processes. It is ended.
pub async fn end_of(run: &str) -> Result<Vec<Spoilt>> {
    let ended = wait_until(
        "the end of a run's processes",
        WITHIN,
        Duration::from_millis(200),
        &Unwatched,
        || async {
            match running(run) {
                Ok(left) if left.is_empty() => Probe::Ready(()),
                Ok(left) => Probe::NotYet(format!("{} are left", left.len())),
                Err(error) => Probe::Never(error.to_string()),
            }
        },
    );
    if ended.await.is_ok() {
        return Ok(Vec::new());
    }
    let mut spoilt = Vec::new();
    for (pid, name) in running(run)? {
        spoilt.push(Spoilt::new("processes", format!("{name} ({pid}) survives")));
        if let Some(pid) = Pid::from_raw(pid) {
            // It may have ended just now.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    Ok(spoilt)
}

fn running(run: &str) -> std::io::Result<Vec<(i32, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let pid = path
            .file_name()
            .and_then(|name| name.to_str()?.parse().ok());
        let Some(pid) = pid else { continue };
        let has = |file: &str| {
            // Gone while we looked, or a kernel's own.
            let content = fs::read(path.join(file)).unwrap_or_default();
            content
                .split(|byte| *byte == 0)
                .any(|word| String::from_utf8_lossy(word).contains(run))
        };
        if has("environ") || has("cmdline") {
            let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
            found.push((pid, name.trim().to_owned()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_the_runs_id_is_found_and_no_other() {
        let run = format!("ccw-test-{}", std::process::id());
        assert!(running(&run).unwrap().is_empty());
        let mut child = std::process::Command::new("cat")
            .env("CC_CI_HOSTILE", &run)
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let found = running(&run).unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(found, [(child.id().cast_signed(), "cat".to_owned())]);
    }
}
