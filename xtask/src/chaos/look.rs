//! What is left of a run: in Docker, by the names that the client lists (not by the code that
//! removes), and on disk.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use harness::recipe::AppDomain;
use harness::swarm::{self, Before, Swarm};

use super::subject::Subject;

/// Everything in Docker that bears a stack's name, its edge and helpers included; tasks, too, of
/// which the client lists none without a service.
pub fn objects(app: &AppDomain) -> Result<Vec<String>> {
    let stack = app.stack();
    let lists: [&[&str]; 6] = [
        &["service", "ls", "--format={{.Name}}"],
        &["ps", "--all", "--format={{.Names}}"],
        &["volume", "ls", "--format={{.Name}}"],
        &["secret", "ls", "--format={{.Name}}"],
        &["config", "ls", "--format={{.Name}}"],
        &["network", "ls", "--format={{.Name}}"],
    ];
    let mut found = BTreeSet::new();
    for list in lists {
        let output = Command::new("docker").args(list).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "docker {}: {said}", list.join(" "));
        let names = String::from_utf8_lossy(&output.stdout).into_owned();
        let kind = if list[0] == "ps" {
            "container"
        } else {
            list[0]
        };
        let ours = names.lines().filter(|name| name.contains(stack.as_str()));
        found.extend(ours.map(|name| format!("{kind} {name}")));
    }
    let residue = crate::block_on(async {
        let swarm = Swarm::connect().await?;
        swarm::residue(&swarm, &stack, &Before::Unknown, &BTreeSet::new()).await
    })?;
    found.extend(
        residue
            .iter()
            .map(|left| format!("{} {}", left.kind, left.name)),
    );
    Ok(found.into_iter().collect())
}

/// Files of a run that are no part of its record.
pub fn files(subject: &Subject, app: &AppDomain) -> Result<Vec<String>> {
    let paths = &subject.paths;
    let mut left = BTreeSet::new();
    let mut note = |path: &Path| {
        if path.symlink_metadata().is_ok() {
            left.insert(format!("file {}", path.display()));
        }
    };
    note(&paths.private);
    note(&paths.socket);
    note(&paths.cancel_request());
    for place in [&paths.run, &subject.tmp] {
        for entry in fs::read_dir(place).with_context(|| place.display().to_string())? {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if place == &subject.tmp || name.starts_with('.') {
                note(&path);
            }
        }
    }
    left.extend(registrations(app)?);
    Ok(left.into_iter().collect())
}

/// Registrations of this app in the host-wide registry, of whatever engine.
fn registrations(app: &AppDomain) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/var/tmp")? {
        let place = entry?.path();
        let is_registry = place
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("cc-ci-"));
        let file = place.join(format!("app-{app}.json"));
        if is_registry && file.exists() {
            found.push(format!("lock {}", file.display()));
        }
    }
    Ok(found)
}
