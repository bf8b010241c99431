//! Observing the swarm: convergence, tasks, logs, evidence, residue.
//!
//! Invariants: nothing here decides a verdict; every look at the engine has a deadline; a removal
//! touches only what came after the app's start and is the stack's by more than a label.
//!
//! This room must not know: engines.

mod before;
mod belongings;
mod converge;
mod differences;
mod ended;
mod evidence;
mod exec;
mod images;
mod judge;
mod live;
mod logs;
mod look;
mod manifest;
mod memory;
mod removal;
mod services;
mod whose;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};

use crate::fault::Fault;
use crate::recipe::StackName;
use crate::redact::Learning;

pub use before::{Before, Objects};
pub use belongings::{Remains, remains, residue, secret_names};
pub use converge::{
    Converged, ConvergedService, ConvergedTask, Wanted, address, converge, restarts,
    running_container, still_converged, wanted,
};
pub use differences::{Expected, differences};
pub use evidence::{collect, log_file};
pub use exec::{ExecOutput, exec, exec_in};
pub use images::{SILENCE, built_here, is_present, login, pull_if_missing};
pub use live::{LiveConfig, LiveMount, LiveService, MountedVolume, live, mounted_volumes};
pub use manifest::download_size;
pub use removal::{Removed, anonymous_volumes, remove_secrets, remove_stack};
pub use services::{container_labelled, foreign_names, remove_service, service_names};

/// What Docker puts on every object of a stack.
pub const NAMESPACE: &str = "com.docker.stack.namespace";

const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// For one request; waits have deadlines of their own.
const REQUEST_SECONDS: u64 = 60;
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// A Docker engine that answers.
#[derive(Debug, Clone)]
pub struct Swarm {
    docker: Docker,
    socket: PathBuf,
    engine_id: String,
    manager: bool,
    ipvs: bool,
    redactor: Learning,
}

impl Swarm {
    /// Connects to the engine at `DOCKER_HOST`, which must be a Unix socket, or at the usual one.
    pub async fn connect() -> Result<Self, Fault> {
        let host = std::env::var("DOCKER_HOST")
            .ok()
            .filter(|host| !host.is_empty())
            .unwrap_or_else(|| DEFAULT_HOST.to_owned());
        Self::connect_to(&host).await
    }

    /// Connects to the engine at `host`: `unix://` and a path.
    pub async fn connect_to(host: &str) -> Result<Self, Fault> {
        let Some(socket) = host.strip_prefix("unix://") else {
            return Err(Fault::usage(format!(
                "DOCKER_HOST is `{host}`: only a Unix socket will do (unix:///path/to/docker.sock)"
            )));
        };
        let silent = |why: String| {
            Fault::infra(format!(
                "Docker does not answer at {host}: {why}; is the daemon running, and may this user \
                 open the socket?"
            ))
        };
        let asked = tokio::time::timeout(ANSWER_WITHIN, async {
            let docker = Docker::connect_with_unix(host, REQUEST_SECONDS, API_DEFAULT_VERSION)?
                .negotiate_version()
                .await?;
            let info = docker.info().await?;
            Ok::<_, bollard::errors::Error>((docker, info))
        });
        let (docker, info) = match asked.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(silent(because(&error))),
            Err(_) => return Err(silent(format!("no answer in {ANSWER_WITHIN:?}"))),
        };
        let swarm = info.swarm.unwrap_or_default();
        Ok(Self {
            docker,
            socket: PathBuf::from(socket),
            engine_id: info.id.unwrap_or_default(),
            manager: swarm.control_available == Some(true)
                && swarm.local_node_state == Some(bollard::models::LocalNodeState::ACTIVE),
            ipvs: kernel_has_ipvs(Path::new("/"), info.kernel_version.as_deref().unwrap_or("")),
            redactor: Learning::default(),
        })
    }

    /// What this room cuts out of logs is redacted by it first.
    #[must_use]
    pub fn with_redactor(self, redactor: Learning) -> Self {
        Self { redactor, ..self }
    }

    /// As if service addresses answered here: for a look at what is deployed where they do.
    #[must_use]
    pub fn assume_virtual_addresses(self) -> Self {
        Self { ipvs: true, ..self }
    }

    /// The Docker API itself, for what this room has no word for.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Tells engines apart: host-wide locks are kept by it.
    pub fn engine_id(&self) -> &str {
        &self.engine_id
    }

    /// The engine's socket: who may open it may use the engine.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether the node is a manager of an active swarm: stacks can be deployed.
    pub fn is_manager(&self) -> bool {
        self.manager
    }

    /// Whether service addresses (VIPs) do not answer here, so that the overlay must ask for
    /// `endpoint_mode: dnsrr` and for ports in `mode: host`.
    pub fn needs_dnsrr(&self) -> bool {
        !self.ipvs
    }

    /// A request that failed, as a fault of the infrastructure.
    pub(crate) fn fault(what: impl std::fmt::Display, error: &bollard::errors::Error) -> Fault {
        Fault::infra(format!("{what}: {}", because(error)))
    }
}

/// Where the engine keeps images and volumes, if it says so.
pub async fn root_dir(swarm: &Swarm) -> Result<Option<String>, Fault> {
    let info = swarm.docker().info().await;
    let info = info.map_err(|error| Swarm::fault("asking Docker for its folder", &error))?;
    Ok(info.docker_root_dir.filter(|dir| dir.starts_with('/')))
}

/// IPVS is compiled in and loaded, or there is a module of this kernel that Docker can load.
fn kernel_has_ipvs(root: &Path, release: &str) -> bool {
    if root.join("proc/net/ip_vs").exists() {
        return true;
    }
    if release.is_empty() || release.contains('/') {
        return false;
    }
    ["lib/modules", "usr/lib/modules"].iter().any(|modules| {
        ["modules.builtin", "modules.dep"].iter().any(|list| {
            std::fs::read_to_string(root.join(modules).join(release).join(list))
                .is_ok_and(|text| text.contains("/ip_vs.ko"))
        })
    })
}

/// The whole chain of causes: the client's own message often says only "client error".
pub(crate) fn because(error: &bollard::errors::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Whether the engine answered with this HTTP status.
pub(crate) fn answered(error: &bollard::errors::Error, status: u16) -> bool {
    matches!(
        error,
        bollard::errors::Error::DockerResponseServerError { status_code, .. }
            if *status_code == status
    )
}

/// The filter for everything with the stack's namespace label.
pub(crate) fn of_stack(stack: &StackName) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{NAMESPACE}={stack}")])])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_is_not_there_is_an_infrastructure_fault_that_names_it() {
        let fault = Swarm::connect_to("unix:///nowhere/docker.sock")
            .await
            .unwrap_err();
        assert!(matches!(fault, Fault::Infra(_)), "{fault:?}");
        assert!(
            fault
                .to_string()
                .starts_with("Docker does not answer at unix:///nowhere/docker.sock: "),
            "{fault}"
        );
    }

    #[tokio::test]
    async fn a_socket_that_never_answers_is_given_up_after_five_seconds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _listener = tokio::net::UnixListener::bind(&path).unwrap();
        let started = std::time::Instant::now();
        let fault = Swarm::connect_to(&format!("unix://{}", path.display()))
            .await
            .unwrap_err();
        assert!(matches!(fault, Fault::Infra(_)), "{fault:?}");
        assert!(started.elapsed() < Duration::from_secs(8));
    }

    #[rstest::rstest]
    #[case::loaded("proc/net/ip_vs", "", true)]
    #[case::module(
        "lib/modules/6.1/modules.dep",
        "kernel/net/netfilter/ipvs/ip_vs.ko.xz: x\n",
        true
    )]
    #[case::built_in(
        "lib/modules/6.1/modules.builtin",
        "kernel/net/netfilter/ipvs/ip_vs.ko\n",
        true
    )]
    #[case::another_kernel(
        "lib/modules/5.10/modules.dep",
        "kernel/net/netfilter/ipvs/ip_vs.ko: x\n",
        false
    )]
    #[case::scheduler_alone(
        "lib/modules/6.1/modules.dep",
        "kernel/net/netfilter/ipvs/ip_vs_rr.ko: x\n",
        false
    )]
    fn ipvs_is_detected(#[case] file: &str, #[case] content: &str, #[case] expected: bool) {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        assert_eq!(kernel_has_ipvs(root.path(), "6.1"), expected);
    }
}
