//! A machine made of facts.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use harness::site::Network;
use harness::site::wall::walls;

use super::super::host::{Answer, Host, Space};
use super::super::step::Step;

pub const INFO: &str = "docker info --format {{json .}}";
pub const NODES: &str = "docker node ls --format {{.Self}} {{.Availability}} {{.ID}}";
pub const PROXY: &str = "docker network inspect proxy --format {{json .}}";
pub const PIP: &str = "python3 -m pip --version";

pub const RULES: &str = "iptables -w -S";
/// As Docker leaves them.
pub const BARE: &str = "-N DOCKER-USER\n-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -j RETURN\n";

pub type Effect = fn(&mut Machine);

/// A machine made of facts. A step that is performed changes the facts that are keyed by its text.
#[derive(Clone)]
pub struct Machine {
    pub root: bool,
    pub programs: BTreeSet<&'static str>,
    pub env: BTreeMap<&'static str, &'static str>,
    pub files: BTreeMap<String, String>,
    pub answers: BTreeMap<String, Answer>,
    pub space: Space,
    pub effects: Vec<(&'static str, Effect)>,
}

pub fn said(stdout: &str) -> Answer {
    Answer {
        ok: true,
        stdout: stdout.to_owned(),
        stderr: String::new(),
    }
}

pub fn refused(stderr: &str) -> Answer {
    Answer {
        ok: false,
        stdout: String::new(),
        stderr: stderr.to_owned(),
    }
}

pub fn engine(swarm: &str) -> Answer {
    said(&format!(
        r#"{{"ServerVersion":"20.10.24","DockerRootDir":"/var/lib/docker","Swarm":{swarm}}}"#
    ))
}

pub const MANAGER: &str =
    r#"{"LocalNodeState":"active","ControlAvailable":true,"NodeAddr":"127.0.0.1","Error":""}"#;
pub const NO_SWARM: &str = r#"{"LocalNodeState":"inactive","ControlAvailable":false}"#;
pub const DOWN: &str = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.";

/// The rules of a machine whose apps are kept in, at a site with this setting.
pub fn walled(network: &Network) -> String {
    let wall = walls(network, |_| None).remove(0);
    let made = wall.mend("").replace("-I ", "-A ").replace(':', "-N ");
    let made: String = made.replace(" - [0-N 0]", "");
    // What was put in front is in front.
    let (front, rest): (Vec<_>, Vec<_>) = made.lines().partition(|line| line.contains("-i docker"));
    [front, BARE.lines().collect(), rest].concat().join("\n")
}

/// A machine on which nothing is missing.
pub fn fit() -> Machine {
    let answers = [
        (INFO, engine(MANAGER)),
        (NODES, said("true Active x")),
        (PROXY, said(r#"{"Driver":"overlay","Attachable":true}"#)),
        (PIP, said("pip 23")),
        (RULES, said(&walled(&Network::default()))),
        ("git --version", said("git version 2.39.5")),
        (
            "cargo-nextest nextest --version",
            said("cargo-nextest 0.9.148 (x)"),
        ),
    ];
    Machine {
        root: true,
        programs: ["apt-get", "docker", "dockerd", "iptables", "mmdebstrap"].into(),
        env: BTreeMap::new(),
        files: BTreeMap::new(),
        answers: answers.map(|(key, value)| (key.to_owned(), value)).into(),
        space: Space {
            bytes: 100 << 30,
            free_bytes: 50 << 30,
            inodes: 1000,
            free_inodes: 900,
        },
        effects: Vec::new(),
    }
}

/// A fresh Debian: apt-get and root, and no more.
pub fn fresh() -> Machine {
    Machine {
        programs: ["apt-get"].into(),
        answers: BTreeMap::new(),
        effects: vec![
            ("docker.io", |m| {
                m.programs.extend(["docker", "dockerd", "iptables"])
            }),
            ("setsid --fork dockerd", |m| {
                m.set(INFO, engine(NO_SWARM));
                m.set(RULES, said(BARE));
            }),
            ("iptables-restore", |m| {
                m.set(RULES, said(&walled(&Network::default())));
            }),
            ("swarm init", |m| {
                m.set(INFO, engine(MANAGER));
                m.set(NODES, said("true Active x"));
                m.set(
                    PROXY,
                    refused("Error response from daemon: network proxy not found"),
                );
            }),
            ("network create", |m| {
                m.set(PROXY, said(r#"{"Driver":"overlay","Attachable":true}"#));
            }),
            ("recommends git", |m| {
                m.set("git --version", said("git version 2.39.5"))
            }),
            ("cargo-nextest", |m| {
                m.set(
                    "cargo-nextest nextest --version",
                    said("cargo-nextest 0.9.148"),
                );
            }),
            ("recommends mmdebstrap", |m| {
                m.programs.extend(["mmdebstrap"])
            }),
        ],
        ..fit()
    }
}

impl Machine {
    pub fn set(&mut self, command: &str, answer: Answer) {
        self.answers.insert(command.to_owned(), answer);
    }

    pub fn with(mut self, command: &str, answer: Answer) -> Self {
        self.set(command, answer);
        self
    }

    pub fn without_root(mut self) -> Self {
        self.root = false;
        self
    }

    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }
}

pub struct Fake {
    pub machine: RefCell<Machine>,
    pub performed: RefCell<Vec<String>>,
}

impl Host for Fake {
    fn is_root(&self) -> bool {
        self.machine.borrow().root
    }

    fn env(&self, name: &str) -> Option<String> {
        self.machine.borrow().env.get(name).map(ToString::to_string)
    }

    fn has(&self, program: &str) -> bool {
        self.machine.borrow().programs.contains(program)
    }

    fn ask(&self, argv: &[&str]) -> Answer {
        let machine = self.machine.borrow();
        let answer = machine.answers.get(&argv.join(" ")).cloned();
        answer.unwrap_or_else(|| refused("No such file or directory"))
    }

    fn exists(&self, path: &str) -> bool {
        self.machine.borrow().files.contains_key(path)
    }

    fn read(&self, path: &str) -> Option<String> {
        self.machine.borrow().files.get(path).cloned()
    }

    fn space(&self, _: &str) -> Option<Space> {
        Some(self.machine.borrow().space)
    }

    fn tools(&self) -> PathBuf {
        "/state/tools".into()
    }

    fn perform(&self, step: &Step) -> anyhow::Result<()> {
        let text = step.to_string();
        let effects = self.machine.borrow().effects.clone();
        for (part, effect) in effects {
            if text.contains(part) {
                effect(&mut self.machine.borrow_mut());
            }
        }
        self.performed.borrow_mut().push(text);
        Ok(())
    }
}
