//! Runs as builds of Drone.
//!
//! Invariants: a build that may be there is never taken for one that is not; what people or a forge
//! wrote is the value of a parameter and never its name; the words for what happened are Drone's
//! only where it was asked.

mod check;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::Method;
use results::summary::Summary;
use serde::de::DeserializeOwned;
use url::Url;

use self::wire::{BuildWire, LogLine};
use super::runs::{RunDirs, Stand};
use super::{Build, End, Executor, Finding, Order, Progress, Seen, StartError, Trouble, believed};
use crate::http::{Answer, Ask, Broken, Http, SetupError, one_line};
use crate::names::Repo;
use crate::secret::Secret;

/// As many as Drone gives at most; of more it gives 25.
const PER_PAGE: usize = 100;
const MOST_PAGES: usize = 20;
/// Drone keeps 5 MB of a step's log; as JSON that is more.
const LONGEST_LOG: usize = 32 << 20;
/// How long after its time-out a build may still be shown as running.
const AFTER_TIMEOUT: Duration = Duration::from_secs(300);
const SHOWN: usize = 200;

pub struct Settings {
    pub url: Url,
    pub token: Secret,
    /// A PEM file of authorities that are trusted beside the system's.
    pub ca: Option<PathBuf>,
    /// The repository with the pipeline.
    pub repository: Repo,
    pub branch: String,
    /// What Drone's time-out of the repository must be.
    pub timeout: Duration,
    /// The state directory of the runs, where it is on this host.
    pub runs: Option<RunDirs>,
}

pub struct Drone {
    http: Http,
    repository: Repo,
    branch: String,
    timeout: Duration,
    runs: Option<RunDirs>,
}

impl Drone {
    pub fn new(settings: Settings) -> Result<Self, SetupError> {
        let ca = settings.ca.as_deref();
        Ok(Self {
            http: Http::new(&settings.url, "Bearer", &settings.token, ca)?,
            repository: settings.repository,
            branch: settings.branch,
            timeout: settings.timeout,
            runs: settings.runs,
        })
    }

    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self {
            http: self.http.with_deadline(deadline),
            ..self
        }
    }

    pub fn requests(&self) -> u64 {
        self.http.requests()
    }

    pub fn failures(&self) -> u64 {
        self.http.failures()
    }

    fn of_repo(&self, method: Method, rest: &[&str]) -> Ask {
        let path = [
            "api",
            "repos",
            self.repository.owner(),
            self.repository.name(),
        ];
        Ask::new(method, &[&path, rest].concat())
    }

    fn start_request(&self, order: &Order) -> Ask {
        let tiers: Vec<_> = order.tiers.iter().map(|tier| tier.as_str()).collect();
        // All always: a parameter wins over a variable of the same name that a runner may have.
        self.of_repo(Method::POST, &["builds"])
            .query("branch", &self.branch)
            .query("RECIPE", &order.recipe)
            .query("SRC", &order.source)
            .query("REF", &order.head)
            .query("PR", order.pull)
            .query("COMMENT_ID", order.comment)
            .query("TIERS", tiers.join(","))
            .query("QUICK", if order.quick { "1" } else { "" })
            .query("FROM", order.from.as_deref().unwrap_or_default())
            .query("RUN_KEY", &order.key)
    }

    /// An answer that says something about what was asked for.
    async fn ask(&self, what: &str, ask: Ask) -> Result<Answer, Trouble> {
        let trouble = |why: &str| {
            self.http.count_failure();
            Trouble(format!("Drone, {what}: {why}"))
        };
        let answer = match self.http.send(ask).await {
            Ok(answer) => answer,
            Err(Broken::Unreached(why) | Broken::Lost(why)) => return Err(trouble(&why)),
            Err(Broken::TooLong(most)) => return Err(trouble(&format!("more than {most} bytes"))),
        };
        let refused = matches!(answer.status, 300..=399 | 401 | 403);
        if answer.is_passing() || refused || forge_is_down(&answer) {
            return Err(trouble(&said(&answer)));
        }
        Ok(answer)
    }

    fn read<T: DeserializeOwned>(&self, what: &str, answer: &Answer) -> Result<T, Trouble> {
        let why = match answer.is_success() {
            true => match answer.json() {
                Ok(read) => return Ok(read),
                Err(why) => why,
            },
            false => said(answer),
        };
        self.http.count_failure();
        Err(Trouble(format!("Drone, {what}: {why}")))
    }

    fn stand(&self, order: &Order) -> Result<Stand, Trouble> {
        match &self.runs {
            Some(runs) => runs.look(order),
            None => Ok(Stand::Nothing),
        }
    }

    /// A build that Drone holds for over, or does not know: it goes on as long as its run does, for
    /// Drone ends no more than the step's shell.
    async fn ended(
        &self,
        order: &Order,
        build: Option<&BuildWire>,
        why: String,
    ) -> Result<Seen, Trouble> {
        match self.stand(order)? {
            Stand::Over(end) => return Ok(Seen::Over(end)),
            Stand::Open { progress, .. } => return Ok(Seen::Running(progress)),
            Stand::Nothing => {}
        }
        let logged = match build {
            Some(build) => self.logged(build).await?,
            None => None,
        };
        Ok(Seen::Over(match logged {
            Some(Ok(summary)) => believed(order, summary),
            Some(Err(wrong)) => End::NoRecord(format!("{why}: {wrong}")),
            None => End::NoRecord(why),
        }))
    }

    /// The record in the last line of the last log.
    async fn logged(&self, build: &BuildWire) -> Result<Option<Result<Summary, String>>, Trouble> {
        let what = format!("log of build {}", build.number);
        for (stage, step) in build.steps() {
            let number = build.number.to_string();
            let (stage, step) = (stage.to_string(), step.to_string());
            let path = ["builds", &number, "logs", &stage, &step];
            let ask = self.of_repo(Method::GET, &path).longest(LONGEST_LOG);
            let answer = self.ask(&what, ask).await?;
            if answer.status == 404 {
                continue;
            }
            // A line may come in pieces, and a step without output has none.
            let lines: Option<Vec<LogLine>> = self.read(&what, &answer)?;
            let mut lines = lines.unwrap_or_default();
            lines.sort_by_key(|line| line.pos);
            let text: String = lines.iter().map(|line| line.out.as_str()).collect();
            let mut whole = text.lines().rev();
            // Only the very last line is the entrypoint's own word.
            let last = whole.find(|line| !line.trim().is_empty());
            let found = Summary::last_in(last).map_err(|error| error.to_string());
            return Ok(found.transpose());
        }
        Ok(None)
    }

    fn link_to(&self, number: &str) -> Url {
        let (owner, name) = (self.repository.owner(), self.repository.name());
        self.http.address(&[owner, name, number])
    }
}

#[async_trait]
impl Executor for Drone {
    fn slots(&self) -> Option<usize> {
        None
    }

    async fn start(&self, order: &Order) -> Result<Build, StartError> {
        let repository = &self.repository;
        let answer = match self.http.send(self.start_request(order)).await {
            Ok(answer) => answer,
            Err(broken) => {
                self.http.count_failure();
                return Err(match broken {
                    Broken::Unreached(why) => StartError::NotNow(format!("Drone: {why}")),
                    Broken::Lost(why) => StartError::Unknown(format!("Drone: {why}")),
                    Broken::TooLong(most) => {
                        StartError::Unknown(format!("Drone: more than {most} bytes"))
                    }
                });
            }
        };
        let error = match answer.status {
            200..300 => match answer.json::<Option<BuildWire>>() {
                Ok(Some(build)) => return Ok(Build(build.number.to_string())),
                Ok(None) => StartError::Refused(format!(
                    "Drone started nothing: the pipeline on {} of {repository} must have `custom` \
                     among its trigger's events, and the repository's owner must be active in Drone",
                    self.branch
                )),
                Err(why) => {
                    StartError::Unknown(format!("Drone's answer is not what its API gives: {why}"))
                }
            },
            404 if forge_is_down(&answer) => StartError::NotNow(said(&answer)),
            404 => StartError::Refused(format!(
                "{}: Drone has no repository {repository} with a branch {}, or the token's account \
                 may not write there",
                said(&answer),
                self.branch
            )),
            429 => StartError::NotNow(said(&answer)),
            500.. => StartError::Unknown(said(&answer)),
            _ => StartError::Refused(said(&answer)),
        };
        self.http.count_failure();
        Err(error)
    }

    async fn find(&self, order: &Order) -> Result<Option<Build>, Trouble> {
        let what = "list of builds";
        for page in 1..=MOST_PAGES {
            let ask = self
                .of_repo(Method::GET, &["builds"])
                .query("page", page)
                .query("per_page", PER_PAGE);
            let answer = self.ask(what, ask).await?;
            let builds: Vec<BuildWire> = self.read(what, &answer)?;
            let is_it = |build: &&BuildWire| build.param("RUN_KEY") == Some(order.key.as_str());
            if let Some(build) = builds.iter().find(is_it) {
                return Ok(Some(Build(build.number.to_string())));
            }
            if builds.len() < PER_PAGE {
                break;
            }
        }
        Ok(None)
    }

    async fn look(&self, order: &Order, build: &Build, _: Duration) -> Result<Seen, Trouble> {
        let number = &build.0;
        let what = format!("build {number}");
        let ask = self.of_repo(Method::GET, &["builds", number]);
        let answer = self.ask(&what, ask).await?;
        if answer.status == 404 {
            let why = format!(
                "Drone no longer has build {number} of {}, or does not show it to the token's account",
                self.repository
            );
            return self.ended(order, None, why).await;
        }
        let wire: BuildWire = self.read(&what, &answer)?;
        match wire.status.as_str() {
            "pending" | "blocked" | "waiting_on_dependencies" => Ok(Seen::Waiting),
            "running" => match self.stand(order)? {
                Stand::Over(end) => Ok(Seen::Over(end)),
                Stand::Open { queued: true, .. } => Ok(Seen::Waiting),
                Stand::Open { progress, .. } => Ok(Seen::Running(progress)),
                Stand::Nothing => {
                    let now = answer.date().unwrap_or_else(Timestamp::now);
                    let so_long = wire.runs_for(now).unwrap_or_default();
                    if so_long < self.timeout + AFTER_TIMEOUT {
                        return Ok(Seen::Running(Progress::default()));
                    }
                    Ok(Seen::Over(End::NoRecord(format!(
                        "Drone shows build {number} as running for {} minutes, longer than its \
                         time-out: was its runner killed?",
                        so_long.as_secs() / 60
                    ))))
                }
            },
            "success" | "failure" | "killed" | "error" | "skipped" | "declined" => {
                let error = wire
                    .error()
                    .map(|text| format!(" ({})", one_line(text, SHOWN)));
                let why = format!(
                    "Drone's build {number} ended with the status `{}`{} and without a record",
                    wire.status,
                    error.unwrap_or_default()
                );
                self.ended(order, Some(&wire), why).await
            }
            other => Err(Trouble(format!(
                "Drone, {what}: the status `{}` is not known",
                one_line(other, 40)
            ))),
        }
    }

    async fn cancel(&self, order: &Order, build: &Build, by: &str) -> Result<(), Trouble> {
        // Both, whatever comes of the other: one cancel in four is lost, and none reaches the run.
        let asked = match &self.runs {
            Some(runs) => runs.stop(&order.key, by),
            None => Ok(()),
        };
        let ask = self.of_repo(Method::DELETE, &["builds", &build.0]);
        // Whatever Drone says of a build that is over or gone, there is nothing to cancel.
        self.ask(&format!("cancel of build {}", build.0), ask)
            .await?;
        asked
    }

    fn link(&self, build: &Build) -> Option<String> {
        Some(self.link_to(&build.0).into())
    }

    async fn check(&self) -> Vec<Finding> {
        self.findings().await
    }
}

fn said(answer: &Answer) -> String {
    let message = answer.message();
    let colon = if message.is_empty() { "" } else { ": " };
    format!("Drone says {}{colon}{message}", answer.status)
}

/// Drone answers 404 where it can't reach the forge, too, and only the text tells.
fn forge_is_down(answer: &Answer) -> bool {
    const SIGNS: [&str; 8] = [
        "dial ",
        "connection refused",
        "connection reset",
        "no such host",
        "timeout",
        "deadline exceeded",
        "x509:",
        "EOF",
    ];
    let message = answer.message();
    answer.status == 404 && SIGNS.iter().any(|sign| message.contains(sign))
}
