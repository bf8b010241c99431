//! Docker's client, confined: `docker stack deploy` over a door.
//!
//! Invariants: the client's environment is the app's variables and nothing of ours; it reads the
//! recipe's files and what it is made of, and nothing else; it has no credentials and no network.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::process::Command;

use super::files::Files;
use crate::cause;
use crate::engine::child;
use crate::engine::confine::{Confined, LINKED};
use crate::engine::door::{Door, Way};
use crate::engine::{AppSpec, Deployment};
use crate::fault::Fault;
use crate::recipe::policy::Made;
use crate::swarm::Swarm;

const DEPLOY_WITHIN: Duration = Duration::from_secs(120);

/// What Docker makes of a deployment. Nothing of it reaches the swarm. Below `folder` each commit has
/// a place of its own: two may be read at once.
pub async fn read(
    swarm: &Swarm,
    folder: &Path,
    app: &AppSpec,
    what: &Deployment,
) -> Result<Made, Fault> {
    refuse_steering(&what.variables)?;
    let folder = &folder.join(format!("reading-{}", what.commit.short()));
    let files = super::files::prepare(folder, app, what, swarm.needs_dnsrr())?;
    let door = Door::open(folder, swarm.socket(), Way::Read)?;
    let command = stack_deploy(&door, app, &files, &what.variables)?;
    if let Some(failure) = run(None, folder, command, "docker stack deploy").await? {
        return Err(failure.fault(&format!("reading {} as Docker does", app.recipe)));
    }
    let made = std::mem::take(&mut door.seen().made);
    Ok(made)
}

/// Gives the swarm what the client makes of the files, through the door.
pub async fn deploy(
    door: &Door,
    folder: &Path,
    app: &AppSpec,
    files: &Files,
    variables: &BTreeMap<String, String>,
) -> Result<(), Fault> {
    refuse_steering(variables)?;
    let command = stack_deploy(door, app, files, variables)?;
    match run(Some(app), folder, command, "docker stack deploy").await? {
        None => Ok(()),
        Some(failure) => Err(failure.fault(&format!("deploying {}", app.stack))),
    }
}

fn stack_deploy(
    door: &Door,
    app: &AppSpec,
    files: &Files,
    variables: &BTreeMap<String, String>,
) -> Result<Command, Fault> {
    // By its name in the working directory: the whole path may be too long for a socket's.
    let socket = Path::new(door.socket().file_name().unwrap_or_default());
    let mut command = docker(socket)?;
    command.args(["stack", "deploy", "--resolve-image", "never", "--prune"]);
    for file in &files.compose {
        command.arg("-c").arg(file);
    }
    command.arg(app.stack.as_str()).envs(variables);
    Ok(command)
}

/// Replaces the tasks of a service by new ones of the same spec.
pub async fn restart(
    swarm: &Swarm,
    folder: &Path,
    app: &AppSpec,
    service: &str,
) -> Result<(), Fault> {
    let mut command = docker(swarm.socket())?;
    command
        .args(["service", "update", "--force", "--detach", "--quiet"])
        .arg("--no-resolve-image")
        .arg(app.stack.object(service));
    match run(Some(app), folder, command, "docker service update").await? {
        None => Ok(()),
        Some(failure) => Err(failure.fault(&format!("restarting {service}"))),
    }
}

/// Docker's client for the engine behind this socket, with an empty configuration.
fn docker(socket: &Path) -> Result<Command, Fault> {
    let mut command = Command::new(program()?);
    command
        .env_clear()
        .arg("--host")
        .arg(format!("unix://{}", socket.display()))
        .args(["--config", CONFIG]);
    Ok(command)
}

/// The folder of the client's configuration, beside its socket.
const CONFIG: &str = "client";

fn program() -> Result<PathBuf, Fault> {
    let missing =
        || Fault::infra("there is no `docker` on the path; `cargo xtask doctor --fix` installs it");
    let path = child::on_path(Path::new("docker")).ok_or_else(missing)?;
    path.canonicalize()
        .map_err(|error| Fault::infra(format!("{}: {error}", path.display())))
}

/// What a client that failed said, and how it ended.
struct Failure {
    program: &'static str,
    said: String,
    status: ExitStatus,
}

/// Runs Docker's client in `folder` to its end. None: it did what it was asked for.
async fn run(
    app: Option<&AppSpec>,
    folder: &Path,
    mut command: Command,
    program: &'static str,
) -> Result<Option<Failure>, Fault> {
    let config = folder.join(CONFIG);
    std::fs::create_dir_all(&config)
        .map_err(|error| Fault::infra(format!("{}: {error}", config.display())))?;
    command.current_dir(folder);
    let mut read: Vec<PathBuf> = LINKED.iter().map(PathBuf::from).collect();
    read.extend([self::program()?, folder.to_owned()]);
    let confined = Confined {
        read,
        ..Confined::default()
    };
    let lock = app.map(|app| &*app.lock);
    let ended = child::run(command, lock, Some(confined), program, DEPLOY_WITHIN).await?;
    Ok((!ended.status.success()).then(|| Failure {
        program,
        said: String::from_utf8_lossy(&ended.stderr).into_owned(),
        status: ended.status,
    }))
}

/// A recipe's variables are the client's environment, for it puts them into the files. None may
/// decide how the client itself works: what its loader, its runtime or its own settings read.
fn refuse_steering(variables: &BTreeMap<String, String>) -> Result<(), Fault> {
    const PREFIXES: [&str; 5] = ["DOCKER_", "LD_", "MALLOC_", "OTEL_", "GODEBUG"];
    // What the C library reads, as its manual lists it for programs with more rights than their
    // users.
    const NAMES: [&str; 8] = [
        "GCONV_PATH",
        "GETCONF_DIR",
        "GLIBC_TUNABLES",
        "GOTRACEBACK",
        "HOSTALIASES",
        "LOCPATH",
        "NLSPATH",
        "RESOLV_HOST_CONF",
    ];
    let steers = |key: &&String| {
        NAMES.contains(&key.as_str()) || PREFIXES.iter().any(|prefix| key.starts_with(prefix))
    };
    match variables.keys().find(steers) {
        Some(key) => Err(Fault::infra(format!(
            "not judged: the app's environment sets {key}, which would steer Docker's client on this host"
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

    #[rstest::rstest]
    #[case("DOCKER_HOST", true)]
    #[case("DOCKER_CONTENT_TRUST_SERVER", true)]
    #[case("LD_PRELOAD", true)]
    #[case("OTEL_EXPORTER_OTLP_ENDPOINT", true)]
    #[case("HOME", false)]
    #[case("PATH", false)]
    #[case("DB_HOST", false)]
    fn an_app_may_not_steer_the_client(#[case] key: &str, #[case] refused: bool) {
        let variables = [(key.to_owned(), "tcp://elsewhere".to_owned())].into();
        let fault = refuse_steering(&variables);
        assert_eq!(matches!(fault, Err(Fault::Infra(_))), refused, "{fault:?}");
    }
}
