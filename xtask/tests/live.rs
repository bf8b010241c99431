//! `ci` with nothing doubled: real git, real nextest, a real swarm.
//!
//! Each test has a state directory and a pull request's number of its own, so its app is nobody
//! else's; each looks at the engine for what is left of it.

#![expect(clippy::unwrap_used, reason = "what a helper can't do ends the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use harness::wait::{Probe, Unwatched, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

struct Site(TempDir, u32);

impl Site {
    /// `pr` is no other test's.
    fn new(pr: u32) -> Self {
        let site = Self(tempfile::tempdir().unwrap(), pr);
        // Room beside other runs of this machine.
        fs::write(site.path("site.toml"), "[limits]\nmax_tests = 8\n").unwrap();
        site
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("CCCI_STATE_DIR", self.0.path().join("state"))
            .env("CCCI_SITE", self.path("site.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn xtask(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments);
        command
    }

    fn ci(&self, id: &str, more: &[&str]) -> Command {
        let mut command = self.xtask(&["ci", "--recipe", "custom-html", "--yes", "--run-id", id]);
        command.args(["--pr", &self.1.to_string()]).args(more);
        command
    }

    fn run(&self, id: &str) -> PathBuf {
        self.path("state/runs").join(id)
    }

    fn events(&self, id: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.run(id).join("events.jsonl")).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Waits until the run says so.
    fn until(&self, id: &str, what: &str, said: impl Fn(&Value) -> bool) {
        wait(what, || self.events(id).iter().any(&said));
    }

    fn record(&self, id: &str) -> Value {
        let text = fs::read_to_string(self.run(id).join("result.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Nothing of the run is in Docker, nor in the state directory beside its record.
    fn nothing_is_left_of(&self, id: &str) {
        let events = self.events(id);
        if let Some(stack) = events.iter().find_map(|event| event["stack"].as_str()) {
            assert_eq!(docker_objects(stack), "", "of run {id}");
        }
        assert!(!self.path("state/sessions").join(id).exists());
        assert!(!self.run(id).join("cancel").exists());
    }
}

/// Names of all that belongs to a stack, its edge included.
fn docker_objects(stack: &str) -> String {
    let lists: [&[&str]; 6] = [
        &["service", "ls", "--format={{.Name}}"],
        &["ps", "--all", "--format={{.Names}}"],
        &["volume", "ls", "--format={{.Name}}"],
        &["secret", "ls", "--format={{.Name}}"],
        &["config", "ls", "--format={{.Name}}"],
        &["network", "ls", "--format={{.Name}}"],
    ];
    let mut found = Vec::new();
    for list in lists {
        let output = Command::new("docker").args(list).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let ours = text.lines().filter(|name| name.contains(stack));
        found.extend(ours.map(|name| format!("{} {name}", list[0])));
    }
    found.join("\n")
}

fn wait(what: &str, done: impl Fn() -> bool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let probe = || {
        let probe = if done() {
            Probe::Ready(())
        } else {
            Probe::NotYet("not yet".to_owned())
        };
        async { probe }
    };
    let waited = wait_until(
        what,
        Duration::from_secs(120),
        Duration::from_millis(50),
        &Unwatched,
        probe,
    );
    runtime.block_on(waited).unwrap();
}

fn is(event: &Value, kind: &str) -> bool {
    event["event"] == kind
}

fn deploying(event: &Value) -> bool {
    is(event, "phase_ended") && event["phase"] == "images"
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

fn ended(output: &Output, code: i32) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A repository of a recipe outside of this project: custom-html, with its newest files changed.
fn outside(site: &Site, change: impl FnOnce(&Path)) -> (PathBuf, String) {
    let built_in = fixtures::catalogue::materialise("custom-html", &site.path("made")).unwrap();
    let folder = site.path("outside");
    let git = |dir: &Path, arguments: &[&str]| {
        let identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
        let output = Command::new("git")
            .current_dir(dir)
            .args(identity)
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let place = [built_in.to_str().unwrap(), folder.to_str().unwrap()];
    git(site.0.path(), &["clone", "--quiet", place[0], place[1]]);
    change(&folder);
    git(&folder, &["add", "--all"]);
    git(
        &folder,
        &["commit", "--quiet", "--allow-empty", "--message", "change"],
    );
    let sha = git(&folder, &["rev-parse", "HEAD"]);
    (folder, sha)
}

fn edit(file: PathBuf, change: impl FnOnce(String) -> String) {
    let text = fs::read_to_string(&file).unwrap();
    let changed = change(text.clone());
    assert_ne!(text, changed, "the edit of {} took", file.display());
    fs::write(file, changed).unwrap();
}

#[test]
fn a_recipe_outside_the_project_passes_at_the_commit_that_was_asked_for() {
    let site = Site::new(920_001);
    let (folder, sha) = outside(&site, |_| {});
    let source = ["--source", folder.to_str().unwrap(), "--ref", &sha];
    let output = site.ci("r", &[&source[..], &["--json"]].concat());
    let output = { output }.output().unwrap();
    ended(&output, 0);
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(record["verdict"], "pass");
    assert_eq!(record["ref"], sha.as_str());
    assert!(record["level"].as_u64().unwrap() >= 4, "{record}");
    let tiers = record["tiers"].as_array().unwrap();
    assert_eq!(tiers.len(), 6);
    assert!(
        tiers.iter().all(|tier| tier["status"] == "pass"),
        "{tiers:?}"
    );
    assert_eq!(record["teardown"]["residue"].as_array().unwrap().len(), 0);
    site.nothing_is_left_of("r");
    ended(&site.ci("r", &[]).output().unwrap(), 2);
}

#[test]
fn ctrl_c_in_the_middle_of_a_deploy_removes_the_app() {
    let site = Site::new(920_002);
    let child = site.ci("r", &[]).spawn().unwrap();
    site.until("r", "the deploy", deploying);
    send(&child, Signal::INT);
    ended(&child.wait_with_output().unwrap(), 4);
    assert_eq!(site.record("r")["cancelled_by"], "Ctrl-C");
    site.nothing_is_left_of("r");
}

#[test]
fn a_starter_that_is_killed_ends_the_run() {
    let site = Site::new(920_003);
    let mut shell = site.command("bash");
    let line = "\"$0\" ci --recipe custom-html --yes --run-id r --pr 920003; true";
    shell.args(["-c", line, env!("CARGO_BIN_EXE_xtask")]);
    // Nobody reads what the orphan prints.
    let mut shell = shell
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    site.until("r", "the deploy", deploying);
    send(&shell, Signal::KILL);
    shell.wait().unwrap();
    site.until("r", "the end", |event| is(event, "runner_ended"));
    wait("the record", || site.record("r")["verdict"] == "cancelled");
    site.nothing_is_left_of("r");
}

#[test]
fn a_keeper_that_is_killed_is_an_error_and_its_app_is_removed() {
    let site = Site::new(920_004);
    let child = site.ci("r", &[]).spawn().unwrap();
    site.until("r", "the deploy", deploying);
    kill_keeper(&site, "r");
    ended(&child.wait_with_output().unwrap(), 3);
    assert_eq!(site.record("r")["faults"][0]["kind"], "session_lost");
    site.nothing_is_left_of("r");
}

/// Kills the process that is the run's keeper: by its role and the run's id in its environment.
fn kill_keeper(site: &Site, id: &str) {
    let sought = format!("CCCI_RUN_ID={id}");
    let state = format!("CCCI_STATE_DIR={}", site.path("state").display());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let path = entry.unwrap().path();
        let (Ok(arguments), Ok(environment)) = (
            fs::read(path.join("cmdline")),
            fs::read(path.join("environ")),
        ) else {
            continue;
        };
        let has = |bytes: &[u8], text: &str| {
            bytes
                .split(|byte| *byte == 0)
                .any(|part| part == text.as_bytes())
        };
        if has(&arguments, "--cc-ci-keeper")
            && has(&environment, &sought)
            && has(&environment, &state)
        {
            let pid: i32 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
            let status = fs::read_to_string(path.join("status")).unwrap_or_default();
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
            found.push((pid, parent.map(|parent| parent.trim().to_owned())));
        }
    }
    // A child that has not become another program yet looks like the keeper that forked it.
    let is_child = |parent: &Option<String>| {
        found
            .iter()
            .any(|(pid, _)| parent.as_deref() == Some(&pid.to_string()))
    };
    let keepers: Vec<_> = found
        .iter()
        .filter(|(_, parent)| !is_child(parent))
        .collect();
    assert_eq!(keepers.len(), 1, "{found:?}");
    kill_process(Pid::from_raw(keepers[0].0).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn a_second_run_of_the_same_app_queues_behind_the_first_which_is_kept_until_it_is_reaped() {
    let site = Site::new(920_005);
    let output = site
        .ci("first", &["--tiers", "install", "--keep"])
        .output()
        .unwrap();
    ended(&output, 0);
    let kept = site.record("first");
    assert_eq!(kept["teardown"]["status"], "skip");
    let stack = site.events("first");
    let stack = stack
        .iter()
        .find_map(|event| event["stack"].as_str())
        .unwrap();
    assert_ne!(docker_objects(stack), "");

    let second = site.ci("second", &["--detach"]).output().unwrap();
    ended(&second, 0);
    assert_eq!(String::from_utf8(second.stdout).unwrap(), "second\n");
    site.until("second", "the queue", |event| {
        is(event, "waiting") && event["status"] == "behind first"
    });
    ended(&site.xtask(&["reap", "second"]).output().unwrap(), 2);
    ended(&site.xtask(&["cancel", "second"]).output().unwrap(), 0);
    site.until("second", "the end", |event| is(event, "runner_ended"));
    wait("the record", || {
        site.record("second")["verdict"] == "cancelled"
    });
    let watch = fs::read_to_string(site.run("second").join("watch.log")).unwrap();
    assert!(watch.contains("behind first"), "{watch}");
    assert!(!site.path("state/sessions/second").exists());

    ended(&site.xtask(&["cancel", "first"]).output().unwrap(), 2);
    ended(&site.xtask(&["reap", "first"]).output().unwrap(), 0);
    assert_eq!(site.record("first")["verdict"], "pass");
    assert_eq!(site.record("first")["teardown"]["status"], "pass");
    site.nothing_is_left_of("first");
}

#[rstest::rstest]
#[case::unknown_recipe(&["--recipe", "custom-htlm"], "nearest: custom-html")]
#[case::unknown_ref(&["--ref", "nosuch"], "there is no ref `nosuch`")]
#[case::unknown_base(&["--from", "9.9.9"], "there is no ref `9.9.9`")]
#[case::no_such_place(&["--source", "/no/such"], "is no place of a recipe")]
#[case::no_repository(&["--source", "."], "can't be read as a repository")]
#[case::unreachable(&["--source", "https://127.0.0.1:1/x.git"], "check the address")]
#[case::no_site(&["--site", "/no/such.toml"], "No such file")]
#[case::zone(&["--site", "zone.toml"], "is no domain name")]
#[case::unknown_key(&["--site", "key.toml"], "unknown field `zome`")]
fn what_can_not_be_is_refused_and_leaves_no_run(#[case] given: &[&str], #[case] said: &str) {
    let site = Site::new(920_006);
    fs::write(site.path("zone.toml"), "zone = \"not a zone\"\n").unwrap();
    fs::write(site.path("key.toml"), "zome = \"x\"\n").unwrap();
    let mut command = site.xtask(&["ci", "--yes", "--run-id", "r"]);
    if given[0] != "--recipe" {
        command.args(["--recipe", "custom-html"]);
    }
    let output = command
        .args(given)
        .current_dir(site.0.path())
        .output()
        .unwrap();
    ended(&output, 2);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains(said), "{text}");
    assert!(!site.run("r").exists());
}

#[rstest::rstest]
#[case::empty_repository(true, "without a commit")]
#[case::state_directory(false, "CCCI_STATE_DIR")]
fn a_place_that_can_not_be_used_is_refused(#[case] repository: bool, #[case] said: &str) {
    let site = Site::new(920_007);
    let empty = site.path("empty");
    let made = Command::new("git")
        .args(["init", "--quiet"])
        .arg(&empty)
        .status();
    assert!(made.unwrap().success());
    let mut command = if repository {
        site.ci("r", &["--source", empty.to_str().unwrap()])
    } else {
        let mut command = site.ci("r", &[]);
        command.env("CCCI_STATE_DIR", site.path("site.toml"));
        command
    };
    let output = command.output().unwrap();
    ended(&output, 2);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains(said), "{text}");
    assert!(!site.run("r").exists());
}

/// A secret that is made outside, by its key.
fn secret(key: &str, version: &str) -> [(&'static str, &'static str, String); 3] {
    [
        (
            "compose.yml",
            "    healthcheck:",
            format!("    secrets:\n      - {key}\n    healthcheck:"),
        ),
        (
            "compose.yml",
            "\nconfigs:\n",
            format!(
                "\nsecrets:\n  {key}:\n    external: true\n    name: ${{STACK_NAME}}_{key}_${{{version}}}\n\nconfigs:\n"
            ),
        ),
        (
            ".env.sample",
            "DOMAIN=",
            format!("{version}=v1 # generate=false\nDOMAIN="),
        ),
    ]
}

const LONG: &str = "a_name_that_is_by_far_too_long_for_a_secret_of_the_swarm";

#[rstest::rstest]
#[case::yaml([("compose.yml", "networks:\n  proxy:", "networks: [".to_owned())], "compose.yml:")]
#[case::missing_file([("compose.yml", "nginx.conf.tmpl", "gone.tmpl".to_owned())], "gone.tmpl")]
#[case::foreign_volume([("compose.yml", "  content:\n", "  content:\n    name: of-others\n".to_owned())], "of-others")]
#[case::secret_that_nobody_gave(secret("token", "SECRET_TOKEN_VERSION"), "nobody gave it")]
#[case::long_name(secret(LONG, "SECRET_LONG_VERSION"), LONG)]
fn what_is_wrong_in_the_recipe_is_the_recipes_failure<const N: usize>(
    #[case] edits: [(&str, &str, String); N],
    #[case] said: &str,
) {
    let site = Site::new(920_008);
    let (folder, _) = outside(&site, |folder| {
        for (file, from, to) in &edits {
            edit(folder.join(file), |text| text.replacen(from, to, 1));
        }
    });
    is_the_recipes_failure(&site, &folder, said);
}

#[test]
fn what_this_site_does_not_allow_is_no_statement_about_the_recipe() {
    let site = Site::new(920_010);
    let (folder, _) = outside(&site, |folder| {
        let bind = "      - /etc:/host\n      - content:";
        edit(folder.join("compose.yml"), |text| {
            text.replacen("      - content:", bind, 1)
        });
    });
    came_to(
        &site,
        &folder,
        3,
        "not judged: this site does not allow it: compose.yml:",
    );
}

#[test]
fn a_recipe_without_compose_yml_fails() {
    let site = Site::new(920_009);
    let (folder, _) = outside(&site, |folder| {
        fs::remove_file(folder.join("compose.yml")).unwrap();
    });
    is_the_recipes_failure(&site, &folder, "has no compose.yml");
}

fn is_the_recipes_failure(site: &Site, folder: &Path, said: &str) {
    came_to(site, folder, 1, said);
}

fn came_to(site: &Site, folder: &Path, code: i32, said: &str) {
    let source = folder.to_str().unwrap();
    let output = site.ci("r", &["--source", source, "--tiers", "install"]);
    ended(&{ output }.output().unwrap(), code);
    let record = site.record("r");
    let reason = record["verdict_reason"].as_str().unwrap();
    assert!(reason.contains(said), "{reason}");
    site.nothing_is_left_of("r");
}
