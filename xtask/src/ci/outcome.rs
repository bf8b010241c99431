//! What came of a run, once its runner has ended.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use harness::fault::Fault;
use harness::wait::{Probe, Unwatched, WaitError, wait_until};
use results::Record;

use super::runner;
use super::watch::Ended;
use crate::exit;
use crate::setup::tail;

pub const RESULT: &str = "result.json";
/// A keeper's teardown after its runner ended, and the record.
const DEADLINE: Duration = Duration::from_secs(900);

/// The record, which the keeper writes last. `meanwhile` is called at every look: the teardown may
/// go on for a while after the runner's end.
///
/// JOINT: `RunnerEnded` is to be handed to the keeper, and a keeper that was killed to be reaped,
/// by `harness::session` once it can; until then a keeper that died shows as this wait's end.
pub async fn wait_for_record(
    dir: &Path,
    ended: &Ended,
    meanwhile: &mut dyn FnMut() -> io::Result<()>,
) -> Result<Record> {
    if !ended.began && !dir.join(RESULT).exists() {
        return Err(nothing_began(dir, ended));
    }
    let waited = wait_until(
        "the record",
        DEADLINE,
        Duration::from_millis(100),
        &Unwatched,
        || {
            let probe = match meanwhile().map_err(Into::into).and_then(|()| read(dir)) {
                Ok(Some(record)) => Probe::Ready(record),
                Ok(None) => Probe::NotYet("the keeper has not written it".to_owned()),
                Err(error) => Probe::Never(format!("{error:#}")),
            };
            async { probe }
        },
    )
    .await;
    waited.map_err(|error| {
        let what = match error {
            WaitError::Never { reason, .. } => reason,
            out @ WaitError::TimedOut { .. } => out.to_string(),
        };
        Fault::infra(format!(
            "the run has no record that can be read: {what}; see {}",
            dir.display()
        ))
        .into()
    })
}

/// The record of a run; none: it has none yet.
pub fn read(dir: &Path) -> Result<Option<Record>> {
    let path = dir.join(RESULT);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    serde_json::from_slice(&bytes)
        .with_context(|| format!("reading {}", path.display()))
        .map(Some)
}

/// No keeper ever wrote a line: the tests did not build, none was listed, or the runner is broken.
fn nothing_began(dir: &Path, ended: &Ended) -> anyhow::Error {
    if ended.stopped {
        return exit::Stopped("the run was stopped before its tests began".to_owned()).into();
    }
    let log = dir.join(runner::LOG);
    Fault::infra(format!(
        "the tests never began: the runner ended with code {}; last lines of {}:\n{}",
        exit::of_child(ended.status),
        log.display(),
        tail(&log, 20)
    ))
    .into()
}
