//! The wall between apps' containers and this host with what lies behind it: two chains of packet
//! filter rules. A container's way out is the bridge `docker_gwbridge`, for the internet as for the
//! host's own ports, a cloud's metadata and the private network that the host is in.
//!
//! Invariants: only the chains named here are written, and the jumps into them; no rule here
//! accepts, so what others forbid stays forbidden; a chain is replaced as a whole, and is at no
//! moment empty. Traffic of overlay networks does not come by here.
//!
//! Must not know: how a machine is asked and changed. That is the set-up's, but for `look`.

use std::net::IpAddr;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;

use super::network::Network;

const BRIDGE: &str = "docker_gwbridge";
/// For what goes on to others.
const TASKS: &str = "CCCI-TASKS";
/// For what is for this host itself.
const HOST: &str = "CCCI-HOST";
/// Where Docker leaves room for others' rules, before its own.
const DOCKER_USER: &str = "DOCKER-USER";
const KNOWN: &str = "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN";
const LOOK: Duration = Duration::from_secs(10);

/// Networks that are not the internet: this host's, private, shared, of documentation and of
/// benchmarks, multicast, reserved.
const NOT_THE_INTERNET: [&str; 16] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    // A cloud's own service to its machines, in spite of its public address.
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
];
/// The same of version 6, of which all but 2000::/3 is refused: protocols' own (with the metadata
/// address of a cloud and ways into version 4), documentation.
const NOT_THE_INTERNET_V6: [&str; 4] = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];
/// What a container asks its gateway's hardware address by.
const NEIGHBOURS: [&str; 3] = ["133", "135", "136"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    /// Lists all rules, as `Wall` reads them.
    pub fn list(self) -> [&'static str; 3] {
        match self {
            Self::V4 => ["iptables", "-w", "-S"],
            Self::V6 => ["ip6tables", "-w", "-S"],
        }
    }

    /// Takes what `Wall::mend` says on its standard input.
    pub fn restore(self) -> [&'static str; 3] {
        match self {
            Self::V4 => ["iptables-restore", "-w", "--noflush"],
            Self::V6 => ["ip6tables-restore", "-w", "--noflush"],
        }
    }

    fn of(self, address: &IpAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }

    fn whole(self) -> u8 {
        if self == Self::V4 { 32 } else { 128 }
    }
}

/// The rules of one family, each as `iptables -S` says it, without its chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wall {
    pub family: Family,
    tasks: Vec<String>,
    host: Vec<String>,
}

/// What is wrong with a wall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// `mend` closes it.
    Mendable(&'static str),
    /// A person has to look: it is in others' rules.
    Others(String),
}

/// The walls that a site wants, of a machine whose files `read` reads.
pub fn walls(network: &Network, read: impl Fn(&str) -> Option<String>) -> Vec<Wall> {
    let resolvers = resolvers(&read);
    let mut walls = vec![Wall::new(Family::V4, network, &resolvers)];
    if bridge_has_v6(&read("/proc/net/if_inet6").unwrap_or_default()) {
        walls.push(Wall::new(Family::V6, network, &resolvers));
    }
    walls
}

impl Wall {
    pub fn new(family: Family, network: &Network, resolvers: &[IpAddr]) -> Self {
        let mut allowed = Vec::new();
        for address in resolvers.iter().filter(|address| family.of(address)) {
            for protocol in ["udp", "tcp"] {
                let whole = family.whole();
                allowed.push(format!(
                    "-d {address}/{whole} -p {protocol} -m {protocol} --dport 53 -j RETURN"
                ));
            }
        }
        let nets = network.tasks_reach.iter().map(|reach| reach.net());
        for net in nets.filter(|net| family.of(&net.addr())) {
            // The form in which the program says it again.
            allowed.push(match net.prefix_len() {
                0 => "-j RETURN".to_owned(),
                _ => format!("-d {net} -j RETURN"),
            });
        }
        Self {
            family,
            tasks: tasks(family, &allowed),
            host: host(family, &allowed),
        }
    }

    /// What keeps this wall from standing, by a listing of all rules.
    pub fn gap(&self, listing: &str) -> Option<Gap> {
        let entrance = self.entrance(listing);
        if entrance == DOCKER_USER {
            let jump = format!("-A FORWARD -j {DOCKER_USER}");
            let mut forward = rules(listing, "FORWARD").take_while(|rule| *rule != jump);
            if !listing.lines().any(|line| line == jump) {
                return Some(Gap::Others(format!(
                    "Docker's chain {DOCKER_USER} is not there: its engine makes no rules"
                )));
            }
            if let Some(rule) = forward.find(|rule| lets_by(rule)) {
                return Some(Gap::Others(format!(
                    "a rule comes before Docker's chain {DOCKER_USER} and may let by what that \
                     refuses: {rule}"
                )));
            }
        }
        for (chain, wanted) in [(TASKS, &self.tasks), (HOST, &self.host)] {
            let there = format!("-N {chain}");
            if !listing.lines().any(|line| line == there) {
                return Some(Gap::Mendable("the rules are not there"));
            }
            let prefix = format!("-A {chain} ");
            let found = rules(listing, chain).map(|rule| rule.strip_prefix(&prefix));
            if !found.eq(wanted.iter().map(|rule| Some(rule.as_str()))) {
                return Some(Gap::Mendable("the rules are others than the site wants"));
            }
        }
        for (from, to) in [(entrance, TASKS), ("INPUT", HOST)] {
            if rules(listing, from).next() != Some(jump(from, to).as_str()) {
                return Some(Gap::Mendable("the rules are not asked first"));
            }
        }
        None
    }

    /// What makes it stand, for `iptables-restore --noflush`: all of it or nothing is done.
    pub fn mend(&self, listing: &str) -> String {
        let mut text = format!("*filter\n:{TASKS} - [0:0]\n:{HOST} - [0:0]\n");
        let mut line = |words: &str| {
            text.push_str(words);
            text.push('\n');
        };
        for (chain, rules) in [(TASKS, &self.tasks), (HOST, &self.host)] {
            for rule in rules {
                line(&format!("-A {chain} {rule}"));
            }
        }
        for (from, to) in [(self.entrance(listing), TASKS), ("INPUT", HOST)] {
            let jump = jump(from, to);
            for _ in rules(listing, from).filter(|rule| *rule == jump) {
                line(&jump.replacen("-A", "-D", 1));
            }
            line(&jump.replacen("-A", "-I", 1));
        }
        line("COMMIT");
        text
    }

    /// Docker may have no such chain for version 6.
    fn entrance(&self, listing: &str) -> &'static str {
        let there = format!("-N {DOCKER_USER}");
        let has = listing.lines().any(|line| line == there);
        match self.family {
            Family::V6 if !has => "FORWARD",
            _ => DOCKER_USER,
        }
    }
}

fn tasks(family: Family, allowed: &[String]) -> Vec<String> {
    let mut chain = vec![
        KNOWN.to_owned(),
        // A published port, which Docker leads to a task.
        format!("-o {BRIDGE} -m conntrack --ctstate DNAT -j RETURN"),
    ];
    chain.extend_from_slice(allowed);
    let refused: &[&str] = match family {
        Family::V4 => &NOT_THE_INTERNET,
        Family::V6 => {
            chain.push(refuse(family, "! -d 2000::/3 "));
            &NOT_THE_INTERNET_V6
        }
    };
    chain.extend(
        refused
            .iter()
            .map(|net| refuse(family, &format!("-d {net} "))),
    );
    chain
}

fn host(family: Family, allowed: &[String]) -> Vec<String> {
    let mut chain = vec![KNOWN.to_owned()];
    match family {
        // Docker may let packets for loopback in by this bridge (`route_localnet`), and who makes
        // its packets by hand can send them.
        Family::V4 => chain.push(refuse(family, "-d 127.0.0.0/8 ")),
        Family::V6 => chain.extend(
            NEIGHBOURS.map(|kind| format!("-p ipv6-icmp -m icmp6 --icmpv6-type {kind} -j RETURN")),
        ),
    }
    // A proxy in `mode: host` is asked here by apps.
    chain.extend(["80", "443"].map(|port| format!("-p tcp -m tcp --dport {port} -j RETURN")));
    chain.extend_from_slice(allowed);
    chain.push(refuse(family, ""));
    chain
}

fn refuse(family: Family, whom: &str) -> String {
    let with = match family {
        Family::V4 => "icmp-port-unreachable",
        Family::V6 => "icmp6-port-unreachable",
    };
    format!("{whom}-j REJECT --reject-with {with}")
}

fn jump(from: &str, to: &str) -> String {
    format!("-A {from} -i {BRIDGE} -j {to}")
}

/// The rules of one chain, in order.
fn rules<'a>(listing: &'a str, chain: &str) -> impl Iterator<Item = &'a str> {
    let prefix = format!("-A {chain} ");
    listing
        .lines()
        .filter(move |line| line.starts_with(&prefix))
}

/// Whether a rule may end the way of a task's packet other than by refusing it.
fn lets_by(rule: &str) -> bool {
    let words: Vec<_> = rule.split(' ').collect();
    let after = |option: &str| {
        let at = words.iter().position(|word| *word == option)?;
        words.get(at + 1).copied().filter(|_| words[at - 1] != "!")
    };
    let other_way = after("-i").is_some_and(|way| way != BRIDGE && !way.ends_with('+'));
    let refuses =
        matches!(after("-j"), Some("DROP" | "REJECT" | "LOG") | None) && after("-g").is_none();
    !other_way && !refuses
}

/// The resolvers that containers ask, as Docker finds them: those of its settings, else this
/// host's. One on loopback it asks itself, from the host.
fn resolvers(read: &impl Fn(&str) -> Option<String>) -> Vec<IpAddr> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Daemon {
        dns: Vec<IpAddr>,
    }
    // Settings that can't be read name none: then the host's are asked.
    let daemon: Daemon = read("/etc/docker/daemon.json")
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    let mut found = daemon.dns;
    if found.is_empty() {
        found = nameservers(&read("/etc/resolv.conf").unwrap_or_default());
    }
    // The stub of systemd: Docker takes those that it asks in turn.
    if let [IpAddr::V4(one)] = found.as_slice()
        && one.octets() == [127, 0, 0, 53]
    {
        found = nameservers(&read("/run/systemd/resolve/resolv.conf").unwrap_or_default());
    }
    found.retain(|address| !address.is_loopback() && !address.is_unspecified());
    found
}

fn nameservers(text: &str) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if words.next() == Some("nameserver")
            && let Some(Ok(address)) = words.next().map(str::parse)
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

/// Whether the bridge has an address of version 6 that leads beyond its own link, by the kernel's
/// table `if_inet6`: address, index, prefix, scope, flags, interface.
fn bridge_has_v6(table: &str) -> bool {
    const LINK: &str = "20";
    table.lines().any(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        matches!(fields[..], [_, _, _, scope, _, BRIDGE] if scope != LINK)
    })
}

/// What the rules can't keep apart: frames from task to task stay on the bridge, and are shown to
/// the rules only if the kernel is told so. Docker does, where it makes the bridge.
pub fn unseen(read: impl Fn(&str) -> Option<String>) -> Option<&'static str> {
    read("/sys/class/net/docker_gwbridge/ifindex")?;
    let shown = read("/proc/sys/net/bridge/bridge-nf-call-iptables");
    (shown.as_deref().map(str::trim) != Some("1")).then_some(
        "apps can reach each other by docker_gwbridge: the setting \
         net.bridge.bridge-nf-call-iptables is not 1",
    )
}

/// What a run has to say where apps can reach more than they may. Only root can look.
pub async fn look(network: &Network) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let read = |path: &str| std::fs::read_to_string(path).ok();
    if let Some(text) = unseen(read) {
        return Some(text.to_owned());
    }
    let mut why = None;
    for wall in walls(network, read) {
        let found = match listed(wall.family).await {
            Ok(listing) => wall.gap(&listing).map(|gap| gap.to_string()),
            Err(error) => Some(error),
        };
        why = why.or(found);
    }
    why.map(|why| {
        format!(
            "apps can reach this host and the network behind it ({why}); `cargo xtask doctor \
             --fix` shuts that"
        )
    })
}

async fn listed(family: Family) -> Result<String, String> {
    let [program, arguments @ ..] = family.list();
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    match tokio::time::timeout(LOOK, command.output()).await {
        Ok(Ok(Output { status, stdout, .. })) if status.success() => {
            Ok(String::from_utf8_lossy(&stdout).into_owned())
        }
        Ok(Ok(Output { stderr, .. })) => Err(format!(
            "{program}: {}",
            String::from_utf8_lossy(&stderr).trim()
        )),
        Ok(Err(error)) => Err(format!("{program}: {error}")),
        Err(_) => Err(format!("{program} does not answer")),
    }
}

impl std::fmt::Display for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mendable(why) => f.write_str(why),
            Self::Others(why) => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests;
