//! `.ci/testme`, as Drone's runner starts it: from its shell, in a folder and with a home that go
//! away, and with all parameters in the environment.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use bridge::names::run_key;
use rstest::rstest;
use tempfile::TempDir;

use crate::{PARAMETERS, in_workspace};

const HEAD: &str = "0123456789abcdef0123456789abcdef01234567";

/// A host with an entrypoint that writes down how it was called.
struct Host {
    dir: TempDir,
    environment: BTreeMap<String, String>,
}

impl Host {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let host = Self {
            environment: BTreeMap::new(),
            dir,
        };
        host.program("entry", 7);
        fs::create_dir(host.path("home")).unwrap();
        let recipe = "custom-html".parse().unwrap();
        let key = run_key(
            "https://git.test",
            &recipe,
            &"coop-cloud/custom-html".parse().unwrap(),
            7,
            12,
        );
        let entry = host.path("entry").display().to_string();
        let home = host.path("home").display().to_string();
        let host = host
            .with("RECIPE", "custom-html")
            .with("SRC", "https://git.example.org/coop-cloud/custom-html.git")
            .with("REF", HEAD)
            .with("PR", "7")
            .with("COMMENT_ID", "12")
            .with("RUN_KEY", key.as_str());
        host.with("TIERS", "")
            .with("QUICK", "")
            .with("FROM", "")
            .with("HOME", &home)
            .with("PATH", "/usr/bin:/bin")
            .with("CC_CI_ENTRYPOINT", &entry)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Ends with `status`.
    fn program(&self, name: &str, status: u8) {
        let (path, dir) = (self.path(name), self.dir.path().display());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = format!(
            "#!/bin/sh\nprintf '%s\\0' \"$0\" \"$@\" >{dir}/arguments\n\
             /usr/bin/env -0 >{dir}/environment\npwd >{dir}/folder\nexit {status}\n"
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    fn run(&self) -> Output {
        Command::new("/bin/sh")
            .args(["-e", "-c", ".ci/testme"])
            .current_dir(in_workspace("."))
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn written(&self, name: &str) -> Option<Vec<String>> {
        let text = fs::read_to_string(self.path(name)).ok()?;
        Some(text.split_terminator('\0').map(str::to_owned).collect())
    }

    /// The arguments of the entrypoint, after its name; none: it was not called.
    fn arguments(&self) -> Option<Vec<String>> {
        Some(self.written("arguments")?.split_off(1))
    }

    fn seen(&self, name: &str) -> Option<String> {
        let environment = self.written("environment").unwrap();
        let mut pairs = environment.iter().filter_map(|it| it.split_once('='));
        pairs
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value.to_owned())
    }
}

#[test]
fn the_parameters_become_arguments() {
    let host = Host::new()
        .with("TIERS", "install,upgrade")
        .with("QUICK", "1")
        .with("FROM", "1.0.0+1.22.1");
    let output = host.run();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let key = &host.environment["RUN_KEY"];
    let source = &host.environment["SRC"];
    assert_eq!(
        host.arguments().unwrap(),
        [
            "ci",
            "--recipe",
            "custom-html",
            "--source",
            source,
            "--ref",
            HEAD,
            "--pr",
            "7",
            "--run-id",
            key,
            "--tiers",
            "install,upgrade",
            "--quick",
            "--from",
            "1.0.0+1.22.1",
            "--summary-line",
            "--yes"
        ]
    );
}

#[test]
fn what_is_empty_is_left_out() {
    for host in [
        Host::new(),
        Host::new()
            .without("TIERS")
            .without("QUICK")
            .without("FROM"),
    ] {
        assert_eq!(host.run().status.code(), Some(7));
        let arguments = host.arguments().unwrap();
        assert_eq!(arguments[11..], ["--summary-line", "--yes"]);
    }
}

/// Nothing that a program takes for a flag, or a path out of where it is.
#[rstest]
fn flags_and_paths_are_refused_in_every_parameter(
    #[values("--keep", "-x", "--", "../../etc", "/etc/passwd")] text: &str,
) {
    for name in PARAMETERS {
        let host = Host::new().with(name, text);
        let output = host.run();
        assert_refused(&host, &output, name);
    }
}

/// In one line that names the parameter and does not repeat it, and nothing was started.
fn assert_refused(host: &Host, output: &Output, name: &str) {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    let value = &host.environment[name];
    assert_eq!(output.status.code(), Some(2), "{name}={value:?}: {said}");
    let begin = format!(".ci/testme: the parameter {name} must be ");
    assert!(
        said.starts_with(&begin) && said.lines().count() == 1,
        "{said}"
    );
    assert_eq!(host.arguments(), None, "{name}={value:?}");
}

/// What may stand in a parameter of a run that somebody else had a hand in.
#[rstest]
fn hostile_text_is_refused_in_every_parameter(
    #[values(
        "$(touch pwned)",
        "`touch pwned`",
        "a;touch pwned",
        "a'b",
        "a\"b",
        "a\nb",
        "a\n",
        "\n",
        "a b",
        "${HOME}",
        "a\\b",
        "*",
        "\u{e4}",
        "a\u{1b}[31m",
        "[a-z]",
        "|"
    )]
    text: &str,
) {
    for name in PARAMETERS {
        // Each alone, and behind what is right for itself.
        for value in [
            text.to_owned(),
            format!("{}{text}", Host::new().environment[name]),
        ] {
            let host = Host::new().with(name, &value);
            let output = host.run();
            assert_refused(&host, &output, name);
            assert!(!in_workspace("pwned").exists() && !Path::new("/pwned").exists());
        }
    }
}

#[rstest]
#[case("RECIPE", "")]
#[case("RECIPE", "Custom")]
#[case("RECIPE", ".hidden")]
#[case("RECIPE", &"a".repeat(65))]
#[case("SRC", "")]
#[case("SRC", "https://")]
#[case("SRC", "file:///etc")]
#[case("SRC", "/etc")]
#[case("SRC", "ext::sh -c x")]
#[case("SRC", "https://me:hunter2@git.example.org/x")]
#[case("SRC", &format!("https://{}", "a".repeat(500)))]
#[case("REF", "")]
#[case("REF", "main")]
#[case("REF", &HEAD[1..])]
#[case("REF", &HEAD.to_uppercase())]
#[case("PR", "")]
#[case("PR", "0")]
#[case("PR", "07")]
#[case("PR", &"1".repeat(19))]
#[case("COMMENT_ID", "")]
#[case("COMMENT_ID", "0x1")]
#[case("RUN_KEY", "")]
#[case("RUN_KEY", "custom-html-pr8-c12-0a1b2c3d")]
#[case("RUN_KEY", &format!("custom-html-pr7-c12-{}", "a".repeat(61)))]
#[case("TIERS", "install,")]
#[case("TIERS", ",install")]
#[case("TIERS", "install,,custom")]
#[case("TIERS", "fresh")]
#[case("TIERS", "installs")]
#[case("TIERS", &"install,".repeat(15_000))]
#[case("QUICK", "yes")]
#[case("FROM", &"1".repeat(65))]
fn what_can_not_be_is_refused(#[case] name: &str, #[case] value: &str) {
    let host = Host::new().with(name, value);
    let output = host.run();
    assert_refused(&host, &output, name);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"));
}

/// A build may have any parameter, and Drone puts each into the environment.
#[test]
fn nothing_but_what_the_host_says_reaches_the_entrypoint() {
    let host = Host::new();
    let evil = host.path("evil").display().to_string();
    for name in ["git", "getent", "id", "env", "cut"] {
        host.program(&format!("evil/{name}"), 9);
    }
    let host = host
        .with("PATH", &evil)
        .with("GIT_SSH_COMMAND", "touch pwned")
        .with("GIT_CONFIG_COUNT", "1")
        .with("IFS", "/")
        .with("ENV", "/nowhere")
        .with("BASH_ENV", "/nowhere")
        .with("LD_BIND_NOW", "1")
        .with("CCCI_SUITE", "x")
        .with("RUSTC_WRAPPER", "x")
        .with("DRONE_BUILD_NUMBER", "1")
        .with("CCCI_SITE", "/etc/cc-ci/site.toml")
        .with("https_proxy", "http://proxy.example.org:3128");
    let output = host.run();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let mut names: Vec<_> = host.written("environment").unwrap();
    names = names
        .iter()
        .filter_map(|it| Some(it.split_once('=')?.0.to_owned()))
        // What the entrypoint's own shell adds.
        .filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(&name.as_str()))
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CCCI_SITE",
            "CCCI_STATE_DIR",
            "HOME",
            "PATH",
            "https_proxy"
        ]
    );
    assert!(!host.seen("PATH").unwrap().contains(&evil));
}

/// The folder and the home of a step are removed while a cancelled run still cleans up.
#[test]
fn nothing_lies_where_the_step_is() {
    let host = Host::new();
    assert_eq!(host.run().status.code(), Some(7));
    for (name, value) in [
        ("CCCI_STATE_DIR", "/var/lib/cc-ci"),
        ("CARGO_HOME", "/var/lib/cc-ci/cargo/home"),
        ("CARGO_TARGET_DIR", "/var/lib/cc-ci/cargo/target"),
    ] {
        assert_eq!(host.seen(name).as_deref(), Some(value));
    }
    assert_ne!(host.seen("HOME").unwrap(), host.environment["HOME"]);
    assert_eq!(host.written("folder").unwrap(), ["/\n"]);

    let host = Host::new().with("CCCI_STATE_DIR", "/other");
    assert_eq!(host.run().status.code(), Some(7));
    assert_eq!(host.seen("CCCI_STATE_DIR").unwrap(), "/other");
    assert_eq!(host.seen("CARGO_HOME").unwrap(), "/other/cargo/home");
}

#[test]
fn an_installed_program_is_found_else_cargo_makes_it() {
    let host = Host::new().without("CC_CI_ENTRYPOINT");
    let home = host.path("cargo").display().to_string();
    let host = host.with("CARGO_HOME", &home);
    host.program("cargo/bin/cargo", 5);
    // Where one is installed on this machine it is the one that is found, and not to be started.
    let installed = [
        "/usr/local/bin",
        "/usr/bin",
        "/bin",
        "/usr/local/sbin",
        "/usr/sbin",
        "/sbin",
    ];
    if !installed
        .iter()
        .any(|folder| Path::new(folder).join("cc-ci").exists())
    {
        let output = host.run();
        assert_eq!(output.status.code(), Some(5), "{output:?}");
        assert_eq!(host.arguments().unwrap()[..3], ["xtask", "ci", "--recipe"]);
        let folder = host.written("folder").unwrap().concat();
        let workspace = in_workspace(".").canonicalize().unwrap();
        assert_eq!(Path::new(folder.trim_end()), workspace);
    }
    host.program("cargo/bin/cc-ci", 6);
    assert_eq!(host.run().status.code(), Some(6));
    assert_eq!(host.arguments().unwrap()[..2], ["ci", "--recipe"]);
}

#[rstest]
#[case::name("cc-ci")]
#[case::nothing("/nowhere/cc-ci")]
#[case::folder("/tmp")]
#[case::assignment("/tmp/A=b")]
fn an_entrypoint_that_is_no_program_is_refused(#[case] entry: &str) {
    let output = Host::new().with("CC_CI_ENTRYPOINT", entry).run();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        ".ci/testme: CC_CI_ENTRYPOINT must be the whole path of a program\n"
    );
}
