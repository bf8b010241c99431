//! Waiting: one function, with a subject, a deadline and a way to give up early.
//!
//! Invariants: the deadline bounds a probe that hangs; a wait that runs out is an error, never a
//! fall-through; the error carries the last status, so that the reader sees what was missing.

use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant};

/// What a probe saw.
#[derive(Debug)]
pub enum Probe<T> {
    Ready(T),
    /// Not yet: the status, for people.
    NotYet(String),
    /// No retry can cure this: the reason.
    Never(String),
}

/// Why a wait ended without what was waited for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    #[error("gave up waiting for {subject}: {reason}")]
    Never { subject: String, reason: String },
    #[error("{subject}: not within {} ({status})", Seconds(*.deadline))]
    TimedOut {
        subject: String,
        deadline: Duration,
        status: String,
    },
}

/// A length of time as people write it: `0.4 s`, `12 s`, `3 min 20 s`.
pub struct Seconds(pub Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let text = match seconds {
            0..10 => format!("{:.1} s", self.0.as_secs_f64()),
            10..120 => format!("{seconds} s"),
            _ => format!("{} min {} s", seconds / 60, seconds % 60),
        };
        f.pad(&text)
    }
}

/// Told at most once a second what a wait is at.
pub trait Progress: Send + Sync {
    fn waiting(&self, subject: &str, status: &str, elapsed: Duration, deadline: Duration);
}

/// For waits that nobody follows.
pub struct Unwatched;

impl Progress for Unwatched {
    fn waiting(&self, _: &str, _: &str, _: Duration, _: Duration) {}
}

/// Asks `probe` every `pause` until it is ready or says never, or `deadline` has passed.
pub async fn wait_until<T, F>(
    subject: &str,
    deadline: Duration,
    pause: Duration,
    progress: &dyn Progress,
    mut probe: impl FnMut() -> F,
) -> Result<T, WaitError>
where
    F: Future<Output = Probe<T>>,
{
    let started = Instant::now();
    let mut status = "never looked".to_owned();
    let mut told: Option<Instant> = None;
    loop {
        let left = deadline.saturating_sub(started.elapsed());
        match tokio::time::timeout(left, probe()).await {
            Ok(Probe::Ready(value)) => return Ok(value),
            Ok(Probe::Never(reason)) => {
                return Err(WaitError::Never {
                    subject: subject.to_owned(),
                    reason,
                });
            }
            Ok(Probe::NotYet(now)) => status = now,
            Err(_) if started.elapsed() < deadline => {}
            Err(_) => {
                return Err(WaitError::TimedOut {
                    subject: subject.to_owned(),
                    deadline,
                    status,
                });
            }
        }
        if started.elapsed() + pause >= deadline {
            return Err(WaitError::TimedOut {
                subject: subject.to_owned(),
                deadline,
                status,
            });
        }
        if told.is_none_or(|at| at.elapsed() >= Duration::from_secs(1)) {
            progress.waiting(subject, &status, started.elapsed(), deadline);
            told = Some(Instant::now());
        }
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn a_probe_that_hangs_is_bounded_by_the_deadline() {
        let hangs = || std::future::pending::<Probe<()>>();
        let error = wait_until(
            "nothing",
            Duration::from_millis(20),
            FAST,
            &Unwatched,
            hangs,
        )
        .await
        .unwrap_err();
        assert!(matches!(error, WaitError::TimedOut { .. }));
    }

    #[tokio::test]
    async fn a_time_out_names_the_subject_and_the_last_status() {
        let error = wait_until(
            "the app",
            Duration::from_millis(5),
            FAST,
            &Unwatched,
            || async { Probe::<()>::NotYet("0 of 1 running".to_owned()) },
        )
        .await
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the app: not within 0.0 s (0 of 1 running)"
        );
    }

    #[tokio::test]
    async fn never_ends_the_wait_at_once() {
        let error = wait_until(
            "the app",
            Duration::from_secs(60),
            FAST,
            &Unwatched,
            || async { Probe::<()>::Never("no such image".to_owned()) },
        )
        .await
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "gave up waiting for the app: no such image"
        );
    }

    #[tokio::test]
    async fn ready_gives_the_value() {
        let mut asked = 0;
        let seen = wait_until("three", Duration::from_secs(60), FAST, &Unwatched, || {
            asked += 1;
            let now = asked;
            async move {
                if now == 3 {
                    Probe::Ready(now)
                } else {
                    Probe::NotYet(String::new())
                }
            }
        })
        .await;
        assert_eq!(seen, Ok(3));
    }
}
