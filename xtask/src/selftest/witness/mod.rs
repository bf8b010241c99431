//! What stands outside and must stay untouched, whatever a hostile recipe tries.
//!
//! A run has some to itself ([`Personal`]: a tree of host files, a home with credentials, listeners),
//! so that a fault is named with its run. The rest is one for all ([`Shared`]: objects of others in
//! Docker, files and settings of the host, the swarm's own account of what it was given); it is looked
//! at after every run.
//!
//! Invariants: a witness that can't be looked at is an error, and never untouched; what was spoilt is
//! made again, so that the next run finds it whole; other work on this machine is never taken for an
//! attack (what is compared carries our mark, or is nobody's to change).
//!
//! Must not know: what a wall is made of, or what a verdict should be.

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

use anyhow::{Context as _, Result, ensure};
use fixtures::hostile::Values;
use tokio::process::Command;
use tokio::sync::Mutex;

use foreign::Foreign;
use home::Home;
use host::Host;
use listen::{Drop as Dropped, Trap};
use neighbour::Neighbour;
use swarm::SwarmWatch;
use tree::Tree;

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
}

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
            gateway,
            mark,
            tokens,
        })
    }

    /// What is spoilt. It is made again.
    pub async fn look(&self) -> Result<Vec<Spoilt>> {
        let mut spoilt = self.host.lock().await.look()?;
        spoilt.extend(self.foreign.lock().await.look().await?);
        spoilt.extend(self.neighbour.lock().await.look().await?);
        Ok(spoilt)
    }

    /// All that the swarm was given so far: nothing of it is still on its way here.
    pub async fn seen(&self) -> Result<Vec<Seen>> {
        self.swarm.seen().await
    }

    pub async fn take_down(self) -> Result<()> {
        self.neighbour.into_inner().end().await?;
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
}
