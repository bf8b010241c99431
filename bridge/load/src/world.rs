//! The forge and the CI engine of a trial, and the settings of the bridge that watches them.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use forge_model::gitea::{Content, Head, NewRepo, Right, Visible};
use forge_model::{Drone, Gitea, drone};

pub const BOT: &str = "cc-bot";
/// Members, none of whom shows it.
pub const MEMBERS: [&str; 4] = ["mia", "milo", "mona", "max"];
/// No member, and on the operator's list.
pub const ALLOWED: &str = "ally";
pub const STRANGERS: [&str; 3] = ["sam", "sue", "sid"];
/// Writes in what others wrote.
pub const EDITOR: &str = "eve";
pub const ORGANISATION: &str = "coop";
/// The repository whose builds are the runs.
pub const CI: &str = "coop/cc-ci";
/// What was pushed so long ago was there before any comment, whatever the clock did meanwhile.
pub const LONG: Duration = Duration::from_secs(3 * 3_600);
const SECRET: &str = "a secret of the trial";

/// How large a world is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Repositories that are enrolled from the start.
    pub enrolled: usize,
    /// Those that are enrolled later, one by one.
    pub late: usize,
    /// The first so many of the enrolled have a webhook.
    pub hooked: usize,
}

/// A thread of a repository.
pub type Place = (String, u64);

pub struct World {
    pub gitea: Gitea,
    pub drone: Drone,
    pub enrolled: Vec<String>,
    pub late: Vec<String>,
    /// Of the same owner, and not watched.
    pub elsewhere: String,
    /// Where the bot may set commit statuses.
    pub writable: HashSet<String>,
    /// Pull requests with several commands: their runs take longer.
    pub busy: Arc<Mutex<HashSet<Place>>>,
    pub port: u16,
    dir: tempfile::TempDir,
    commits: AtomicU64,
}

impl World {
    pub async fn new(size: Size) -> Result<Self> {
        let gitea = Gitea::start()
            .await
            .context("starting the model of Gitea")?;
        let drone = Drone::start()
            .await
            .context("starting the model of Drone")?;
        let name = |n: usize| format!("{ORGANISATION}/app-{n:04}");
        let last = size.enrolled + size.late;
        let world = Self {
            enrolled: (0..size.enrolled).map(name).collect(),
            late: (size.enrolled..last).map(name).collect(),
            elsewhere: name(last),
            writable: (0..size.enrolled)
                .filter(|n| n % 3 != 2)
                .map(name)
                .collect(),
            busy: Arc::default(),
            port: free_port()?,
            dir: tempfile::Builder::new().prefix("bridge-load-").tempdir()?,
            commits: AtomicU64::new(0),
            gitea,
            drone,
        };
        world.people()?;
        world.repositories(size.hooked)?;
        world.secrets()?;
        world.settings(0, 100)?;
        Ok(world)
    }

    fn people(&self) -> Result<()> {
        let gitea = &self.gitea;
        gitea.add_org(ORGANISATION);
        for member in MEMBERS.into_iter().chain([EDITOR, BOT]) {
            gitea.add_user(member);
            gitea.add_member(ORGANISATION, member, Visible::Concealed)?;
        }
        for stranger in STRANGERS.into_iter().chain([ALLOWED]) {
            gitea.add_user(stranger);
        }
        Ok(())
    }

    fn repositories(&self, hooked: usize) -> Result<()> {
        let all = self.enrolled.iter().chain(&self.late);
        for repo in all.chain([&self.elsewhere]) {
            self.gitea.add_repo(NewRepo::new(repo))?;
        }
        for repo in &self.writable {
            self.gitea.grant(repo, BOT, Right::WriteCode)?;
        }
        for (n, repo) in self.enrolled.iter().take(hooked).enumerate() {
            let content = if n % 2 == 0 {
                Content::Json
            } else {
                Content::Form
            };
            let events = ["issue_comment", "pull_request_comment"];
            let url = format!("{}/hook", self.bridge());
            self.gitea.add_hook(repo, &url, content, SECRET, &events)?;
        }
        self.gitea.hold_deliveries();
        self.drone.add_repo(CI, drone::Pipeline::Good);
        Ok(())
    }

    fn secrets(&self) -> Result<()> {
        let scopes = [
            "write:issue",
            "read:repository",
            "write:repository",
            "read:organization",
        ];
        secret(
            &self.path("forge_token"),
            &self.gitea.add_token(BOT, &scopes)?,
        )?;
        let token = "0123456789abcdef0123456789abcdef";
        self.drone.add_token(token, BOT, CI, drone::Right::Write);
        secret(&self.path("drone_token"), token)?;
        secret(&self.path("webhook_secret"), SECRET)
    }

    /// Writes the bridge's settings; the first `late` of the late repositories are enrolled.
    pub fn settings(&self, late: usize, look_ms: u64) -> Result<()> {
        let repositories = self.enrolled.iter().chain(self.late.iter().take(late));
        let repositories: Vec<_> = repositories.map(|name| format!("{name:?}")).collect();
        let path = |name: &str| format!("{:?}", self.path(name));
        let text = format!(
            "state = {state}\n\
             listen = \"127.0.0.1:{port}\"\n\
             [forge]\n\
             url = \"{forge}\"\n\
             bot = \"{BOT}\"\n\
             token_file = {forge_token}\n\
             settle_ms = 400\n\
             [poll]\n\
             interval_s = 1\n\
             repositories = [{repositories}]\n\
             [auth]\n\
             allowlist = [\"{ALLOWED}\"]\n\
             [webhook]\n\
             secret_file = {webhook_secret}\n\
             [executor]\n\
             kind = \"drone\"\n\
             url = \"{drone}\"\n\
             token_file = {drone_token}\n\
             repository = \"{CI}\"\n\
             look_ms = {look_ms}\n",
            state = path("state"),
            port = self.port,
            forge = self.gitea.url(),
            drone = self.drone.url(),
            forge_token = path("forge_token"),
            drone_token = path("drone_token"),
            webhook_secret = path("webhook_secret"),
            repositories = repositories.join(", "),
        );
        let file = self.config();
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
    }

    pub fn config(&self) -> PathBuf {
        self.path("bridge.toml")
    }

    /// What the bridge prints, of all its lives.
    pub fn log(&self) -> PathBuf {
        self.path("bridge.log")
    }

    /// Where the bridge answers.
    pub fn bridge(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A commit that was not there before.
    pub fn commit(&self) -> String {
        let number = self.commits.fetch_add(1, Ordering::Relaxed);
        format!("c0ffee{number:034x}")
    }

    /// An open pull request, from a branch whose name is not nice.
    pub fn open(&self, repo: &str, author: &str) -> Result<(u64, String)> {
        let sha = self.commit();
        let short = &sha[32..];
        let head = if short.ends_with(['3', '9']) {
            let fork = format!("{author}/{}", repo.split('/').next_back().unwrap_or("app"));
            Head::fork(&fork, "main", &sha).ago(LONG)
        } else {
            Head::branch(&format!("x-{short}-$(id)&a=<b>%20\u{e9}"), &sha).ago(LONG)
        };
        Ok((self.gitea.open_pull(repo, author, head)?, sha))
    }
}

fn secret(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("writing {}", path.display()))
}

/// One that nobody has just now; the bridge takes it again and again.
fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.port())
}
