//! The `git` command, deaf to what the host or the user has set.

use std::path::Path;
use std::time::Duration;

use harness::fault::Fault;
use tokio::process::Command;

const WITHIN: Duration = Duration::from_secs(60);

/// Runs git in this folder.
pub async fn git(dir: &Path, arguments: &[&str]) -> Result<(), Fault> {
    let mut command = Command::new("git");
    command
        .args(arguments)
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .kill_on_drop(true);
    let shown = format!("git {}", arguments.join(" "));
    let ended = match tokio::time::timeout(WITHIN, command.output()).await {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => return Err(Fault::infra(format!("{shown}: {error}"))),
        Err(_) => return Err(Fault::infra(format!("{shown}: not within {WITHIN:?}"))),
    };
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    Err(Fault::infra(format!("{shown}: {}", said.trim())))
}
