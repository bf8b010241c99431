//! What the bridge knows, in one SQLite file.
//!
//! Invariants: one process has it open; every change is a transaction that is on the disk before
//! anything outside is done because of it; a file of a newer version is left alone.

mod decisions;
mod polls;
mod runs;
mod said;
mod schema;
mod shown;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use rusqlite_migration::MigrationDefinitionError;

pub use decisions::{Decision, Outcome, decide, is_decided, mentioned, replies_since};
pub use polls::{
    Due, Enrolled, Source, due_pulls, enrol, enrolment, found, keep_enrolled, looked_at, nudge,
    one_due_pull, set_source, source,
};
pub use runs::{
    EndedRun, Run, State, Stop, ahead, ask_stop, durations, insert_run, live_keys, live_of_pull,
    live_runs, run, runs_of_head, set_progress, set_state, settle, states, take_slot,
};
pub use said::{Kind, Said, due_said, give_up, mark_asked, mark_said, one_due, said_of, want};
pub use shown::{
    DecisionShown, EnrolledShown, MentionShown, decisions_shown, due_said_count, enrolled_shown,
    mentions_shown,
};

/// The file's name in the bridge's folder.
pub const FILE: &str = "bridge.db";
/// Nobody else should have the file open, so this is short.
const BUSY: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "the database {path} was made by a newer version of the bridge; run that version, or move the file away (what it knows is then lost, and existing comments count as seen)"
    )]
    Newer { path: PathBuf },
    #[error("the database {path} is in use; is another bridge running with this folder?")]
    Locked { path: PathBuf },
    #[error("the disk of the database {path} is full; make room, the bridge goes on by itself")]
    Full { path: PathBuf },
    #[error("the database {path}")]
    Other {
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error("the database {path} could not be brought to this version")]
    Migration {
        path: PathBuf,
        source: rusqlite_migration::Error,
    },
}

impl StoreError {
    fn new(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path },
            Some(ErrorCode::DiskFull) => Self::Full { path },
            _ => Self::Other { path, source },
        }
    }
}

/// The open database.
#[derive(Debug, Clone)]
pub struct Store {
    connection: Arc<Mutex<Connection>>,
    path: Arc<Path>,
}

impl Store {
    /// Opens the database of a folder, which is made if it is not there, and brings it to this
    /// version. The file is then this process' alone.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        let connection = open(&path).map_err(|error| StoreError::new(&path, error))?;
        let mut store = Self {
            connection: Arc::new(Mutex::new(connection)),
            path: path.into(),
        };
        store.migrate()?;
        Ok(store)
    }

    fn migrate(&mut self) -> Result<(), StoreError> {
        let path = self.path.to_path_buf();
        let mut connection = self.connection.lock().expect("nobody panicked with it");
        let migrated = schema::migrations().to_latest(&mut connection);
        migrated.map_err(|error| match error {
            rusqlite_migration::Error::MigrationDefinition(
                MigrationDefinitionError::DatabaseTooFarAhead,
            ) => StoreError::Newer { path },
            rusqlite_migration::Error::RusqliteError { err, .. } => StoreError::new(&path, err),
            source => StoreError::Migration { path, source },
        })
    }

    /// One transaction, on a thread where it may wait for the disk.
    pub async fn write<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        self.with(move |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        })
        .await
    }

    /// A look that changes nothing.
    pub async fn read<R: Send + 'static>(
        &self,
        look: impl FnOnce(&Connection) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        self.with(move |connection| look(connection)).await
    }

    async fn with<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        let connection = Arc::clone(&self.connection);
        let done = tokio::task::spawn_blocking(move || {
            let mut connection = connection.lock().expect("nobody panicked with it");
            work(&mut connection)
        });
        done.await
            .expect("a transaction does not panic")
            .map_err(|error| StoreError::new(&self.path, error))
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    // Exclusive: a second bridge is refused, for it would answer every comment again.
    connection.pragma_update(None, "locking_mode", "exclusive")?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // A decision must be on the disk before its run is started.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // The lock is taken by the first change.
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT")?;
    Ok(connection)
}

/// Now, as it is stored.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_second()
}

/// JSON in a column.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("plain data is JSON")
}

/// What [`json`] wrote; another version of the bridge may have written it.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(
    column: usize,
    text: &str,
) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| unreadable(column, error))
}

pub(crate) fn unreadable(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    let kind = rusqlite::types::Type::Text;
    rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
}

/// A column of a parsed type.
pub(crate) fn parsed<T>(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error| unreadable(column, error))
}

#[cfg(test)]
mod tests;
