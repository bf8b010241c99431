//! What a recipe *is*: names, checkout, versions, `.env`, compose files, secrets.
//!
//! This room must not know: Docker.

pub mod abra_sh;
pub mod compose;
pub mod env;
pub mod names;
pub mod secrets;
pub mod versions;

pub use abra_sh::AbraSh;
pub use compose::Compose;
pub use env::{EnvError, EnvFile};
pub use names::{AppDomain, CommitSha, NameError, RecipeName, RunId, StackName};
pub use secrets::SecretSpec;
pub use versions::{Release, Tag, Version};
