//! Shows that the bridge starts each run exactly once, whatever fails and however it is killed,
//! and measures what it costs.
//!
//! Invariants: of the bridge only its binary, its settings and the names of its fault points are
//! known; what it did is judged ([`oracle`]) by what the models of the forge and of the CI engine
//! hold, and by the script of what was posted; a violation is shown with the whole history of its
//! comment.
//!
//! This crate must not know: the bridge's store, or how it decides.

pub mod cost;
mod deliver;
mod faults;
mod life;
mod lives;
pub mod oracle;
mod outside;
mod poster;
mod report;
mod settle;
mod step;
mod trial;
mod words;
mod world;

pub use cost::{Figures, cost};
pub use report::Report;
pub use trial::{Settings, exactly_once};
