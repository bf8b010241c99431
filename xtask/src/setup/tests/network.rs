//! The wall, on a machine made of facts.

use harness::site::Network;

use super::super::*;
use super::machine::{BARE, Fake, Machine, RULES, fit, refused, said, walled};

fn site(nets: &[&str]) -> Site {
    let tasks_reach = nets.iter().map(|net| net.parse().unwrap()).collect();
    Site {
        network: Network { tasks_reach },
        ..Site::default()
    }
}

fn look(machine: Machine, site: &Site) -> Check {
    let host = Fake {
        machine: machine.into(),
        performed: Default::default(),
    };
    network::task_network(&host, site)
}

#[test]
fn a_wall_that_stands_is_left_alone_and_says_what_it_lets_by() {
    let check = look(fit(), &site(&[]));
    insta::assert_snapshot!(check.fact(), @"apps are kept from this host and the network behind it");
    let allows = site(&["10.1.2.0/24"]);
    let rules = said(&walled(&allows.network));
    let check = look(fit().with(RULES, rules), &allows);
    assert!(check.is_there());
    insta::assert_snapshot!(check.fact(), @"apps reach the internet, and what the site allows: 10.1.2.0/24");
}

#[test]
fn rules_of_another_setting_are_replaced() {
    let check = look(fit(), &site(&["10.1.2.0/24"]));
    insta::assert_snapshot!(check.fact(), @"apps can reach this host and the network behind it: the rules are others than the site wants");
    let [Step::Feed { argv, text }] = check.fix.as_slice() else {
        panic!("{check:?}")
    };
    assert_eq!(argv.join(" "), "iptables-restore -w --noflush");
    assert!(
        text.contains("-A CCCI-TASKS -d 10.1.2.0/24 -j RETURN\n"),
        "{text}"
    );
    assert_eq!(check.weight, Weight::Wanted);
}

#[test]
fn resolvers_of_this_host_are_let_by() {
    let machine = fit().file("/etc/resolv.conf", "nameserver 10.0.0.53\n");
    let check = look(machine, &site(&[]));
    assert!(
        joined(&check.fix).contains("-d 10.0.0.53/32 -p udp"),
        "{check:?}"
    );
}

#[test]
fn version_6_has_a_wall_of_its_own_where_the_bridge_has_it() {
    let table = "fd180000000000000000000000000001 0a 40 00 80 docker_gwbridge\n";
    let mut machine = fit()
        .file("/proc/net/if_inet6", table)
        .with("ip6tables -w -S", said("-P INPUT ACCEPT\n"));
    insta::assert_snapshot!(look(machine.clone(), &site(&[])).fact(), @"ip6tables is not on the path");
    machine.programs.extend(["ip6tables"]);
    let check = look(machine, &site(&[]));
    assert_eq!(check.fix.len(), 1);
    assert!(
        joined(&check.fix).ends_with("| ip6tables-restore -w --noflush"),
        "{check:?}"
    );
}

#[rstest::rstest]
#[case::not_root(fit().without_root(), "only root sees")]
#[case::no_program(Machine { programs: ["docker"].into(), ..fit() }, "iptables is not on the path")]
#[case::no_answer(fit().with(RULES, refused("Permission denied")), "Permission denied")]
#[case::no_rules_of_dockers(fit().with(RULES, said("-P FORWARD ACCEPT\n")), "its engine makes no rules")]
#[case::frames_unseen(fit().file("/sys/class/net/docker_gwbridge/ifindex", "10"), "reach each other")]
#[case::others_before(fit().with(RULES, said(&BARE.replacen("-A FORWARD", "-A FORWARD -j ACCEPT\n-A FORWARD", 1))), "comes before")]
fn where_it_can_not_be_built_it_is_said_and_stops_nothing(
    #[case] machine: Machine,
    #[case] said: &str,
) {
    let check = look(machine, &site(&[]));
    assert!(check.fact().contains(said), "{check:?}");
    assert!(!check.is_there() && check.fix.is_empty() && check.weight == Weight::Wanted);
}
