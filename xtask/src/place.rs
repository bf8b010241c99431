//! Where things are: the workspace, the state directory, the tools that we installed ourselves.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in a folder of the workspace")
        .to_owned()
}

/// Where runs, tools and caches are kept between runs. Without any place for it, as for root: what
/// is put there says then that it can't be.
fn state() -> PathBuf {
    harness::site::state_dir().unwrap_or_else(|_| "/var/lib/cc-ci".into())
}

/// The tools that the set-up installs: one folder each, and `bin` with a link to each program.
pub fn tools() -> PathBuf {
    state().join("tools")
}

/// `PATH` with our tools first, and the places of system programs last (a plain user's path lacks
/// them on Debian).
pub fn search_path() -> OsString {
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(tools().join("bin"))
        .chain(std::env::split_paths(&inherited))
        .chain(["/usr/sbin".into(), "/sbin".into()]);
    // A folder with a `:` in its name can't be part of a path: then the inherited one has to do.
    std::env::join_paths(folders).unwrap_or(inherited)
}
