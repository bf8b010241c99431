//! `docker stack deploy` as a child process.
//!
//! Invariants: the child sees only the app's variables and what the client needs to find its
//! engine; it holds the app's lock, so that a reaper can wait for it or kill it; it does not
//! outlive its deadline.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use command_fds::CommandFdExt;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::files::Files;
use crate::engine::AppSpec;
use crate::fault::Fault;

const DEPLOY_WITHIN: Duration = Duration::from_secs(120);
const LARGEST_OUTPUT: u64 = 256 * 1024;
/// What the client needs of our own environment.
const CLIENTS: [&str; 5] = [
    "PATH",
    "HOME",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
];

pub async fn deploy(
    app: &AppSpec,
    files: &Files,
    variables: &BTreeMap<String, String>,
) -> Result<(), Fault> {
    refuse_steering(variables)?;
    let lock = app
        .lock
        .try_clone()
        .map_err(|error| Fault::infra(format!("passing the app's lock on: {error}")))?;
    let mut command = Command::new("docker");
    command
        .args(["stack", "deploy", "--resolve-image", "never", "--prune"])
        .arg("--with-registry-auth");
    for file in &files.compose {
        command.arg("-c").arg(file);
    }
    command
        .arg(app.stack.as_str())
        .env_clear()
        .envs(variables)
        .envs(
            CLIENTS
                .iter()
                .filter_map(|key| Some((*key, std::env::var_os(key)?))),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .preserved_fds(vec![lock]);
    let mut child = command
        .spawn()
        .map_err(|error| Fault::infra(format!("starting `docker stack deploy`: {error}")))?;
    let group = child.id();
    let stderr = child.stderr.take().expect("standard error is piped");
    let mut said = Vec::new();
    let run = async {
        let mut bounded = stderr.take(LARGEST_OUTPUT);
        let (_, status) = tokio::join!(bounded.read_to_end(&mut said), child.wait());
        status
    };
    let status = match tokio::time::timeout(DEPLOY_WITHIN, run).await {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => {
            return Err(Fault::infra(format!(
                "waiting for `docker stack deploy`: {error}"
            )));
        }
        Err(_) => {
            if let Some(group) = group {
                let _ = killpg(Pid::from_raw(group.cast_signed()), Signal::SIGKILL);
            }
            return Err(Fault::infra(format!(
                "`docker stack deploy` did not end within {} s",
                DEPLOY_WITHIN.as_secs()
            )));
        }
    };
    if status.success() {
        Ok(())
    } else {
        let said = String::from_utf8_lossy(&said);
        Err(fault(&app.stack.to_string(), &said, &status.to_string()))
    }
}

/// A recipe's variables may not decide which engine is spoken to, or what the client loads.
fn refuse_steering(variables: &BTreeMap<String, String>) -> Result<(), Fault> {
    const REFUSED: [&str; 9] = [
        "DOCKER_API_VERSION",
        "DOCKER_CERT_PATH",
        "DOCKER_CONFIG",
        "DOCKER_CONTEXT",
        "DOCKER_HOST",
        "DOCKER_STACK_ORCHESTRATOR",
        "DOCKER_TLS",
        "DOCKER_TLS_VERIFY",
        "GODEBUG",
    ];
    match variables
        .keys()
        .find(|key| REFUSED.contains(&key.as_str()) || key.starts_with("LD_"))
    {
        Some(key) => Err(Fault::recipe(format!(
            "the app's environment sets {key}, which would steer the Docker client"
        ))),
        None => Ok(()),
    }
}

/// What the client said, as a fault.
fn fault(stack: &str, said: &str, status: &str) -> Fault {
    const INFRA: [&str; 14] = [
        "cannot connect to the docker daemon",
        "no space left on device",
        "context deadline exceeded",
        "i/o timeout",
        "connection refused",
        "connection reset",
        "this node is not a swarm manager",
        "the swarm does not have a leader",
        "code = unavailable",
        "update out of sequence",
        "error during connect",
        "permission denied while trying to connect",
        "network \"proxy\" is declared as external, but could not be found",
        "signal: ",
    ];
    let line = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .filter(|line| {
            // What the client tells of its progress comes on standard output, its advice here.
            const ADVICE: [&str; 3] = [
                "Since --detach=false",
                "In a future release, --detach=false",
                "Ignoring ",
            ];
            !ADVICE.iter().any(|advice| line.starts_with(advice))
        })
        .collect::<Vec<_>>()
        .join("; ");
    let mut text = format!("deploying {stack}: ");
    if line.is_empty() {
        text.push_str(&format!("`docker stack deploy` ended with {status}"));
    } else {
        text.push_str(&line);
    }
    if line.contains("only updates to Labels are allowed") {
        text.push_str(
            " (the file of a config or secret changed and its name did not: raise its version in \
             `abra.sh`)",
        );
    }
    let lower = format!("{line} {status}").to_lowercase();
    if INFRA.iter().any(|mark| lower.contains(mark)) {
        Fault::Infra(text)
    } else {
        Fault::Recipe(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::daemon(
        "Cannot connect to the Docker daemon at unix:///x. Is it running?",
        false
    )]
    #[case::space("failed to create: write /x: no space left on device", false)]
    #[case::proxy(
        "network \"proxy\" is declared as external, but could not be found. You need to create a \
         swarm-scoped network before the stack is deployed",
        false
    )]
    #[case::schema("services.app Additional property imag is not allowed", true)]
    #[case::secret("service app: secret not found: a_ci_test_pw_v1", true)]
    #[case::config(
        "failed to update config x: Error response from daemon: rpc error: code = InvalidArgument \
         desc = only updates to Labels are allowed",
        true
    )]
    fn what_the_client_says_tells_whose_fault_it_is(#[case] said: &str, #[case] recipe: bool) {
        let fault = fault("x", said, "exit status: 1");
        assert_eq!(matches!(fault, Fault::Recipe(_)), recipe, "{fault:?}");
    }

    #[test]
    fn the_clients_advice_is_no_cause() {
        let said = "Since --detach=false was not specified, tasks will be created in the \
            background.\nIn a future release, --detach=false will become the default.\nno space \
            here\n";
        let fault = fault("x", said, "exit status: 1");
        assert_eq!(fault, Fault::recipe("deploying x: no space here"));
    }

    #[test]
    fn a_killed_client_is_no_fault_of_the_recipe() {
        let fault = fault("x", "", "signal: 9 (SIGKILL)");
        assert_eq!(
            fault,
            Fault::infra("deploying x: `docker stack deploy` ended with signal: 9 (SIGKILL)")
        );
    }

    #[test]
    fn an_app_may_not_steer_the_client() {
        let variables = [("DOCKER_HOST".to_owned(), "tcp://elsewhere".to_owned())].into();
        assert_eq!(
            refuse_steering(&variables),
            Err(Fault::recipe(
                "the app's environment sets DOCKER_HOST, which would steer the Docker client"
            ))
        );
    }
}
