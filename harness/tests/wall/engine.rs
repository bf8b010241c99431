//! The same on this machine's engine: a task of a service, with the way out that Docker gives it.

use std::process::Command;
use std::time::Duration;

use harness::site::Network;
use harness::site::wall::{look, walls};
use harness::wait::{Probe, Unwatched, wait_until};

use super::place::{Space, Witness, answered, attack, impossible, peer, run, run_with};

const LIMIT: Duration = Duration::from_secs(40);

/// Two services on the network `proxy`, and the machine's link to a network of the test's.
struct Stand {
    name: String,
    link: String,
    behind: Space,
    peer: String,
    image: String,
    _folder: tempfile::TempDir,
}

impl Stand {
    fn new() -> Self {
        let id = std::process::id();
        let folder = tempfile::tempdir().unwrap();
        let peer = peer(folder.path());
        let name = format!("ccw-{id}");
        let stand = Self {
            link: format!("ccw{id}"),
            behind: Space::new("engine"),
            image: "cc-ci.local/wall-test:peer".to_owned(),
            peer,
            name,
            _folder: folder,
        };
        let dockerfile = "FROM scratch\nCOPY peer /peer\nENTRYPOINT [\"/peer\"]\n";
        let context = stand._folder.path();
        std::fs::write(context.join("Dockerfile"), dockerfile).unwrap();
        run(&format!(
            "docker build -q -t {} {}",
            stand.image,
            context.display()
        ));
        stand.behind.link("out", &stand.link, None);
        // A number of its own, for two of these tests at once.
        let net = id % 250;
        for first in ["10", "11"] {
            run(&format!(
                "ip addr add {first}.213.{net}.1/24 dev {}",
                stand.link
            ));
            stand
                .behind
                .addresses("out", &[&format!("{first}.213.{net}.2/24")]);
        }
        run(&format!("ip link set {} up", stand.link));
        stand
    }

    fn at(&self, first: u8, last: u8) -> String {
        format!("{first}.213.{}.{last}", std::process::id() % 250)
    }

    /// The id of the container of a service that listens.
    async fn service(&self, part: &str, options: &str) -> String {
        let name = format!("{}-{part}", self.name);
        run(&format!(
            "docker service create --detach --no-resolve-image --stop-grace-period 0s --endpoint-mode dnsrr --name {name} \
             --network proxy {options} {} listen 0.0.0.0:7000",
            self.image
        ));
        let probe = async || match run(&format!("docker ps -q --filter name=^{name}\\.")) {
            id if id.is_empty() => Probe::NotYet("no container yet".to_owned()),
            id if run(&format!("docker logs {id}")).contains("ready") => Probe::Ready(id),
            _ => Probe::NotYet("not ready yet".to_owned()),
        };
        let pause = Duration::from_millis(200);
        wait_until("the service", LIMIT, pause, &Unwatched, probe)
            .await
            .unwrap()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        for part in ["a", "b"] {
            let name = format!("{}-{part}", self.name);
            let _ = Command::new("docker")
                .args(["service", "rm", &name])
                .output();
        }
        let _ = Command::new("ip")
            .args(["link", "del", &self.link])
            .output();
    }
}

fn bridge() -> serde_json::Value {
    let json = run("docker network inspect docker_gwbridge");
    let mut json: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    json.remove(0)
}

/// As Docker gave them to the container's way out.
fn way_out(container: &str) -> String {
    let sandbox = run(&format!(
        "docker inspect -f {{{{.NetworkSettings.SandboxID}}}} {container}"
    ));
    let bridge = bridge();
    let ends = bridge["Containers"].as_object().unwrap();
    let wanted = format!("gateway_{}", &sandbox[..12]);
    let end = ends
        .values()
        .find(|end| end["Name"] == wanted.as_str())
        .unwrap();
    end["IPv4Address"]
        .as_str()
        .unwrap()
        .split('/')
        .next()
        .unwrap()
        .to_owned()
}

/// The walls as the set-up makes them. They stay: they are the machine's.
fn stand_up() {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    for wall in walls(&Network::default(), read) {
        let listing = run(&wall.family.list().join(" "));
        if wall.gap(&listing).is_some() {
            run_with(&wall.family.restore().join(" "), &wall.mend(&listing));
        }
    }
}

#[tokio::test]
async fn docker_no_task_reaches_the_host_or_what_is_behind_it() {
    if impossible() {
        return;
    }
    stand_up();
    assert_eq!(look(&Network::default()).await, None);
    let stand = Stand::new();
    let mut behind = Witness::new(
        &stand
            .behind
            .inside(&format!("{} listen 0.0.0.0:7000", stand.peer)),
    );
    let mut host = Witness::new(&format!("{} listen 0.0.0.0:0", stand.peer));
    let published = host.ports[0].checked_add(1).unwrap();
    let a = stand.service("a", "").await;
    let b = stand
        .service(
            "b",
            &format!("--publish mode=host,target=7000,published={published}"),
        )
        .await;
    let bridge = bridge();
    let bridge = bridge["IPAM"]["Config"][0]["Gateway"].as_str().unwrap();
    let route = run("ip -4 route get 1.1.1.1");
    let own = route
        .split(" src ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();

    let (private, public) = (stand.at(10, 2), stand.at(11, 2));
    let hosts = [bridge, own, &stand.at(10, 1), &stand.at(11, 1)];
    let mut refused = vec!["knock/169.254.169.254:80".to_owned()];
    for way in ["tcp", "udp"] {
        refused.push(format!("{way}/{private}:7000"));
        // Another app, by its way out.
        refused.push(format!("{way}/{}:7000", way_out(&b)));
        for host_address in hosts {
            refused.push(format!("{way}/{host_address}:{}", host.ports[0]));
        }
    }
    refused.push(format!("tcp/{bridge}:{published}"));
    let format = "{{.NetworkSettings.Networks.proxy.IPAddress}}";
    let neighbour = run(&format!("docker inspect -f {format} {b}"));
    let mut passes = Vec::new();
    for way in ["tcp", "udp"] {
        passes.push(format!("{way}/{public}:7000"));
        passes.push(format!("{way}/{neighbour}:7000"));
    }
    // What serves apps on this machine; a listener stands in where nothing does.
    let proxy = format!("{bridge}:443");
    let stand_in = std::net::TcpListener::bind(&proxy);
    passes.push(format!("knock/{proxy}"));
    let resolver = "dns/127.0.0.11:53".to_owned();
    if names_resolve(&stand.peer) {
        passes.push(resolver);
    }

    let all = [refused.clone(), passes.clone()].concat();
    let came = attack(&format!("docker exec {a} /peer"), &all);
    passes.sort();
    assert_eq!(answered(&came), passes, "{came:#?}");
    let arrived: Vec<_> = ["tcp", "udp"]
        .map(|way| format!("{way}/{public}:7000"))
        .into();
    assert_eq!(
        behind.heard(),
        arrived,
        "the witness behind the host heard only what was public"
    );
    assert_eq!(
        host.heard(),
        Vec::<String>::new(),
        "and that on the host nothing"
    );
    let b_heard = run(&format!("docker logs {b}"));
    assert!(
        b_heard.contains(&format!("heard tcp/{neighbour}")),
        "{b_heard}"
    );
    assert!(!b_heard.contains(&way_out(&b)), "{b_heard}");
    drop(stand_in);

    // The witnesses can notice, and this host's own way to a task is open.
    let from_host = [
        format!("tcp/{private}:7000"),
        format!("udp/{own}:{}", host.ports[0]),
        format!("tcp/127.0.0.1:{published}"),
    ];
    let came = attack(&stand.peer, &from_host);
    assert_eq!(answered(&came).len(), 3, "{came:?}");
    assert_eq!((behind.heard().len(), host.heard().len()), (1, 1));
}

/// Whether this machine has a resolver that answers it.
fn names_resolve(peer: &str) -> bool {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let mut servers = text
        .lines()
        .filter_map(|line| line.strip_prefix("nameserver "));
    servers.any(|server| {
        let targets = [format!("dns/{}:53", server.trim())];
        !answered(&attack(peer, &targets)).is_empty()
    })
}
