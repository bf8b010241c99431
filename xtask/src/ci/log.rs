//! What the runner prints, on its way into the run's log: without the values of secrets.
//!
//! Invariant: a secret is known here before anything can print it, for its file is written before
//! it is used, and is looked at again before each line.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, PipeReader, Read as _, Write as _};
use std::path::PathBuf;
use std::time::SystemTime;

use harness::redact::Redactor;
use tokio::sync::oneshot;

/// A longer line is cut here, so that a stream without line ends can't fill the memory.
const LONGEST_LINE: u64 = 1 << 20;

/// Copies `from` into `log` on a thread of its own. The receiver hears when all is written.
pub fn copy(from: PipeReader, log: File, secrets: PathBuf) -> oneshot::Receiver<()> {
    let (done, ended) = oneshot::channel();
    std::thread::spawn(move || {
        // A pipe that can't be read is no reason to end a run.
        let _ = copy_lines(from, log, Secrets::new(secrets));
        let _ = done.send(());
    });
    ended
}

fn copy_lines(from: PipeReader, mut log: File, mut secrets: Secrets) -> std::io::Result<()> {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while (&mut from)
        .take(LONGEST_LINE)
        .read_until(b'\n', &mut line)?
        > 0
    {
        // A full disk must not close the pipe: the runner would die of it.
        let _ = log.write_all(&secrets.redact(&line));
        line.clear();
    }
    Ok(())
}

struct Secrets {
    path: PathBuf,
    seen: Option<(SystemTime, u64)>,
    /// All that were ever there: the file goes with the teardown, and lines come after it.
    known: BTreeSet<(String, String)>,
    redactor: Redactor,
}

impl Secrets {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            seen: None,
            known: BTreeSet::new(),
            redactor: Redactor::default(),
        }
    }

    fn redact(&mut self, line: &[u8]) -> Vec<u8> {
        self.look_again();
        self.redactor.redact_bytes(line).into_owned()
    }

    fn look_again(&mut self) {
        let stamp = fs::metadata(&self.path)
            .and_then(|meta| Ok((meta.modified()?, meta.len())))
            .ok();
        if stamp.is_none() || stamp == self.seen {
            return;
        }
        let read = fs::read(&self.path).ok();
        let values: Option<std::collections::BTreeMap<String, String>> =
            read.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        // Half written: the next line looks again.
        let Some(values) = values else { return };
        self.seen = stamp;
        self.known.extend(values);
        self.redactor = Redactor::new(
            self.known
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_stays_known_when_its_file_changes_and_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets.json");
        let mut secrets = Secrets::new(path.clone());
        let mut shown = |line: &str| String::from_utf8(secrets.redact(line.as_bytes())).unwrap();
        assert_eq!(shown("first-secret"), "first-secret");
        fs::write(&path, r#"{"a": "first-secret"}"#).unwrap();
        assert_eq!(shown("is first-secret."), "is [redacted:a].");
        fs::write(&path, r#"{"a": "first-secret", "b": "second-one"}"#).unwrap();
        assert_eq!(shown("second-one"), "[redacted:b]");
        fs::remove_file(&path).unwrap();
        assert_eq!(
            shown("first-secret second-one"),
            "[redacted:a] [redacted:b]"
        );
    }

    #[test]
    fn a_log_without_room_takes_all_that_the_runner_prints() {
        let dir = tempfile::tempdir().unwrap();
        let (from, mut to) = std::io::pipe().unwrap();
        to.write_all(b"one\ntwo\n").unwrap();
        drop(to);
        let full = File::options().write(true).open("/dev/full").unwrap();
        copy_lines(from, full, Secrets::new(dir.path().join("secrets.json"))).unwrap();
    }

    #[test]
    fn what_the_runner_prints_reaches_the_log_line_by_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets.json");
        fs::write(&path, r#"{"a": "first-secret"}"#).unwrap();
        let log = dir.path().join("run.log");
        let (from, mut to) = std::io::pipe().unwrap();
        to.write_all(b"one\nfirst-secret\nno end").unwrap();
        drop(to);
        copy_lines(from, File::create(&log).unwrap(), Secrets::new(path)).unwrap();
        assert_eq!(
            fs::read_to_string(log).unwrap(),
            "one\n[redacted:a]\nno end"
        );
    }
}
