//! A command in the running container of a service.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::query_parameters::WaitContainerOptions;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::{Swarm, answered, running_container};
use crate::fault::Fault;
use crate::recipe::StackName;

/// Of each stream; what comes after is read and dropped.
const LARGEST_OUTPUT: usize = 1024 * 1024;

/// Of a command that SIGKILL ended, as all are whose container ends.
const KILLED: i64 = 137;
/// A command of a container that ends is seen to have ended before the container itself is.
const END_SEEN_WITHIN: Duration = Duration::from_secs(2);

/// What a command in a service's container did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecOutput {
    pub code: i64,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command in the newest running container of a service, with no shell in between.
pub async fn exec(
    swarm: &Swarm,
    stack: &StackName,
    service: &str,
    command: &[String],
    deadline: Duration,
) -> Result<ExecOutput, Fault> {
    let program = command.first().map_or("nothing", String::as_str);
    let what = format!("running `{program}` in {service}");
    let whole = async {
        match running_container(swarm, stack, service).await? {
            Some(container) => run(swarm, &container, command, &what).await,
            None => Err(Fault::recipe(format!("{what}: no container of it runs"))),
        }
    };
    match tokio::time::timeout(deadline, whole).await {
        Ok(done) => done,
        Err(_) => Err(Fault::recipe(format!(
            "{what}: not within {} s",
            deadline.as_secs_f32()
        ))),
    }
}

/// The same in a container that is not of the app under test: what goes wrong is no recipe's fault.
pub async fn exec_in(
    swarm: &Swarm,
    container: &str,
    command: &[String],
    deadline: Duration,
) -> Result<ExecOutput, Fault> {
    let short = container.get(..12).unwrap_or(container);
    let what = format!("running a command in the container {short}");
    let ran = tokio::time::timeout(deadline, run(swarm, container, command, &what)).await;
    match ran {
        Ok(Err(fault)) => Err(Fault::infra(fault.to_string())),
        Ok(done) => done,
        Err(_) => Err(Fault::infra(format!(
            "{what}: not within {} s",
            deadline.as_secs_f32()
        ))),
    }
}

async fn run(
    swarm: &Swarm,
    container: &str,
    command: &[String],
    what: &str,
) -> Result<ExecOutput, Fault> {
    let fault = |error: bollard::errors::Error| {
        if answered(&error, 409) || answered(&error, 404) {
            // It ended in between, or the command can't be started in it.
            Fault::recipe(format!("{what}: {error}"))
        } else {
            Swarm::fault(what, &error)
        }
    };
    let options = CreateExecOptions {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(false),
        cmd: Some(command.to_vec()),
        ..CreateExecOptions::default()
    };
    let docker = swarm.docker();
    let exec = docker
        .create_exec(container, options)
        .await
        .map_err(fault)?;
    let started = docker.start_exec(&exec.id, None).await.map_err(fault)?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    if let StartExecResults::Attached { mut output, .. } = started {
        while let Some(chunk) = output.next().await {
            match chunk.map_err(fault)? {
                LogOutput::StdErr { message } => keep(&mut stderr, &message),
                other => keep(&mut stdout, other.as_ref()),
            }
        }
    }
    let ended = docker.inspect_exec(&exec.id).await.map_err(fault)?;
    let Some(code) = ended.exit_code else {
        return Err(Fault::infra(format!("{what}: Docker tells no exit code")));
    };
    if code == KILLED {
        // Whoever asks next whether the stack is at rest has to see that the container is not.
        let mut end = docker.wait_container(container, None::<WaitContainerOptions>);
        let _ = tokio::time::timeout(END_SEEN_WITHIN, end.next()).await;
    }
    Ok(ExecOutput {
        code,
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    })
}

fn keep(kept: &mut Vec<u8>, chunk: &[u8]) {
    let room = LARGEST_OUTPUT.saturating_sub(kept.len());
    kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
}
