//! A trial's or a hook's way to the keeper: connect, else start one.
//!
//! Invariants: at most one keeper is started for a run id, ever; a keeper that is gone is an error
//! and never a second `app new`.

use std::fs::{File, OpenOptions};
use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use results::{Outcome, Source, Tier};
use rustix::fs::{FlockOperation, flock};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::paths::Paths;
use super::protocol::{AppView, Ask, Hello, LONGEST_LINE, Reply, VERSION};
use super::request::Request;
use crate::fault::Fault;
use crate::wait::{Probe, Unwatched, wait_until};

/// The first argument that starts a suite's binary as a keeper.
pub const KEEPER_ROLE: &str = "--cc-ci-keeper";

/// How long a keeper may take until it answers.
const KEEPER_START: Duration = Duration::from_secs(20);

/// One connection to the keeper.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Client {
    /// Connects to the run's keeper; if the run has none yet, starts it.
    pub async fn join(request: &Request, paths: &Paths) -> Result<Self, Fault> {
        if let Some(client) = Self::connect(paths).await? {
            return Ok(client);
        }
        paths.create()?;
        finish_earlier_session(request, paths).await?;
        let starting = starting_lock(paths)?;
        if let Some(client) = Self::connect(paths).await? {
            return Ok(client);
        }
        let log = open_log(paths)?;
        if let Err(error) = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(paths.events())
        {
            return Err(match error.kind() {
                io::ErrorKind::AlreadyExists => Fault::infra(format!(
                    "the session of run {} is over or its keeper is gone; a run id is used once",
                    request.run_id
                )),
                _ => Fault::infra(format!("{}: {error}", paths.events().display())),
            });
        }
        start_keeper(request, log)?;
        let client = wait_until(
            "the session's keeper",
            KEEPER_START,
            Duration::from_millis(3),
            &Unwatched,
            || async {
                match Self::connect(paths).await {
                    Ok(Some(client)) => Probe::Ready(client),
                    Ok(None) => Probe::NotYet(format!("see {}", paths.log().display())),
                    Err(fault) => Probe::Never(fault.to_string()),
                }
            },
        )
        .await
        .map_err(|error| Fault::infra(error.to_string()))?;
        drop(starting);
        Ok(client)
    }

    /// Connects to a keeper that is there. None: nobody listens.
    pub async fn connect(paths: &Paths) -> Result<Option<Self>, Fault> {
        paths.check_socket()?;
        let Ok(stream) = UnixStream::connect(&paths.socket).await else {
            return Ok(None);
        };
        let (reader, writer) = stream.into_split();
        let mut client = Self {
            reader: BufReader::new(reader),
            writer,
        };
        let Ok(line) = client.line().await else {
            return Ok(None);
        };
        let hello: Hello = serde_json::from_str(&line)
            .map_err(|error| Fault::infra(format!("the keeper's first line: {error}")))?;
        if hello.version != VERSION {
            return Err(Fault::infra(format!(
                "the keeper of run {} speaks version {} of the protocol and this binary {VERSION}: it was built from another commit",
                hello.run_id, hello.version
            )));
        }
        Ok(Some(client))
    }

    pub async fn perform(&mut self, tier: Tier) -> Result<(Outcome, Option<Box<AppView>>), Fault> {
        self.performed(&Ask::Perform { tier }).await
    }

    pub async fn begin(
        &mut self,
        tier: Tier,
        name: &str,
        source: Source,
    ) -> Result<(Outcome, Option<Box<AppView>>), Fault> {
        self.performed(&Ask::Begin {
            tier,
            name: name.to_owned(),
            source,
        })
        .await
    }

    pub async fn look(&mut self) -> Result<Option<Box<AppView>>, Fault> {
        Ok(self.performed(&Ask::Look).await?.1)
    }

    pub async fn end(&mut self, outcome: &Outcome, evidence: Vec<String>) -> Result<(), Fault> {
        let ask = Ask::End {
            outcome: outcome.clone(),
            evidence,
        };
        self.ask(&ask).await.map(drop)
    }

    pub async fn remember(&mut self, key: &str, value: serde_json::Value) -> Result<(), Fault> {
        self.ask(&Ask::Remember {
            key: key.to_owned(),
            value,
        })
        .await
        .map(drop)
    }

    pub async fn know_secret(&mut self, name: &str, value: &str) -> Result<(), Fault> {
        let ask = Ask::Secret {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        self.ask(&ask).await.map(drop)
    }

    /// Says that this process was told to end: its last word.
    pub async fn interrupted(&mut self) -> Result<(), Fault> {
        self.ask(&Ask::Interrupted).await.map(drop)
    }

    /// Has the session torn down. Gives what came of it, and the table for people.
    pub async fn finish(&mut self) -> Result<(Outcome, String), Fault> {
        match self.ask(&Ask::Finish).await? {
            Reply::Finished { outcome, table } => Ok((outcome, table)),
            other => Err(unexpected(&other)),
        }
    }

    async fn performed(&mut self, ask: &Ask) -> Result<(Outcome, Option<Box<AppView>>), Fault> {
        match self.ask(ask).await? {
            Reply::Performed { outcome, app } => Ok((outcome, app)),
            other => Err(unexpected(&other)),
        }
    }

    async fn ask(&mut self, ask: &Ask) -> Result<Reply, Fault> {
        let gone =
            |error: io::Error| Fault::infra(format!("the session's keeper is gone: {error}"));
        let mut line = serde_json::to_string(ask)
            .map_err(|error| Fault::infra(format!("a message to the keeper: {error}")))?;
        line.push('\n');
        self.writer.write_all(line.as_bytes()).await.map_err(gone)?;
        let line = self.line().await.map_err(gone)?;
        match serde_json::from_str(&line) {
            Ok(Reply::Refused { reason }) => Err(Fault::infra(reason)),
            Ok(reply) => Ok(reply),
            Err(error) => Err(Fault::infra(format!("the keeper's answer: {error}"))),
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        (&mut self.reader)
            .take(LONGEST_LINE)
            .read_line(&mut line)
            .await?;
        if line.ends_with('\n') {
            Ok(line)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

fn unexpected(reply: &Reply) -> Fault {
    Fault::infra(format!(
        "the keeper answered something else than was asked: {reply:?}"
    ))
}

/// Starting is done by one process at a time: whoever comes second finds the keeper.
fn starting_lock(paths: &Paths) -> Result<File, Fault> {
    let dir = paths.state.join("sessions");
    let lock = File::open(&dir).and_then(|dir| {
        flock(&dir, FlockOperation::LockExclusive)?;
        Ok(dir)
    });
    lock.map_err(|error| Fault::infra(format!("lock {}: {error}", dir.display())))
}

fn open_log(paths: &Paths) -> Result<File, Fault> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(paths.log())
        .map_err(|error| Fault::infra(format!("{}: {error}", paths.log().display())))
}

/// Starts this binary again as the keeper. Its streams are the run's log: one that is inherited
/// from a test would be reported as a leak. It leaves our process group and session by itself.
fn start_keeper(request: &Request, log: File) -> Result<(), Fault> {
    let fault = |error: io::Error| Fault::infra(format!("the keeper can't be started: {error}"));
    let mut command = Command::new("/proc/self/exe");
    command.arg(KEEPER_ROLE).stdin(Stdio::null());
    command.stderr(log.try_clone().map_err(fault)?).stdout(log);
    for (name, value) in request.to_environment() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.spawn().map(drop).map_err(fault)
}

/// One run of a runner has one live app at a time: where it goes on to another recipe, the session
/// before is finished first.
async fn finish_earlier_session(request: &Request, paths: &Paths) -> Result<(), Fault> {
    let Ok(sessions) = std::fs::read_dir(paths.state.join("sessions")) else {
        return Ok(());
    };
    let run = request
        .run_id
        .as_str()
        .strip_prefix(request.recipe.as_str());
    let Some(run) = run.filter(|_| !request.complete) else {
        return Ok(());
    };
    for name in sessions.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
        let earlier = name.ends_with(run) && name != request.run_id.as_str();
        let Some(run_id) = earlier.then(|| name.parse().ok()).flatten() else {
            continue;
        };
        if let Some(mut keeper) = Client::connect(&Paths::new(&paths.state, &run_id)).await? {
            keeper.finish().await?;
        }
    }
    Ok(())
}
