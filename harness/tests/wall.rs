//! The wall between apps' containers and the host: attacked for real, by TCP and UDP, with
//! listeners outside as witnesses. Needs root; what is made goes with its guards.

#![expect(clippy::unwrap_used, reason = "a test's own helpers panic like a test")]

#[path = "wall/engine.rs"]
mod engine;
#[path = "wall/machine.rs"]
mod machine;
#[path = "wall/place.rs"]
mod place;
