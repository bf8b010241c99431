//! What holds for a backup that was taken.

use anyhow::ensure;
use harness::engine::Backup;
use harness::suite::{App, TestResult};
use results::Tier;

fn taken(app: &App) -> anyhow::Result<Backup> {
    Ok(app.recall(Tier::Backup.as_str())?)
}

pub async fn yields_a_snapshot_id(app: &App) -> TestResult {
    let snapshot = taken(app)?.snapshot;
    let id = snapshot.len() >= 8 && snapshot.chars().all(|c| c.is_ascii_hexdigit());
    ensure!(id, "`{snapshot}` is no snapshot id");
    Ok(())
}

pub async fn is_not_empty(app: &App) -> TestResult {
    let backup = taken(app)?;
    ensure!(
        backup.files > 0,
        "the snapshot holds no file of the app's own; if the app keeps none at first, a `before_backup` hook makes one"
    );
    // A dump that somebody names is there to have something in it.
    let empty: Vec<String> = backup
        .paths
        .iter()
        .filter(|path| path.is_file && path.bytes == 0)
        .map(|path| format!("`{}` of volume `{}`", path.path, path.key))
        .collect();
    ensure!(
        empty.is_empty(),
        "the backup labels name what is empty in the snapshot: {}",
        empty.join(", ")
    );
    ensure!(backup.bytes > 0, "no file in the snapshot has any content");
    Ok(())
}

/// Every path that the labels name is in the snapshot.
pub async fn holds_every_labelled_path(app: &App) -> TestResult {
    let backup = taken(app)?;
    ensure!(
        !backup.paths.is_empty(),
        "the labels cover no volume and no path"
    );
    let missing: Vec<String> = backup
        .paths
        .iter()
        .filter(|path| !path.present)
        .map(|path| format!("`{}` in volume `{}`", path.path, path.key))
        .collect();
    ensure!(
        missing.is_empty(),
        "the backup labels name what is not there: {}",
        missing.join(", ")
    );
    Ok(())
}
