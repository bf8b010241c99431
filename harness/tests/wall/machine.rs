//! A machine of three namespaces: a task behind the bridge of that name, the machine with the
//! rules, and a network behind it. No rule of the real machine is touched.

use harness::site::Network;
use harness::site::wall::Family;

use super::place::{Space, Witness, answered, attack, build, impossible, peer, run};

struct Machine {
    task: Space,
    host: Space,
    behind: Space,
    peer: String,
    _folder: tempfile::TempDir,
}

impl Machine {
    fn new(name: &str) -> Self {
        let [task, host, behind] =
            ["task", "host", "behind"].map(|part| Space::new(&format!("{name}-{part}")));
        let folder = tempfile::tempdir().unwrap();
        host.ip("link add docker_gwbridge type bridge");
        host.addresses("docker_gwbridge", &["172.18.0.1/16", "fd18::1/64"]);
        bridged(&task, "task", &host);
        task.addresses("eth1", &["172.18.0.2/16", "fd18::2/64"]);
        task.ip("route add default via 172.18.0.1");
        task.ip("-6 route add default via fd18::1");
        behind.link("out", "uplink", Some(&host));
        host.addresses(
            "uplink",
            &["10.213.0.1/24", "11.213.0.1/24", "fd13::1/64", "2a13::1/64"],
        );
        behind.addresses("out", &["10.213.0.2/24", "10.213.0.3/24", "11.213.0.2/24"]);
        behind.addresses("out", &["fd13::2/64", "fd13::3/64", "2a13::2/64"]);
        behind.ip("route add 172.18.0.0/16 via 10.213.0.1");
        behind.ip("-6 route add fd18::/64 via fd13::1");
        for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            let file = format!("/proc/sys/net/{switch}");
            super::place::run_with(&host.inside(&format!("tee {file}")), "1");
        }
        // As Docker leaves it.
        for rule in [
            "-N DOCKER-USER",
            "-A FORWARD -j DOCKER-USER",
            "-A DOCKER-USER -j RETURN",
        ] {
            run(&host.inside(&format!("iptables {rule}")));
        }
        Self {
            peer: peer(folder.path()),
            task,
            host,
            behind,
            _folder: folder,
        }
    }

    fn listen(&self, space: &Space, at: &str) -> Witness {
        Witness::new(&space.inside(&format!("{} listen {at}", self.peer)))
    }

    fn attack(&self, targets: &[&str]) -> Vec<String> {
        let targets: Vec<_> = targets.iter().map(ToString::to_string).collect();
        let came = attack(&self.task.inside(&self.peer), &targets);
        answered(&came).into_iter().map(str::to_owned).collect()
    }

    fn build(&self, family: Family, nets: &[&str], resolvers: &[&str]) {
        let network = Network {
            tasks_reach: nets.iter().map(|net| net.parse().unwrap()).collect(),
        };
        build(family, &network, resolvers, &|words| {
            self.host.inside(words)
        });
    }
}

/// A task's way out, as Docker makes it.
fn bridged(task: &Space, name: &str, host: &Space) {
    task.link("eth1", name, Some(host));
    host.ip(&format!("link set {name} master docker_gwbridge up"));
}

/// What is asked for, by each way; sorted, as answers are.
fn each(ways: &[&str], addresses: &[&str]) -> Vec<String> {
    let mut all: Vec<_> = ways
        .iter()
        .flat_map(|way| {
            addresses
                .iter()
                .map(move |address| format!("{way}/{address}"))
        })
        .collect();
    all.sort();
    all
}

struct Asked {
    family: Family,
    /// A private neighbour, this host by both of its addresses.
    inner: [&'static str; 3],
    outer: &'static str,
    resolver: &'static str,
    proxy: &'static str,
    allowed: &'static str,
}

const V4: Asked = Asked {
    family: Family::V4,
    inner: ["10.213.0.2:7000", "10.213.0.1:7000", "172.18.0.1:7000"],
    outer: "11.213.0.2:7000",
    resolver: "10.213.0.3:53",
    proxy: "10.213.0.1:443",
    allowed: "10.213.0.0/24",
};
const V6: Asked = Asked {
    family: Family::V6,
    inner: ["[fd13::2]:7000", "[fd13::1]:7000", "[fd18::1]:7000"],
    outer: "[2a13::2]:7000",
    resolver: "[fd13::3]:53",
    proxy: "[fd13::1]:443",
    allowed: "fd13::/64",
};

#[rstest::rstest]
#[case::v4(V4, "four")]
#[case::v6(V6, "six")]
fn what_arrives_without_the_wall_does_not_with_it(#[case] asked: Asked, #[case] name: &str) {
    if impossible() {
        return;
    }
    let machine = Machine::new(name);
    let ways = ["tcp", "udp"];
    let resolver = asked
        .resolver
        .trim_end_matches(":53")
        .trim_matches(['[', ']']);
    // A resolver's address is open on its port only, a proxy's port by TCP only.
    let other_port = asked.resolver.replace(":53", ":7000");
    let hosts_53 = asked.inner[1].replace(":7000", ":53");
    let closed = [asked.inner.as_slice(), &[&other_port, &hosts_53]].concat();
    // One address each: one that stands for all answers a datagram by an address of its choice.
    let there = [asked.inner[0], asked.outer, asked.resolver, &other_port];
    let here = [asked.inner[1], asked.inner[2], asked.proxy, &hosts_53];
    let mut behind = machine.listen(&machine.behind, &there.join(" "));
    let mut host = machine.listen(&machine.host, &here.join(" "));
    let mut heard = || {
        let mut all = behind.heard();
        all.append(&mut host.heard());
        all.sort();
        all
    };
    let open = [asked.outer, asked.resolver];
    let mut passes = each(&ways, &open);
    passes.push(format!("tcp/{}", asked.proxy));
    passes.sort();
    let mut all = [
        each(&ways, &closed),
        passes.clone(),
        each(&["udp"], &[asked.proxy]),
    ]
    .concat();
    all.sort();
    let targets: Vec<_> = all.iter().map(String::as_str).collect();

    // The neighbours of a new link find each other in their own time.
    let arrives = (0..10).any(|_| machine.attack(&targets) == all);
    assert!(arrives, "without the wall all of it arrives");
    heard();
    assert_eq!(machine.attack(&targets), all);
    assert_eq!(heard(), all);

    machine.build(asked.family, &[], &[resolver]);
    assert_eq!(machine.attack(&targets), passes);
    assert_eq!(heard(), passes, "the witnesses heard nothing else");

    machine.build(asked.family, &[asked.allowed], &[resolver]);
    let behind_bridge = |target: &&String| !target.contains("172.18.") && !target.contains("fd18:");
    let allowed: Vec<_> = all.iter().filter(behind_bridge).cloned().collect();
    assert_eq!(
        machine.attack(&targets),
        allowed,
        "what the site allows by name"
    );
    assert_eq!(heard(), allowed);

    machine.build(asked.family, &["0.0.0.0/0", "::/0"], &[]);
    assert_eq!(
        machine.attack(&targets),
        all,
        "all of it, where the site wants no wall"
    );
    assert_eq!(heard(), all);
}

/// What others ask a task is answered, and a port that is led on to a task is reached by tasks.
#[test]
fn a_task_answers_through_the_wall_and_published_ports_are_reached() {
    if impossible() {
        return;
    }
    let machine = Machine::new("in");
    let other = Space::new("in-other");
    bridged(&other, "other", &machine.host);
    other.addresses("eth1", &["172.18.0.3/16"]);
    other.ip("route add default via 172.18.0.1");
    let mut heard = machine.listen(&other, "0.0.0.0:7000");
    let as_docker_does = [
        "PREROUTING -d 10.213.0.1 -p tcp --dport 8000 -j DNAT --to 172.18.0.3:7000",
        "POSTROUTING -d 172.18.0.3 -o docker_gwbridge -j MASQUERADE",
    ];
    for rule in as_docker_does {
        run(&machine.host.inside(&format!("iptables -t nat -A {rule}")));
    }
    machine.build(Family::V4, &[], &[]);
    let direct = ["tcp/172.18.0.3:7000", "udp/172.18.0.3:7000"].map(str::to_owned);
    for from in [&machine.host, &machine.behind] {
        let came = attack(&from.inside(&machine.peer), &direct);
        assert_eq!(answered(&came), direct, "{came:?}");
        assert_eq!(heard.heard(), direct);
    }
    let published = "tcp/10.213.0.1:8000";
    assert_eq!(
        machine.attack(&[published, "tcp/10.213.0.1:8001"]),
        [published]
    );
    assert_eq!(heard.heard(), [published]);
}
