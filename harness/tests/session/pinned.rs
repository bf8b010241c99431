//! A recipe whose image is named in its `.env`, and a head that names a newer one there only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;
use results::{Outcome, Tier, Verdict};

use crate::live::Live;

/// An upgrade that an operator's old `.env` keeps on the old image upgrades nothing: that is an
/// error, though every service is as head's files ask.
pub fn old_image_on_head() -> anyhow::Result<()> {
    let live = Live::from("plain", recipe)?;
    live.fails("2_upgrade::0_redeploy")?;
    live.passes("7_teardown::leaves_nothing")?;
    let record = live.record()?;
    let upgrade = record.tier(Tier::Upgrade);
    let upgrade = upgrade.and_then(|tier| tier.operation.as_ref());
    let Some(Outcome::Error { reason }) = upgrade.map(|operation| &operation.outcome) else {
        anyhow::bail!("the upgrade is {upgrade:?}");
    };
    ensure!(
        reason.contains("pins it to cc-ci.local/nginx:1.22.1"),
        "{reason}"
    );
    ensure!(
        record.verdict == Verdict::Error,
        "{}",
        record.verdict_reason
    );
    live.left_nothing()
}

/// Makes the repository below `dir`.
fn recipe(dir: &Path) -> anyhow::Result<PathBuf> {
    let built_in = fixtures::catalogue::materialise("custom-html", &dir.join("made"))?;
    let folder = dir.join("recipe");
    let git = |arguments: &[&str]| {
        let status = Command::new("git")
            .args(["-c", "user.name=A", "-c", "user.email=a@example.org", "-C"])
            .arg(if folder.is_dir() { &folder } else { dir })
            .args(arguments)
            .status()?;
        ensure!(status.success(), "git {arguments:?}");
        Ok(())
    };
    let edit = |file: &str, from: &str, to: &str| -> anyhow::Result<()> {
        let path = folder.join(file);
        let text = fs::read_to_string(&path)?;
        ensure!(text.contains(from), "{file} has no {from}");
        Ok(fs::write(path, text.replace(from, to))?)
    };
    let place = built_in.to_string_lossy();
    git(&["clone", "--quiet", &place, &folder.to_string_lossy()])?;
    edit("compose.yml", "cc-ci.local/nginx:1.26.3", "${APP_IMAGE}")?;
    edit("compose.yml", "1.1.0+1.26.3", "2.0.0+1.22.1")?;
    let image = "APP_IMAGE=cc-ci.local/nginx:1.22.1\nDOMAIN=";
    edit(".env.sample", "DOMAIN=", image)?;
    git(&["commit", "--quiet", "--all", "--message", "image in .env"])?;
    git(&["tag", "--annotate", "--message", "x", "2.0.0+1.22.1"])?;
    edit(".env.sample", "nginx:1.22.1", "nginx:1.26.3")?;
    git(&["commit", "--quiet", "--all", "--message", "newer image"])?;
    Ok(folder)
}
