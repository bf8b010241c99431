//! The compose files of a recipe, read for what matters to cc-ci.
//!
//! The way: `load` reads and interpolates each file, `layer` says what one file has, `merge` lays
//! them over each other, `model` is the result; `facts` and `backup` answer questions about it.
//!
//! This room must not know: Docker.

mod backup;
mod error;
mod facts;
mod interpolate;
mod layer;
mod load;
mod merge;
pub mod model;
mod node;

pub use backup::{BackupPlan, ServiceHooks, VolumeBackup};
pub use error::{ComposeError, Place};
pub use interpolate::variables_in;
pub use load::compose_files;
pub(in crate::recipe) use load::{line_of_path, nearest_line_of_path};
pub use model::{Compose, Grant, Mount, MountKind, Network, Object, Port, Service, Volume};

#[cfg(test)]
mod tests;
