//! `ci` as a process: codes, signals, a parent that goes away.
//!
//! The runner, Docker and git are doubles here, put where the set-up puts our own tools: they show
//! faults at named points on demand. Runs with real ones are the recipe suites.

#![expect(clippy::unwrap_used, reason = "what a helper can't do ends the test")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::Duration;

use harness::wait::{Probe, Unwatched, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// What a keeper writes, without its end. TRIAL is the outcome of its only test.
const EVENTS: &str = r#"{"at":"2030-01-02T03:04:05Z","event":"run_started","run_id":"r","recipe":"custom-html","source":"catalogue","requested_ref":null,"pr":0,"engine":"stack","site":"local","tiers":["install"],"planned":[],"settings":{},"skipped_generic":[]}
{"at":"2030-01-02T03:04:05Z","event":"resolved","ref":"4be1c2d9a07735f0c1d2e3f4a5b6c7d8e9f00112","head_version":null,"base":null,"no_base":null,"domain":"cust-0f3a9c.ci.test","stack":"cust-0f3a9c_ci_test"}
{"at":"2030-01-02T03:04:05Z","event":"operation_ended","tier":"install","outcome":{"status":"pass"},"duration_ms":1,"facts":{"commit":"4be1c2d9a07735f0c1d2e3f4a5b6c7d8e9f00112"},"evidence":[]}
{"at":"2030-01-02T03:04:05Z","event":"trial_ended","tier":"install","name":"a","source":"generic","outcome":TRIAL,"duration_ms":1,"evidence":[]}
"#;

/// How a keeper ends that does its work.
const END: &str = r#"{"at":"2030-01-02T03:04:06Z","event":"teardown_started"}
{"at":"2030-01-02T03:04:06Z","event":"teardown_ended","duration_ms":1,"residue":[],"errors":[]}
{"at":"2030-01-02T03:04:06Z","event":"run_finished"}
"#;

const DOCKER: &str = r#"case "$1" in
info) echo '{"ServerVersion":"1","DockerRootDir":"/","Swarm":{"LocalNodeState":"active","ControlAvailable":true}}' ;;
network) echo '{"Driver":"overlay","Attachable":true}' ;;
esac"#;

/// Announces on the events that it is running.
const BEGIN: &str = r#"run="$CCCI_STATE_DIR/runs/$CCCI_RUN_ID"
record() { sed "s/TRIAL/{\"status\":\"$1\",\"reason\":\"why\"}/" "$CCCI_STATE_DIR/events" >>"$run/events.jsonl"; cat "$CCCI_STATE_DIR/end" >>"$run/events.jsonl"; }
cancelled() { echo '{"at":"2030-01-02T03:04:05Z","event":"cancel_requested","by":"x"}' >>"$run/events.jsonl"; record pass; }
keeper() { mkdir -p "$CCCI_STATE_DIR/sessions/r"; exec 9>"$CCCI_STATE_DIR/sessions/r/keeper.lock"; flock 9; }
until_asked() { until [ -e "$run/cancel" ]; do sleep 0.05; done; }
say() { echo "{\"at\":\"2030-01-02T03:04:05Z\",\"event\":\"note\",\"tier\":null,\"text\":\"$1\"}" >>"$run/events.jsonl"; }
"#;

struct Site(TempDir);

impl Site {
    /// A machine that is fit, with a runner that does what `script` says.
    fn new(script: &str) -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(site.path("tools/bin")).unwrap();
        fs::write(site.path("events"), EVENTS).unwrap();
        fs::write(site.path("end"), END).unwrap();
        site.program("docker", DOCKER);
        site.program("cargo-nextest", "echo cargo-nextest 99.0.0");
        site.program("cargo", &format!("{BEGIN}{script}"));
        site
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.path("tools/bin").join(name);
        fs::write(&path, format!("#!/bin/bash\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("CCCI_STATE_DIR", self.0.path())
            .env("CI", "true")
            .env_remove("CCCI_SITE")
            .stdin(Stdio::null());
        command
    }

    fn xtask(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments);
        command
    }

    fn ci(&self, more: &[&str]) -> Command {
        self.xtask(&[&["ci", "--recipe", "custom-html", "--run-id", "r"], more].concat())
    }

    /// Waits until a file of the run is there, and gives its text.
    fn file(&self, name: &str) -> String {
        let path = self.path("runs/r").join(name);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime
            .block_on(wait_until(
                name,
                Duration::from_secs(20),
                Duration::from_millis(20),
                &Unwatched,
                || async {
                    match fs::read_to_string(&path) {
                        Ok(text) if !text.is_empty() => Probe::Ready(text),
                        _ => Probe::NotYet("not there".to_owned()),
                    }
                },
            ))
            .unwrap()
    }
}

fn start(mut command: Command) -> (Child, BufReader<ChildStderr>) {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let messages = BufReader::new(child.stderr.take().unwrap());
    (child, messages)
}

/// Reads on until a line that has `text`. The end before that is a failure.
fn until(messages: &mut BufReader<ChildStderr>, text: &str) {
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        assert!(messages.read_line(&mut line).unwrap() > 0, "{seen}");
        if line.contains(text) {
            return;
        }
        seen.push_str(&line);
    }
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[rstest::rstest]
#[case("record pass", 0, "pass")]
#[case("record fail; exit 100", 1, "fail")]
#[case("record error; exit 100", 3, "error")]
#[case("cancelled; exit 100", 4, "cancelled")]
#[case::failed_over_a_green_record("record pass; exit 100", 3, "error")]
fn the_verdict_is_the_exit_code_and_json_is_all_of_standard_output(
    #[case] script: &str,
    #[case] expected: i32,
    #[case] verdict: &str,
) {
    let site = Site::new(&format!("say running; {script}"));
    let output = site.ci(&["--json"]).output().unwrap();
    assert_eq!(code(&output), Some(expected), "{output:?}");
    let record: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(record["verdict"], verdict, "{record}");
    assert_eq!(output.stdout, site.file("result.json").into_bytes());
    let report = site.xtask(&["report", "r"]).output().unwrap();
    assert_eq!(code(&report), Some(expected));
    let report = String::from_utf8(report.stdout).unwrap();
    assert!(report.contains("runs/r/report.html"), "{report}");
}

#[test]
fn a_keeper_that_was_killed_is_an_infrastructure_error_and_leaves_nothing() {
    let site =
        Site::new("keeper; head -1 \"$CCCI_STATE_DIR/events\" >\"$run/events.jsonl\"; exit 100");
    let output = site.ci(&[]).output().unwrap();
    assert_eq!(code(&output), Some(3), "{output:?}");
    let record = site.file("result.json");
    assert!(record.contains("its keeper was killed"), "{record}");
    assert!(!site.path("sessions/r").exists());
}

#[test]
fn a_green_runner_without_a_run_is_an_infrastructure_error() {
    let site = Site::new("echo nothing to run");
    let output = site.ci(&[]).output().unwrap();
    assert_eq!(code(&output), Some(3));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("never began") && text.contains("nothing to run"),
        "{text}"
    );
}

#[test]
fn a_run_id_is_used_once() {
    let site = Site::new("say running; record pass");
    assert_eq!(code(&site.ci(&[]).output().unwrap()), Some(0));
    assert_eq!(code(&site.ci(&[]).output().unwrap()), Some(2));
}

#[test]
fn the_first_ctrl_c_asks_and_the_run_is_followed_to_its_end() {
    let site = Site::new("say running; until_asked; say removing; cancelled");
    let (child, mut messages) = start(site.ci(&[]));
    until(&mut messages, "running");
    send(&child, Signal::INT);
    until(&mut messages, "removing");
    assert_eq!(code(&child.wait_with_output().unwrap()), Some(4));
    assert_eq!(site.file("cancel"), "Ctrl-C");
}

#[test]
fn the_second_ctrl_c_ends_the_runner() {
    let site = Site::new(
        "trap 'cancelled; exit 1' TERM\nsay running; until_asked; say deaf\nwhile :; do sleep 0.05; done",
    );
    let (child, mut messages) = start(site.ci(&[]));
    until(&mut messages, "running");
    send(&child, Signal::INT);
    until(&mut messages, "deaf");
    send(&child, Signal::INT);
    until(&mut messages, "ending the tests");
    assert_eq!(code(&child.wait_with_output().unwrap()), Some(4));
}

#[test]
fn a_run_whose_starting_process_is_killed_cancels_itself() {
    let site = Site::new("say running; until_asked; cancelled");
    let mut shell = site.command("bash");
    shell
        .args(["-c", "\"$0\" ci --recipe custom-html --run-id r; true"])
        .arg(env!("CARGO_BIN_EXE_xtask"));
    let (mut child, mut messages) = start(shell);
    until(&mut messages, "running");
    send(&child, Signal::KILL);
    child.wait().unwrap();
    assert!(site.file("cancel").contains("its starting process"));
    assert!(site.file("result.json").contains("cancelled"));
}

#[test]
fn a_detached_run_prints_its_id_and_goes_on() {
    let site = Site::new("say running; until_asked; cancelled");
    let output = site.ci(&["--detach"]).output().unwrap();
    assert_eq!(code(&output), Some(0), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "r\n");
    site.file("events.jsonl");
    let cancel = site.xtask(&["cancel", "r", "--by", "a person"]).output();
    assert_eq!(code(&cancel.unwrap()), Some(0));
    assert!(site.file("result.json").contains("cancelled"));
    assert_eq!(site.file("cancel"), "a person");
}

#[test]
fn a_run_that_is_stopped_before_its_tests_began_is_cancelled() {
    let site = Site::new("echo x >\"$run/building\"\nwhile :; do sleep 0.05; done");
    let (child, mut messages) = start(site.ci(&[]));
    site.file("building");
    send(&child, Signal::INT);
    until(&mut messages, "ending the tests");
    assert_eq!(code(&child.wait_with_output().unwrap()), Some(4));
}

#[test]
fn a_cancel_before_the_tests_began_is_heard() {
    let site = Site::new("echo x >\"$run/building\"\nwhile :; do sleep 0.05; done");
    let (child, mut messages) = start(site.ci(&[]));
    site.file("building");
    let cancel = site.xtask(&["cancel", "r"]).output().unwrap();
    assert_eq!(code(&cancel), Some(0), "{cancel:?}");
    until(&mut messages, "ending the tests");
    assert_eq!(code(&child.wait_with_output().unwrap()), Some(4));
}

#[test]
fn a_teardown_after_the_runners_end_is_followed() {
    let site = Site::new(
        "keeper; head -1 \"$CCCI_STATE_DIR/end\" >\"$run/events.jsonl\"; say running\n(until [ -e \"$run/go\" ]; do sleep 0.05; done; say removing; record pass; rm -r \"$CCCI_STATE_DIR/sessions/r\") >/dev/null 2>&1 &",
    );
    let (child, mut messages) = start(site.ci(&[]));
    until(&mut messages, "running");
    fs::write(site.path("runs/r/go"), "").unwrap();
    until(&mut messages, "removing");
    assert_eq!(code(&child.wait_with_output().unwrap()), Some(0));
}
