//! Backup and restore by the recipe's labels: hooks around a copy of volumes.
//!
//! Invariants: nothing is copied when a hook before it failed; what a hook before the copy set up
//! is ended by its post-hook, whatever happened in between; a hook that fails makes the operation
//! fail, with the last lines it said.
//!
//! This file must not know: how labels are written, how a volume is copied ([`Data`] knows).

use std::time::Duration;

use async_trait::async_trait;

use crate::engine::{AppSpec, Backup, Deployment, Engine, ExecOutput};
use crate::fault::Fault;
use crate::recipe::StackName;
use crate::recipe::compose::{BackupPlan, ServiceHooks, VolumeBackup};

const HOOK_WITHIN: Duration = Duration::from_secs(600);
const SHOWN_LINES: usize = 5;

/// What a backup is made of.
#[async_trait]
pub trait Data: Send + Sync {
    async fn save(&self, stack: &StackName, volumes: &[VolumeBackup]) -> Result<Backup, Fault>;

    /// Writes the snapshot over what is in the volumes.
    async fn load(&self, stack: &StackName, snapshot: &str) -> Result<(), Fault>;

    /// Removes the snapshots of the stack.
    async fn forget(&self, stack: &StackName) -> Result<(), Fault>;
}

pub async fn backup(
    engine: &dyn Engine,
    data: &dyn Data,
    app: &AppSpec,
    what: &Deployment,
) -> Result<Backup, Fault> {
    let plan = plan(what, &app.stack)?;
    let copy = data.save(&app.stack, &plan.volumes);
    around(engine, app, Operation::Backup, &plan.hooks, copy).await
}

pub async fn restore(
    engine: &dyn Engine,
    data: &dyn Data,
    app: &AppSpec,
    what: &Deployment,
    snapshot: &str,
) -> Result<(), Fault> {
    let plan = plan(what, &app.stack)?;
    let copy = data.load(&app.stack, snapshot);
    around(engine, app, Operation::Restore, &plan.hooks, copy).await
}

fn plan(what: &Deployment, stack: &StackName) -> Result<BackupPlan, Fault> {
    let plan = what.compose.backup_plan(stack)?;
    plan.ok_or_else(|| Fault::recipe("no service has the label `backupbot.backup=true`"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Backup,
    Restore,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
        }
    }

    fn before(self, hooks: &ServiceHooks) -> Option<&str> {
        match self {
            Self::Backup => hooks.before_backup.as_deref(),
            Self::Restore => hooks.before_restore.as_deref(),
        }
    }

    fn after(self, hooks: &ServiceHooks) -> Option<&str> {
        match self {
            Self::Backup => hooks.after_backup.as_deref(),
            Self::Restore => hooks.after_restore.as_deref(),
        }
    }
}

async fn around<T>(
    engine: &dyn Engine,
    app: &AppSpec,
    operation: Operation,
    hooks: &[ServiceHooks],
    copy: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let mut prepared = 0;
    let mut before = Ok(());
    for hook in hooks {
        if let Some(command) = operation.before(hook) {
            let name = format!("{} pre-hook", operation.name());
            before = run(engine, app, &hook.service, &name, command).await;
        }
        if before.is_err() {
            break;
        }
        prepared += 1;
    }
    let copied = match before {
        Ok(()) => copy.await,
        Err(fault) => Err(fault),
    };
    let mut after = Ok(());
    // After a restore that failed, a post-hook would load what is not there.
    if copied.is_ok() || operation == Operation::Backup {
        for hook in &hooks[..prepared] {
            if let Some(command) = operation.after(hook) {
                let name = format!("{} post-hook", operation.name());
                after = after.and(run(engine, app, &hook.service, &name, command).await);
            }
        }
    }
    let copied = copied?;
    after.map(|()| copied)
}

async fn run(
    engine: &dyn Engine,
    app: &AppSpec,
    service: &str,
    name: &str,
    hook: &str,
) -> Result<(), Fault> {
    let command = ["/bin/sh", "-c", hook].map(str::to_owned);
    let output = engine
        .exec(app, service, &command, HOOK_WITHIN)
        .await
        .map_err(|fault| fault.context(format!("{name} of {service}")))?;
    if output.code == 0 {
        return Ok(());
    }
    // What Docker says where it can't start a command comes in place of the command's own words.
    if output.stdout.contains("exec: \"/bin/sh\"") {
        return Err(Fault::recipe(format!(
            "{name} of {service} can't run: hooks are run by /bin/sh, and the service's image has none"
        )));
    }
    Err(Fault::recipe(format!(
        "{name} of {service} ended with exit {}: {}",
        output.code,
        last_lines(&output)
    )))
}

fn last_lines(output: &ExecOutput) -> String {
    let said = if output.stderr.trim().is_empty() {
        &output.stdout
    } else {
        &output.stderr
    };
    let lines = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>();
    if lines.is_empty() {
        return "it said nothing".to_owned();
    }
    let last = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    format!("`{}`", last.join(" | "))
}

#[cfg(test)]
#[path = "backup_tests.rs"]
mod tests;
