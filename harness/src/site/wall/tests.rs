use std::collections::BTreeMap;

use super::*;

/// As Docker 20.10 leaves a machine.
const BARE: &str = "\
-P INPUT ACCEPT
-P FORWARD DROP
-P OUTPUT ACCEPT
-N DOCKER
-N DOCKER-USER
-A FORWARD -j DOCKER-USER
-A FORWARD -i docker_gwbridge ! -o docker_gwbridge -j ACCEPT
-A DOCKER-USER -j RETURN
";
const RESOLVER: &str = "nameserver 10.255.255.53\n";

fn network(nets: &[&str]) -> Network {
    Network {
        tasks_reach: nets.iter().map(|net| net.parse().unwrap()).collect(),
    }
}

fn on(files: &[(&str, &str)], nets: &[&str]) -> Vec<Wall> {
    let files: BTreeMap<_, _> = files.iter().copied().collect();
    walls(&network(nets), |path| {
        files.get(path).map(ToString::to_string)
    })
}

fn v4(nets: &[&str]) -> Wall {
    on(&[("/etc/resolv.conf", RESOLVER)], nets).remove(0)
}

/// What the kernel lists once `text` was restored: a model of `iptables-restore --noflush`.
fn restored(listing: &str, text: &str) -> String {
    let mut lines: Vec<String> = listing.lines().map(str::to_owned).collect();
    for line in text.lines() {
        if let Some(chain) = line.strip_prefix(':') {
            let chain = chain.split(' ').next().unwrap();
            let (own, made) = (format!("-A {chain} "), format!("-N {chain}"));
            lines.retain(|line| !line.starts_with(&own) && *line != made);
            lines.insert(3, made);
        } else if let Some(rule) = line.strip_prefix("-D") {
            let rule = format!("-A{rule}");
            let at = lines.iter().position(|line| *line == rule);
            lines.remove(at.expect("only what is there is taken away"));
        } else if let Some(rule) = line.strip_prefix("-I") {
            let chain = format!("-A {} ", rule.split(' ').nth(1).unwrap());
            let first = lines.iter().position(|line| line.starts_with(&chain));
            lines.insert(first.unwrap_or(lines.len()), format!("-A{rule}"));
        } else if line.starts_with("-A") {
            lines.push(line.to_owned());
        }
    }
    lines.join("\n")
}

#[test]
fn the_rules_of_version_4() {
    insta::assert_snapshot!(v4(&["10.1.2.0/24"]).mend(BARE));
}

#[test]
fn the_rules_of_version_6() {
    let files = [
        (
            "/etc/resolv.conf",
            "nameserver fd00::53\nnameserver 10.255.255.53\n",
        ),
        (
            "/proc/net/if_inet6",
            "fd000000000000000000000000000001 0a 40 00 80 docker_gwbridge\n",
        ),
    ];
    let walls = on(&files, &["10.1.2.0/24", "fd00:1::/64"]);
    assert_eq!(walls.len(), 2);
    let bare = "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n";
    insta::assert_snapshot!(walls[1].mend(bare));
}

#[rstest::rstest]
#[case::own("fd000000000000000000000000000001 0a 40 00 80 docker_gwbridge", 2)]
#[case::link("fe80000000000000004227fffebe9b97 0a 40 20 80 docker_gwbridge", 1)]
#[case::other("fd000000000000000000000000000002 04 40 00 82 eth0", 1)]
fn version_6_is_walled_where_the_bridge_has_it(#[case] table: &str, #[case] count: usize) {
    assert_eq!(on(&[("/proc/net/if_inet6", table)], &[]).len(), count);
}

#[rstest::rstest]
#[case::bare(BARE.to_owned())]
#[case::of_another_setting(restored(BARE, &v4(&["10.9.0.0/16"]).mend(BARE)))]
#[case::emptied(restored(BARE, &v4(&[]).mend(BARE)).lines().filter(|line| !line.starts_with("-A CCCI-TASKS")).collect::<Vec<_>>().join("\n"))]
#[case::one_more(format!("{}\n-A CCCI-HOST -j RETURN", restored(BARE, &v4(&[]).mend(BARE))))]
#[case::not_first(restored(BARE, &v4(&[]).mend(BARE)).replacen("-A DOCKER-USER", "-A DOCKER-USER -j ACCEPT\n-A DOCKER-USER", 1))]
#[case::an_earlier_rule_of_the_hosts_own(restored(BARE, &v4(&[]).mend(BARE)).replacen("-A INPUT", "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n-A INPUT", 1))]
#[case::not_entered(restored(BARE, &v4(&[]).mend(BARE)).lines().filter(|line| !line.ends_with("-j CCCI-HOST")).collect::<Vec<_>>().join("\n"))]
fn what_is_not_as_wanted_is_mended_once_and_for_all(#[case] listing: String) {
    let wall = v4(&[]);
    let gap = wall.gap(&listing);
    assert!(matches!(gap, Some(Gap::Mendable(_))), "{gap:?}");
    let after = restored(&listing, &wall.mend(&listing));
    assert_eq!(wall.gap(&after), None, "{after}");
    for entrance in ["-j CCCI-TASKS", "-j CCCI-HOST"] {
        let times = after.lines().filter(|line| line.ends_with(entrance));
        assert_eq!(times.count(), 1, "{after}");
    }
    let others = |text: &str| -> Vec<String> {
        let ours = |line: &&str| !line.contains("CCCI-");
        text.lines().filter(ours).map(str::to_owned).collect()
    };
    assert_eq!(others(&after), others(&listing), "others' rules stay");
}

#[rstest::rstest]
#[case::no_rules_of_dockers("-P INPUT ACCEPT\n-P FORWARD ACCEPT\n", "is not there")]
#[case::accepted_before(&BARE.replace("-A FORWARD -j DOCKER-USER", "-A FORWARD -j ACCEPT\n-A FORWARD -j DOCKER-USER"), "comes before")]
#[case::a_chain_before(&BARE.replace("-A FORWARD -j DOCKER-USER", "-A FORWARD -j theirs\n-A FORWARD -j DOCKER-USER"), "-j theirs")]
#[case::all_but_one_way(&BARE.replace("-A FORWARD -j DOCKER-USER", "-A FORWARD ! -i eth0 -j ACCEPT\n-A FORWARD -j DOCKER-USER"), "! -i eth0")]
#[case::gone_to(&BARE.replace("-A FORWARD -j DOCKER-USER", "-A FORWARD -g theirs\n-A FORWARD -j DOCKER-USER"), "-g theirs")]
fn what_only_a_person_can_mend_is_said(#[case] listing: &str, #[case] said: &str) {
    match v4(&[]).gap(listing) {
        Some(Gap::Others(text)) => assert!(text.contains(said), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[rstest::rstest]
#[case("-A FORWARD -s 192.0.2.7/32 -j DROP")]
#[case("-A FORWARD -i eth0 -j ACCEPT")]
#[case("-A FORWARD -i docker_gwbridge -j LOG --log-prefix \"x\"")]
fn what_lets_nothing_by_may_come_first(#[case] rule: &str) {
    let jump = "-A FORWARD -j DOCKER-USER";
    let listing = BARE.replace(jump, &format!("{rule}\n{jump}"));
    let gap = v4(&[]).gap(&listing);
    assert!(matches!(gap, Some(Gap::Mendable(_))), "{gap:?}");
}

#[rstest::rstest]
#[case::shown(Some("1\n"), true)]
#[case::not_shown(Some("0\n"), false)]
#[case::not_loaded(None, false)]
fn frames_on_the_bridge_have_to_be_shown_to_the_rules(
    #[case] set: Option<&str>,
    #[case] fine: bool,
) {
    let read = |path: &str| match path {
        "/proc/sys/net/bridge/bridge-nf-call-iptables" => set.map(str::to_owned),
        _ => Some("10\n".to_owned()),
    };
    assert_eq!(unseen(read).is_none(), fine);
    assert_eq!(unseen(|_| None), None, "no bridge yet");
}

#[rstest::rstest]
#[case::the_hosts(&[("/etc/resolv.conf", "search x\nnameserver 10.0.0.53\nnameserver 10.0.0.53\nnameserver\nnameserver x\n# nameserver 10.0.0.1\n")], &["10.0.0.53"])]
#[case::loopback(&[("/etc/resolv.conf", "nameserver 127.0.0.1\nnameserver ::1\n")], &[])]
#[case::a_stub(&[("/etc/resolv.conf", "nameserver 127.0.0.53\n"), ("/run/systemd/resolve/resolv.conf", "nameserver 10.0.0.2\n")], &["10.0.0.2"])]
#[case::dockers(&[("/etc/docker/daemon.json", r#"{"dns":["10.0.0.3"],"debug":true}"#), ("/etc/resolv.conf", "nameserver 10.0.0.53\n")], &["10.0.0.3"])]
#[case::settings_that_can_not_be_read(&[("/etc/docker/daemon.json", "{"), ("/etc/resolv.conf", "nameserver 10.0.0.53\n")], &["10.0.0.53"])]
#[case::none(&[], &[])]
fn resolvers_are_those_that_docker_asks(#[case] files: &[(&str, &str)], #[case] wanted: &[&str]) {
    let files: BTreeMap<_, _> = files.iter().copied().collect();
    let found = resolvers(&|path: &str| files.get(path).map(ToString::to_string));
    let found: Vec<_> = found.iter().map(IpAddr::to_string).collect();
    assert_eq!(found, wanted);
}
