//! `doctor` with a site or an engine as a process: its codes, and what it leaves.

#![expect(clippy::unwrap_used, reason = "what a helper can't do ends the test")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output};

/// Runs it with a state directory and a site of its own, whose abra is `program`.
fn doctor(dir: &Path, program: &Path) -> Output {
    let site = dir.join("site.toml");
    let abra = dir.join("operator");
    fs::create_dir_all(&abra).unwrap();
    let text = format!("engine = \"abra\"\n[abra]\nprogram = {program:?}\ndir = {abra:?}\n");
    fs::write(&site, text).unwrap();
    // The machine's tools make it fit; nothing is written there.
    let tools = harness::site::state_dir().unwrap().join("tools");
    symlink(tools, dir.join("tools")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["doctor", "--engine", "abra", "--site"])
        .arg(&site)
        .env("CCCI_STATE_DIR", dir)
        .output()
        .unwrap()
}

#[test]
fn a_site_whose_proxy_is_down_is_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    let site = dir.path().join("site.toml");
    let text = "[proxy]\nkind = \"traefik\"\naddress = \"127.0.0.1:1\"\n";
    fs::write(&site, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["doctor", "--site"])
        .arg(&site)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    let row = "the site's proxy at 127.0.0.1:1 does not serve the zone ci.test: ";
    let broken = |line: &str| line.starts_with("broken ") && line.contains(row);
    assert!(said.lines().any(broken), "{said}");
}

#[test]
fn without_abra_a_line_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let output = doctor(dir.path(), &dir.path().join("abra"));
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains("install it, or name it in the site file"),
        "{said}"
    );
    assert!(!dir.path().join("doctor").exists());
}

#[test]
fn docker_an_abra_that_does_nothing_differs_and_all_it_said_is_in_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("abra");
    let script = "#!/bin/sh\n[ \"$1\" = --version ] && echo abra version 0.10.1-beta\nexit 0\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let output = doctor(dir.path(), &program);
    let report = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{report}");
    assert!(report.contains("differs  create "), "{report}");
    assert!(report.contains("not run  deploy "), "{report}");
    assert!(
        report.contains("differs  assumed-unknown-recipe "),
        "{report}"
    );
    let folders: Vec<_> = fs::read_dir(dir.path().join("doctor")).unwrap().collect();
    let [Ok(folder)] = folders.as_slice() else {
        panic!("{folders:?}");
    };
    let folder = folder.path();
    assert!(report.contains(&folder.display().to_string()), "{report}");
    let kept = fs::read_to_string(folder.join("report.txt")).unwrap();
    assert!(report.starts_with(&kept), "{kept}");
    let create = fs::read_to_string(folder.join("create.txt")).unwrap();
    assert!(create.contains("$ abra app new --no-input"), "{create}");
}
