//! Waiting over HTTP and TCP.

use std::time::Duration;

use super::answer::any_of;
use super::{Answer, Client, HttpError};
use crate::edge::nginx::Page;
use crate::wait::{Probe, Progress, Unwatched, WaitError, wait_until};

const PAUSE: Duration = Duration::from_millis(200);

impl Client {
    /// Gets `url` until `wanted` is content, which else says what is missing. 5xx and failed
    /// connections are tried again; 4xx ends the wait at once.
    pub async fn get_until(
        &self,
        url: &str,
        deadline: Duration,
        wanted: impl Fn(&Answer) -> Result<(), String>,
    ) -> Result<Answer, HttpError> {
        let probe = async || match self.get(url).await {
            Err(error) if error.is_connection() => Probe::NotYet(error.to_string()),
            Err(error) => Probe::Never(error.to_string()),
            Ok(answer) if answer.status.is_server_error() => Probe::NotYet(status(&answer)),
            Ok(answer) if answer.status.is_client_error() => Probe::Never(status(&answer)),
            Ok(answer) => match wanted(&answer) {
                Ok(()) => Probe::Ready(answer),
                Err(missing) => Probe::NotYet(missing),
            },
        };
        let subject = format!("GET {url}");
        Ok(wait_until(&subject, deadline, PAUSE, &Unwatched, probe).await?)
    }

    /// Waits until the app itself answers `url` with one of the statuses `ok`.
    pub async fn answers(
        &self,
        url: &str,
        ok: &[u16],
        deadline: Duration,
        progress: &dyn Progress,
    ) -> Result<Answer, HttpError> {
        let wanted = any_of(ok);
        let probe = async || match self.get(url).await {
            Err(error) if error.is_connection() => Probe::NotYet(error.to_string()),
            Err(error) => Probe::Never(error.to_string()),
            Ok(answer) => match &answer.edge_page {
                Some(mark) if Page::lasts(mark) => Probe::Never(status(&answer)),
                Some(_) => Probe::NotYet(status(&answer)),
                None if ok.contains(&answer.status.as_u16()) => Probe::Ready(answer),
                None => Probe::NotYet(format!("{}, not {wanted}", status(&answer))),
            },
        };
        let subject = format!("an answer of {url}");
        Ok(wait_until(&subject, deadline, PAUSE, progress, probe).await?)
    }
}

/// Does `attempt` again while it meets a 5xx, as of an app whose database was just replaced under
/// it; all else, a 4xx above all, ends it at once.
pub async fn retry_server_errors<T>(
    subject: &str,
    within: Duration,
    attempt: impl AsyncFn() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let probe = async || match attempt().await {
        Err(error) if is_server_error(&error) => Probe::NotYet(format!("{error:#}")),
        done => Probe::Ready(done),
    };
    wait_until(subject, within, PAUSE, &Unwatched, probe).await?
}

fn is_server_error(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        matches!(
            cause.downcast_ref(),
            Some(HttpError::Status { got, .. }) if got.is_server_error()
        )
    })
}

/// Waits until `address` (`host:port`) takes `times` connections one after the other; one that
/// fails begins the count anew.
pub async fn connects(
    address: &str,
    times: u32,
    deadline: Duration,
    progress: &dyn Progress,
) -> Result<(), WaitError> {
    let subject = format!("{address} takes connections");
    let stable = std::sync::atomic::AtomicU32::new(0);
    let probe = async || match tokio::net::TcpStream::connect(address).await {
        Ok(_) => {
            let so_far = stable.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            if so_far >= times {
                Probe::Ready(())
            } else {
                Probe::NotYet(format!("{so_far} of {times} connections"))
            }
        }
        Err(error) => {
            stable.store(0, std::sync::atomic::Ordering::Relaxed);
            Probe::NotYet(error.to_string())
        }
    };
    wait_until(&subject, deadline, PAUSE, progress, probe).await
}

fn status(answer: &Answer) -> String {
    match &answer.edge_page {
        Some(reason) => format!("{}, {}: {reason}", answer.status, answer.proxy()),
        None => answer.status.to_string(),
    }
}
