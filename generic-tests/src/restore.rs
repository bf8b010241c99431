//! What holds after a snapshot was written back.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use harness::data::{Seeded, clean, prove_present, prove_undone, seed};
use harness::suite::{App, TestResult};
use harness::swarm;
use results::Tier;

fn markers(app: &App) -> anyhow::Result<Seeded> {
    let facts: BTreeMap<String, serde_json::Value> = app.recall(Tier::Restore.as_str())?;
    let value = facts
        .get("markers")
        .context("the restore kept no markers")?;
    Ok(serde_json::from_value(value.clone())?)
}

/// One file was changed and another deleted after the backup: both are as they were.
pub async fn undoes_changes_and_deletions(app: &App) -> TestResult {
    let markers = markers(app)?;
    ensure!(
        markers.proves_restore(),
        "nothing that the backup covers could be changed, so the restore proved nothing{}",
        markers
            .notes
            .iter()
            .map(|note| format!("; {note}"))
            .collect::<String>()
    );
    let findings = prove_undone(&app.volumes().await?, &markers).await?;
    let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
    ensure!(texts.is_empty(), "{}", texts.join("; "));
    Ok(())
}

/// The volumes that were restored take new files again.
pub async fn accepts_writes(app: &App) -> TestResult {
    let restored = markers(app)?;
    let swarm = app.swarm().await?;
    let mut mounts = swarm::mounted_volumes(swarm, &app.view().stack).await?;
    mounts.retain(|mount| {
        let mut markers = restored.markers.iter();
        markers.any(|marker| marker.volume == mount.volume)
    });
    ensure!(
        !mounts.is_empty(),
        "no running task mounts a volume that was restored"
    );
    let volumes = app.volumes().await?;
    let written = seed(&volumes, &mounts, &[]).await?;
    let findings = prove_present(&volumes, &written, "after the restore", &BTreeMap::new()).await;
    clean(&volumes, &written).await?;
    let texts: Vec<String> = findings?.iter().map(ToString::to_string).collect();
    ensure!(texts.is_empty(), "{}", texts.join("; "));
    ensure!(
        written.proves_presence(),
        "nothing could be written into what was restored: {}",
        written.notes.join("; ")
    );
    Ok(())
}
