//! What stands outside and must stay untouched, whatever a hostile recipe tries.
//!
//! A run has some to itself ([`Personal`]: a tree of host files, a home with credentials, listeners),
//! so that a fault is named with its run. The rest is one for all ([`Shared`]: objects of others in
//! Docker, files and settings of the host, the swarm's own account of what it was given); it is looked
//! at after every run.
//!
//! Invariants: a witness that can't be looked at is an error, and never untouched; what was spoilt is
//! made again, or taken as it is from then on, so that the next run answers for itself; other work on this machine is never taken for an
//! attack (what is compared carries our mark, or is nobody's to change).
//!
//! Must not know: what a wall is made of, or what a verdict should be.

mod beside;
mod foreign;
mod home;
mod host;
mod listen;
mod neighbour;
mod processes;
mod swarm;
mod tree;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;

use anyhow::{Context as _, Result, ensure};
use fixtures::hostile::Values;
use regex::Regex;
use tokio::process::Command;
use tokio::sync::Mutex;

use foreign::Foreign;
use home::Home;
use host::Host;
use listen::{Drop as Dropped, Trap};
use neighbour::Neighbour;
use swarm::SwarmWatch;
use tree::Tree;

pub use beside::Beside;
pub use processes::end_of;
pub use swarm::Seen;

/// A witness that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoilt {
    pub witness: &'static str,
    pub how: String,
}

impl Spoilt {
    fn new(witness: &'static str, how: impl Into<String>) -> Self {
        Self {
            witness,
            how: how.into(),
        }
    }
}

/// Values that may be read nowhere but where they are kept.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// Of a variable of the runner's.
    pub runner: String,
    /// Of files of the host.
    pub file: String,
    /// Of the login at a registry.
    pub registry: String,
    /// Of what others keep in Docker.
    pub foreign: String,
}

impl Tokens {
    pub fn new() -> Self {
        let token = |what: &str| format!("WITNESS-{what}-{:032x}", rand::random::<u128>());
        Self {
            runner: token("runner"),
            file: token("file"),
            registry: token("registry"),
            foreign: token("foreign"),
        }
    }

    /// The names of those that a text has, plainly or in a usual spelling.
    pub fn in_text(&self, text: &str) -> Vec<&'static str> {
        let all = [
            ("the runner's variable", &self.runner),
            ("a file of the host", &self.file),
            ("the login at a registry", &self.registry),
            ("what others keep in Docker", &self.foreign),
        ];
        let lower = text.to_ascii_lowercase();
        let is_in = |token: &str| {
            // The random part: each spelling that keeps it is found.
            let random = token.rsplit('-').next().unwrap_or(token);
            let hex: String = random.bytes().map(|byte| format!("{byte:02x}")).collect();
            lower.contains(random) || lower.contains(&hex) || home::has_base64_of(text, random)
        };
        let found = all.iter().filter(|(_, token)| is_in(token));
        found.map(|(name, _)| *name).collect()
    }
}

/// What all runs of a selftest share.
pub struct Shared {
    /// Begins the name of all that is ours, and of nothing else on this machine.
    pub mark: String,
    pub tokens: Tokens,
    gateway: String,
    host: Mutex<Host>,
    foreign: Mutex<Foreign>,
    neighbour: Mutex<Neighbour>,
    swarm: SwarmWatch,
    /// All that was spoilt so far.
    spoilt: Mutex<Vec<Spoilt>>,
}

/// Who might have spoilt what is shared: the run that looks.
pub struct Suspect<'a> {
    /// What had been spoilt before it began.
    pub since: usize,
    pub case: &'a str,
    pub stack: Option<&'a str>,
}

impl Suspect<'_> {
    /// A trace that names others and not this one is theirs. One without a name is everybody's who
    /// was there.
    fn may_have_done(&self, spoilt: &Spoilt) -> bool {
        let mut named = false;
        for name in NAMES.captures_iter(&spoilt.how) {
            let is = |group: &str, own: Option<&str>| {
                let name = name.name(group).map(|found| found.as_str());
                name.is_some() && name == own
            };
            if is("case", Some(self.case)) || is("stack", self.stack) {
                return true;
            }
            named = true;
        }
        !named
    }
}

/// What a payload leaves, and the name of a run's stack.
static NAMES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"spoilt-(?<case>[a-z0-9-]+)|(?<stack>[a-z0-9-]{1,4}-[0-9a-f]{6}_ci_test)")
        .expect("the pattern is right: a test uses it")
});

impl Shared {
    pub async fn set_up() -> Result<Self> {
        let mark = format!("ccw{}", std::process::id());
        let tokens = Tokens::new();
        let gateway = docker(&[
            "network",
            "inspect",
            "docker_gwbridge",
            "--format",
            "{{(index .IPAM.Config 0).Gateway}}",
        ]);
        let gateway = gateway.await?.trim().to_owned();
        Ok(Self {
            swarm: SwarmWatch::start(&mark)?,
            foreign: Mutex::new(Foreign::make(&mark, &tokens).await?),
            neighbour: Mutex::new(Neighbour::start(&mark).await?),
            host: Mutex::new(Host::read()?),
            spoilt: Mutex::default(),
            gateway,
            mark,
            tokens,
        })
    }

    /// How much was spoilt so far.
    pub async fn so_far(&self) -> usize {
        self.spoilt.lock().await.len()
    }

    /// What is spoilt, by this run as far as can be told. What is gone
    /// is made again.
    pub async fn look(&self, suspect: &Suspect<'_>) -> Result<Vec<Spoilt>> {
        // One at a time: what is found is taken away with the finding.
        let mut all = self.spoilt.lock().await;
        all.extend(self.host.lock().await.look()?);
        all.extend(self.foreign.lock().await.look().await?);
        all.extend(self.neighbour.lock().await.look().await?);
        let since = all.iter().skip(suspect.since);
        let of_it = since.filter(|spoilt| suspect.may_have_done(spoilt));
        let of_it = of_it.map(|spoilt| match NAMES.is_match(&spoilt.how) {
            true => spoilt.clone(),
            false => Spoilt::new(
                spoilt.witness,
                format!("by this run or one beside it: {}", spoilt.how),
            ),
        });
        Ok(of_it.collect())
    }

    /// What a run's payload has told on the network `proxy`; asked for after [`Self::look`].
    pub async fn told_by(&self, run: &str) -> Vec<String> {
        self.neighbour.lock().await.told_by(run)
    }

    /// All that the swarm was given so far: nothing of it is still on its way here.
    pub async fn seen(&self) -> Result<Vec<Seen>> {
        self.swarm.seen().await
    }

    pub async fn take_down(self) -> Result<()> {
        self.neighbour.into_inner().end().await?;
        beside::sweep(&self.mark).await?;
        self.foreign.into_inner().remove().await
    }
}

/// What one run has to itself.
pub struct Personal {
    tree: Tree,
    home: Home,
    trap: Trap,
    pub dropped: Dropped,
}

impl Personal {
    pub async fn set_up(run: &str, shared: &Shared) -> Result<Self> {
        let trap = Trap::open(&shared.gateway).await?;
        Ok(Self {
            tree: Tree::make(run, &shared.tokens)?,
            home: Home::make(run, &shared.tokens, trap.port)?,
            dropped: Dropped::open(&shared.gateway).await?,
            trap,
        })
    }

    /// What stands for `<<name>>` in the case of this run.
    pub async fn values(&self, run: &str, case: &str, shared: &Shared) -> Values {
        let foreign = shared.foreign.lock().await;
        let neighbour = shared.neighbour.lock().await;
        let pairs = [
            ("run", run.to_owned()),
            ("case", case.to_owned()),
            ("recipe", case.to_owned()),
            ("mark", shared.mark.clone()),
            ("gateway", shared.gateway.clone()),
            ("trap", self.trap.port.to_string()),
            ("drop", self.dropped.port.to_string()),
            ("tree", self.tree.path().display().to_string()),
            ("home", self.home.path().display().to_string()),
            ("neighbour", neighbour.service().to_owned()),
            ("neighbour-alias", neighbour.alias().to_owned()),
        ];
        let pairs = pairs.into_iter().chain(foreign.values());
        pairs
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// The variables of the run's process.
    pub fn environment(&self, shared: &Shared) -> Result<Vec<(&'static str, PathBuf)>> {
        self.home.environment(&shared.tokens)
    }

    pub fn look(&self) -> Result<Vec<Spoilt>> {
        let mut spoilt = self.tree.look()?;
        spoilt.extend(self.home.look()?);
        spoilt.extend(self.trap.heard().into_iter().map(|text| {
            Spoilt::new(
                "a listener of the host",
                format!("it was spoken to: {text}"),
            )
        }));
        Ok(spoilt)
    }
}

/// Tokens in the files below a folder, each with the file's name.
pub fn tokens_below(folder: &Path, tokens: &Tokens) -> Result<Vec<Spoilt>> {
    let mut spoilt = Vec::new();
    let entries = std::fs::read_dir(folder);
    for entry in entries.with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            spoilt.extend(tokens_below(&path, tokens)?);
        } else if path.is_file() {
            spoilt.extend(tokens_in(&path, tokens)?);
        }
    }
    Ok(spoilt)
}

/// Tokens in one file.
pub fn tokens_in(path: &Path, tokens: &Tokens) -> Result<Vec<Spoilt>> {
    let content = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let found = tokens.in_text(&String::from_utf8_lossy(&content));
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let spoilt = |token| Spoilt::new("a credential", format!("{token} is in {file}"));
    Ok(found.into_iter().map(spoilt).collect())
}

/// What a Docker command says; it has to succeed.
pub async fn docker(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("docker");
    let output = command.args(arguments).stdin(Stdio::null()).output().await;
    let output = output.context("starting docker")?;
    ensure!(
        output.status.success(),
        "docker {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::plain(|token: &str| format!("x {token} y"))]
    #[case::upper(|token: &str| token.to_ascii_uppercase())]
    #[case::hex(|token: &str| token.bytes().map(|byte| format!("{byte:02x}")).collect())]
    #[case::base64(|token: &str| home::base64_of(&format!("user:{token}")))]
    #[case::base64_shifted(|token: &str| home::base64_of(&format!("a-user:{token}")))]
    fn a_token_is_found_however_it_is_spelt(#[case] spell: fn(&str) -> String) {
        let tokens = Tokens::new();
        let text = spell(&tokens.registry);
        assert_eq!(tokens.in_text(&text), ["the login at a registry"]);
        assert!(tokens.in_text("WITNESS-registry-").is_empty());
    }

    #[rstest::rstest]
    #[case::its_own("files/spoilt-binds-short is new; CreatedAt differs", true)]
    #[case::of_another("files/spoilt-binds-long is new; CreatedAt differs", false)]
    #[case::its_stack("n leads to 10.0.1.2 bind-0a1b2c_ci_test_app.1.x", true)]
    #[case::another_stack("n leads to 10.0.1.2 alia-0a1b2c_ci_test_app.1.x", false)]
    #[case::of_both("spoilt-binds-long and spoilt-binds-short", true)]
    #[case::of_nobody("it is gone", true)]
    fn a_trace_that_names_another_is_not_ones_own(#[case] how: &str, #[case] expected: bool) {
        let suspect = Suspect {
            since: 0,
            case: "binds-short",
            stack: Some("bind-0a1b2c_ci_test"),
        };
        assert_eq!(suspect.may_have_done(&Spoilt::new("x", how)), expected);
    }
}
