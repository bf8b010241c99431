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

/// Variables that cargo and nextest give to a program that they run, and that a cargo of ours must
/// not inherit: build scripts (ring's) ask for them, and would build everything above them again.
pub fn variables_of_a_package() -> Vec<OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    let is_one = |name: &OsString| {
        let name = name.to_string_lossy();
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "NEXTEST"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    };
    names.filter(is_one).collect()
}
