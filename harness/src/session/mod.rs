//! The live app and its keeper.
//!
//! nextest runs every trial in a process of its own and ends a slow one with a signal, so the live
//! app can't belong to a trial. It belongs to the keeper: the suite's own binary in another role,
//! started by the first trial that needs it, in a process session of its own.
//!
//! Invariants: one keeper a run, ever; an operation is performed at most once; `app new` at most
//! once; whatever ends the run, the keeper tears down, looks for residue and writes the record.
//!
//! This room must not know: what a test asserts.

pub mod client;
pub mod deployment;
#[doc(hidden)]
pub mod disk;
pub mod hooks;
pub mod janitor;
mod journal;
pub mod keeper;
pub mod lifetime;
pub mod locks;
pub mod lost;
mod over;
pub mod paths;
pub mod protocol;
pub mod registration;
pub mod registry_folder;
pub mod request;
mod run;
mod secrets;
#[doc(hidden)]
pub mod server;
mod trouble;
mod trust;

pub use journal::Journal;
