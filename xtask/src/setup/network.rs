//! The wall between apps' containers and this host with what lies behind it. What its rules are is
//! the harness's to say (`site::wall`); here they are looked at and put in place.

use harness::site::Site;
use harness::site::wall::{Gap, unseen, walls};

use super::Check;
use super::host::Host;
use super::step::Step;

/// Wanted and not required: a run goes on without it and says so.
pub fn task_network(host: &dyn Host, site: &Site) -> Check {
    const WHAT: &str = "task network";
    const BY_ROOT: &str = "as root: sudo env \"PATH=$PATH\" cargo xtask doctor --fix";
    if !host.is_root() {
        return Check::unknown(WHAT, "only root sees whether apps are kept from this host")
            .advise(BY_ROOT)
            .wanted();
    }
    // Docker's package brings the program along.
    if !host.has("docker") {
        return Check::unknown(WHAT, "known once Docker is installed").wanted();
    }
    if let Some(text) = unseen(|path| host.read(path)) {
        return Check::broken(WHAT, text)
            .advise("modprobe br_netfilter && sysctl -w net.bridge.bridge-nf-call-iptables=1")
            .wanted();
    }
    let (mut fix, mut why) = (Vec::new(), None);
    for wall in walls(&site.network, |path| host.read(path)) {
        let list = wall.family.list();
        if !host.has(list[0]) {
            return Check::missing(WHAT, format!("{} is not on the path", list[0]))
                .advise("apt-get install iptables, then cargo xtask doctor --fix")
                .wanted();
        }
        let listing = host.ask(&list);
        if !listing.ok {
            let said = listing.stderr.trim().to_owned();
            return Check::broken(WHAT, format!("`{}`: {said}", list.join(" "))).wanted();
        }
        match wall.gap(&listing.stdout) {
            None => {}
            Some(Gap::Mendable(gap)) => {
                fix.push(Step::Feed {
                    argv: wall.family.restore().map(str::to_owned).to_vec(),
                    text: wall.mend(&listing.stdout),
                });
                why = why.or(Some(gap));
            }
            Some(Gap::Others(gap)) => {
                return Check::broken(WHAT, format!("{OPEN}: {gap}"))
                    .advise("docs/operate.md says what the wall needs of others' rules")
                    .wanted();
            }
        }
    }
    match why {
        Some(gap) => Check::missing(WHAT, format!("{OPEN}: {gap}"))
            .fix(fix)
            .wanted(),
        None => Check::there(WHAT, stands(site)),
    }
}

const OPEN: &str = "apps can reach this host and the network behind it";

fn stands(site: &Site) -> String {
    let nets: Vec<_> = site
        .network
        .tasks_reach
        .iter()
        .map(ToString::to_string)
        .collect();
    match nets.as_slice() {
        [] => "apps are kept from this host and the network behind it".to_owned(),
        nets => format!(
            "apps reach the internet, and what the site allows: {}",
            nets.join(", ")
        ),
    }
}
