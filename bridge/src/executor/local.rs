//! Runs by the entrypoint on this machine.
//!
//! Invariants: no shell; a value from outside is never an argument of its own, so it is never an
//! option; a run that has its directory was started, whatever else happened.

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use rustix::fs::{Access, access};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::runs::{RunDirs, Stand};
use super::{Build, End, Executor, Finding, Order, Seen, StartError, Trouble};
use crate::http::one_line;

/// How long the entrypoint may take to begin a run: its set-up may build and pull.
const DEADLINE: Duration = Duration::from_secs(15 * 60);
/// How long its output is read on after its end, which a child of its own may hold open.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How much of the end of its output is kept.
const KEPT: usize = 4096;
const SHOWN: usize = 400;

pub struct Settings {
    /// The entrypoint: a program and what comes before its options.
    pub program: Vec<String>,
    /// Where it is started; the bridge's own folder without.
    pub folder: Option<PathBuf>,
    pub runs: RunDirs,
    /// How many runs at once.
    pub slots: usize,
}

pub struct Local {
    program: Vec<String>,
    folder: Option<PathBuf>,
    runs: RunDirs,
    slots: usize,
    deadline: Duration,
}

impl Local {
    pub fn new(settings: Settings) -> Self {
        Self {
            program: settings.program,
            folder: settings.folder,
            runs: settings.runs,
            slots: settings.slots,
            deadline: DEADLINE,
        }
    }

    /// How long the entrypoint may take to begin a run.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    fn command(&self, order: &Order) -> Result<Command, StartError> {
        let Some((program, first)) = self.program.split_first() else {
            return Err(StartError::Refused(
                "the executor's `program` is empty".to_owned(),
            ));
        };
        let mut command = Command::new(program);
        command.args(first).args(arguments(order));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
            .env("CCCI_STATE_DIR", self.runs.state())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        Ok(command)
    }

    /// Waits for the entrypoint's end, and gives the end of what it printed.
    async fn finish(&self, mut child: Child) -> Result<ExitStatus, String> {
        let group = child.id().and_then(|id| i32::try_from(id).ok());
        let output = (child.stdout.take(), child.stderr.take());
        let read = tokio::spawn(async move {
            let (out, err) = tokio::join!(tail(output.0), tail(output.1));
            [out, err].concat()
        });
        let ended = match timeout(self.deadline, child.wait()).await {
            Ok(ended) => ended,
            Err(_) => {
                if let Some(group) = group.and_then(Pid::from_raw) {
                    // It may have ended just now.
                    let _ = kill_process_group(group, Signal::KILL);
                }
                let _ = child.wait().await;
                read.abort();
                return Err(format!(
                    "the entrypoint had not begun the run after {:?} and was killed",
                    self.deadline
                ));
            }
        };
        let status = ended.map_err(|error| format!("the entrypoint: {error}"))?;
        if status.success() {
            read.abort();
            return Ok(status);
        }
        let abort = read.abort_handle();
        let said = match timeout(LAST_WORDS, read).await {
            Ok(Ok(said)) => said,
            _ => {
                abort.abort();
                Vec::new()
            }
        };
        Err(format!("{}: {}", words(status), last_lines(&said)))
    }
}

#[async_trait]
impl Executor for Local {
    fn slots(&self) -> Option<usize> {
        Some(self.slots)
    }

    async fn start(&self, order: &Order) -> Result<Build, StartError> {
        let build = Build(order.key.to_string());
        if self.runs.has(&order.key) {
            return Ok(build);
        }
        let child = self.command(order)?.spawn().map_err(|error| {
            StartError::Refused(format!("{} can't be started: {error}", self.program[0]))
        })?;
        let ended = self.finish(child).await;
        if self.runs.has(&order.key) {
            return Ok(build);
        }
        Err(StartError::Refused(match ended {
            Err(why) => why,
            Ok(_) => format!(
                "the entrypoint says that the run has begun, and it is not in {}: do both have the \
                 same state directory?",
                self.runs.state().join("runs").display()
            ),
        }))
    }

    async fn find(&self, order: &Order) -> Result<Option<Build>, Trouble> {
        let is_there = self.runs.has(&order.key);
        Ok(is_there.then(|| Build(order.key.to_string())))
    }

    async fn look(&self, order: &Order, _: &Build, _: Duration) -> Result<Seen, Trouble> {
        Ok(match self.runs.look(order)? {
            Stand::Open { queued: true, .. } => Seen::Waiting,
            Stand::Open { progress, .. } => Seen::Running(progress),
            Stand::Over(end) => Seen::Over(end),
            Stand::Nothing => Seen::Over(End::NoRecord(format!(
                "the directory of run {} is gone",
                order.key
            ))),
        })
    }

    async fn cancel(&self, order: &Order, _: &Build, by: &str) -> Result<(), Trouble> {
        self.runs.stop(&order.key, by)
    }

    fn link(&self, _: &Build) -> Option<String> {
        None
    }

    async fn check(&self) -> Vec<Finding> {
        let program = self.program.first().map_or("", String::as_str);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = find_program(program, self.folder.as_deref(), &path);
        let program = match found {
            Some(path) => Finding::good(format!("the entrypoint is {}", path.display())),
            None => Finding::bad(format!(
                "the executor's `program` {program} is no program that can be run: give its whole path"
            )),
        };
        let folder = self.folder.iter().filter(|folder| !folder.is_dir());
        let folder = folder.map(|folder| {
            Finding::bad(format!(
                "the executor's folder {} is not there",
                folder.display()
            ))
        });
        let mut findings = vec![program, self.runs.check()];
        findings.extend(folder);
        findings
    }
}

fn arguments(order: &Order) -> Vec<String> {
    let mut arguments = vec![
        format!("--recipe={}", order.recipe),
        format!("--source={}", order.source),
        format!("--ref={}", order.head),
        format!("--pr={}", order.pull),
        format!("--run-id={}", order.key),
        "--detach".to_owned(),
        "--yes".to_owned(),
    ];
    if !order.tiers.is_empty() {
        let tiers: Vec<_> = order.tiers.iter().map(|tier| tier.as_str()).collect();
        arguments.push(format!("--tiers={}", tiers.join(",")));
    }
    if order.quick {
        arguments.push("--quick".to_owned());
    }
    arguments.extend(order.from.iter().map(|from| format!("--from={from}")));
    arguments
}

fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("the entrypoint ended with code {code}"),
        (None, signal) => format!("signal {} ended the entrypoint", signal.unwrap_or_default()),
    }
}

/// The end of all that comes.
async fn tail(from: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut piece = [0; 4096];
    let Some(mut from) = from else {
        return kept;
    };
    // An output that can't be read any more is at its end.
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        kept.extend_from_slice(&piece[..read]);
        kept.drain(..kept.len().saturating_sub(KEPT));
    }
    kept
}

fn last_lines(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = &lines[lines.len().saturating_sub(5)..];
    match last {
        [] => "it said nothing".to_owned(),
        _ => one_line(&last.join(" / "), SHOWN),
    }
}

/// Where a program is that the system would start by that name.
fn find_program(program: &str, folder: Option<&Path>, path: &OsStr) -> Option<PathBuf> {
    let runs = |file: PathBuf| {
        let is_program = file.is_file() && access(&file, Access::EXEC_OK).is_ok();
        is_program.then_some(file)
    };
    if program.is_empty() {
        return None;
    }
    if program.contains('/') {
        return runs(folder.unwrap_or(Path::new(".")).join(program));
    }
    std::env::split_paths(path).find_map(|dir| runs(dir.join(program)))
}
