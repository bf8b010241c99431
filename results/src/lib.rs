//! The record of a run.
//!
//! A run appends [`event::Event`]s to `events.jsonl` while it goes on; the [`record::Record`]
//! (`result.json`) is a fold over them, and the verdict and the level are pure functions of the
//! record. Everything that people read (terminal table, JUnit, HTML) is rendered from the record,
//! so nothing downstream decides a verdict again.
//!
//! This crate must not know: Docker, a recipe's code, HTTP.

pub mod compare;
pub mod event;
pub mod evidence;
mod fold;
pub mod history;
pub mod html;
pub mod junit;
pub mod log;
pub mod names;
pub mod outcome;
pub mod record;
mod remarks;
pub mod schema;
pub mod stop;
pub mod summary;
pub mod table;
pub mod text;
pub mod verdict;
pub mod write;

pub use event::{Event, EventKind};
pub use log::{EventLog, Follow, Problem, read_events};
pub use outcome::{Cause, Outcome, Source, Tier, Verdict};
pub use record::Record;
pub use write::{read_result, write_all};
