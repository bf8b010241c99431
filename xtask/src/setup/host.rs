//! The machine, as the set-up asks it and changes it. Thin: what to do is decided by the probes in
//! `docker` and `tools`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use harness::wait::{Probe, Unwatched, wait_until};

use super::docker;
use super::step::Step;
use crate::place;

/// What a command answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub ok: bool,
    pub stdout: String,
    pub stderr: String,
}

/// A file system's room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub bytes: u64,
    pub free_bytes: u64,
    /// 0 where the file system doesn't count them.
    pub inodes: u64,
    pub free_inodes: u64,
}

/// What the checks may ask and the set-up may do.
pub trait Host {
    fn is_root(&self) -> bool;
    fn env(&self, name: &str) -> Option<String>;
    /// Whether the program is on the path or among our tools.
    fn has(&self, program: &str) -> bool;
    /// Runs a command that changes nothing. One that can't be started is not ok.
    fn ask(&self, argv: &[&str]) -> Answer;
    fn exists(&self, path: &str) -> bool;
    fn read(&self, path: &str) -> Option<String>;
    fn space(&self, path: &str) -> Option<Space>;
    /// Where our own tools go.
    fn tools(&self) -> PathBuf;
    fn perform(&self, step: &Step) -> Result<()>;
}

/// This machine.
pub struct ThisHost;

impl Host for ThisHost {
    fn is_root(&self) -> bool {
        rustix::process::geteuid().is_root()
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    fn has(&self, program: &str) -> bool {
        std::env::split_paths(&place::search_path()).any(|dir| dir.join(program).is_file())
    }

    fn ask(&self, argv: &[&str]) -> Answer {
        // A client whose engine hangs would hang too.
        let bounded: Vec<_> = ["timeout", "--kill-after=1", "30"]
            .iter()
            .chain(argv)
            .copied()
            .collect();
        let ran = command(&bounded).stdin(Stdio::null()).output();
        match ran {
            Ok(output) => Answer {
                ok: output.status.success(),
                stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            },
            Err(error) => Answer {
                stderr: error.to_string(),
                ..Answer::default()
            },
        }
    }

    fn exists(&self, path: &str) -> bool {
        Path::new(path).exists()
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(path).ok()
    }

    fn space(&self, path: &str) -> Option<Space> {
        let stat = rustix::fs::statvfs(path).ok()?;
        Some(Space {
            bytes: stat.f_blocks * stat.f_frsize,
            free_bytes: stat.f_bavail * stat.f_frsize,
            inodes: stat.f_files,
            free_inodes: stat.f_favail,
        })
    }

    fn tools(&self) -> PathBuf {
        place::tools()
    }

    fn perform(&self, step: &Step) -> Result<()> {
        match step {
            Step::Run(argv) => {
                let argv: Vec<_> = argv.iter().map(String::as_str).collect();
                // Our own standard output may be read by a program (`--json`); and `docker swarm init`
                // prints a token there, which belongs in no log.
                let output = if argv.first() == Some(&"docker") {
                    Stdio::null()
                } else {
                    io::stderr().as_fd().try_clone_to_owned()?.into()
                };
                let status = command(&argv)
                    .env("DEBIAN_FRONTEND", "noninteractive")
                    .stdin(Stdio::null())
                    .stdout(output)
                    .status()
                    .with_context(|| format!("starting {step}"))?;
                ensure!(status.success(), "`{step}` ended with {status}");
                Ok(())
            }
            Step::Feed { argv, text } => feed(argv, text).with_context(|| format!("`{step}`")),
            Step::RemoveFile(path) => match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(error).with_context(|| format!("removing {}", path.display()))
                }
                _ => Ok(()),
            },
            Step::Detach { argv, log } => detach(argv, log),
            Step::WaitForDocker { deadline, log } => {
                self.wait_for_docker(*deadline, log.as_deref())
            }
            Step::Either(first, second) => {
                let tried = first.iter().try_for_each(|step| self.perform(step));
                let Err(error) = tried else { return Ok(()) };
                eprintln!("{error:#}; trying another way");
                second.iter().try_for_each(|step| self.perform(step))
            }
        }
    }
}

impl ThisHost {
    fn wait_for_docker(&self, deadline: Duration, log: Option<&Path>) -> Result<()> {
        let waited = crate::block_on(wait_until(
            "the Docker engine",
            deadline,
            Duration::from_millis(250),
            &Unwatched,
            || async {
                match docker::info(self) {
                    Ok(info) if info.swarm.state == "pending" => {
                        Probe::NotYet("its swarm is starting".to_owned())
                    }
                    Ok(_) => Probe::Ready(()),
                    Err(error) => Probe::NotYet(error),
                }
            },
        ));
        match (waited, log) {
            (Ok(()), _) => Ok(()),
            (Err(error), None) => bail!(error),
            (Err(error), Some(log)) => bail!(
                "{error}\nlast lines of {}:\n{}",
                log.display(),
                tail(log, 15)
            ),
        }
    }
}

fn command(argv: &[&str]) -> Command {
    let (program, arguments) = argv.split_first().expect("a command has a program");
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", place::search_path());
    command
}

fn feed(argv: &[String], text: &str) -> Result<()> {
    let argv: Vec<_> = argv.iter().map(String::as_str).collect();
    let mut child = command(&argv)
        .stdin(Stdio::piped())
        .stdout(io::stderr().as_fd().try_clone_to_owned()?)
        .spawn()?;
    let mut input = child.stdin.take().expect("it was asked for");
    let written = input.write_all(text.as_bytes());
    drop(input);
    let status = child.wait()?;
    ensure!(status.success(), "ended with {status}");
    Ok(written?)
}

/// `setsid --fork` makes the session: a program of ours can't be left in our terminal's, where a
/// Ctrl-C would reach it.
fn detach(argv: &[String], log: &Path) -> Result<()> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("opening {}", log.display()))?;
    let status = Command::new("setsid")
        .arg("--fork")
        .args(argv)
        .env("PATH", place::search_path())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()
        .context("starting setsid")?;
    ensure!(status.success(), "setsid ended with {status}");
    Ok(())
}

/// The last lines of a file, for a message.
pub fn tail(path: &Path, lines: usize) -> String {
    const ENOUGH: u64 = 64 * 1024;
    let read = || -> io::Result<String> {
        use io::{Read as _, Seek as _};
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(io::SeekFrom::Start(length.saturating_sub(ENOUGH)))?;
        let mut bytes = Vec::new();
        file.take(ENOUGH).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => {
            let all: Vec<_> = text.lines().collect();
            all[all.len().saturating_sub(lines)..].join("\n")
        }
        Err(error) => format!("(can't be read: {error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_detached_has_a_session_of_its_own_and_writes_to_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let argv = ["cat", "/proc/self/stat"].map(str::to_owned).to_vec();
        ThisHost
            .perform(&Step::Detach {
                argv,
                log: log.clone(),
            })
            .unwrap();
        let stat = crate::block_on(wait_until(
            "the log",
            Duration::from_secs(20),
            Duration::from_millis(10),
            &Unwatched,
            || async {
                match fs::read_to_string(&log).unwrap() {
                    text if text.ends_with('\n') => Probe::Ready(text),
                    _ => Probe::NotYet("empty".to_owned()),
                }
            },
        ))
        .unwrap();
        let fields: Vec<_> = stat.split(' ').collect();
        assert_eq!(fields[0], fields[5], "process and session: {stat}");
    }

    #[test]
    fn a_program_is_fed_to_the_end_and_its_failure_is_ours() {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("copy");
        let fed = |program: &str| {
            ThisHost.perform(&Step::Feed {
                argv: vec![program.to_owned(), copy.display().to_string()],
                text: "a\nb\n".to_owned(),
            })
        };
        fed("tee").unwrap();
        assert_eq!(fs::read_to_string(&copy).unwrap(), "a\nb\n");
        fs::remove_file(&copy).unwrap();
        assert!(fed("ls").is_err());
    }

    #[test]
    fn a_command_that_is_not_there_is_an_answer_and_no_panic() {
        assert!(!ThisHost.ask(&["there-is-no-such-program"]).ok);
    }
}
