//! The project's own pipeline: what Drone is told, and the step that does a run.

#![expect(clippy::unwrap_used, reason = "what a helper can't do ends the test")]

mod pipeline;
mod testme;

use std::path::PathBuf;

/// What the bridge gives a build.
const PARAMETERS: [&str; 9] = [
    "RECIPE",
    "SRC",
    "REF",
    "PR",
    "COMMENT_ID",
    "TIERS",
    "QUICK",
    "FROM",
    "RUN_KEY",
];

fn in_workspace(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(path)
}
