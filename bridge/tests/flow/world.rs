//! A forge and a CI engine (models over real HTTP), the whole bridge, and people.

use std::fmt::Debug;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use bridge::config::Config;
use bridge::daemon;
use forge_model::drone::{BuildSeen, Drone, Pipeline, Right as DroneRight, Step};
use forge_model::gitea::{CommentSeen, Gitea, Head, NewRepo, Right, Visible};
use results::outcome::Verdict;
use results::summary::{Row, SCHEMA, Summary};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

pub const ORG: &str = "coop";
pub const REPO: &str = "coop/custom-html";
pub const OTHER: &str = "coop/keycloak";
/// In the organisation and not enrolled.
pub const STRANGE: &str = "coop/not-enrolled";
pub const CI: &str = "ci/cc-ci";
pub const BOT: &str = "cc-ci-bot";
const SCOPES: [&str; 4] = [
    "write:issue",
    "read:repository",
    "read:organization",
    "write:repository",
];

/// As long before the first comment a pull request was opened.
pub const LONG: Duration = Duration::from_secs(3_600);

pub struct World {
    pub gitea: Gitea,
    pub drone: Drone,
    folder: tempfile::TempDir,
    bridge: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    pub listen: String,
    /// Lines of the settings.
    pub poll: String,
    /// None: the model of a CI engine.
    pub executor: Option<String>,
    /// Seconds from poll to poll.
    pub interval: u32,
}

impl World {
    /// With a member `ada`, strangers `eve` and `mallory`, two enrolled repositories, and a CI
    /// engine whose builds end at once with a record that passes.
    pub async fn new() -> Self {
        let gitea = Gitea::start().await.unwrap();
        gitea.add_org(ORG);
        for login in ["ada", "eve", "mallory", BOT] {
            gitea.add_user(login);
        }
        gitea.add_member(ORG, "ada", Visible::Concealed).unwrap();
        gitea.add_member(ORG, BOT, Visible::Concealed).unwrap();
        for repo in [REPO, OTHER, STRANGE] {
            gitea.add_repo(NewRepo::new(repo)).unwrap();
            gitea.grant(repo, BOT, Right::WriteCode).unwrap();
        }
        let drone = Drone::start().await.unwrap();
        drone.add_repo(CI, Pipeline::Good);
        drone.add_token("drone-token", BOT, CI, DroneRight::Write);
        drone.set_capacity(8);
        drone.on_step(|step| async move { pass(&step) });
        let listen = free_address();
        let world = Self {
            gitea,
            drone,
            folder: tempfile::tempdir().unwrap(),
            bridge: None,
            listen,
            poll: format!("repositories = [{REPO:?}, {OTHER:?}]"),
            interval: 1,
            executor: None,
        };
        let token = world.gitea.add_token(BOT, &SCOPES).unwrap();
        world.secret("forge", &token);
        world.secret("drone", "drone-token");
        world.secret("hook", "a secret of the hook");
        world
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn secret(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(Path::new(&path), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The settings, in a file.
    pub fn settings(&self) -> String {
        let (state, token) = (self.path("state"), self.path("forge"));
        let (forge, hook) = (self.gitea.url(), self.path("hook"));
        let (listen, interval, poll) = (&self.listen, self.interval, &self.poll);
        let executor = self.executor.clone().unwrap_or_else(|| {
            let (drone, token) = (self.drone.url(), self.path("drone"));
            format!(
                "kind = \"drone\"\nurl = {drone:?}\ntoken_file = {token:?}\nrepository = {CI:?}"
            )
        });
        let text = format!(
            "state = {state:?}\nlisten = {listen:?}\n\
             [forge]\nurl = {forge:?}\nbot = {BOT:?}\ntoken_file = {token:?}\nsettle_ms = 300\n\
             [poll]\ninterval_s = {interval}\n{poll}\n\
             [auth]\nallowlist = [\"Grace\"]\n\
             [webhook]\nsecret_file = {hook:?}\n\
             [executor]\n{executor}\nlook_ms = 100\n"
        );
        let path = self.path("bridge.toml");
        fs::write(&path, text).unwrap();
        path
    }

    pub fn config(&self) -> Config {
        Config::read(Some(Path::new(&self.settings())), |_| None).unwrap()
    }

    /// The bridge as its own program, which kills itself at a point.
    pub fn program(&self, killed_at: Option<&str>) -> tokio::process::Child {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_cc-ci-bridge"));
        command
            .arg("--config")
            .arg(self.settings())
            .kill_on_drop(true);
        if let Some(point) = killed_at {
            command.env(bridge::point::KILL, point);
        }
        command.stderr(std::process::Stdio::null()).spawn().unwrap()
    }

    /// Begins, and waits until all is enrolled and polled once.
    pub async fn up(&mut self) {
        let (stop, stopped) = oneshot::channel();
        let config = self.config();
        let task = tokio::spawn(async move {
            let until = async {
                let _ = stopped.await;
            };
            daemon::run_until(config, until).await.unwrap();
        });
        self.bridge = Some((stop, task));
        self.ready().await;
    }

    /// Until all is enrolled and polled once.
    pub async fn ready(&self) {
        let url = format!("http://{}/readyz", self.listen);
        let client = client();
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let answer = client.get(&url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            assert!(Instant::now() < end, "the bridge is not ready");
            sleep(Duration::from_millis(20)).await; // tidy: sleep: a bounded poll
        }
    }

    /// Ends as told.
    pub async fn down(&mut self) {
        if let Some((stop, task)) = self.bridge.take() {
            let _ = stop.send(());
            task.await.unwrap();
        }
    }

    pub fn pull(&self, repo: &str, sha: &str) -> u64 {
        let branch = format!("change-{sha}");
        let head = Head::branch(&branch, &full(sha)).ago(LONG);
        self.gitea.open_pull(repo, "ada", head).unwrap()
    }

    pub fn say(&self, repo: &str, number: u64, who: &str, text: &str) -> u64 {
        self.gitea.comment(repo, number, who, text).unwrap()
    }

    pub fn builds(&self) -> Vec<BuildSeen> {
        self.drone.builds(CI)
    }

    /// What the bot said on a pull request.
    pub fn said(&self, repo: &str, number: u64) -> Vec<CommentSeen> {
        let all = self.gitea.comments(repo, number).unwrap();
        all.into_iter()
            .filter(|comment| comment.author == BOT)
            .collect()
    }

    /// The only comment of the bot, once it has a text.
    pub async fn only(&self, repo: &str, number: u64, text: &str) -> CommentSeen {
        let what = format!("one comment with {text:?} on {repo}#{number}");
        self.until(&what, || {
            let said = self.said(repo, number);
            match said.as_slice() {
                [comment] if comment.body.contains(text) => Ok(comment.clone()),
                said => Err(said
                    .iter()
                    .map(|comment| comment.body.clone())
                    .collect::<Vec<_>>()),
            }
        })
        .await
    }

    /// Waits until a look gives something, and says what it gave last if it does not.
    pub async fn until<T, E: Debug>(&self, what: &str, look: impl Fn() -> Result<T, E>) -> T {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            match look() {
                Ok(found) => return found,
                Err(last) => assert!(Instant::now() < end, "no {what}; last: {last:#?}"),
            }
            sleep(Duration::from_millis(20)).await; // tidy: sleep: a bounded poll
        }
    }

    /// Long enough for two polls, and for all that would follow.
    pub async fn settle(&self) {
        sleep(Duration::from_millis(2_500)).await; // tidy: sleep: that nothing happens takes time
    }

    pub async fn get(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.listen);
        client()
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    }
}

pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// A commit's full id, from a word of hexadecimal digits.
pub fn full(short: &str) -> String {
    format!("{short:0<40}")
}

fn free_address() -> String {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().to_string()
}

/// What a run prints last.
pub fn summary(step: &Step, verdict: Verdict) -> Summary {
    let of = |name: &str| step.environment.get(name).cloned().unwrap_or_default();
    Summary {
        schema: SCHEMA,
        run_id: of("RUN_KEY").parse().unwrap(),
        recipe: of("RECIPE"),
        head: of("REF").parse().ok(),
        pr: of("PR").parse().unwrap(),
        verdict,
        verdict_reason: "install passed".to_owned(),
        level: Some(1),
        level_reason: "install".to_owned(),
        elapsed_ms: 12_000,
        rows: vec![Row {
            name: "install".to_owned(),
            status: "pass".to_owned(),
            duration_ms: 5_000,
            reason: None,
        }],
        first: None,
        news: Vec::new(),
        target: None,
        cancelled_by: None,
        partial: false,
    }
}

/// A run that passes, and its exit code.
pub fn pass(step: &Step) -> i32 {
    step.say("deploying");
    step.say(&summary(step, Verdict::Pass).to_line());
    0
}
