//! The room that Docker has.

use super::Check;
use super::docker::info;
use super::host::{Host, Space};

const LEAST_FREE: u64 = 5 << 30;
const LEAST_FREE_PERCENT: u64 = 5;

pub fn disk(host: &dyn Host) -> Check {
    const WHAT: &str = "disk space";
    let (root, space) = match docker_space(host, WHAT) {
        Ok(found) => found,
        Err(check) => return *check,
    };
    let percent = space.free_bytes * 100 / space.bytes.max(1);
    let fact = format!(
        "{:.1} GiB ({percent} %) free at {root}",
        space.free_bytes as f64 / f64::from(1 << 30)
    );
    if space.free_bytes < LEAST_FREE || percent < LEAST_FREE_PERCENT {
        Check::broken(
            WHAT,
            format!("nearly full: {fact}; at least 5 GiB and 5 % are needed"),
        )
        .advise("see what uses it: docker system df; remove what nothing uses: docker image prune")
    } else {
        Check::there(WHAT, fact)
    }
}

pub fn inodes(host: &dyn Host) -> Check {
    const WHAT: &str = "inodes";
    let (root, space) = match docker_space(host, WHAT) {
        Ok(found) => found,
        Err(check) => return *check,
    };
    if space.inodes == 0 {
        return Check::there(WHAT, "not counted by this file system");
    }
    let percent = space.free_inodes * 100 / space.inodes;
    let fact = format!("{} ({percent} %) free at {root}", space.free_inodes);
    if percent < LEAST_FREE_PERCENT {
        Check::broken(
            WHAT,
            format!("nearly used up: {fact}; at least 5 % are needed"),
        )
        .advise(
            "see what uses them: docker system df; remove what nothing uses: docker image prune",
        )
    } else {
        Check::there(WHAT, fact)
    }
}

/// Docker's root and its room. An engine on another machine has a root that is not here.
fn docker_space(host: &dyn Host, what: &'static str) -> Result<(String, Space), Box<Check>> {
    let root = match info(host) {
        Ok(info) => info.docker_root_dir,
        // Before Docker is installed its root will be where packages put it.
        Err(_) => "/var/lib".to_owned(),
    };
    match host.space(&root) {
        Some(space) => Ok((root, space)),
        None => Err(Box::new(
            Check::broken(
                what,
                format!("{root} is not on this machine, or can't be looked at"),
            )
            .wanted(),
        )),
    }
}
