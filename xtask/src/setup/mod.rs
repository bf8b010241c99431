//! Makes a fresh Debian or Ubuntu machine fit for a run, and says what it can't do.
//!
//! Invariants: every step is printed before it is done; a machine that is fit is left alone; what
//! somebody else made (a swarm, a network, a running engine) is never removed or replaced.

mod disk;
mod docker;
mod host;
mod network;
mod registry;
mod site;
mod step;
#[cfg(test)]
mod tests;
mod tools;

use std::io::{BufRead, IsTerminal as _, Write};

use harness::fault::Fault;
use harness::site::{Proxy, Site};

pub use host::{Host, ThisHost, tail};
pub use registry::inspect as inspect_registry;
pub use site::inspect as inspect_site;
pub use step::{Step, joined};
use tools::{DENY, FUZZ};

/// How a thing that is needed stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// There, and the fact that shows it.
    There(String),
    Missing(String),
    /// There, and not as it must be.
    Broken(String),
    /// Can't be known before something above is mended.
    Unknown(String),
}

/// One thing that a run needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub what: &'static str,
    pub state: State,
    /// What mends it; empty where only a person can.
    pub fix: Vec<Step>,
    /// What a person can do where `fix` is empty.
    pub advice: Option<String>,
    pub weight: Weight,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Without it nothing runs.
    Required,
    /// Needed only at times: said, but no reason to stop.
    Wanted,
}

impl Check {
    pub fn there(what: &'static str, fact: impl Into<String>) -> Self {
        Self::new(what, State::There(fact.into()))
    }

    pub fn missing(what: &'static str, fact: impl Into<String>) -> Self {
        Self::new(what, State::Missing(fact.into()))
    }

    pub fn broken(what: &'static str, fact: impl Into<String>) -> Self {
        Self::new(what, State::Broken(fact.into()))
    }

    pub fn unknown(what: &'static str, why: impl Into<String>) -> Self {
        Self::new(what, State::Unknown(why.into()))
    }

    fn new(what: &'static str, state: State) -> Self {
        Self {
            what,
            state,
            fix: Vec::new(),
            advice: None,
            weight: Weight::Required,
        }
    }

    #[must_use]
    pub fn fix(mut self, steps: impl Into<Vec<Step>>) -> Self {
        self.fix = steps.into();
        self
    }

    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    #[must_use]
    pub fn wanted(mut self) -> Self {
        self.weight = Weight::Wanted;
        self
    }

    pub fn is_there(&self) -> bool {
        matches!(self.state, State::There(_))
    }

    pub fn fact(&self) -> &str {
        match &self.state {
            State::There(fact)
            | State::Missing(fact)
            | State::Broken(fact)
            | State::Unknown(fact) => fact,
        }
    }

    pub fn word(&self) -> &'static str {
        match self.state {
            State::There(_) => "ok",
            State::Missing(_) => "missing",
            State::Broken(_) => "broken",
            State::Unknown(_) => "unknown",
        }
    }

    /// The command that mends it, or what a person can do.
    pub fn remedy(&self) -> Option<String> {
        if self.fix.is_empty() {
            self.advice.clone()
        } else {
            Some(joined(&self.fix))
        }
    }
}

type Probe<'a> = Box<dyn Fn(&dyn Host) -> Check + 'a>;

/// What a run at this site needs, in the order in which it can be mended.
fn probes(site: &Site) -> Vec<Probe<'_>> {
    let network = match site.proxy {
        Proxy::Edge {} => docker::proxy,
        // Whoever deploys the server's own proxy makes its network.
        Proxy::Traefik { .. } => docker::servers_proxy,
    };
    vec![
        Box::new(docker::account),
        Box::new(docker::package),
        Box::new(docker::daemon),
        Box::new(docker::swarm),
        Box::new(network),
        Box::new(|host| network::task_network(host, site)),
        Box::new(disk::disk),
        Box::new(disk::inodes),
        Box::new(tools::git),
        Box::new(tools::nextest),
        Box::new(tools::mmdebstrap),
    ]
}

/// How every thing that a run at this site needs stands.
pub fn inspect(host: &dyn Host, site: &Site) -> Vec<Check> {
    probes(site).iter().map(|probe| probe(host)).collect()
}

/// Whether steps may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Told to go on: `--yes`, or `CI=true`.
    Agreed,
    /// Somebody sits at the terminal: ask before each.
    Terminal,
    /// Nobody to ask: do nothing, and say what would be done.
    Nobody,
}

impl Ask {
    pub fn from_environment(yes: bool) -> Self {
        let ci = std::env::var("CI").ok();
        let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        Self::decide(yes, ci.as_deref(), terminal)
    }

    fn decide(yes: bool, ci: Option<&str>, terminal: bool) -> Self {
        match ci {
            _ if yes => Self::Agreed,
            Some("true" | "1") => Self::Agreed,
            _ if terminal => Self::Terminal,
            _ => Self::Nobody,
        }
    }
}

/// Sets this machine up for a run at this site.
pub fn setup(site: &Site, ask: Ask) -> Result<(), Fault> {
    mend(
        &ThisHost,
        &probes(site),
        ask,
        &mut std::io::stdin().lock(),
        &mut std::io::stderr(),
    )
}

/// Makes one tool of ours ready, for subcommands that need nothing else.
pub fn tool(probe: fn(&dyn Host) -> Check, ask: Ask) -> Result<(), Fault> {
    mend(
        &ThisHost,
        &[Box::new(probe)],
        ask,
        &mut std::io::stdin().lock(),
        &mut std::io::stderr(),
    )
}

/// cargo-deny, which only `lint` needs.
pub fn deny(host: &dyn Host) -> Check {
    DENY.check(host)
}

/// cargo-fuzz, which only `fuzz` needs.
pub fn fuzz(host: &dyn Host) -> Check {
    FUZZ.check(host)
}

/// Goes through `probes`, mends what is not there, and looks again. A step that reports success and
/// changes nothing is an error.
fn mend(
    host: &dyn Host,
    probes: &[Probe<'_>],
    ask: Ask,
    answers: &mut dyn BufRead,
    out: &mut dyn Write,
) -> Result<(), Fault> {
    if ask == Ask::Nobody {
        return refuse_to_change(host, probes, out);
    }
    for probe in probes {
        let check = probe(host);
        if check.is_there() {
            continue;
        }
        let Some(command) = (!check.fix.is_empty()).then(|| joined(&check.fix)) else {
            unmendable(&check, out)?;
            continue;
        };
        tell(out, &format!("{}: {}", check.what, check.fact()));
        tell(out, &format!("  $ {command}"));
        if ask == Ask::Terminal && !agreed(answers, out) {
            return Err(Fault::infra(format!(
                "{} is needed and was declined; by hand: {command}",
                check.what
            )));
        }
        match done(host, &check, probe) {
            Ok(fact) => tell(out, &format!("  {fact}")),
            Err(why) if check.weight == Weight::Wanted => tell(out, &format!("  {why}")),
            Err(why) => return Err(Fault::Infra(why)),
        }
    }
    Ok(())
}

/// Mends one thing and gives the fact that shows it, or why it is not mended.
fn done(host: &dyn Host, check: &Check, probe: &Probe<'_>) -> Result<String, String> {
    for step in &check.fix {
        host.perform(step)
            .map_err(|error| format!("{}: {error:#}", check.what))?;
    }
    let after = probe(host);
    if after.is_there() {
        return Ok(after.fact().to_owned());
    }
    Err(format!(
        "{} is still {} after `{}`: {}",
        after.what,
        after.word(),
        joined(&check.fix),
        after.fact()
    ))
}

/// Stops for what is required; for what is only wanted, says so and goes on.
fn unmendable(check: &Check, out: &mut dyn Write) -> Result<(), Fault> {
    let mut text = format!("{} is {}: {}", check.what, check.word(), check.fact());
    if let Some(advice) = &check.advice {
        text = format!("{text}\n  {advice}");
    }
    match check.weight {
        Weight::Required => Err(Fault::Infra(text)),
        Weight::Wanted => {
            tell(out, &text);
            Ok(())
        }
    }
}

fn refuse_to_change(
    host: &dyn Host,
    probes: &[Probe<'_>],
    out: &mut dyn Write,
) -> Result<(), Fault> {
    let wanting: Vec<_> = probes
        .iter()
        .map(|probe| probe(host))
        .filter(|check| !check.is_there())
        .collect();
    for check in &wanting {
        tell(
            out,
            &format!("{} is {}: {}", check.what, check.word(), check.fact()),
        );
        if let Some(remedy) = check.remedy() {
            tell(out, &format!("  {remedy}"));
        }
    }
    if wanting.iter().all(|check| check.weight == Weight::Wanted) {
        return Ok(());
    }
    Err(Fault::infra(
        "this machine is not set up, and there is no terminal to ask on: add --yes (or CI=true) to \
         have the above done",
    ))
}

fn agreed(answers: &mut dyn BufRead, out: &mut dyn Write) -> bool {
    let mut line = String::new();
    let asked = write!(out, "Do this? [Y/n] ").and_then(|()| out.flush());
    // The end of the input is no agreement.
    asked.is_ok()
        && answers.read_line(&mut line).is_ok_and(|read| read > 0)
        && matches!(line.trim().to_ascii_lowercase().as_str(), "" | "y" | "yes")
}

/// A message that can't be shown is no reason to stop.
fn tell(out: &mut dyn Write, line: &str) {
    let _ = writeln!(out, "{line}");
}
