//! The keeper: owns the live app from its first object to its verified removal.
//!
//! It knows that the run is over when it is asked to finish, when the runner's process has ended,
//! when somebody asks for a stop, when the session's deadline passes, or when its app fills the disk. Whichever comes first: it
//! tears down, looks for residue, writes the record, and exits.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use results::event::{EventKind, RunStarted};
use results::{Record, Tier};
use rustix::fs::{FlockOperation, flock};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};

use super::disk;
use super::journal::{Caught, Journal, say_in_the_log};
use super::lifetime::{ProcessId, close_inherited};
use super::over::{End, LOOK_FOR_CANCEL, gone_during_teardown, over};
use super::paths::{EVENTS, Paths};
use super::protocol::Reply;
use super::request::Request;
use super::run::Run;
use super::server::{Shared, Work, serve};
use crate::fault::Fault;
use crate::point::{self, Point};
use crate::site::{self, EngineKind, Limits, Site};
use crate::suite::{Generic, Suite};

/// How long a change of Docker's that was begun may hold up the end of a run.
const CHANGE_WITHIN: Duration = Duration::from_secs(30);

pub fn main<G: Generic>(suite: &Suite<G>) -> ExitCode {
    match keep(suite) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            say_in_the_log(&format!("keeper: {fault}"));
            ExitCode::FAILURE
        }
    }
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
        source: request.source_shown(),
        requested_ref: request.requested_ref.clone(),
        pr: request.pr,
        engine: site
            .as_ref()
            .map_or(EngineKind::Stack, |site| site.engine)
            .name()
            .to_owned(),
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
    let disk = disk::Rule::of(
        &site
            .as_ref()
            .map_or_else(|_| Limits::default(), |site| site.limits.clone()),
    );
    let mut run = Run::new(
        suite,
        request.clone(),
        paths.clone(),
        site,
        Rc::clone(&shared),
    );
    let mut over = std::pin::pin!(over(&request, paths, &shared, started + deadline, disk));
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
                        let end = end.of_an_operation();
                        run.abandon(&end.outcome(deadline)).await;
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
    end.announce(&request, &shared, deadline);
    narrow(&request, &shared);
    if request.keep && (end == End::Asked || end == End::RunnerGone && !request.complete) {
        shared.journal.emit(EventKind::Kept {
            reason: format!(
                "kept until `cargo xtask reap {}` or the session's deadline",
                request.run_id
            ),
        });
        let record = write_record_of(&paths.run)?;
        reply(finisher.take(), &record, paths);
        until_reaped(paths, started + deadline).await;
    }
    run.teardown().await;
    if end == End::Asked
        && let Some(gone) = gone_during_teardown(&request)
    {
        gone.announce(&request, &shared, deadline);
    }
    shared.journal.emit(EventKind::RunFinished);
    point::reach(Point::Record).await;
    let record = write_record_of(&paths.run);
    serving.abort();
    let cleaned = clean_up(paths, &shared.journal);
    // Where the disk was full there is room now: for the events that did not find any, too.
    let record = match shared.journal.catch_up() {
        Caught::Nothing => record.or_else(|_| write_record_of(&paths.run)),
        Caught::Up => write_record_of(&paths.run),
    };
    reply(finisher, record.as_ref().map_err(Clone::clone)?, paths);
    // The answer goes out on a task of its own: give it the time it needs, and no more.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    cleaned
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

/// Folds the events into the record and writes it, for machines and for people.
pub fn write_record_of(run: &Path) -> Result<Record, Fault> {
    let fault = |error: &dyn std::fmt::Display| Fault::infra(format!("the record: {error}"));
    let (events, problems) =
        results::log::read_events(&run.join(EVENTS)).map_err(|error| fault(&error))?;
    let mut record = Record::from_log(&events, &problems);
    let runs = run.parent().unwrap_or(run);
    record.comparison = results::history::comparison(&record, runs);
    results::write::write_all(run, &record).map_err(|error| fault(&error))?;
    Ok(record)
}

fn clean_up(paths: &Paths, journal: &Journal) -> Result<(), Fault> {
    let _ = fs::remove_file(&paths.socket);
    let _ = fs::remove_file(paths.cancel_request());
    match fs::remove_dir_all(&paths.private) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let text = format!("{}: {error}", paths.private.display());
            journal.note(None, &text);
            Err(Fault::infra(text))
        }
        _ => Ok(()),
    }
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
