//! `check`: what an operator should know before the first comment. It asks, and changes nothing.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::config::Config;
use crate::daemon;
use crate::executor::Finding;
use crate::forge::{Forge, ForgeError, Membership};
use crate::http::SetupError;
use crate::names::Repo;
use crate::poll;

/// A clock that differs by more makes times on the page, and tokens, wrong.
const CLOCKS: Duration = Duration::from_secs(5);

/// Everything that can be asked. An error: the settings are of no use as they are.
pub async fn check(config: &Config) -> Result<Vec<Finding>, SetupError> {
    let forge = daemon::client(config)?;
    let executor = daemon::executor(&config.executor)?;
    let mut findings = server(config, &forge).await;
    if findings.iter().all(|finding| finding.good) {
        findings.extend(bot(config, &forge).await);
        for owner in poll::owners(&daemon::rules(config)) {
            findings.push(members(config, &forge, &owner).await);
        }
        for repo in repositories(config, &forge, &mut findings).await {
            findings.push(repository(&forge, &repo).await);
            findings.extend(recipe(config.recipes.as_deref(), &repo));
        }
    }
    findings.push(Finding::good(match &config.webhook {
        Some(_) => "the webhook /hook is on",
        None => "the webhook /hook is off: comments are found by polling alone",
    }));
    findings.extend(executor.check().await);
    Ok(findings)
}

/// The findings, one a line.
pub fn table(findings: &[Finding]) -> String {
    let mut table = String::new();
    for finding in findings {
        let word = if finding.good { "ok" } else { "WRONG" };
        let _ = writeln!(table, "{word:<6} {}", results::text::line(&finding.text));
    }
    table
}

async fn server(config: &Config, forge: &Forge) -> Vec<Finding> {
    let version = match forge.version().await {
        Ok(version) => Finding::good(format!("the forge {} answers: {version}", config.forge.url)),
        Err(error) => return vec![Finding::bad(error.to_string())],
    };
    let clock = match forge.server_time().await {
        Ok(at) => {
            let apart = Timestamp::now().duration_since(at).unsigned_abs();
            let text = format!(
                "its clock and this machine's are {} s apart",
                apart.as_secs()
            );
            if apart > CLOCKS {
                Finding::bad(format!("{text}; set both by NTP"))
            } else {
                Finding::good(text)
            }
        }
        Err(error) => Finding::bad(error.to_string()),
    };
    vec![version, clock]
}

async fn bot(config: &Config, forge: &Forge) -> Option<Finding> {
    let bot = &config.forge.bot;
    match forge.whoami().await {
        Ok(Some(author)) if author.login.eq_ignore_ascii_case(bot) => {
            Some(Finding::good(format!("the token is of {bot}")))
        }
        Ok(Some(author)) => Some(Finding::bad(format!(
            "the token is of `{}`, and the bot is to be {bot}: set forge.bot, or take its token",
            author.login
        ))),
        // The least scopes don't include the question, which is fine.
        Ok(None) => None,
        Err(error) => Some(Finding::bad(format!("the token: {error}"))),
    }
}

/// A bot that is no member itself sees no member.
async fn members(config: &Config, forge: &Forge, owner: &str) -> Finding {
    let bot = &config.forge.bot;
    match forge.membership(owner, bot).await {
        Ok(Membership::Member) => {
            Finding::good(format!("{bot} is a member of {owner}, so it sees who is"))
        }
        Ok(Membership::NoMember | Membership::Hidden) => Finding::bad(format!(
            "{bot} is no member of {owner}, so it sees none, and only names on the allow-list may start runs there: add it to a team (read rights are enough)"
        )),
        Err(ForgeError::Refused { status, .. }) if status != 401 => Finding::bad(format!(
            "{bot} may not ask for the members of {owner} ({status}): its token needs the scope read:organization"
        )),
        Err(error) => Finding::bad(error.to_string()),
    }
}

/// All that are to be watched.
async fn repositories(
    config: &Config,
    forge: &Forge,
    findings: &mut Vec<Finding>,
) -> BTreeSet<Repo> {
    let mut repos: BTreeSet<_> = config.poll.repositories.iter().cloned().collect();
    for organisation in &config.poll.organisations {
        let (owner, topic) = (&organisation.name, &organisation.topic);
        match forge.repos_with_topic(owner, topic).await {
            Ok(found) => {
                let text = format!("{} of {owner} carry the topic {topic}", found.len());
                findings.push(if found.is_empty() {
                    Finding::bad(text)
                } else {
                    Finding::good(text)
                });
                repos.extend(found);
            }
            Err(error) => findings.push(Finding::bad(error.to_string())),
        }
    }
    repos
}

async fn repository(forge: &Forge, repo: &Repo) -> Finding {
    match forge.repo(repo).await {
        Ok(info) if info.archived => {
            Finding::bad(format!("{repo} is archived: nothing can be said there"))
        }
        Ok(info) if info.can_write => {
            Finding::good(format!("{repo}: comments and commit statuses"))
        }
        Ok(_) => Finding::good(format!(
            "{repo}: comments, and no commit statuses (they need write access to code, and the scope write:repository)"
        )),
        Err(error) => Finding::bad(format!("{repo}: {error}")),
    }
}

/// A recipe without a crate is tested by the generic assertions alone.
fn recipe(recipes: Option<&Path>, repo: &Repo) -> Option<Finding> {
    let folder = recipes?;
    if folder.join(repo.name()).is_dir() {
        return None;
    }
    Some(Finding::good(format!(
        "{repo} has no crate in {}: only the generic assertions run",
        folder.display()
    )))
}
