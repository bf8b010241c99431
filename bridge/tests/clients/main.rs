//! The clients against servers that answer what a test says.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: clippy spares only the test functions themselves"
)]

mod builds;
mod drone;
mod elsewhere;
mod forge;
mod lists;
mod local;
mod run;
mod runs;
mod server;
mod trouble;
