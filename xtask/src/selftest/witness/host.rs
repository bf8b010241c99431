//! Files and settings of this host that no run changes. They are read, and never written.
//!
//! Other work goes on here, and makes interfaces and mounts of its own: only those interfaces count
//! that are always there, and only mounts and modules that Docker makes for nobody who doesn't ask.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Spoilt;
use super::tree::{differences, picture};

const FILES: [&str; 10] = [
    "/etc/passwd",
    "/etc/shadow",
    "/etc/group",
    "/etc/sudoers",
    "/etc/crontab",
    "/etc/cron.d",
    "/etc/ld.so.preload",
    "/root/.ssh",
    "/root/.bashrc",
    "/root/.profile",
];
const SETTINGS: [&str; 9] = [
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/domainname",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/msgmax",
    "/proc/sys/fs/suid_dumpable",
    "/proc/sys/net/core/somaxconn",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/vm/overcommit_memory",
];
/// File systems that Docker mounts for nobody who doesn't ask for them.
const FOREIGN_MOUNTS: [&str; 4] = [" - nfs ", " - nfs4 ", " - cifs ", " - smb3 "];
const FOREIGN_MODULES: [&str; 4] = ["nfs", "cifs", "sunrpc", "lockd"];
const INTERFACES: [&str; 3] = ["lo", "docker0", "docker_gwbridge"];

pub struct Host {
    files: BTreeMap<&'static str, BTreeMap<PathBuf, String>>,
    facts: BTreeSet<String>,
}

impl Host {
    pub fn read() -> Result<Self> {
        let mut files = BTreeMap::new();
        for file in FILES {
            let path = Path::new(file);
            let there = path.symlink_metadata().is_ok();
            let seen = if there {
                picture(path)?
            } else {
                BTreeMap::new()
            };
            files.insert(file, seen);
        }
        Ok(Self {
            files,
            facts: facts()?,
        })
    }

    /// What has changed since the last look.
    pub fn look(&mut self) -> Result<Vec<Spoilt>> {
        let now = Self::read()?;
        let mut spoilt = Vec::new();
        for (file, before) in &self.files {
            let after = now.files.get(file).context("the same files are read")?;
            // Their contents are nobody's business, a message included.
            if !differences(before, after).is_empty() {
                spoilt.push(Spoilt::new("the host's files", format!("{file} changed")));
            }
        }
        for fact in now.facts.symmetric_difference(&self.facts) {
            let word = if self.facts.contains(fact) {
                "was"
            } else {
                "is"
            };
            spoilt.push(Spoilt::new("the host's settings", format!("{word} {fact}")));
        }
        *self = now;
        Ok(spoilt)
    }
}

fn facts() -> Result<BTreeSet<String>> {
    let mut facts = BTreeSet::new();
    for setting in SETTINGS {
        // A kernel may be built without one.
        if let Ok(value) = fs::read_to_string(setting) {
            facts.insert(format!("{setting} = {}", value.trim()));
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("reading mounts")?;
    for mount in mounts.lines() {
        let ours = mount.contains("/var/tmp/witness-");
        if ours || FOREIGN_MOUNTS.iter().any(|kind| mount.contains(kind)) {
            facts.insert(format!("mounted {mount}"));
        }
    }
    let route = fs::read_to_string("/proc/net/route").context("reading routes")?;
    let is_default = |line: &&str| line.split_whitespace().nth(1) == Some("00000000");
    let outward = route.lines().find(is_default);
    let outward = outward.and_then(|line| line.split_whitespace().next());
    for name in INTERFACES.into_iter().chain(outward) {
        let about = Path::new("/sys/class/net").join(name);
        let said = ["flags", "mtu", "address"].map(|what| {
            let text = fs::read_to_string(about.join(what)).unwrap_or_default();
            text.trim().to_owned()
        });
        facts.insert(format!("interface {name} {}", said.join(" ")));
    }
    // Without modules there is no such file.
    let modules = fs::read_to_string("/proc/modules").unwrap_or_default();
    for module in modules.lines().filter_map(|line| line.split(' ').next()) {
        if FOREIGN_MODULES.iter().any(|name| module.starts_with(name)) {
            facts.insert(format!("module {module}"));
        }
    }
    Ok(facts)
}
