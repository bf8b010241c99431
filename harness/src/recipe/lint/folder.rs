//! Files beside the compose files.

use std::path::Path;

use super::{Findings, Rule};

const BEGIN: &str = "<!-- metadata -->";
const END: &str = "<!-- endmetadata -->";
const FIELDS: [&str; 8] = [
    "Category",
    "Status",
    "Image",
    "Healthcheck",
    "Backups",
    "Email",
    "Tests",
    "SSO",
];

pub(super) fn check(tree: &Path, found: &mut Findings) {
    if !tree.join(".env.sample").is_file() {
        let message = "there is no .env.sample".to_owned();
        found.at_line(Rule::EnvSample, message, ".env.sample", None);
    }
    let readme = std::fs::read(tree.join("README.md")).unwrap_or_default();
    let readme = String::from_utf8_lossy(&readme);
    let begin = readme.lines().position(|line| line.contains(BEGIN));
    let block = readme
        .split_once(BEGIN)
        .and_then(|(_, rest)| rest.split_once(END))
        .map_or("", |(block, _)| block);
    let missing: Vec<_> = FIELDS
        .into_iter()
        .filter(|field| !block.lines().any(|line| fills(line, field)))
        .map(|field| format!("`{field}`"))
        .collect();
    if missing.len() == FIELDS.len() {
        let message = format!("README.md has no metadata between `{BEGIN}` and `{END}`");
        found.at_line(Rule::Metadata, message, "README.md", None);
    } else if !missing.is_empty() {
        let message = format!("the metadata of README.md have no {}", missing.join(", "));
        found.at_line(Rule::Metadata, message, "README.md", begin.map(|at| at + 1));
    }
}

/// `* **Status**: 1, alpha`
fn fills(line: &str, field: &str) -> bool {
    let line = line.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
    line.strip_prefix(field)
        .is_some_and(|rest| rest.contains(|c: char| c.is_ascii_alphanumeric()))
}
