//! What the operator says: a TOML file, over which the environment wins.
//!
//! Invariants: what is read here is parsed and in bounds, or the bridge does not start; a secret
//! comes from a file that only its owner and group read, and is never shown; an error names the
//! place, what is wrong there and what to do.

mod error;
mod executor;
mod given;
mod raw;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

pub use error::ConfigError;
pub use executor::{Drone, Executor, Local};

use crate::names::{RecipeName, Repo, RunId, is_name};
use crate::secret::Secret;
use given::Given;
use raw::Raw;

const DEFAULT_STATE: &str = "/var/lib/cc-ci/bridge";
const DEFAULT_LISTEN: &str = "127.0.0.1:8480";
const SETTLE_MS: u64 = 10_000;
const INTERVAL_S: u64 = 30;
const LOOK_MS: u64 = 3_000;

#[derive(Debug, Clone)]
pub struct Config {
    /// The folder of the database.
    pub state: PathBuf,
    pub listen: SocketAddr,
    pub forge: Forge,
    pub poll: Poll,
    /// Logins that may start runs without being members.
    pub allowlist: Vec<String>,
    /// None: there is no webhook.
    pub webhook: Option<Secret>,
    pub executor: Executor,
    /// How often a run that goes on is looked at.
    pub look: Duration,
    /// The folder of the recipe crates, to say which enrolled recipe has none.
    pub recipes: Option<PathBuf>,
    pub report: Option<Report>,
}

#[derive(Debug, Clone)]
pub struct Forge {
    /// Ends with a slash.
    pub url: Url,
    /// The bridge's own login.
    pub bot: String,
    pub token: Secret,
    /// An authority to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// How long a request whose answer was lost may still take effect.
    pub settle: Duration,
}

#[derive(Debug, Clone)]
pub struct Poll {
    pub interval: Duration,
    pub repositories: Vec<Repo>,
    pub organisations: Vec<Organisation>,
}

/// All repositories of an organisation that have a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    pub name: String,
    pub topic: String,
}

/// Where people read reports.
#[derive(Debug, Clone)]
pub struct Report {
    /// Ends with no slash.
    url: String,
}

impl Report {
    pub fn of_run(&self, key: &RunId) -> String {
        format!("{}/runs/{key}/report.html", self.url)
    }

    pub fn badge(&self, recipe: &RecipeName) -> String {
        format!("{}/badge/{recipe}.svg", self.url)
    }
}

impl Config {
    /// `env` gives a variable's value. An empty one counts as none.
    pub fn read(
        path: Option<&Path>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let raw = path.map(Raw::read).transpose()?.unwrap_or_default();
        let given = Given::new(path, &env);
        let config = Self {
            state: given
                .path("CC_CI_BRIDGE_STATE", "state", raw.state)?
                .unwrap_or_else(|| DEFAULT_STATE.into()),
            listen: given
                .text("CC_CI_BRIDGE_LISTEN", "listen", raw.listen)
                .unwrap_or_else(|| given.default("listen", DEFAULT_LISTEN))
                .parse("write an address and a port, say 127.0.0.1:8480")?,
            forge: forge(&given, raw.forge)?,
            poll: poll(&given, raw.poll)?,
            allowlist: allowlist(&given, raw.auth)?,
            webhook: given.secret(
                "WEBHOOK_SECRET_FILE",
                "webhook.secret_file",
                raw.webhook.secret_file,
            )?,
            look: Duration::from_millis(given.number(
                "executor.look_ms",
                raw.executor.look_ms,
                LOOK_MS,
                50..=60_000,
            )?),
            executor: executor::read(&given, raw.executor)?,
            recipes: given.path("CC_CI_BRIDGE_RECIPES", "recipes", raw.recipes)?,
            report: given
                .url("REPORT_URL", "report.url", raw.report.url)?
                .map(|url| Report {
                    url: url.as_str().trim_end_matches('/').to_owned(),
                }),
        };
        Ok(config)
    }
}

fn forge(given: &Given<'_>, raw: raw::Forge) -> Result<Forge, ConfigError> {
    let bot = given
        .text("FORGE_BOT", "forge.bot", raw.bot)
        .ok_or_else(|| {
            given.missing(
                "FORGE_BOT",
                "forge.bot",
                "the login of the bridge's account",
            )
        })?;
    Ok(Forge {
        url: given
            .url("FORGE_URL", "forge.url", raw.url)?
            .ok_or_else(|| given.missing("FORGE_URL", "forge.url", "the address of the forge"))?,
        bot: bot.check(
            is_name,
            "is no login",
            "write the name of the bridge's account",
        )?,
        token: given
            .secret("FORGE_TOKEN_FILE", "forge.token_file", raw.token_file)?
            .ok_or_else(|| {
                given.missing(
                    "FORGE_TOKEN_FILE",
                    "forge.token_file",
                    "the file of the bot's token",
                )
            })?,
        ca_file: given.ca("FORGE_CA_FILE", "forge.ca_file", raw.ca_file)?,
        settle: Duration::from_millis(given.number(
            "forge.settle_ms",
            raw.settle_ms,
            SETTLE_MS,
            0..=600_000,
        )?),
    })
}

fn poll(given: &Given<'_>, raw: raw::Poll) -> Result<Poll, ConfigError> {
    let asked = match given.text(
        "POLL_INTERVAL",
        "poll.interval_s",
        raw.interval_s.map(|s| s.to_string()),
    ) {
        None => INTERVAL_S,
        Some(text) => text.number(1..=60)?,
    };
    let mut repositories: Vec<Repo> = Vec::new();
    for name in given.list("POLL_REPOS", "poll.repositories", raw.repositories) {
        let what = "write owner/name, and the name of a recipe as the name";
        let repo: Repo = name.parse(what)?;
        let recipe: Result<RecipeName, _> = repo.name().parse();
        recipe.map_err(|error| name.bad(error.to_string(), what))?;
        if repositories.iter().any(|other| other.is(&repo)) {
            return Err(name.bad(format!("`{repo}` is there twice"), "leave one of them out"));
        }
        repositories.push(repo);
    }
    let mut organisations = Vec::new();
    for (index, organisation) in raw.organisations.into_iter().enumerate() {
        let key = |field| format!("poll.organisations[{index}].{field}");
        let name = given.in_file(key("name"), organisation.name);
        let topic = given.in_file(key("topic"), organisation.topic);
        organisations.push(Organisation {
            name: name.check(is_name, "is no organisation", "write its name on the forge")?,
            topic: topic.check(
                is_topic,
                "is no topic",
                "write the topic of the repositories to watch: small letters, digits and `-`",
            )?,
        });
    }
    if repositories.is_empty() && organisations.is_empty() {
        return Err(given.missing(
            "POLL_REPOS",
            "poll.repositories",
            "at least one repository or organisation to watch",
        ));
    }
    Ok(Poll {
        interval: Duration::from_secs(asked),
        repositories,
        organisations,
    })
}

fn is_topic(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 35
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.')
}

fn allowlist(given: &Given<'_>, raw: raw::Auth) -> Result<Vec<String>, ConfigError> {
    given
        .list("AUTH_ALLOWLIST", "auth.allowlist", raw.allowlist)
        .iter()
        .map(|login| login.check(is_name, "is no login", "write logins of the forge"))
        .collect()
}
