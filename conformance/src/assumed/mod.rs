//! What cc-ci assumes of abra and could not read anywhere: each assumption a row, with all that
//! abra said.
//!
//! They talk to the program and not to the engine: an engine may be right about a program of which
//! something else is true than was assumed.

mod listener;
mod talk;

use std::time::Duration;

use harness::fault::Fault;
use harness::swarm;
use serde_json::Value;

use self::listener::Listener;
use self::talk::{Abra, On, Said};
use crate::git::git;
use crate::row::{Miss, Rows, Seen, holds, same};
use crate::subject::{App, RECIPE, Subject};

const FIRST: &str = "1.0.0+1";
const SECOND: &str = "1.1.0+1";
const NEVER: &str = "compose.yml:compose.never.yml";
/// abra's own wait where the recipe says nothing, and what a slow machine may add or a clock lose.
const DEFAULT_WAIT: std::ops::Range<Duration> = Duration::from_secs(45)..Duration::from_secs(65);

/// The app of the assumptions, and the program.
struct Assumed<'a> {
    subject: &'a Subject<'a>,
    abra: Abra,
    app: App<'a>,
}

pub async fn try_all(subject: &Subject<'_>, rows: &mut Rows<'_>) -> Result<(), Fault> {
    let Some(program) = &subject.program else {
        return Ok(());
    };
    let origin = subject.assumed_recipe()?;
    let abra = Abra::new(program.path(), &subject.site.abra, &subject.dir, &origin).await?;
    let app = App::new(subject, "assumed").await?;
    let long = App::new(subject, "assumed-of-a-name-that-is-over-45-signs-long").await?;
    let it = Assumed { subject, abra, app };
    it.secrets(rows).await;
    it.deploys(rows).await;
    it.words(rows).await;
    it.terminals(rows).await;
    rows.row(
        "assumed-offline",
        &["assumed-deploy"],
        "With --offline nothing is asked of the recipe's origin, also where a tag is missing.",
        it.offline(),
    )
    .await;
    rows.row(
        "assumed-stack-name",
        &["assumed-new"],
        "A stack's name is the domain with underscores, cut at 45 characters.",
        it.long_name(&long),
    )
    .await;
    let (one, other) = tokio::join!(it.app.end(), long.end());
    one.and(other)
}

impl Assumed<'_> {
    fn domain(&self) -> &str {
        self.app.spec.domain.as_str()
    }

    /// A call with the flags that each takes here.
    async fn said(&self, on: On, words: &[&str], rest: &[&str]) -> Result<Said, Miss> {
        let flags = ["--no-input", "--offline"];
        self.abra.call(on, &[words, &flags, rest].concat()).await
    }

    async fn deploy(&self, rest: &[&str]) -> Result<Said, Miss> {
        let flags = ["--no-domain-checks"];
        let rest = [&flags[..], rest].concat();
        self.said(On::Pipes, &["app", "deploy"], &rest).await
    }

    async fn secrets(&self, rows: &mut Rows<'_>) {
        rows.row(
            "assumed-unknown-recipe",
            &[],
            "Making an app of a recipe that is nowhere: a line FATA, exit 1.",
            async {
                let domain = self.subject.domain("nowhere");
                let said = self.abra.make(&domain, "no-such-recipe-anywhere").await?;
                Ok(said.must_be_fatal(&[])?.raw())
            },
        )
        .await;
        rows.row(
            "assumed-new",
            &[],
            "An app is made without a terminal and without a question.",
            async {
                let said = self.abra.make(&self.app.spec.domain, RECIPE).await?;
                let said = said.must_be_good()?;
                self.abra.choose(&self.app.spec.domain, "compose.yml")?;
                Ok(said.raw())
            },
        )
        .await;
        rows.row(
            "assumed-missing-secret",
            &["assumed-new"],
            "A deploy without a secret that the recipe names: a line FATA with its name, exit 1.",
            async {
                let rest = ["--no-converge-checks", self.domain(), FIRST];
                Ok(self.deploy(&rest).await?.must_be_fatal(&["token"])?.raw())
            },
        )
        .await;
        rows.row(
            "assumed-secret-generate",
            &["assumed-new"],
            "`app secret generate -m` prints a JSON list of objects with `name` and `value`.",
            async {
                let words = ["app", "secret", "generate"];
                let rest = ["--machine", "--all", self.domain()];
                let said = self.said(On::Pipes, &words, &rest).await?.must_be_good()?;
                list_of(&said, &["name", "value"])
            },
        )
        .await;
        rows.row(
            "assumed-secret-list",
            &["assumed-secret-generate"],
            "`app secret list -m` prints a JSON list of objects with `name` and `version`.",
            async {
                let rest = ["--machine", self.domain()];
                let words = ["app", "secret", "list"];
                let said = self.said(On::Pipes, &words, &rest).await?.must_be_good()?;
                list_of(&said, &["name", "version"])
            },
        )
        .await;
    }

    async fn deploys(&self, rows: &mut Rows<'_>) {
        rows.row(
            "assumed-timeout",
            &["assumed-secret-generate"],
            "A deploy that does not converge within the label's seconds: `FATA deploy timed out`, exit 1.",
            async {
                let files = format!("{NEVER}:compose.timeout.yml");
                self.abra.choose(&self.app.spec.domain, &files)?;
                let said = self.deploy(&["--chaos", self.domain()]).await?;
                Ok(said.must_be_fatal(&["deploy timed out"])?.raw())
            },
        )
        .await;
        rows.row(
            "assumed-default-wait",
            &["assumed-secret-generate"],
            "Without a label a deploy is waited for 50 seconds.",
            async {
                self.abra.choose(&self.app.spec.domain, NEVER)?;
                let rest = ["--chaos", "--force", self.domain()];
                let said = self.deploy(&rest).await?;
                holds(!said.is_good() && DEFAULT_WAIT.contains(&said.took), || {
                    format!("{:.0?}, {}", said.took, said.brief())
                })?;
                Ok(said.raw())
            },
        )
        .await;
        rows.row(
            "assumed-undeploy",
            &["assumed-secret-generate"],
            "An app is undeployed without a terminal and without a question.",
            async {
                self.abra.choose(&self.app.spec.domain, "compose.yml")?;
                let words = ["app", "undeploy"];
                let said = self.said(On::Pipes, &words, &[self.domain()]).await?;
                Ok(said.must_be_good()?.raw())
            },
        )
        .await;
        rows.row(
            "assumed-deploy",
            &["assumed-secret-generate"],
            "A published version of a clean checkout is deployed, without a terminal.",
            async {
                self.abra.choose(&self.app.spec.domain, "compose.yml")?;
                // What a row before could not take away.
                let stack = self.app.stack();
                let (swarm, before) = (&self.subject.swarm, &self.app.spec.before);
                swarm::remove_stack(swarm, stack, before, crate::subject::DEADLINE).await?;
                let rest = ["--no-converge-checks", self.domain(), FIRST];
                Ok(self.deploy(&rest).await?.must_be_good()?.raw())
            },
        )
        .await;
        rows.row(
            "assumed-deployed",
            &["assumed-deploy"],
            "Deploying what is deployed, without --force: a line FATA that says so, exit 1.",
            async {
                let rest = ["--no-converge-checks", self.domain(), FIRST];
                let said = self.deploy(&rest).await?;
                Ok(said.must_be_fatal(&["already deployed"])?.raw())
            },
        )
        .await;
        rows.row(
            "assumed-chaos",
            &["assumed-deploy"],
            "--chaos alone deploys again what is deployed: --force is not needed.",
            async {
                let rest = ["--no-converge-checks", "--chaos", self.domain()];
                Ok(self.deploy(&rest).await?.must_be_good()?.raw())
            },
        )
        .await;
    }

    async fn words(&self, rows: &mut Rows<'_>) {
        rows.row(
            "assumed-ps",
            &["assumed-deploy"],
            "`app ps -m` prints a JSON object of objects with `service`, `image`, `state` and `version`.",
            async {
                let rest = ["--machine", self.domain()];
                let said = self.said(On::Pipes, &["app", "ps"], &rest).await?;
                let said = said.must_be_good()?;
                let json = said.json()?;
                let object = json.as_object();
                let first = object.and_then(|object| object.values().next());
                has_fields(first, &["service", "image", "state", "version"], &json)?;
                Ok(said.raw())
            },
        )
        .await;
        rows.row(
            "assumed-versions",
            &["assumed-new"],
            "`recipe versions -m` prints a JSON list.",
            async {
                let rest = ["--machine", RECIPE];
                let words = ["recipe", "versions"];
                let said = self.said(On::Pipes, &words, &rest).await?.must_be_good()?;
                list_of(&said, &[])
            },
        )
        .await;
        rows.row(
            "assumed-flags",
            &["assumed-ps"],
            "Flags may stand after the arguments as well as before them.",
            async {
                let words = ["app", "ps", self.domain(), "--machine", "--no-input"];
                let said = self.abra.call(On::Pipes, &words).await?.must_be_good()?;
                said.json()?;
                Ok(said.raw())
            },
        )
        .await;
    }

    async fn terminals(&self, rows: &mut Rows<'_>) {
        let lint = |on| self.said(on, &["recipe", "lint"], &["--chaos", RECIPE]);
        rows.row(
            "assumed-lint-terminal",
            &["assumed-new"],
            "`recipe lint` works on a terminal, and fails without one.",
            async {
                let with = lint(On::Terminal).await?.must_be_good()?;
                let without = lint(On::Pipes).await?;
                holds(!without.is_good(), || {
                    "it works without one, too".to_owned()
                })?;
                Ok(format!("{}\n{}", with.raw(), without.raw()))
            },
        )
        .await;
        rows.row(
            "assumed-lint-ci",
            &["assumed-lint-terminal"],
            "ABRA_CI=1 makes `recipe lint` work without a terminal.",
            async { Ok(lint(On::PipesOfCi).await?.must_be_good()?.raw()) },
        )
        .await;
        rows.row(
            "assumed-backup",
            &["assumed-deploy"],
            "`app backup create` works on a terminal, and prints the snapshot's id.",
            async {
                self.subject.can_back_up().await?;
                self.runs().await?;
                let words = ["app", "backup", "create"];
                let rest = ["--chaos", self.domain()];
                let said = self
                    .said(On::Terminal, &words, &rest)
                    .await?
                    .must_be_good()?;
                let id = said.stdout.split(|c: char| !c.is_ascii_alphanumeric());
                let id = id.map(str::to_owned).find(|word| is_id(word));
                let id = id.ok_or_else(|| Miss::Differs(format!("no id; {}", said.brief())))?;
                Ok(format!("the id is {id}\n{}", said.raw()))
            },
        )
        .await;
        rows.row(
            "assumed-backup-terminal",
            &["assumed-backup"],
            "`app backup snapshots` works on a terminal, and fails without one.",
            async {
                let words = ["app", "backup", "snapshots"];
                let rest = ["--chaos", self.domain()];
                let with = self
                    .said(On::Terminal, &words, &rest)
                    .await?
                    .must_be_good()?;
                let without = self.said(On::Pipes, &words, &rest).await?;
                holds(!without.is_good(), || {
                    "it works without one, too".to_owned()
                })?;
                Ok(format!("{}\n{}", with.raw(), without.raw()))
            },
        )
        .await;
    }

    /// Waits until the app runs.
    async fn runs(&self) -> Result<(), Fault> {
        let wanted = [("app".to_owned(), swarm::Wanted::Replicas(1))].into();
        let (swarm, stack) = (&self.subject.swarm, self.app.stack());
        let deadline = crate::subject::DEADLINE;
        swarm::converge(swarm, stack, &wanted, deadline, &harness::wait::Unwatched)
            .await
            .map(drop)
    }

    async fn offline(&self) -> Seen {
        let listener = Listener::start().await?;
        let clone = self.abra.clone_dir();
        let address = format!("http://{}/recipe.git", listener.address());
        git(&clone, &["remote", "set-url", "origin", &address]).await?;
        git(&clone, &["tag", "-d", SECOND]).await?;
        let rest = ["--no-converge-checks", "--force", self.domain(), SECOND];
        let said = self.deploy(&rest).await?;
        same("connections to the origin", 0, listener.connections())?;
        holds(!said.is_good(), || {
            format!(
                "a version whose tag is missing was deployed: {}",
                said.brief()
            )
        })?;
        Ok(said.raw())
    }

    async fn long_name(&self, long: &App<'_>) -> Seen {
        let domain = &long.spec.domain;
        let made = self.abra.make(domain, RECIPE).await?.must_be_good()?;
        self.abra.choose(domain, "compose.yml")?;
        let words = ["app", "secret", "generate"];
        let rest = ["--all", "--chaos", domain.as_str()];
        let secret = self.said(On::Pipes, &words, &rest).await?.must_be_good()?;
        let rest = ["--no-converge-checks", "--chaos", domain.as_str()];
        let deployed = self.deploy(&rest).await?.must_be_good()?;
        let names = swarm::service_names(&self.subject.swarm, long.stack()).await?;
        let services = format!("services of the stack {}", long.stack());
        same(&services, vec!["app".to_owned()], names)?;
        Ok([made.raw(), secret.raw(), deployed.raw()].join("\n"))
    }
}

/// A JSON list, whose first item has these fields.
fn list_of(said: &Said, fields: &[&str]) -> Seen {
    let json = said.json()?;
    let list = json.as_array();
    let list = list.ok_or_else(|| Miss::Differs(format!("no list, but {json}")))?;
    if !fields.is_empty() {
        has_fields(list.first(), fields, &json)?;
    }
    Ok(said.raw())
}

fn has_fields(item: Option<&Value>, fields: &[&str], all: &Value) -> Result<(), Miss> {
    let has = |field: &&str| item.is_some_and(|item| item.get(*field).is_some());
    holds(fields.iter().all(has), || format!("it is {all}"))
}

/// restic's ids: 64 hexadecimal digits, or the first 8 of them.
fn is_id(word: &str) -> bool {
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    matches!(word.len(), 8 | 64) && word.chars().all(hex)
}
