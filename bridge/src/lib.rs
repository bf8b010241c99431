//! `!testme` on a pull request: a run is started exactly once, and one comment and one commit
//! status say how it goes.
//!
//! The way of a comment: [`poll`] finds pull requests that changed (a webhook only says where to
//! look sooner), [`judge`] reads their comments and decides each in one transaction, [`drive`] has
//! an [`executor`] do the runs that were decided, [`say`] brings the forge to what the store wants
//! said. Each stage reads its work from the [`store`] and writes what it did there, so a kill
//! between any two statements loses and doubles nothing.
//!
//! This crate must not know: Docker, a recipe's code, how a verdict comes about.

pub mod bridge;
pub mod check;
pub mod command;
pub mod comment;
pub mod config;
pub mod daemon;
pub mod drive;
pub mod executor;
pub mod forge;
pub mod http;
pub mod judge;
pub mod metrics;
pub mod names;
pub mod point;
pub mod poll;
pub mod say;
pub mod secret;
pub mod serve;
mod settle;
mod shown;
pub mod stage;
pub mod store;
