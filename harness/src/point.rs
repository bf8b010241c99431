//! Named points at which a run can be held, so that a test hits it just there and never by sleeping.
//!
//! `CCCI_TEST_POINT` names one point, `CCCI_TEST_POINT_FILE` a file. The process that comes to the
//! point first makes the file, and goes on when somebody removes it, or after [`LONGEST`]. Without
//! the variables a point costs nothing and does nothing.
//!
//! Invariants: a run is held once; a forgotten hold ends by itself.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::wait::{Probe, Unwatched, wait_until};

pub const POINT: &str = "CCCI_TEST_POINT";
pub const POINT_FILE: &str = "CCCI_TEST_POINT_FILE";

/// How long a run is held if nobody lets it go.
pub const LONGEST: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(5);

/// Where a run can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// The app is registered and has its `.env`; nothing of it is in the swarm.
    SetUp,
    /// Just before the first `docker stack deploy`.
    Deploy,
    /// After it: tasks start, nothing has converged.
    Deployed,
    /// An operation is asked for and has not begun.
    Between,
    /// Just before head is deployed over the base.
    Redeploy,
    /// After it: tasks are being replaced.
    Redeployed,
    /// The markers are seeded, nothing is backed up.
    Backup,
    /// The data is changed, nothing is restored.
    Restore,
    /// A custom test has begun.
    Custom,
    /// Stack and volumes are gone, head is about to be deployed on empty ones.
    Fresh,
    /// After that deploy.
    Freshed,
    /// The teardown has begun, nothing is removed.
    Teardown,
    /// All events are written, the record is not.
    Record,
    /// The keeper has ended; the entrypoint has not added the runner's word to the record.
    Report,
}

impl Point {
    pub fn name(self) -> &'static str {
        match self {
            Self::SetUp => "set-up",
            Self::Deploy => "deploy",
            Self::Deployed => "deployed",
            Self::Between => "between",
            Self::Redeploy => "redeploy",
            Self::Redeployed => "redeployed",
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Custom => "custom",
            Self::Fresh => "fresh",
            Self::Freshed => "freshed",
            Self::Teardown => "teardown",
            Self::Record => "record",
            Self::Report => "report",
        }
    }
}

/// Says that the run has come here, and holds it if it is to be held here.
pub async fn reach(point: Point) {
    static HELD: AtomicBool = AtomicBool::new(false);
    if let Some(file) = held_at(point)
        && !HELD.swap(true, Ordering::Relaxed)
    {
        hold(file).await;
    }
}

fn held_at(point: Point) -> Option<&'static Path> {
    static ASKED: OnceLock<Option<(String, PathBuf)>> = OnceLock::new();
    let asked = ASKED.get_or_init(|| {
        let name = std::env::var(POINT).ok()?;
        Some((name, PathBuf::from(std::env::var_os(POINT_FILE)?)))
    });
    asked
        .as_ref()
        .filter(|(name, _)| name == point.name())
        .map(|(_, file)| file.as_path())
}

/// Another process of the run may have been here before: then its file is there, or was.
async fn hold(file: &Path) {
    if OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .is_err()
    {
        return;
    }
    // Nobody let it go in time: it goes on by itself.
    let _ = wait_until("the end of a hold", LONGEST, LOOK, &Unwatched, || async {
        if file.exists() {
            Probe::NotYet("held".to_owned())
        } else {
            Probe::Ready(())
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_run_is_held_until_the_file_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("here");
        let held = hold(&file);
        tokio::pin!(held);
        let soon = Duration::from_millis(50);
        assert!(tokio::time::timeout(soon, &mut held).await.is_err());
        assert!(file.exists(), "the point was not announced");
        std::fs::remove_file(&file).unwrap();
        tokio::time::timeout(Duration::from_secs(5), held)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn without_the_variables_nothing_is_held() {
        assert_eq!(held_at(Point::Deploy), None);
        let soon = Duration::from_secs(1);
        tokio::time::timeout(soon, reach(Point::Deploy))
            .await
            .unwrap();
    }
}
