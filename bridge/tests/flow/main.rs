//! The bridge as its users see it: people write on a forge, and see what comes of it.
//!
//! Forge and CI engine are models (`fixtures/forge`), as no real ones can be had here; HTTP, the
//! store and all of the bridge are real.

#![expect(clippy::unwrap_used, reason = "what a helper can't do ends the test")]

mod answers;
mod checking;
mod going_wrong;
mod heads;
mod local;
mod program;
mod runs;
mod watching;
mod world;
