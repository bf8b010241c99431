//! The keeper's side of the socket: one task a connection, each asking the one that operates.
//!
//! Invariants: a test that began and whose connection ends without an outcome is recorded as an
//! error; only processes of the same user are answered.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use results::event::EventKind;
use results::{Outcome, Source, Tier};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use super::journal::{Journal, millis};
use super::lifetime::ProcessId;
use super::paths::Paths;
use super::protocol::{AppView, Ask, Hello, LONGEST_LINE, Reply, VERSION};
use super::secrets::Secrets;
use super::trouble::fairly;
use crate::fault::Fault;
use crate::point::{self, Point};
use crate::recipe::RunId;
use crate::swarm::Swarm;

/// How long a runner may take to end after its last test.
const RUNNER_ENDS_WITHIN: Duration = Duration::from_secs(3);

/// What a connection asks of the one task that operates on the app.
pub enum Work {
    Perform(Tier, oneshot::Sender<Outcome>),
    /// Write evidence of a tier of which a test ended so. Gives the files.
    Evidence(Tier, Outcome, oneshot::Sender<Vec<String>>),
    Finish(oneshot::Sender<Reply>),
}

/// What all connections share with the operating task.
pub struct Shared {
    pub run_id: RunId,
    pub journal: Journal,
    pub view: RefCell<Option<AppView>>,
    pub state: RefCell<BTreeMap<String, Value>>,
    /// Where the state is kept for executables that can't ask.
    pub state_file: PathBuf,
    pub secrets: Secrets,
    /// Tiers of which a test began: the others were left out by the runner's filter.
    pub touched: RefCell<BTreeSet<Tier>>,
    /// Processes of tests that began and have not ended.
    pub open: RefCell<BTreeMap<u64, Option<ProcessId>>>,
    pub connections: Cell<u64>,
    /// Processes of tests that were told to end.
    pub interrupted: RefCell<BTreeSet<i32>>,
    /// The engine, once a run uses it.
    pub swarm: RefCell<Option<Swarm>>,
    /// How many changes Docker is making for us right now.
    changing: Cell<u32>,
}

impl Shared {
    pub fn new(run_id: RunId, journal: Journal, paths: &Paths) -> Self {
        Self {
            run_id,
            journal,
            view: RefCell::default(),
            state: RefCell::default(),
            state_file: paths.operation_state(),
            secrets: Secrets::new(paths.secrets()),
            touched: RefCell::default(),
            open: RefCell::default(),
            connections: Cell::new(0),
            interrupted: RefCell::default(),
            swarm: RefCell::default(),
            changing: Cell::new(0),
        }
    }

    /// Makes a change that must not be cut: Docker goes on with a request whose sender is gone, and
    /// what it makes then comes after the removal.
    pub async fn change<T>(&self, work: impl Future<Output = T>) -> T {
        self.changing.set(self.changing.get() + 1);
        let result = work.await;
        self.changing.set(self.changing.get() - 1);
        result
    }

    /// A failure is the recipe's only on a host that is not in trouble itself.
    pub async fn fairly(&self, outcome: Outcome) -> Outcome {
        let swarm = self.swarm.borrow().clone();
        fairly(outcome, swarm).await
    }

    /// Returns when no such change is being made.
    pub async fn unchanging(&self) {
        let mut look = tokio::time::interval(Duration::from_millis(10));
        while self.changing.get() > 0 {
            look.tick().await;
        }
    }

    /// Keeps what was learned where later tests, hooks and executables find it.
    pub fn keep(&self, key: String, value: Value) {
        self.state.borrow_mut().insert(key, value);
        let state = serde_json::to_vec(&*self.state.borrow()).unwrap_or_default();
        if let Err(error) = std::fs::write(&self.state_file, state) {
            self.journal.note(None, format!("operation state: {error}"));
        }
    }

    /// Knows these values from here on: by name for tests, and for the redactor.
    pub fn know_secrets(&self, new: Vec<(String, String)>) -> Result<(), Fault> {
        self.secrets.add(new)?;
        self.journal.redact_with(self.secrets.redactor());
        Ok(())
    }

    /// The app with everything that was learned up to now.
    fn look(&self) -> Option<Box<AppView>> {
        let mut view = self.view.borrow().clone()?;
        view.state = self.state.borrow().clone();
        Some(Box::new(view))
    }
}

/// Answers connections until it is dropped.
pub async fn serve(listener: UnixListener, shared: Rc<Shared>, work: mpsc::Sender<Work>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let peer = stream.peer_cred();
        let ours = peer
            .as_ref()
            .is_ok_and(|peer| peer.uid() == rustix::process::getuid().as_raw());
        if !ours {
            continue;
        }
        let process = peer
            .ok()
            .and_then(|peer| peer.pid())
            .and_then(ProcessId::of);
        let id = shared.connections.get();
        shared.connections.set(id + 1);
        let connection = Connection {
            id,
            process,
            shared: Rc::clone(&shared),
            work: work.clone(),
            test: None,
        };
        tokio::task::spawn_local(connection.run(stream));
    }
}

struct Connection {
    id: u64,
    process: Option<ProcessId>,
    shared: Rc<Shared>,
    work: mpsc::Sender<Work>,
    test: Option<(Tier, String, Source, Instant)>,
}

impl Connection {
    async fn run(mut self, stream: UnixStream) {
        // An error here is the other side's end; a test that was open is recorded below.
        let _ = self.talk(stream).await;
        let what = if self.was_interrupted() {
            self.until_it_is_clear_why().await;
            "was told to end by a signal, as a runner does with a test that takes too long"
        } else {
            "ended without a word: its process was killed, aborted or ran out of memory"
        };
        self.ended(Outcome::error(what), Vec::new()).await;
    }

    fn was_interrupted(&self) -> bool {
        let told = self.shared.interrupted.borrow();
        let process = self.process.map(ProcessId::pid);
        self.test.is_some() && process.is_some_and(|pid| told.contains(&pid))
    }

    /// A runner that ends one test goes on to the next; one that was told to end itself is gone in
    /// a moment, and then the run is over with this test still open: it is cancelled.
    async fn until_it_is_clear_why(&self) {
        let before = self.shared.connections.get();
        let next = async {
            let mut look = tokio::time::interval(Duration::from_millis(10));
            while self.shared.connections.get() == before {
                look.tick().await;
            }
        };
        let _ = tokio::time::timeout(RUNNER_ENDS_WITHIN, next).await;
    }

    async fn talk(&mut self, stream: UnixStream) -> io::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let hello = Hello {
            version: VERSION,
            run_id: self.shared.run_id.clone(),
            pid,
        };
        writer
            .write_all(format!("{}\n", serde_json::to_string(&hello)?).as_bytes())
            .await?;
        loop {
            let mut line = String::new();
            if (&mut reader)
                .take(LONGEST_LINE)
                .read_line(&mut line)
                .await?
                == 0
            {
                return Ok(());
            }
            let reply = match serde_json::from_str(&line) {
                Ok(ask) => self.answer(ask).await,
                Err(error) => Reply::Refused {
                    reason: format!("the keeper was asked: {error}"),
                },
            };
            writer
                .write_all(format!("{}\n", serde_json::to_string(&reply)?).as_bytes())
                .await?;
        }
    }

    async fn answer(&mut self, ask: Ask) -> Reply {
        match ask {
            Ask::Perform { tier } => {
                if tier == Tier::Custom {
                    // Has no operation of its own: this is the repository's tests, which may be
                    // all that the runner has for the tier.
                    self.shared.touched.borrow_mut().insert(tier);
                }
                let outcome = self.perform(tier).await;
                Reply::Performed {
                    outcome,
                    app: self.shared.look(),
                }
            }
            Ask::Begin { tier, name, source } => {
                let unended = Outcome::error("its process began another test before it ended");
                self.ended(unended, Vec::new()).await;
                self.shared.touched.borrow_mut().insert(tier);
                self.shared.open.borrow_mut().insert(self.id, self.process);
                let outcome = self.perform(tier).await;
                let started = EventKind::TrialStarted {
                    tier,
                    name: name.clone(),
                    source,
                };
                self.shared.journal.emit(started);
                self.test = Some((tier, name, source, Instant::now()));
                if tier == Tier::Custom {
                    point::reach(Point::Custom).await;
                }
                Reply::Performed {
                    outcome,
                    app: self.shared.look(),
                }
            }
            Ask::End { outcome, evidence } => {
                let outcome = self.shared.fairly(outcome).await;
                self.ended(outcome, evidence).await;
                Reply::Done
            }
            Ask::Look => Reply::Performed {
                outcome: Outcome::Pass,
                app: self.shared.look(),
            },
            Ask::Remember { key, value } => {
                self.shared.keep(key, value);
                Reply::Done
            }
            Ask::Secret { name, value } => match self.shared.know_secrets(vec![(name, value)]) {
                Ok(()) => Reply::Done,
                Err(fault) => Reply::Refused {
                    reason: fault.to_string(),
                },
            },
            Ask::Interrupted => {
                let pid = self.process.map(ProcessId::pid);
                self.shared.interrupted.borrow_mut().extend(pid);
                Reply::Done
            }
            Ask::Finish => {
                let (reply, answer) = oneshot::channel();
                match self.work.send(Work::Finish(reply)).await {
                    Ok(()) => answer.await.unwrap_or_else(|_| over()),
                    Err(_) => over(),
                }
            }
        }
    }

    /// What is known of the stack now; nothing once the session is over.
    async fn evidence(&self, tier: Tier, outcome: &Outcome) -> Vec<String> {
        let (reply, answer) = oneshot::channel();
        let work = Work::Evidence(tier, outcome.clone(), reply);
        match self.work.send(work).await {
            Ok(()) => answer.await.unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }

    async fn perform(&self, tier: Tier) -> Outcome {
        let (reply, answer) = oneshot::channel();
        let gone = || Outcome::error("the session is over");
        match self.work.send(Work::Perform(tier, reply)).await {
            Ok(()) => answer.await.unwrap_or_else(|_| gone()),
            Err(_) => gone(),
        }
    }

    async fn ended(&mut self, outcome: Outcome, mut evidence: Vec<String>) {
        self.shared.open.borrow_mut().remove(&self.id);
        if let Some((tier, name, source, started)) = self.test.take() {
            let duration_ms = millis(started);
            if matches!(outcome, Outcome::Fail { .. } | Outcome::Error { .. }) {
                evidence.extend(self.evidence(tier, &outcome).await);
            }
            self.shared.journal.emit(EventKind::TrialEnded {
                tier,
                name,
                source,
                outcome,
                duration_ms,
                evidence,
            });
        }
    }
}

fn over() -> Reply {
    Reply::Refused {
        reason: "the session is over".to_owned(),
    }
}
