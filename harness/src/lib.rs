//! What a recipe's test crate is built on.
//!
//! This crate must not know: the CI engine, the forge, the dashboard, any one recipe.

pub mod cause;
pub mod data;
pub mod edge;
pub mod engine;
pub mod evidence;
pub mod fault;
pub mod http;
pub mod jail;
pub mod point;
mod printed;
pub mod recipe;
pub mod redact;
pub mod room;
pub mod session;
pub mod site;
pub mod snapshot;
pub mod suite;
pub mod swarm;
pub mod wait;
