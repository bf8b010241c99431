//! Docker's client as a child process: `docker stack deploy`, and what else changes a stack.
//!
//! Invariant: the child sees only the app's variables and what the client needs to find its engine.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::process::Command;

use super::files::Files;
use crate::cause;
use crate::engine::{AppSpec, child};
use crate::fault::Fault;

const DEPLOY_WITHIN: Duration = Duration::from_secs(120);
pub async fn deploy(
    app: &AppSpec,
    files: &Files,
    variables: &BTreeMap<String, String>,
) -> Result<(), Fault> {
    refuse_steering(variables)?;
    let mut command = Command::new("docker");
    command
        .args(["stack", "deploy", "--resolve-image", "never", "--prune"])
        .arg("--with-registry-auth");
    for file in &files.compose {
        command.arg("-c").arg(file);
    }
    command.arg(app.stack.as_str()).env_clear().envs(variables);
    match run(app, command, "docker stack deploy").await? {
        None => Ok(()),
        Some(failure) => Err(failure.fault(&format!("deploying {}", app.stack))),
    }
}

/// Replaces the tasks of a service by new ones of the same spec.
pub async fn restart(app: &AppSpec, service: &str) -> Result<(), Fault> {
    let mut command = Command::new("docker");
    command
        .args(["service", "update", "--force", "--detach", "--quiet"])
        .arg("--no-resolve-image")
        .arg(app.stack.object(service))
        .env_clear();
    match run(app, command, "docker service update").await? {
        None => Ok(()),
        Some(failure) => Err(failure.fault(&format!("restarting {service}"))),
    }
}

/// What a client that failed said, and how it ended.
struct Failure {
    program: &'static str,
    said: String,
    status: ExitStatus,
}

/// Runs Docker's client to its end. None: it did what it was asked for.
async fn run(
    app: &AppSpec,
    command: Command,
    program: &'static str,
) -> Result<Option<Failure>, Fault> {
    let ended = child::run(command, Some(&app.lock), program, DEPLOY_WITHIN).await?;
    Ok((!ended.status.success()).then(|| Failure {
        program,
        said: String::from_utf8_lossy(&ended.stderr).into_owned(),
        status: ended.status,
    }))
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

impl Failure {
    fn fault(&self, doing: &str) -> Fault {
        let Self {
            program,
            said,
            status,
        } = self;
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
        let mut text = format!("{doing}: ");
        text.push_str(&line);
        // What a client said before somebody ended it is not why it failed.
        if line.is_empty() || was_ended(*status) {
            let separator = if line.is_empty() { "" } else { "; " };
            text.push_str(&format!("{separator}`{program}` ended with {status}"));
        }
        if line.contains("only updates to Labels are allowed") {
            text.push_str(
            " (the file of a config or secret changed and its name did not: raise its version in \
             `abra.sh`)",
        );
        }
        if was_ended(*status) {
            Fault::Infra(text)
        } else {
            cause::recipe_unless_known(text)
        }
    }
}

/// Whether somebody ended the client: a newer one turns SIGINT and SIGTERM into a code of its own,
/// and says nothing.
fn was_ended(status: ExitStatus) -> bool {
    let by = |signal: Signal| Some(128 + signal as i32);
    let codes = [by(Signal::SIGHUP), by(Signal::SIGINT), by(Signal::SIGTERM)];
    status.signal().is_some() || codes.contains(&status.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exited(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    fn fault(said: &str, status: ExitStatus) -> Fault {
        let failure = Failure {
            program: "docker stack deploy",
            said: said.to_owned(),
            status,
        };
        failure.fault("deploying x")
    }

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
        let fault = fault(said, exited(1));
        assert_eq!(matches!(fault, Fault::Recipe(_)), recipe, "{fault:?}");
    }

    #[test]
    fn the_clients_advice_is_no_cause() {
        let said = "Since --detach=false was not specified, tasks will be created in the \
            background.\nIn a future release, --detach=false will become the default.\nno space \
            here\n";
        let fault = fault(said, exited(1));
        assert_eq!(fault, Fault::recipe("deploying x: no space here"));
    }

    #[rstest::rstest]
    #[case::killed(ExitStatus::from_raw(9), "signal: 9 (SIGKILL)")]
    #[case::terminated(exited(143), "exit status: 143")]
    #[case::interrupted(exited(130), "exit status: 130")]
    fn a_client_that_was_ended_is_no_fault_of_the_recipe(
        #[case] status: ExitStatus,
        #[case] said: &str,
    ) {
        let advice = "In a future release, --detach=false will become the default.";
        assert_eq!(
            fault(advice, status),
            Fault::infra(format!(
                "deploying x: `docker stack deploy` ended with {said}"
            ))
        );
        let fault = fault("services.app", status);
        assert!(matches!(fault, Fault::Infra(_)), "{fault:?}");
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
