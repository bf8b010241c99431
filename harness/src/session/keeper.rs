//! The keeper: owns the live app from its first object to its verified removal.
//!
//! It knows that the run is over when it is asked to finish, when the runner's process has ended,
//! when somebody asks for a stop, or when the session's deadline passes. Whichever comes first: it
//! tears down, looks for residue, writes the record, and exits.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use results::event::{EventKind, RunStarted};
use results::{Outcome, Record, Tier};
use rustix::fs::{FlockOperation, flock};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};

use super::journal::Journal;
use super::lifetime::{ProcessId, close_inherited};
use super::paths::Paths;
use super::protocol::Reply;
use super::request::Request;
use super::run::Run;
use super::server::{Shared, Work, serve};
use crate::fault::Fault;
use crate::site::{self, Site};
use crate::suite::{Generic, Suite};
use crate::wait::Seconds;

/// How often the request for a stop is looked for.
const LOOK_FOR_CANCEL: Duration = Duration::from_millis(200);

/// Why a run ended that nobody asked to end.
const RUNNER_GONE: &str = "the process that started the run is gone";
/// How long a change of Docker's that was begun may hold up the end of a run.
const CHANGE_WITHIN: Duration = Duration::from_secs(30);

/// Why the run is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The last trial asked for it.
    Asked,
    /// Somebody asked for a stop: who.
    Cancelled(String),
    /// The runner's process has ended.
    RunnerGone,
    Deadline,
}

pub fn main<G: Generic>(suite: &Suite<G>) -> ExitCode {
    match keep(suite) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            complain(&fault.to_string());
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the keeper's standard error is the run's log"
)]
fn complain(text: &str) {
    eprintln!("keeper: {text}");
}

fn keep<G: Generic>(suite: &Suite<G>) -> Result<(), Fault> {
    close_inherited();
    // Out of the runner's session: its signals are not for the one who cleans up. Fails only where
    // we lead a group already, and then we are out of it as well.
    let _ = rustix::process::setsid();
    let request = Request::from_environment(&suite.recipe)?;
    let paths = Paths::new(&site::state_dir()?, &request.run_id);
    let io = |error: io::Error| Fault::infra(format!("{}: {error}", paths.private.display()));
    DirBuilder::new()
        .mode(0o700)
        .create(&paths.private)
        .map_err(io)?;
    let lock = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(paths.keeper_lock())
        .map_err(io)?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| io(error.into()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::infra(format!("no runtime: {error}")))?;
    let journal = Journal::open(&paths.events())?;
    let local = tokio::task::LocalSet::new();
    let result = local.block_on(&runtime, session(suite, request, &paths, journal));
    drop(lock);
    result
}

async fn session<G: Generic>(
    suite: &Suite<G>,
    request: Request,
    paths: &Paths,
    journal: Journal,
) -> Result<(), Fault> {
    let started = Instant::now();
    let io = |error: io::Error| Fault::infra(format!("{}: {error}", paths.socket.display()));
    let site = Site::from_environment();
    let skipped_generic = suite
        .settings
        .skipped_generic(|name| std::env::var(name).ok())
        .unwrap_or_default();
    let tiers = request.tiers();
    journal.emit(EventKind::RunStarted(Box::new(RunStarted {
        run_id: request.run_id.to_string(),
        recipe: request.recipe.to_string(),
        source: request
            .source
            .clone()
            .unwrap_or_else(|| "catalogue".to_owned()),
        requested_ref: request.requested_ref.clone(),
        pr: request.pr,
        engine: "stack".to_owned(),
        site: site
            .as_ref()
            .map_or_else(|_| String::new(), |site| site.name.clone()),
        planned: if request.complete {
            suite.planned(&tiers, &skipped_generic)
        } else {
            Vec::new()
        },
        tiers,
        settings: suite.settings.describe(),
        skipped_generic,
    })));
    let _ = fs::remove_file(&paths.socket);
    let listener = UnixListener::bind(&paths.socket).map_err(io)?;
    fs::set_permissions(&paths.socket, fs::Permissions::from_mode(0o600)).map_err(io)?;
    let shared = Rc::new(Shared::new(request.run_id.clone(), journal, paths));
    let (work, mut asked) = mpsc::channel(16);
    let serving = tokio::task::spawn_local(serve(listener, Rc::clone(&shared), work));

    let deadline = site
        .as_ref()
        .map_or(Duration::from_secs(600), |site| site.limits.session());
    let mut run = Run::new(
        suite,
        request.clone(),
        paths.clone(),
        site,
        Rc::clone(&shared),
    );
    let mut over = std::pin::pin!(over(&request, paths, &shared, started + deadline));
    let mut finisher = None;
    let end = loop {
        tokio::select! {
            work = asked.recv() => match work {
                Some(Work::Perform(tier, reply)) => {
                    let end = {
                        let mut perform = std::pin::pin!(run.perform(tier));
                        tokio::select! {
                            outcome = &mut perform => { let _ = reply.send(outcome); None }
                            end = &mut over => {
                                let uncut = async {
                                    tokio::select! {
                                        _ = perform => {}
                                        () = shared.unchanging() => {}
                                    }
                                };
                                let _ = tokio::time::timeout(CHANGE_WITHIN, uncut).await;
                                Some(end)
                            }
                        }
                    };
                    if let Some(end) = end {
                        // Nobody ends a run on purpose while an operation goes on.
                        let end = match end {
                            End::RunnerGone => End::Cancelled(RUNNER_GONE.to_owned()),
                            end => end,
                        };
                        run.abandon(&describe(&end, deadline)).await;
                        break end;
                    }
                }
                Some(Work::Evidence(tier, outcome, reply)) => {
                    let _ = reply.send(run.collect_evidence(tier, &outcome).await);
                }
                Some(Work::Finish(reply)) => { finisher = Some(reply); break End::Asked; }
                None => break End::RunnerGone,
            },
            end = &mut over => break end,
        }
    };
    // Who still asks for something gets no answer, and is not kept waiting for it.
    drop(asked);
    if end != End::Asked {
        // A test that goes on without its app, or as an orphan of its runner, ends with the run.
        let open: Vec<_> = shared.open.borrow().values().copied().flatten().collect();
        open.into_iter().for_each(ProcessId::kill);
    }
    announce(&end, &request, &shared, deadline);
    narrow(&request, &shared);
    if request.keep && (end == End::Asked || end == End::RunnerGone && !request.complete) {
        shared.journal.emit(EventKind::Kept {
            reason: format!(
                "kept until `cargo xtask reap {}` or the session's deadline",
                request.run_id
            ),
        });
        let record = write_record(paths, &shared.journal)?;
        reply(finisher.take(), &record, paths);
        until_reaped(paths, started + deadline).await;
    }
    run.teardown().await;
    shared.journal.emit(EventKind::RunFinished);
    let record = write_record(paths, &shared.journal);
    serving.abort();
    let cleaned = clean_up(paths, &shared.journal);
    reply(finisher, record.as_ref().map_err(Clone::clone)?, paths);
    // The answer goes out on a task of its own: give it the time it needs, and no more.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    cleaned
}

/// Returns when the run is over for a reason from outside.
async fn over(request: &Request, paths: &Paths, shared: &Shared, deadline: Instant) -> End {
    let cancel = async {
        let mut look = tokio::time::interval(LOOK_FOR_CANCEL);
        loop {
            look.tick().await;
            if let Ok(by) = fs::read_to_string(paths.cancel_request()) {
                return End::Cancelled(by.lines().next().unwrap_or("somebody").to_owned());
            }
        }
    };
    let runner = async {
        request.runner.ended().await;
        if request.complete || !shared.open.borrow().is_empty() {
            return End::Cancelled(RUNNER_GONE.to_owned());
        }
        End::RunnerGone
    };
    tokio::select! {
        end = cancel => end,
        end = runner => end,
        () = tokio::time::sleep_until(deadline.into()) => End::Deadline,
    }
}

fn describe(end: &End, deadline: Duration) -> Outcome {
    match end {
        End::Cancelled(by) => {
            Outcome::unverified(results::Cause::Error, format!("cancelled: {by}"))
        }
        End::Deadline => Outcome::error(format!(
            "the session's deadline of {} passed",
            Seconds(deadline)
        )),
        End::Asked | End::RunnerGone => Outcome::error("the session ended before it did"),
    }
}

fn announce(end: &End, request: &Request, shared: &Shared, deadline: Duration) {
    match end {
        End::Cancelled(by) => shared
            .journal
            .emit(EventKind::CancelRequested { by: by.clone() }),
        End::Deadline => shared.journal.emit(EventKind::SessionLost {
            reason: format!("the session's deadline of {} passed", Seconds(deadline)),
        }),
        End::RunnerGone if request.complete => shared.journal.emit(EventKind::CancelRequested {
            by: "the runner ended early".to_owned(),
        }),
        End::Asked | End::RunnerGone => {}
    }
}

/// With a runner that may filter, tiers of which no test came were left out on purpose.
fn narrow(request: &Request, shared: &Shared) {
    let touched = shared.touched.borrow();
    let left_out: Vec<Tier> = request
        .tiers()
        .into_iter()
        .filter(|tier| !touched.contains(tier))
        .collect();
    if !request.complete && !left_out.is_empty() {
        shared.journal.emit(EventKind::Narrowed { tiers: left_out });
    }
}

/// A kept app stays until somebody reaps it, or the deadline.
async fn until_reaped(paths: &Paths, deadline: Instant) {
    let mut look = tokio::time::interval(LOOK_FOR_CANCEL);
    while Instant::now() < deadline && !paths.cancel_request().exists() {
        look.tick().await;
    }
}

/// Folds the events into the record and writes it for machines and for people.
fn write_record(paths: &Paths, journal: &Journal) -> Result<Record, Fault> {
    redact_log(&paths.log(), journal);
    write_record_of(paths)
}

/// The same for whoever comes after a keeper that is gone.
pub fn write_record_of(paths: &Paths) -> Result<Record, Fault> {
    let fault = |error: &dyn std::fmt::Display| Fault::infra(format!("the record: {error}"));
    let (events, problems) =
        results::log::read_events(&paths.events()).map_err(|error| fault(&error))?;
    let mut record = Record::from_log(&events, &problems);
    let runs = paths.run.parent().unwrap_or(&paths.run);
    record.comparison = results::history::comparison(&record, runs);
    results::write::write_all(&paths.run, &record).map_err(|error| fault(&error))?;
    Ok(record)
}

/// What tests and hooks printed is in the log as they printed it.
fn redact_log(log: &Path, journal: &Journal) {
    let Ok(bytes) = fs::read(log) else { return };
    let text = String::from_utf8_lossy(&bytes);
    let redacted = journal.redact(&text);
    if redacted != text {
        // In place: the runner still appends to the same file.
        let _ = fs::write(log, redacted);
    }
}

fn clean_up(paths: &Paths, journal: &Journal) -> Result<(), Fault> {
    let _ = fs::remove_file(&paths.socket);
    let _ = fs::remove_file(paths.cancel_request());
    fs::remove_dir_all(&paths.private).map_err(|error| {
        let text = format!("{}: {error}", paths.private.display());
        journal.note(None, &text);
        Fault::infra(text)
    })
}

fn reply(finisher: Option<oneshot::Sender<Reply>>, record: &Record, paths: &Paths) {
    if let Some(finisher) = finisher {
        let outcome = record.teardown.outcome.clone();
        let table = results::table::render(
            record,
            results::table::Colour::Never,
            &|path| results::evidence::of_run(&paths.run, path),
            paths.run.join("report.html").to_str(),
        );
        let _ = finisher.send(Reply::Finished { outcome, table });
    }
}
