//! Namespaces, links, programs and rules of one test. All of it goes with its guards.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use harness::site::Network;
use harness::site::wall::{Family, Wall};

const PATIENCE: Duration = Duration::from_secs(20);

pub fn run(words: &str) -> String {
    run_with(words, "")
}

/// A command of plain words, fed with `input`.
pub fn run_with(words: &str, input: &str) -> String {
    let mut words_of = words.split_whitespace();
    let mut child = Command::new(words_of.next().unwrap())
        .args(words_of)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let done = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{words}: {said}");
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// Why the tests here can't be done, where they can't.
pub fn impossible() -> bool {
    let root = rustix::process::geteuid().is_root();
    let has = |program: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
    };
    let why = match (root, has("ip") && has("iptables") && has("ip6tables")) {
        (false, _) => "not root",
        (_, false) => "no `ip` or no `iptables`",
        _ => return false,
    };
    eprintln!("skipped: {why}, so no packet can be sent past the wall");
    true
}

/// The static program, in a folder.
pub fn peer(folder: &Path) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wall/peer.rs");
    let (binary, source) = (folder.join("peer"), source.display().to_string());
    let flags = "-O --edition 2024 -C target-feature=+crt-static -o";
    run(&format!("rustc {flags} {} {source}", binary.display()));
    binary.display().to_string()
}

/// A network namespace.
pub struct Space(pub String);

impl Space {
    pub fn new(name: &str) -> Self {
        let space = Self(format!("ccw-{name}-{}", std::process::id()));
        run(&format!("ip netns add {}", space.0));
        space.ip("link set lo up");
        space
    }

    pub fn ip(&self, words: &str) {
        run(&format!("ip -n {} {words}", self.0));
    }

    pub fn inside(&self, words: &str) -> String {
        format!("ip netns exec {} {words}", self.0)
    }

    /// A link to `other`'s, or with none to the machine's own: its name here and there.
    pub fn link(&self, here: &str, there: &str, other: Option<&Self>) {
        let other = other.map_or(String::new(), |other| format!("netns {}", other.0));
        let other = if other.is_empty() {
            "netns 1".to_owned()
        } else {
            other
        };
        self.ip(&format!(
            "link add {here} type veth peer name {there} {other}"
        ));
    }

    pub fn addresses(&self, link: &str, addresses: &[&str]) {
        for address in addresses {
            let at_once = if address.contains(':') { "nodad" } else { "" };
            self.ip(&format!("addr add {address} dev {link} {at_once}"));
        }
        self.ip(&format!("link set {link} up"));
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        run(&format!("ip netns del {}", self.0));
    }
}

/// Listeners: what they heard is what arrived.
pub struct Witness {
    child: Child,
    tell: ChildStdin,
    heard: Receiver<String>,
    pub ports: Vec<u16>,
}

impl Witness {
    pub fn new(words: &str) -> Self {
        let mut words = words.split_whitespace();
        let mut child = Command::new(words.next().unwrap())
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, heard) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|l| tell.send(l)));
        let mut witness = Self {
            tell: child.stdin.take().unwrap(),
            child,
            heard,
            ports: Vec::new(),
        };
        loop {
            let line = witness.heard.recv_timeout(PATIENCE).unwrap();
            match line.strip_prefix("at ") {
                Some(port) => witness.ports.push(port.parse().unwrap()),
                None => break assert_eq!(line, "ready"),
            }
        }
        witness
    }

    /// What it heard since it was last asked, sorted. An attack waits for its answer, so what
    /// arrived was heard by then.
    pub fn heard(&mut self) -> Vec<String> {
        const MARK: &str = "that is all";
        writeln!(self.tell, "{MARK}").unwrap();
        let lines = std::iter::from_fn(|| self.heard.recv_timeout(PATIENCE).ok());
        let mut all: Vec<_> = lines.take_while(|line| line != MARK).collect();
        for line in &mut all {
            *line = line.strip_prefix("heard ").unwrap().to_owned();
        }
        all.sort();
        all
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Targets with what came of each, by the attacker's own word.
pub fn attack(by: &str, targets: &[String]) -> BTreeMap<String, String> {
    let said = run(&format!("{by} attack {}", targets.join(" ")));
    let came: BTreeMap<_, _> = said
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(target, came)| (target.to_owned(), came.to_owned()))
        .collect();
    assert_eq!(came.len(), targets.len(), "{said}");
    came
}

pub fn answered(came: &BTreeMap<String, String>) -> Vec<&str> {
    let answered = came.iter().filter(|(_, came)| *came == "answered");
    answered.map(|(target, _)| target.as_str()).collect()
}

/// Builds a wall where it does not stand; `inside` says in which machine a command is run.
pub fn build(
    family: Family,
    network: &Network,
    resolvers: &[&str],
    inside: &dyn Fn(&str) -> String,
) {
    let resolvers: Vec<_> = resolvers.iter().map(|text| text.parse().unwrap()).collect();
    let wall = Wall::new(family, network, &resolvers);
    let listing = || run(&inside(&family.list().join(" ")));
    let before = listing();
    if wall.gap(&before).is_some() {
        run_with(&inside(&family.restore().join(" ")), &wall.mend(&before));
    }
    assert_eq!(wall.gap(&listing()), None);
}
