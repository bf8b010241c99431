//! The compose files of a recipe, read for what matters to cc-ci.

pub mod model;

pub use model::{Compose, Grant, Mount, MountKind, Network, Object, Port, Service, Volume};
