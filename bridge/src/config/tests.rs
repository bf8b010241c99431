use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use rstest::rstest;
use tempfile::TempDir;

use super::*;

/// A folder with secrets, and a file whose `@` stands for the folder.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(TempDir::new().unwrap());
        for name in ["forge_token", "drone_token", "webhook_secret"] {
            place.write(name, &format!("the {name}\n"), 0o600);
        }
        place
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    fn fill(&self, text: &str) -> String {
        text.replace('@', self.0.path().to_str().unwrap())
    }

    fn read(&self, text: &str, env: &[(&str, &str)]) -> Result<Config, String> {
        let path = self.0.path().join("bridge.toml");
        fs::write(&path, self.fill(text)).unwrap();
        self.read_from(Some(&path), env)
    }

    /// Errors with the folder's name taken out.
    fn read_from(&self, path: Option<&Path>, env: &[(&str, &str)]) -> Result<Config, String> {
        let env: HashMap<String, String> = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), self.fill(value)))
            .collect();
        Config::read(path, |name| env.get(name).cloned()).map_err(|error| {
            error
                .to_string()
                .replace(self.0.path().to_str().unwrap(), "@")
        })
    }
}

const LEAST: &str = r#"
[forge]
url = "https://git.example.org"
bot = "bot"
token_file = "@/forge_token"
[poll]
repositories = ["coop-cloud/custom-html"]
[executor]
kind = "local"
"#;

/// The least file with one line more, below its section.
fn with(section: &str, line: &str) -> String {
    let text = LEAST.replace(&format!("[{section}]\n"), &format!("[{section}]\n{line}\n"));
    if text == LEAST {
        format!("{LEAST}[{section}]\n{line}\n")
    } else {
        text
    }
}

/// The least file with another value of a key.
fn but(key: &str, value: &str) -> String {
    LEAST
        .lines()
        .map(|line| match line.starts_with(&format!("{key} =")) {
            true => format!("{key} = {value}\n"),
            false => format!("{line}\n"),
        })
        .collect()
}

#[test]
fn the_least_file_is_filled_up_with_defaults() {
    let config = Place::new().read(LEAST, &[]).unwrap();
    assert_eq!(config.state, Path::new("/var/lib/cc-ci/bridge"));
    assert_eq!(config.listen.to_string(), "127.0.0.1:8480");
    assert_eq!(config.forge.url.as_str(), "https://git.example.org/");
    assert_eq!(config.forge.token.expose(), "the forge_token");
    assert_eq!(config.forge.settle, Duration::from_secs(10));
    assert_eq!(config.poll.interval, Duration::from_secs(30));
    assert!(config.webhook.is_none() && config.report.is_none() && config.allowlist.is_empty());
    let Executor::Local(local) = config.executor else {
        panic!("{:?}", config.executor)
    };
    assert_eq!(local.program, ["cargo", "xtask", "ci"]);
    assert_eq!((local.slots, local.folder), (1, None));
    assert_eq!(local.runs, Path::new("/var/lib/cc-ci"));
}

/// The documented example says what it is meant to say.
#[test]
fn the_documented_example_is_read() {
    let place = Place::new();
    let text = include_str!("../../../docs/bridge.toml").replace("/etc/cc-ci/", "@/");
    let config = place.read(&text, &[]).unwrap();
    assert_eq!(config.forge.bot, "cc-ci-bot");
    assert_eq!(config.poll.repositories.len(), 2);
    assert_eq!(config.poll.organisations[0].topic, "cc-ci");
    assert_eq!(config.allowlist, ["a-friend"]);
    assert_eq!(config.webhook.unwrap().expose(), "the webhook_secret");
    assert_eq!(config.recipes.unwrap(), Path::new("/opt/cc-ci/recipes"));
    let Executor::Drone(drone) = config.executor else {
        panic!("{:?}", config.executor)
    };
    assert_eq!(drone.repository.to_string(), "coop-cloud/cc-ci");
    assert_eq!(drone.timeout, Duration::from_secs(3600));
    assert_eq!(drone.runs.unwrap(), Path::new("/var/lib/cc-ci"));
    let report = config.report.unwrap();
    let key = "custom-html-pr7-c12-0a1b2c3d".parse().unwrap();
    assert_eq!(
        report.of_run(&key),
        "https://ci.example.org/runs/custom-html-pr7-c12-0a1b2c3d/report.html"
    );
    assert_eq!(
        report.badge(&"custom-html".parse().unwrap()),
        "https://ci.example.org/badge/custom-html.svg"
    );
}

/// Every variable that the example names does what it says there.
#[test]
fn the_environment_wins_over_the_file() {
    let place = Place::new();
    place.write("ca.pem", "-----BEGIN CERTIFICATE-----\n", 0o644);
    place.write("other", "another", 0o640);
    let env = [
        ("CC_CI_BRIDGE_STATE", "/other/state"),
        ("CC_CI_BRIDGE_LISTEN", "[::1]:1"),
        ("CC_CI_BRIDGE_RECIPES", "/other/recipes"),
        ("FORGE_URL", "http://other.example.org/gitea"),
        ("FORGE_BOT", "other-bot"),
        ("FORGE_TOKEN_FILE", "@/other"),
        ("FORGE_CA_FILE", "@/ca.pem"),
        ("POLL_INTERVAL", "5"),
        ("POLL_REPOS", "a/b, c/d ,"),
        ("AUTH_ALLOWLIST", "x,y"),
        ("WEBHOOK_SECRET_FILE", "@/other"),
        ("DRONE_URL", "http://127.0.0.1:1/"),
        ("DRONE_TOKEN_FILE", "@/other"),
        ("DRONE_CA_FILE", "@/ca.pem"),
        ("DRONE_REPOSITORY", "other/ci"),
        ("CC_CI_RUNS", "/other/runs"),
        ("REPORT_URL", "https://other.example.org/ci/"),
    ];
    let example = include_str!("../../../docs/bridge.toml");
    for (name, _) in env {
        assert!(example.contains(name), "{name} is not in the example");
    }
    let text = example.replace("/etc/cc-ci/", "@/");
    let config = place.read(&text, &env).unwrap();
    insta::assert_debug_snapshot!("environment", Shown(&config, &place));
}

/// A configuration with the folder's name taken out.
struct Shown<'a>(&'a Config, &'a Place);

impl std::fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{:#?}", self.0);
        f.write_str(&text.replace(self.1.0.path().to_str().unwrap(), "@"))
    }
}

#[test]
fn the_environment_alone_is_enough_with_drone() {
    let env = [
        ("FORGE_URL", "https://git.example.org"),
        ("FORGE_BOT", "bot"),
        ("FORGE_TOKEN_FILE", "@/forge_token"),
        ("POLL_REPOS", "coop-cloud/custom-html"),
        ("DRONE_URL", "https://drone.example.org"),
        ("DRONE_TOKEN_FILE", "@/drone_token"),
        ("DRONE_REPOSITORY", "coop-cloud/cc-ci"),
        ("WEBHOOK_SECRET_FILE", ""),
    ];
    let config = Place::new().read_from(None, &env).unwrap();
    assert!(matches!(config.executor, Executor::Drone(_)));
    assert!(config.webhook.is_none(), "an empty variable counts as none");
}

#[test]
fn a_secret_is_in_no_output() {
    let place = Place::new();
    let config = place
        .read(LEAST, &[("WEBHOOK_SECRET_FILE", "@/webhook_secret")])
        .unwrap();
    let shown = format!("{config:?} {config:#?}");
    assert!(!shown.contains("the forge_token") && !shown.contains("the webhook_secret"));
    assert!(shown.contains("Secret(hidden)"));
}

#[rstest]
#[case::unknown(
    with("forge", "token = \"x\""),
    "@/bridge.toml:3: there is no setting `token` here; did you mean `token_file`?"
)]
#[case::section(
    with("webhok", "secret_file = \"x\""),
    "there is no setting `webhok` here; did you mean `webhook`?"
)]
#[case::nested(
    with("poll", "organisations = [{ name = \"a\", topik = \"b\" }]"),
    "`topik` here; did you mean `topic`?"
)]
#[case::half(
    with("poll", "organisations = [{ name = \"a\" }]"),
    "missing field `topic`"
)]
#[case::no_toml("[forge\n".to_owned(), "@/bridge.toml:1: ")]
#[case::type_of(
    with("forge", "settle_ms = \"x\""),
    "@/bridge.toml:3: invalid type: string \"x\", expected u64"
)]
#[case::settle(
    with("forge", "settle_ms = 600001"),
    "forge.settle_ms: 600001 is out of bounds; write a whole number from 0 to 600000"
)]
#[case::interval_low(
    with("poll", "interval_s = 0"),
    "poll.interval_s: 0 is out of bounds; write a whole number from 1 to 60"
)]
#[case::interval_high(with("poll", "interval_s = 61"), "61 is out of bounds")]
#[case::no_url(
    but("url", "\"git.example.org\""),
    "forge.url: `git.example.org`: relative URL without a base; write the address alone"
)]
#[case::scheme(
    but("url", "\"ftp://git.example.org\""),
    "`ftp://git.example.org` is no http address"
)]
#[case::password(
    but("url", "\"https://me:hunter2\\u0040git.example.org\""),
    "forge.url: a name or password is in the address"
)]
#[case::query(
    but("url", "\"https://git.example.org/?x=y\""),
    "has a query or a fragment"
)]
#[case::bot(but("bot", "\"b t\""), "forge.bot: `b t` is no login")]
#[case::relative(
    but("token_file", "\"forge_token\""),
    "forge.token_file: `forge_token` is no whole path"
)]
#[case::no_secret(
    but("token_file", "\"@/nothing\""),
    "forge.token_file: @/nothing: No such file"
)]
#[case::folder(but("token_file", "\"@\""), "forge.token_file: @ is no file")]
#[case::no_repo(
    but("repositories", "[\"custom-html\"]"),
    "poll.repositories[0]: `custom-html` is no repository"
)]
#[case::no_recipe(
    but("repositories", "[\"a/b\", \"a/Custom\"]"),
    "poll.repositories[1]: `Custom` is no recipe name"
)]
#[case::twice(
    but("repositories", "[\"a/b\", \"A/b\"]"),
    "poll.repositories[1]: `A/b` is there twice; leave one of them out"
)]
#[case::none(
    but("repositories", "[]"),
    "poll.repositories is not set: it is at least one repository or organisation to watch; set it in @/bridge.toml, or by the environment's POLL_REPOS"
)]
#[case::organisation(
    with("poll", "organisations = [{ name = \"../a\", topic = \"b\" }]"),
    "poll.organisations[0].name: `../a` is no organisation"
)]
#[case::topic(
    with("poll", "organisations = [{ name = \"a\", topic = \"B c\" }]"),
    "poll.organisations[0].topic: `B c` is no topic"
)]
#[case::login(
    with("auth", "allowlist = [\"a\", \"b\\u0040c\"]"),
    "auth.allowlist[1]: `b"
)]
#[case::kind(
    but("kind", "\"jenkins\""),
    "executor.kind: `jenkins` is no executor; write \"drone\" or \"local\""
)]
#[case::no_kind(LEAST.replace("kind = \"local\"", ""), "executor.kind is not set: it is what does the runs")]
#[case::other_kind(
    with("executor", "branch = \"main\""),
    "executor.branch: is for kind = \"drone\", and the kind is \"local\""
)]
#[case::slots(with("executor", "slots = 0"), "executor.slots: 0 is out of bounds")]
#[case::program(with("executor", "program = []"), "executor.program: is no program")]
#[case::listen(format!("listen = \"8480\"\n{LEAST}"), "listen: `8480`: invalid socket address syntax; write an address and a port")]
#[case::state(format!("state = \"x\"\n{LEAST}"), "state: `x` is no whole path")]
fn what_can_not_be_is_refused_with_what_to_do(#[case] text: String, #[case] said: &str) {
    let error = Place::new().read(&text, &[]).unwrap_err();
    assert!(error.contains(said), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[rstest]
#[case(
    "POLL_INTERVAL",
    "soon",
    "the environment's POLL_INTERVAL: `soon`: invalid digit found in string; write a whole number from 1 to 60"
)]
#[case(
    "POLL_REPOS",
    "a/b,c",
    "the environment's POLL_REPOS: `c` is no repository"
)]
#[case("POLL_REPOS", " , ", "poll.repositories is not set")]
#[case("FORGE_URL", "x", "the environment's FORGE_URL: `x`: relative URL")]
#[case(
    "FORGE_CA_FILE",
    "@/forge_token",
    "the environment's FORGE_CA_FILE: @/forge_token holds no certificate"
)]
#[case(
    "DRONE_URL",
    "https://d",
    "the environment's DRONE_URL: is for the executor `drone`, and executor.kind is `local`"
)]
fn a_wrong_variable_is_named(#[case] name: &str, #[case] value: &str, #[case] said: &str) {
    let error = Place::new().read(LEAST, &[(name, value)]).unwrap_err();
    assert!(error.contains(said), "{error}");
}

#[rstest]
#[case::others_read(
    "secret\n",
    0o604,
    "everybody on this machine may use @/s (mode 0604); take that right away: chmod o= @/s"
)]
#[case::others_write("secret\n", 0o602, "(mode 0602)")]
#[case::empty("", 0o600, "@/s is empty; write the secret alone into it, on one line")]
#[case::newline("\n\n", 0o600, "@/s is empty")]
#[case::lines("a\nb\n", 0o600, "more than one line")]
#[case::large(&"x".repeat(5000), 0o600, "@/s is too large for a secret")]
fn a_secret_that_can_not_be_one_is_refused(
    #[case] text: &str,
    #[case] mode: u32,
    #[case] said: &str,
) {
    let place = Place::new();
    place.write("s", text, mode);
    let error = place
        .read(LEAST, &[("FORGE_TOKEN_FILE", "@/s")])
        .unwrap_err();
    assert!(
        error.starts_with("the environment's FORGE_TOKEN_FILE: "),
        "{error}"
    );
    assert!(error.contains(said), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let place = Place::new();
    let error = place
        .read_from(Some(Path::new("/nowhere.toml")), &[])
        .unwrap_err();
    assert_eq!(
        error,
        "/nowhere.toml: No such file or directory (os error 2); name a file that is there and that this account may read"
    );
}
