//! The processes of one run, found in `/proc` by a marker in their environment that no other
//! process has.

use std::fs;

use harness::session::client::KEEPER_ROLE;
use harness::session::lifetime::ProcessId;

use super::cell::Target;
use crate::test::leftovers::{Marker, VARIABLE};

#[derive(Debug, Clone)]
struct Process {
    id: ProcessId,
    parent: i32,
    arguments: Vec<String>,
    marked: bool,
}

/// The processes that play a part in a run. Empty: it has none just now.
pub fn of(target: Target, xtask: ProcessId, marker: &Marker) -> Vec<ProcessId> {
    let all = all(marker);
    let is_it = |process: &&Process| match target {
        Target::Xtask => process.id == xtask,
        Target::Nextest => process.parent == xtask.pid() && has(process, "nextest"),
        Target::Trial => process.marked && has(process, "--exact"),
        Target::Keeper => is_keeper(process),
        // It has no marker, for it is given the app's variables only.
        Target::Docker => false,
        Target::Both => process.id == xtask || is_keeper(process),
    };
    let found: Vec<_> = all.iter().filter(is_it).map(|process| process.id).collect();
    if target == Target::Both && found.len() < 2 {
        return Vec::new();
    }
    found
}

/// The child that deploys, if the keeper has one just now. Cheap: it lives for a blink.
pub fn deploying(keeper: ProcessId) -> Option<ProcessId> {
    let pid = keeper.pid();
    // A child is its thread's, and the thread that started this one is gone or about to.
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let children: Vec<String> = threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok())
        .collect();
    let mut children = children
        .iter()
        .flat_map(|children| children.split_whitespace())
        .filter_map(|child| child.parse().ok());
    children.find_map(|child: i32| {
        let name = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
        (name.trim() == "docker").then(|| ProcessId::of(child))?
    })
}

/// What is running of a run: by its marker, or by the name of its stack among the arguments.
pub fn left(marker: &Marker, stack: Option<&str>) -> Vec<String> {
    let named = |process: &Process| stack.is_some_and(|stack| has(process, stack));
    all(marker)
        .iter()
        .filter(|process| process.marked || named(process))
        .map(|process| {
            format!(
                "process {} ({})",
                process.id.pid(),
                process.arguments.join(" ")
            )
        })
        .collect()
}

fn is_keeper(process: &Process) -> bool {
    process.marked && has(process, KEEPER_ROLE)
}

fn has(process: &Process, argument: &str) -> bool {
    process.arguments.iter().any(|given| given == argument)
}

fn all(marker: &Marker) -> Vec<Process> {
    let sought = format!("{VARIABLE}={}", marker.as_str()).into_bytes();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            // Gone while we look, or nobody's who concerns us.
            let id = ProcessId::of(pid)?;
            let arguments = fs::read(entry.path().join("cmdline")).ok()?;
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            Some(Process {
                id,
                parent: id.parent()?.pid(),
                arguments: arguments
                    .split(|byte| *byte == 0)
                    .map(|part| String::from_utf8_lossy(part).into_owned())
                    .collect(),
                marked: environment
                    .split(|byte| *byte == 0)
                    .any(|part| part == sought),
            })
        })
        .collect()
}
