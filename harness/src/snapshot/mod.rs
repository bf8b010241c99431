//! A volume as a checked archive: the stack engine's backups, and warm snapshots.
//!
//! Invariants: nothing outside a volume is read or written, whatever a label, a symbolic link or an
//! archive says; a snapshot is there as a whole or not at all; its checksums are verified before
//! anything is written back.
//!
//! This room must not know: recipes, labels, tiers, verdicts.

mod archive;
mod by_container;
mod container;
mod direct;
mod meta;
mod path;
mod store;
mod volume;

pub use archive::MARKER_PREFIX;
pub use container::Helper;
pub use meta::{ArchivedPath, ArchivedVolume, NoSnapshotId, Snapshot, SnapshotId};
pub use path::{InnerPath, InnerPathError};
pub use store::{Restore, Selection, Store};
pub use volume::{Kind, Volume, Volumes};
