//! A dead run whose app nobody can remove.

use std::process::Command;

use anyhow::{Context, ensure};
use harness::recipe::AppDomain;
use harness::session::locks::{Held, Lock, Registration, Registry};
use harness::swarm::{Before, Swarm};
use results::{Outcome, Tier};

use crate::live::{Live, runtime};

const IMAGE: &str = "cc-ci.local/nginx:1.22.1";

fn docker(arguments: &[&str]) -> anyhow::Result<()> {
    let ran = Command::new("docker").args(arguments).output()?;
    ensure!(ran.status.success(), "docker {arguments:?}: {ran:?}");
    Ok(())
}

/// A volume of the dead run's app in the hands of somebody else's container; all gone with it.
struct Stuck {
    domain: AppDomain,
    registry: Registry,
    holder: String,
}

impl Stuck {
    fn new(state: &std::path::Path) -> anyhow::Result<Self> {
        let domain: AppDomain = format!("stuck-{}.ci.test", std::process::id()).parse()?;
        let registry = runtime()?.block_on(async {
            let swarm = Swarm::connect().await?;
            let registry = Registry::of_engine(&swarm)?;
            let held = hold(&registry, &domain)?;
            let registration = Registration {
                run_id: format!("stuck-{}", std::process::id()).parse()?,
                recipe: "custom-html".parse()?,
                domain: domain.clone(),
                engine: "stack".to_owned(),
                state: state.to_owned(),
            };
            held.register(&registration, &Before::note(&swarm).await?)?;
            anyhow::Ok(registry)
        })?;
        let holder = format!("holder-{}", std::process::id());
        let stuck = Self {
            domain,
            registry,
            holder,
        };
        let stack = stuck.domain.stack();
        let label = format!("--label=com.docker.stack.namespace={stack}");
        docker(&["volume", "create", &label, &stack.object("data")])?;
        let mount = format!("{}:/data", stack.object("data"));
        docker(&["create", "--name", &stuck.holder, "--volume", &mount, IMAGE])?;
        Ok(stuck)
    }
}

fn hold(registry: &Registry, domain: &AppDomain) -> anyhow::Result<Held> {
    match registry.app(domain)? {
        Lock::Ours(held, _) => Ok(held),
        Lock::Theirs(said) => anyhow::bail!("{domain} is held: {said:?}"),
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        let gone = docker(&["rm", &self.holder])
            .and_then(|()| docker(&["volume", "rm", &self.domain.stack().object("data")]))
            .and_then(|()| Ok(hold(&self.registry, &self.domain)?.forget()?));
        if let Err(error) = gone {
            eprintln!("{} is left behind: {error}", self.domain);
        }
    }
}

/// It is a note of this run with the command that ends it, and costs seconds.
pub fn is_a_note_of_others() -> anyhow::Result<()> {
    let state = tempfile::tempdir()?;
    let live = Live::new("plain")?;
    // The image of the holder is there before it.
    live.passes("5_custom::looks")?;
    live.passes("7_teardown::leaves_nothing")?;
    let stuck = Stuck::new(state.path())?;
    let live = Live::new("plain")?;
    live.passes("5_custom::looks")?;
    live.passes("7_teardown::leaves_nothing")?;
    let record = live.record()?;
    let outcome = &record.tier(Tier::Custom).context("no custom tier")?.outcome;
    ensure!(*outcome == Outcome::Pass, "{outcome:?}");
    let of_tiers = record.tiers.iter().flat_map(|tier| &tier.notes);
    let notes = record.notes.iter().chain(of_tiers);
    let notes: Vec<_> = notes
        .filter(|text| text.contains(stuck.domain.as_str()))
        .collect();
    let [note] = notes[..] else {
        anyhow::bail!("{notes:?}");
    };
    let command = format!("cargo xtask reap stuck-{}", std::process::id());
    ensure!(
        note.contains(&command) && note.contains("volume is in use"),
        "{note}"
    );
    let took = record.phases_ms.get("janitor");
    let took = *took.context("no phase of the janitor")?;
    ensure!(took < 7_000, "the janitor took {took} ms");
    ensure!(
        stuck.registry.registered()?.contains(&stuck.domain),
        "it is forgotten"
    );
    Ok(())
}
