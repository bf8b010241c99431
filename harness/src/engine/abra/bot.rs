//! The backup bot's repository: what this run put there, and how it goes again.
//!
//! The bot is the service on this swarm with abra's label, and its repository is restic's. It has
//! no command that forgets a snapshot, so restic is asked itself, in the bot's container.

use std::time::Duration;

use crate::fault::Fault;
use crate::recipe::StackName;
use crate::swarm::{self, ExecOutput, Swarm};
use crate::wait::{Probe, Unwatched, wait_until};

/// By it abra finds the bot.
const LABEL: &str = "coop-cloud.backupbot.enabled=true";
const WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The recipe hands the password over as a secret.
const RESTIC: &str = "if [ -z \"$RESTIC_PASSWORD$RESTIC_PASSWORD_FILE\" ]; then \
    export RESTIC_PASSWORD_FILE=/run/secrets/restic_password; fi; exec restic \"$@\"";

/// The container of the bot on this swarm, if there is one that runs.
pub async fn find(swarm: &Swarm) -> Result<Option<String>, Fault> {
    swarm::container_labelled(swarm, LABEL).await
}

/// Removes every snapshot of the stack. Without a bot there are none.
pub async fn forget(swarm: &Swarm, stack: &StackName) -> Result<(), Fault> {
    let Some(bot) = find(swarm).await? else {
        return Ok(());
    };
    let ids = snapshots(swarm, &bot, stack).await?;
    if ids.is_empty() {
        return Ok(());
    }
    let words = ["forget", "--quiet"].into_iter();
    let words: Vec<&str> = words.chain(ids.iter().map(String::as_str)).collect();
    restic(swarm, &bot, &words).await?;
    match snapshots(swarm, &bot, stack).await? {
        left if left.is_empty() => Ok(()),
        left => Err(Fault::infra(format!(
            "the backup repository still has the snapshots {} of {stack}",
            left.join(", ")
        ))),
    }
}

async fn snapshots(swarm: &Swarm, bot: &str, stack: &StackName) -> Result<Vec<String>, Fault> {
    #[derive(serde::Deserialize)]
    struct Snapshot {
        id: String,
    }
    let words = ["snapshots", "--json", "--tag", stack.as_str()];
    let said = restic(swarm, bot, &words).await?;
    // restic prints `null` where there is none.
    let snapshots: Option<Vec<Snapshot>> = serde_json::from_str(said.stdout.trim())
        .map_err(|error| Fault::infra(format!("the backup bot's list of snapshots: {error}")))?;
    let ids = snapshots.unwrap_or_default().into_iter();
    Ok(ids.map(|snapshot| snapshot.id).collect())
}

async fn restic(swarm: &Swarm, bot: &str, words: &[&str]) -> Result<ExecOutput, Fault> {
    let command = ["/bin/sh", "-c", RESTIC, "restic"].iter().chain(words);
    let command: Vec<String> = command.map(|word| (*word).to_owned()).collect();
    // Whoever backs up at this moment has the repository for a while.
    let subject = "the backup bot's repository, which somebody has locked";
    let ask = async || match swarm::exec_in(swarm, bot, &command, WITHIN).await {
        Ok(said) if said.code != 0 && said.stderr.contains("already locked") => {
            Probe::NotYet("locked".to_owned())
        }
        done => Probe::Ready(done),
    };
    let said = wait_until(subject, WITHIN, LOOK_EVERY, &Unwatched, ask).await;
    let said = said.map_err(|error| Fault::infra(error.to_string()))??;
    if said.code == 0 {
        return Ok(said);
    }
    let last = said.stderr.lines().rfind(|line| !line.trim().is_empty());
    Err(Fault::infra(format!(
        "the backup bot: `restic {}` ended with exit {}: {}",
        words.first().unwrap_or(&""),
        said.code,
        last.unwrap_or("it said nothing")
    )))
}
