//! How a run comes to its end, and what its record says of that.

use std::fs;
use std::time::{Duration, Instant};

use results::event::EventKind;
use results::{Cause, Outcome};
use tokio::signal::unix::{SignalKind, signal};

use super::disk;
use super::paths::Paths;
use super::request::Request;
use super::server::Shared;
use crate::wait::Seconds;

/// How often the request for a stop is looked for.
pub const LOOK_FOR_CANCEL: Duration = Duration::from_millis(200);

/// Why a run ended that nobody asked to end.
const RUNNER_GONE: &str = "the process that started the run is gone";

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
    /// Its app fills the disk: what takes how much.
    Filled(String),
}

impl End {
    /// The same, where an operation was going on: nobody ends a run on purpose then.
    pub fn of_an_operation(self) -> Self {
        match self {
            Self::RunnerGone => Self::Cancelled(RUNNER_GONE.to_owned()),
            end => end,
        }
    }

    /// What an operation is that it cuts.
    pub fn outcome(&self, deadline: Duration) -> Outcome {
        match self {
            Self::Cancelled(by) => Outcome::unverified(Cause::Error, format!("cancelled: {by}")),
            Self::Deadline => Outcome::error(passed(deadline)),
            Self::Filled(reason) => Outcome::error(reason.as_str()),
            Self::Asked | Self::RunnerGone => Outcome::error("the session ended before it did"),
        }
    }

    pub fn announce(&self, request: &Request, shared: &Shared, deadline: Duration) {
        match self {
            Self::Cancelled(by) => shared
                .journal
                .emit(EventKind::CancelRequested { by: by.clone() }),
            Self::Deadline => shared.journal.emit(EventKind::SessionLost {
                reason: passed(deadline),
            }),
            Self::Filled(reason) => shared.journal.emit(EventKind::SessionLost {
                reason: reason.clone(),
            }),
            Self::RunnerGone if request.complete => {
                shared.journal.emit(EventKind::CancelRequested {
                    by: "the runner ended early".to_owned(),
                });
            }
            Self::Asked | Self::RunnerGone => {}
        }
    }
}

fn passed(deadline: Duration) -> String {
    format!("the session's deadline of {} passed", Seconds(deadline))
}

/// A run whose runner went while the app was being removed has nobody to tell: it was given up, and
/// its last test has no outcome.
pub fn gone_during_teardown(request: &Request) -> Option<End> {
    let gone = !request.keep && request.runner.pidfd().is_none();
    gone.then(|| End::Cancelled(RUNNER_GONE.to_owned()))
}

/// Returns when the run is over for a reason from outside.
pub async fn over(
    request: &Request,
    paths: &Paths,
    shared: &Shared,
    deadline: Instant,
    disk: disk::Rule,
) -> End {
    let cancel = async {
        let mut look = tokio::time::interval(LOOK_FOR_CANCEL);
        let mut seen = false;
        loop {
            look.tick().await;
            match fs::read_to_string(paths.cancel_request()) {
                // Whoever asks may be about to say who it is.
                Ok(by) if by.is_empty() && !seen => seen = true,
                Ok(by) => {
                    let by = by.lines().next().unwrap_or("somebody").to_owned();
                    return End::Cancelled(by);
                }
                Err(_) => {}
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
        end = asked_by_signal() => end,
        reason = disk::filled(disk, shared) => End::Filled(reason),
        () = tokio::time::sleep_until(deadline.into()) => End::Deadline,
    }
}

/// Whoever ends the keeper politely (the machine going down, too) wants the run stopped, not its
/// app left behind. From here on these signals no longer end the process.
async fn asked_by_signal() -> End {
    let kinds = [
        (SignalKind::terminate(), "SIGTERM to the keeper"),
        (SignalKind::interrupt(), "SIGINT to the keeper"),
        (SignalKind::hangup(), "SIGHUP to the keeper"),
    ];
    let waits = kinds.map(|(kind, by)| {
        Box::pin(async move {
            match signal(kind) {
                Ok(mut signal) => signal.recv().await,
                // It can't be heard: then it ends the process, as ever.
                Err(_) => std::future::pending().await,
            };
            by
        })
    });
    let (by, _, _) = futures_util::future::select_all(waits).await;
    End::Cancelled(by.to_owned())
}
