//! What a run needs of Docker, and how it is mended.
//!
//! An engine that runs is never restarted, a swarm never left: others may live there. Stacks from
//! before stay as well: removing the dead ones is the janitor's work, which knows whose they are.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::Check;
use super::host::Host;
use super::step::Step;

const PID_FILE: &str = "/var/run/docker.pid";
const CONTAINERD_PID_FILE: &str = "/var/run/docker/containerd/containerd.pid";
const LOG: &str = "/var/log/cc-ci-dockerd.log";
const START_DEADLINE: Duration = Duration::from_secs(90);

/// The part of `docker info` that is used here.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Info {
    pub server_version: String,
    pub docker_root_dir: String,
    pub server_errors: Vec<String>,
    pub swarm: Swarm,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Swarm {
    #[serde(rename = "LocalNodeState")]
    pub state: String,
    #[serde(rename = "ControlAvailable")]
    pub manager: bool,
    #[serde(rename = "NodeAddr")]
    pub address: String,
    #[serde(rename = "Error")]
    pub error: String,
}

/// What the engine says of itself, or why it doesn't. The clients differ when it is down: an old
/// one leaves the fields out, a new one leaves them empty and both write the cause to another place.
pub fn info(host: &dyn Host) -> Result<Info, String> {
    let answer = host.ask(&["docker", "info", "--format", "{{json .}}"]);
    match serde_json::from_str::<Info>(&answer.stdout) {
        Ok(info) if !info.server_version.is_empty() => Ok(info),
        Ok(info) if !info.server_errors.is_empty() => Err(info.server_errors.join("; ")),
        _ if answer.stderr.trim().is_empty() => Err("it gave no answer".to_owned()),
        _ => Err(answer.stderr.trim().to_owned()),
    }
}

pub fn account(host: &dyn Host) -> Check {
    const WHAT: &str = "account";
    if host.is_root() {
        return Check::there(WHAT, "root");
    }
    match info(host) {
        Ok(_) => Check::there(WHAT, "not root, and may use Docker"),
        Err(why) if why.contains("permission denied") => {
            Check::broken(WHAT, "not root, and not in the group that may use Docker")
                .advise("sudo usermod -aG docker \"$USER\"   (then log in again)")
        }
        Err(_) => Check::broken(WHAT, "not root, and there is no Docker that answers")
            .advise("run this as root once: sudo env \"PATH=$PATH\" cargo xtask doctor --fix"),
    }
}

pub fn package(host: &dyn Host) -> Check {
    const WHAT: &str = "docker";
    let client = host.has("docker");
    // The engine may be another machine's: then no dockerd is needed here.
    if client && let Ok(info) = info(host) {
        return Check::there(WHAT, format!("engine {}", info.server_version));
    }
    match (client, host.has("dockerd")) {
        (true, true) => Check::there(WHAT, "installed"),
        (false, true) => install(host, WHAT, "dockerd is here, the client `docker` is not"),
        (true, false) => install(
            host,
            WHAT,
            "the client is here, the engine `dockerd` is not",
        ),
        (false, false) => install(host, WHAT, "not installed"),
    }
}

fn install(host: &dyn Host, what: &'static str, fact: &str) -> Check {
    let check = Check::missing(what, fact);
    match apt_install(host, &["docker.io", "iptables"]) {
        Ok(steps) => check.fix(steps),
        Err(why) => check.advise(format!(
            "{why}: install Docker Engine 20.10 or newer by hand, https://docs.docker.com/engine/install/"
        )),
    }
}

/// The steps that install Debian packages, or why they can't be done here.
pub fn apt_install(host: &dyn Host, packages: &[&str]) -> Result<Vec<Step>, &'static str> {
    if !host.has("apt-get") {
        return Err("this system has no apt-get");
    }
    if !host.is_root() {
        return Err("not root, so packages can't be installed");
    }
    let argv = ["apt-get", "install", "-y", "--no-install-recommends"];
    Ok(vec![
        Step::run(["apt-get", "update"]),
        Step::Run(
            argv.iter()
                .chain(packages)
                .map(ToString::to_string)
                .collect(),
        ),
    ])
}

pub fn daemon(host: &dyn Host) -> Check {
    const WHAT: &str = "docker engine";
    let why = match info(host) {
        Ok(info) if info.swarm.state == "pending" => {
            return Check::missing(WHAT, "answers, but its swarm is still starting")
                .fix([wait(None)]);
        }
        Ok(info) => return Check::there(WHAT, format!("answers, {}", info.server_version)),
        Err(why) => why,
    };
    if !host.has("docker") || (!host.has("dockerd") && host.env("DOCKER_HOST").is_none()) {
        return Check::missing(WHAT, "not installed").fix(start(host).unwrap_or_default());
    }
    if let Some(address) = host.env("DOCKER_HOST") {
        return Check::broken(
            WHAT,
            format!("DOCKER_HOST is {address}, which does not answer: {why}"),
        )
        .advise("unset DOCKER_HOST, or start the engine there");
    }
    if !host.is_root() {
        return Check::broken(WHAT, format!("does not answer this user: {why}"))
            .advise("sudo systemctl start docker");
    }
    let check = Check::missing(WHAT, format!("not running: {why}"));
    match start(host) {
        Ok(steps) => check.fix(steps),
        Err(pid) => Check::broken(
            WHAT,
            format!("dockerd (process {pid}) runs and does not answer yet: {why}"),
        )
        .fix([wait(None)]),
    }
}

/// The steps that start the engine; or the process id of the one that runs already.
fn start(host: &dyn Host) -> Result<Vec<Step>, u32> {
    if host.exists("/run/systemd/system") {
        return Ok(vec![
            Step::run(["systemctl", "start", "docker"]),
            wait(None),
        ]);
    }
    let mut steps = Vec::new();
    for (file, owner) in [(PID_FILE, "dockerd"), (CONTAINERD_PID_FILE, "containerd")] {
        match holder(host, file) {
            Holder::Nobody => {}
            Holder::Running { name, pid } if name == owner => {
                // Its containerd outlives a killed dockerd, and the next dockerd takes it over.
                if owner == "dockerd" {
                    return Err(pid);
                }
            }
            // dockerd refuses to start, or waits for a containerd that isn't one, when the process
            // id in the file is alive, whoever has it now.
            Holder::Running { .. } | Holder::Stale => steps.push(Step::RemoveFile(file.into())),
        }
    }
    let log = PathBuf::from(LOG);
    steps.push(Step::Detach {
        argv: vec!["dockerd".to_owned()],
        log: log.clone(),
    });
    steps.push(wait(Some(log)));
    Ok(steps)
}

enum Holder {
    Nobody,
    Stale,
    Running { name: String, pid: u32 },
}

/// Who has the process id that a pid file names.
fn holder(host: &dyn Host, file: &str) -> Holder {
    let Some(text) = host.read(file) else {
        return Holder::Nobody;
    };
    let Ok(pid) = text.trim().parse::<u32>() else {
        return Holder::Stale;
    };
    match host.read(&format!("/proc/{pid}/comm")) {
        Some(name) => Holder::Running {
            name: name.trim().to_owned(),
            pid,
        },
        None => Holder::Stale,
    }
}

fn wait(log: Option<PathBuf>) -> Step {
    Step::WaitForDocker {
        deadline: START_DEADLINE,
        log,
    }
}

pub fn swarm(host: &dyn Host) -> Check {
    const WHAT: &str = "swarm";
    let Ok(info) = info(host) else {
        return unanswered(WHAT).fix([init()]);
    };
    let swarm = info.swarm;
    match (swarm.state.as_str(), swarm.manager) {
        ("inactive", _) => Check::missing(WHAT, "this engine is in no swarm").fix([init()]),
        ("active", true) => answering(host, &swarm),
        ("active", false) => Check::broken(
            WHAT,
            "this node is a worker; apps can be deployed on a manager only",
        )
        .advise("run this on a manager, or there: docker node promote <this node>"),
        ("locked", _) => Check::broken(WHAT, "the swarm is locked").advise("docker swarm unlock"),
        (state, _) => {
            let error = match swarm.error.as_str() {
                "" => "the engine gives no reason",
                error => error,
            };
            gone(&format!("in state `{state}`: {error}"), &swarm)
        }
    }
}

fn init() -> Step {
    Step::run(["docker", "swarm", "init", "--advertise-addr", "127.0.0.1"])
}

/// A manager whose address is gone says `active` and has no leader. One that takes no tasks is left
/// as it is: somebody may have drained it on purpose.
fn answering(host: &dyn Host, swarm: &Swarm) -> Check {
    let format = "{{.Self}} {{.Availability}} {{.ID}}";
    let nodes = host.ask(&["docker", "node", "ls", "--format", format]);
    if !nodes.ok {
        return gone(
            &format!("active, but does not answer: {}", nodes.stderr.trim()),
            swarm,
        );
    }
    let mut lines = nodes.stdout.lines().map(str::split_whitespace);
    let this = lines.find_map(|mut words| {
        let (own, availability, id) = (words.next()?, words.next()?, words.next()?);
        (own == "true").then_some((availability, id))
    });
    match this {
        Some((availability, id)) if !availability.eq_ignore_ascii_case("active") => Check::broken(
            "swarm",
            format!(
                "this node takes no tasks: its availability is {}",
                availability.to_lowercase()
            ),
        )
        .advise(format!("docker node update --availability active {id}")),
        _ => Check::there("swarm", format!("active, a manager at {}", swarm.address)),
    }
}

fn gone(fact: &str, swarm: &Swarm) -> Check {
    let address = match swarm.address.as_str() {
        "" => "unknown",
        address => address,
    };
    Check::broken(
        "swarm",
        format!("{fact} (its address is {address}; is that still this machine's?)"),
    )
    .advise(format!(
        "give the address back, or begin anew, which loses every stack of the old swarm: \
         docker swarm leave --force && {}",
        init()
    ))
}

pub fn proxy(host: &dyn Host) -> Check {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Network {
        driver: String,
        attachable: bool,
    }
    const WHAT: &str = "network proxy";
    let create = Step::run([
        "docker",
        "network",
        "create",
        "--driver",
        "overlay",
        "--attachable",
        "proxy",
    ]);
    if info(host).is_err() {
        return unanswered(WHAT).fix([create]);
    }
    let answer = host.ask(&[
        "docker",
        "network",
        "inspect",
        "proxy",
        "--format",
        "{{json .}}",
    ]);
    if !answer.ok {
        let absent =
            answer.stderr.contains("not found") || answer.stderr.contains("No such network");
        return if absent {
            Check::missing(WHAT, "not there").fix([create])
        } else {
            Check::broken(WHAT, answer.stderr.trim())
        };
    }
    let again = format!("when nothing uses it any more: docker network rm proxy && {create}");
    match serde_json::from_str::<Network>(&answer.stdout) {
        Ok(Network { driver, .. }) if driver != "overlay" => {
            Check::broken(WHAT, format!("its driver is {driver}, and must be overlay"))
                .advise(again)
        }
        Ok(Network {
            attachable: false, ..
        }) => {
            Check::broken(WHAT, "not attachable: the edge's container can't join it").advise(again)
        }
        Ok(_) => Check::there(WHAT, "overlay, attachable"),
        Err(error) => Check::broken(WHAT, format!("docker's answer can't be read: {error}")),
    }
}

/// The same for a server's own proxy, which came before: an empty network in its place would only
/// hide that it is not there.
pub fn servers_proxy(host: &dyn Host) -> Check {
    let check = proxy(host);
    if check.fix.is_empty() {
        return check;
    }
    check
        .fix([])
        .advise("deploy the server's Traefik, as docs/operate.md says, which joins this network")
}

fn unanswered(what: &'static str) -> Check {
    Check::unknown(what, "known once Docker answers")
}
