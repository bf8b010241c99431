//! What a recipe *is*: names, checkout, versions, `.env`, compose files, secrets.
//!
//! This room must not know: Docker.

pub mod abra_sh;
pub mod base;
pub mod checkout;
pub mod compose;
pub mod env;
pub mod git;
pub mod lint;
pub mod policy;
pub mod secrets;
pub mod source;
pub mod traefik;
pub mod versions;

pub use abra_sh::AbraSh;
pub use base::{BaseChoice, choose_base};
pub use checkout::{Checkout, CheckoutError};
pub use compose::Compose;
pub use env::{EnvError, EnvFile};
pub use git::Credentials;
pub use results::names;
pub use results::names::{AppDomain, CommitSha, NameError, RecipeName, RunId, StackName};
pub use secrets::SecretSpec;
pub use source::Source;
pub use versions::{Release, Tag, Version};
