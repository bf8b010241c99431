//! What a recipe *is*: names, checkout, versions, `.env`, compose files, secrets.
//!
//! This room must not know: Docker.

pub mod compose;
pub mod names;

pub use compose::Compose;
pub use names::{AppDomain, CommitSha, NameError, RecipeName, RunId, StackName};
