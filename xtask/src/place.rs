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

/// Where runs, tools and caches are kept between runs.
pub fn state() -> PathBuf {
    state_of(rustix::process::geteuid().is_root(), |name| {
        std::env::var_os(name)
    })
}

/// `CCCI_STATE_DIR`, else the system's for root, else the user's. Never below a working directory:
/// a CI step's is removed.
fn state_of(root: bool, env: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let given = |name| env(name).filter(|value| !value.is_empty());
    if let Some(dir) = given("CCCI_STATE_DIR") {
        return dir.into();
    }
    if root {
        return "/var/lib/cc-ci".into();
    }
    match (given("XDG_STATE_HOME"), given("HOME")) {
        (Some(state), _) => Path::new(&state).join("cc-ci"),
        (None, Some(home)) => Path::new(&home).join(".local/state/cc-ci"),
        (None, None) => "/var/lib/cc-ci".into(),
    }
}

/// The tools that the set-up installs: one folder each, and `bin` with a link to each program.
pub fn tools() -> PathBuf {
    state().join("tools")
}

/// The folder of one run.
pub fn run_dir(id: &harness::recipe::names::RunId) -> PathBuf {
    state().join("runs").join(id.as_str())
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(true, &[("CCCI_STATE_DIR", "/s"), ("HOME", "/h")], "/s")]
    #[case(true, &[("CCCI_STATE_DIR", ""), ("HOME", "/h")], "/var/lib/cc-ci")]
    #[case(false, &[("XDG_STATE_HOME", "/x"), ("HOME", "/h")], "/x/cc-ci")]
    #[case(false, &[("HOME", "/h")], "/h/.local/state/cc-ci")]
    fn the_state_directory_is_told_else_the_systems_else_the_users(
        #[case] root: bool,
        #[case] vars: &[(&str, &str)],
        #[case] expected: &str,
    ) {
        let env = |name: &str| {
            vars.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.into())
        };
        assert_eq!(state_of(root, env), Path::new(expected));
    }
}
