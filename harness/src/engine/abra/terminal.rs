//! abra on a pseudo-terminal: some of its commands refuse to work without one.
//!
//! Invariant: no question hangs a run. The one that an operator would answer with yes is answered;
//! any other is named once abra has waited for it, and the call is over.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::pty::{Winsize, openpty};
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::engine::child::{self, Group};
use crate::fault::Fault;

/// Wide enough for tables not to be cut.
const SIZE: Winsize = Winsize {
    ws_row: 50,
    ws_col: 240,
    ws_xpixel: 0,
    ws_ypixel: 0,
};
/// How long a line that looks like a question stands until it is one.
const QUESTION_STANDS: Duration = Duration::from_secs(5);
/// For the last words of a program that has ended, where what it started keeps the terminal open.
const LAST_WORDS: Duration = Duration::from_secs(2);
const LARGEST_OUTPUT: usize = 1024 * 1024;

/// Runs a command on a terminal of its own to its end. What it said comes without escape codes.
pub async fn run(
    command: Command,
    lock: Option<&OwnedFd>,
    program: &str,
    deadline: Duration,
) -> Result<(ExitStatus, String), Fault> {
    let io = |error: std::io::Error| Fault::infra(format!("a terminal for `{program}`: {error}"));
    let pair = openpty(&SIZE, None).map_err(|error| io(error.into()))?;
    let mut command = child::prepared(command, lock)?;
    command
        .stdin(Stdio::from(pair.slave.try_clone().map_err(io)?))
        .stdout(Stdio::from(pair.slave.try_clone().map_err(io)?))
        .stderr(Stdio::from(pair.slave));
    // The command goes with its descriptors: the terminal has to close with the program.
    let mut child = child::started(command, program)?;
    let group = Group::of(&child);
    let mut answers = File::from(pair.master.try_clone().map_err(io)?);
    let mut said = listen(File::from(pair.master));
    let mut heard = Heard::default();
    let talk = async {
        loop {
            // tidy: sleep: raced against the program's end and its words, below a deadline
            let quiet = tokio::time::sleep(QUESTION_STANDS);
            tokio::select! {
                status = child.wait() => {
                    let status = status.map_err(io)?;
                    let rest = async { while let Some(piece) = said.recv().await { heard.hear(&piece); } };
                    // Its words are in the terminal by now; who else holds it is not waited for.
                    let _ = tokio::time::timeout(LAST_WORDS, rest).await;
                    return Ok(status);
                }
                Some(piece) = said.recv() => {
                    heard.hear(&piece);
                    if heard.asks_to_go_on() {
                        answers.write_all(b"y\r").map_err(io)?;
                    }
                }
                () = quiet => {
                    if let Some(question) = heard.question() {
                        return Err(Fault::infra(format!(
                            "`{program}` asks, and nobody is there to answer: `{question}`"
                        )));
                    }
                }
            }
        }
    };
    let status = match tokio::time::timeout(deadline, talk).await {
        Ok(status) => status?,
        Err(_) => {
            let last = heard.last_line();
            let fault = child::too_long(program, deadline);
            return Err(match last.is_empty() {
                true => fault,
                false => Fault::infra(format!("{fault}; it said last: `{last}`")),
            });
        }
    };
    group.over();
    Ok((status, heard.text()))
}

/// Reads the terminal in a thread of its own, until nobody has it open.
fn listen(mut terminal: File) -> mpsc::Receiver<Vec<u8>> {
    let (say, said) = mpsc::channel(64);
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        // The last who closes a terminal makes its reader fail.
        while let Ok(length @ 1..) = terminal.read(&mut piece) {
            if say.blocking_send(piece[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    said
}

/// What the program said so far.
#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    /// How much of it was answered.
    answered: usize,
}

impl Heard {
    fn hear(&mut self, piece: &[u8]) {
        let room = LARGEST_OUTPUT.saturating_sub(self.bytes.len());
        self.bytes
            .extend_from_slice(&piece[..piece.len().min(room)]);
    }

    fn text(&self) -> String {
        plain(&self.bytes)
    }

    fn last_line(&self) -> String {
        let text = plain(&self.bytes[self.answered..]);
        let last = text.rsplit('\n').next().unwrap_or_default();
        last.trim().to_owned()
    }

    /// Whether it asks for the consent that was given by the call; once for each question.
    fn asks_to_go_on(&mut self) -> bool {
        let last = self.last_line().to_ascii_lowercase();
        let asks = ["(y/n)", "[y/n]"].iter().any(|form| last.ends_with(form));
        if asks {
            self.answered = self.bytes.len();
        }
        asks
    }

    fn question(&self) -> Option<String> {
        let last = self.last_line();
        let lower = last.to_ascii_lowercase();
        // A line that ends with a colon may be of a hook that takes its time.
        let asks = ["?", "password:", "passphrase:"];
        asks.iter().any(|end| lower.ends_with(end)).then_some(last)
    }
}

/// Text without escape codes, a line a line.
fn plain(bytes: &[u8]) -> String {
    let stripped = strip_ansi_escapes::strip(bytes);
    String::from_utf8_lossy(&stripped).replace('\r', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    async fn sh(script: &str, deadline: Duration) -> Result<(ExitStatus, String), Fault> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        run(command, None, "abra app test", deadline).await
    }

    #[tokio::test]
    async fn it_is_a_terminal_of_a_known_size_and_the_text_has_no_codes() {
        let script =
            "test -t 0 && test -t 1 && test -t 2 && stty size && printf '\\033[31mred\\033[0m'";
        let (status, said) = sh(script, SOON).await.unwrap();
        assert!(status.success());
        assert_eq!(said, "50 240\nred");
    }

    #[tokio::test]
    async fn the_question_whether_to_go_on_is_answered_with_yes() {
        let script = "printf 'proceed? (y/N) '; read answer; echo \"got $answer\"; exit 3";
        let (status, said) = sh(script, SOON).await.unwrap();
        assert_eq!(status.code(), Some(3));
        assert!(said.contains("got y"), "{said}");
    }

    #[tokio::test]
    async fn any_other_question_is_named_and_ends_the_call() {
        let script = "printf 'which server? '; read answer; sleep 60";
        let started = std::time::Instant::now();
        let fault = sh(script, SOON).await.unwrap_err();
        assert_eq!(
            fault,
            Fault::infra("`abra app test` asks, and nobody is there to answer: `which server?`")
        );
        assert!(started.elapsed() < Duration::from_secs(15));
    }

    #[tokio::test]
    async fn who_does_not_end_is_killed_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!("sleep 60 & echo $! > {}; wait", file.display());
        let fault = sh(&script, Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(
            fault,
            Fault::infra("`abra app test` did not end within 1 s")
        );
        let pid = std::fs::read_to_string(file).unwrap();
        let command = format!("/proc/{}/cmdline", pid.trim());
        crate::wait::wait_until(
            "the child to be gone",
            SOON,
            Duration::from_millis(10),
            &crate::wait::Unwatched,
            || async {
                match std::fs::read(&command) {
                    Ok(line) if !line.is_empty() => {
                        crate::wait::Probe::NotYet("still there".to_owned())
                    }
                    _ => crate::wait::Probe::Ready(()),
                }
            },
        )
        .await
        .unwrap();
    }
}
