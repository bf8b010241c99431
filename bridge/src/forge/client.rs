//! The client of the forge: one question or one deed a method.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::json;
use url::Url;

use super::history::EntryWire;
use super::pages::seconds;
use super::wire::{CommentWire, PullWire, RepoWire, UserWire, VersionWire};
use super::{Author, Comment, CommitStatus, ForgeError, History, Membership, Pull, RepoInfo};
use crate::http::{Answer, Ask, Broken, Http, SetupError};
use crate::names::{CommentId, CommitSha, PullNumber, Repo, is_name};
use crate::secret::Secret;

#[derive(Debug, Clone)]
pub struct Settings {
    pub url: Url,
    pub token: Secret,
    /// A PEM file of authorities that are trusted beside the system's.
    pub ca: Option<PathBuf>,
    /// The login whose token it is.
    pub bot: String,
}

pub struct Forge {
    http: Http,
    bot: String,
}

impl Forge {
    pub fn new(settings: Settings) -> Result<Self, SetupError> {
        let ca = settings.ca.as_deref();
        Ok(Self {
            http: Http::new(&settings.url, "token", &settings.token, ca)?,
            bot: settings.bot,
        })
    }

    /// For one exchange, its body included.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self {
            http: self.http.with_deadline(deadline),
            ..self
        }
    }

    /// How many requests were sent.
    pub fn requests(&self) -> u64 {
        self.http.requests()
    }

    /// How many of them came to an error.
    pub fn failures(&self) -> u64 {
        self.http.failures()
    }

    /// Whether somebody is the bot itself.
    pub fn is_bot(&self, author: &Author) -> bool {
        author.login.eq_ignore_ascii_case(&self.bot)
    }

    /// The comments of one thread, or those that were written or edited at `since` or after, oldest
    /// first. The forge has no pages here. A number that it does not know is a passing trouble, for
    /// it answers 500: [`Self::pull`] tells.
    pub async fn thread(
        &self,
        repo: &Repo,
        number: PullNumber,
        since: Option<Timestamp>,
    ) -> Result<Vec<Comment>, ForgeError> {
        let what = format!("comments of {repo}#{number}");
        let mut ask = thread(Method::GET, repo, number);
        if let Some(since) = since {
            ask = ask.query("since", seconds(since));
        }
        let list: Vec<CommentWire> = self.get(&what, ask).await?;
        Ok(list.into_iter().map(Comment::from).collect())
    }

    pub async fn pull(&self, repo: &Repo, number: PullNumber) -> Result<Pull, ForgeError> {
        let what = format!("pull request {repo}#{number}");
        let ask = of_repo(Method::GET, repo, &["pulls", &number.to_string()]);
        let wire: PullWire = self.get(&what, ask).await?;
        wire.read(number).map_err(|why| self.odd(&what, why))
    }

    /// When the head of a pull request changed. Asked for without a page it comes whole.
    pub async fn history(&self, repo: &Repo, number: PullNumber) -> Result<History, ForgeError> {
        let what = format!("timeline of {repo}#{number}");
        let ask = of_repo(
            Method::GET,
            repo,
            &["issues", &number.to_string(), "timeline"],
        );
        // A list of nothing is written as null.
        let entries: Option<Vec<EntryWire>> = self.get(&what, ask).await?;
        Ok(History::from(entries.unwrap_or_default()))
    }

    pub async fn membership(&self, org: &str, login: &str) -> Result<Membership, ForgeError> {
        let what = format!("membership of {login} in {org}");
        if !is_name(org) || !is_name(login) {
            return Err(self.odd(&what, "that is no name of an account".to_owned()));
        }
        let ask = Ask::get(&["api", "v1", "orgs", org, "members", login]);
        let answer = self.answer(&what, ask).await?;
        match answer.status {
            204 => Ok(Membership::Member),
            404 => Ok(Membership::NoMember),
            303 => Ok(Membership::Hidden),
            200..300 => Err(self.odd(&what, format!("status {}", answer.status))),
            _ => Err(self.refused(&what, &answer)),
        }
    }

    pub async fn repo(&self, repo: &Repo) -> Result<RepoInfo, ForgeError> {
        let what = format!("repository {repo}");
        let wire: RepoWire = self.get(&what, of_repo(Method::GET, repo, &[])).await?;
        wire.read().map_err(|why| self.odd(&what, why))
    }

    pub async fn version(&self) -> Result<String, ForgeError> {
        let wire: VersionWire = self.get("version", version()).await?;
        Ok(crate::http::one_line(&wire.version, 40))
    }

    /// The server's clock.
    pub async fn server_time(&self) -> Result<Timestamp, ForgeError> {
        let what = "time of the forge";
        let answer = self.ask(what, version()).await?;
        self.date(what, &answer)
    }

    /// Whose token it is; none: the token may not ask.
    pub async fn whoami(&self) -> Result<Option<Author>, ForgeError> {
        let what = "the token's own account";
        let answer = self.answer(what, Ask::get(&["api", "v1", "user"])).await?;
        match answer.status {
            403 => Ok(None),
            200..300 => {
                let wire: UserWire = self.read(what, &answer)?;
                Ok(Some(wire.into()))
            }
            _ => Err(self.refused(what, &answer)),
        }
    }

    pub async fn post_comment(
        &self,
        repo: &Repo,
        number: PullNumber,
        body: &str,
    ) -> Result<Comment, ForgeError> {
        let what = format!("new comment on {repo}#{number}");
        let ask = thread(Method::POST, repo, number).body(json!({ "body": body }));
        let wire: CommentWire = self.get(&what, ask).await?;
        Ok(wire.into())
    }

    pub async fn edit_comment(
        &self,
        repo: &Repo,
        id: CommentId,
        body: &str,
    ) -> Result<(), ForgeError> {
        let what = format!("edit of comment {id} of {repo}");
        let path = ["issues", "comments", &id.to_string()];
        let ask = of_repo(Method::PATCH, repo, &path).body(json!({ "body": body }));
        self.told(&what, ask).await
    }

    /// Set again it changes nothing.
    pub async fn react(
        &self,
        repo: &Repo,
        id: CommentId,
        reaction: &str,
    ) -> Result<(), ForgeError> {
        let what = format!("reaction to comment {id} of {repo}");
        let path = ["issues", "comments", &id.to_string(), "reactions"];
        let ask = of_repo(Method::POST, repo, &path).body(json!({ "content": reaction }));
        self.told(&what, ask).await
    }

    pub async fn set_status(
        &self,
        repo: &Repo,
        sha: &CommitSha,
        status: &CommitStatus,
    ) -> Result<(), ForgeError> {
        let what = format!("status of {} in {repo}", sha.short());
        let ask = of_repo(Method::POST, repo, &["statuses", sha.as_str()]).body(json!({
            "state": status.state.as_str(),
            "context": status.context,
            "description": status.description,
            "target_url": status.target_url.as_deref().unwrap_or_default(),
        }));
        self.told(&what, ask).await
    }

    /// The bot's comment whose first line is `marker`, for a comment whose answer was lost.
    pub async fn find_own(
        &self,
        repo: &Repo,
        number: PullNumber,
        marker: &str,
        since: Option<Timestamp>,
    ) -> Result<Option<Comment>, ForgeError> {
        let thread = self.thread(repo, number, since).await?;
        let is_it = |comment: &Comment| {
            self.is_bot(&comment.author) && comment.body.lines().next() == Some(marker)
        };
        Ok(thread.into_iter().find(is_it))
    }

    async fn get<T: DeserializeOwned>(&self, what: &str, ask: Ask) -> Result<T, ForgeError> {
        let answer = self.ask(what, ask).await?;
        self.read(what, &answer)
    }

    /// A deed whose answer is of no use but that it is JSON: a proxy's page is no yes.
    async fn told(&self, what: &str, ask: Ask) -> Result<(), ForgeError> {
        let answer = self.ask(what, ask).await?;
        if answer.status != 204 {
            self.read::<serde::de::IgnoredAny>(what, &answer)?;
        }
        Ok(())
    }

    /// An answer of 2xx.
    pub(super) async fn ask(&self, what: &str, ask: Ask) -> Result<Answer, ForgeError> {
        let answer = self.answer(what, ask).await?;
        match answer.is_success() {
            true => Ok(answer),
            false => Err(self.refused(what, &answer)),
        }
    }

    /// Any answer that says something: no 429, no 5xx.
    async fn answer(&self, what: &str, ask: Ask) -> Result<Answer, ForgeError> {
        let answer = match self.http.send(ask).await {
            Ok(answer) => answer,
            Err(Broken::Unreached(why)) => return Err(self.passing(what, &why, None)),
            Err(Broken::Lost(why)) => {
                return Err(self.passing(what, &format!("the answer was lost: {why}"), None));
            }
            Err(Broken::TooLong(longest)) => {
                return Err(self.odd(what, format!("more than {longest} bytes")));
            }
        };
        if answer.is_passing() {
            let said = answer.message();
            let colon = if said.is_empty() { "" } else { ": " };
            let why = format!("the forge says {}{colon}{said}", answer.status);
            return Err(self.passing(what, &why, answer.retry_after()));
        }
        Ok(answer)
    }

    pub(super) fn read<T: DeserializeOwned>(
        &self,
        what: &str,
        answer: &Answer,
    ) -> Result<T, ForgeError> {
        answer.json().map_err(|why| self.odd(what, why))
    }

    pub(super) fn date(&self, what: &str, answer: &Answer) -> Result<Timestamp, ForgeError> {
        let date = answer.date();
        date.ok_or_else(|| self.odd(what, "there is no Date".to_owned()))
    }

    pub(super) fn odd(&self, what: &str, why: String) -> ForgeError {
        self.http.count_failure();
        ForgeError::Odd {
            what: what.to_owned(),
            why,
        }
    }

    pub(super) fn passing(&self, what: &str, why: &str, wait: Option<Duration>) -> ForgeError {
        self.http.count_failure();
        ForgeError::Passing {
            what: what.to_owned(),
            why: why.to_owned(),
            wait,
        }
    }

    fn refused(&self, what: &str, answer: &Answer) -> ForgeError {
        self.http.count_failure();
        ForgeError::Refused {
            what: what.to_owned(),
            status: answer.status,
            message: answer.message(),
        }
    }
}

fn version() -> Ask {
    Ask::get(&["api", "v1", "version"])
}

fn of_repo(method: Method, repo: &Repo, rest: &[&str]) -> Ask {
    let path = ["api", "v1", "repos", repo.owner(), repo.name()];
    Ask::new(method, &[&path, rest].concat())
}

fn thread(method: Method, repo: &Repo, number: PullNumber) -> Ask {
    of_repo(method, repo, &["issues", &number.to_string(), "comments"])
}
