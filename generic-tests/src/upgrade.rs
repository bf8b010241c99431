//! What holds after head took the base's place.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use harness::data::{Seeded, prove_present};
use harness::suite::{App, TestResult};
use harness::swarm;
use results::Tier;
use serde::de::DeserializeOwned;

use crate::install::live_deployment;

fn fact<T: DeserializeOwned>(app: &App, name: &str) -> anyhow::Result<T> {
    let facts: BTreeMap<String, serde_json::Value> = app.recall(Tier::Upgrade.as_str())?;
    let value = facts
        .get(name)
        .with_context(|| format!("the upgrade kept no `{name}`"))?;
    serde_json::from_value(value.clone())
        .with_context(|| format!("what the upgrade kept as `{name}`"))
}

/// What is live is another commit than before.
pub async fn moved(app: &App) -> TestResult {
    let before: String = fact(app, "from_commit")?;
    let live = app.view().live.as_ref().context("nothing is live")?;
    ensure!(live.is_head, "what is live is not head");
    ensure!(
        live.commit.as_str() != before,
        "the upgrade went from {before} to itself"
    );
    Ok(())
}

/// Swarm did not go back to the old tasks.
pub async fn was_not_rolled_back(app: &App) -> TestResult {
    let live = swarm::live(app.swarm().await?, &app.view().stack).await?;
    ensure!(!live.is_empty(), "the stack has no services");
    for service in live {
        let update = service.update.unwrap_or_default();
        ensure!(
            !update.starts_with("rollback"),
            "{}: {update}",
            service.name
        );
    }
    Ok(())
}

/// No service of the base that head dropped goes on running, and none of head's is missing.
pub async fn services_are_heads(app: &App) -> TestResult {
    let live = swarm::live(app.swarm().await?, &app.view().stack).await?;
    let running: BTreeSet<String> = live.into_iter().map(|service| service.name).collect();
    let wanted: BTreeSet<String> = live_deployment(app)?.compose.services.into_keys().collect();
    let left: Vec<_> = running.difference(&wanted).map(String::as_str).collect();
    let missing: Vec<_> = wanted.difference(&running).map(String::as_str).collect();
    ensure!(
        left.is_empty(),
        "services that head does not have still run: {}",
        left.join(", ")
    );
    ensure!(
        missing.is_empty(),
        "services of head do not run: {}",
        missing.join(", ")
    );
    Ok(())
}

/// What a service kept in a volume before is within its reach now.
pub async fn volumes_are_the_same(app: &App) -> TestResult {
    let lost: Vec<String> = fact(app, "volumes_lost")?;
    ensure!(lost.is_empty(), "{}", lost.join("; "));
    Ok(())
}

/// The files that the harness wrote into the app's volumes before the upgrade are still there, in
/// the volumes that the app mounts now.
pub async fn data_survived(app: &App) -> TestResult {
    let markers: Seeded = fact(app, "markers")?;
    if !markers.proves_presence() {
        return Err(harness::suite::skip(
            "the base mounts no volume that has to keep its content",
        ));
    }
    let now = swarm::mounted_volumes(app.swarm().await?, &app.view().stack).await?;
    let renamed: BTreeMap<String, String> = markers
        .markers
        .iter()
        .filter_map(|marker| {
            let is = now.iter().find(|volume| {
                volume.service == marker.service && volume.target == marker.target
            })?;
            (is.volume != marker.volume).then(|| (marker.volume.clone(), is.volume.clone()))
        })
        .collect();
    let volumes = app.volumes().await?;
    let findings = prove_present(&volumes, &markers, "before the upgrade", &renamed).await?;
    let mut texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
    // A volume has several marker files.
    texts.dedup();
    ensure!(texts.is_empty(), "{}", texts.join("; "));
    Ok(())
}
