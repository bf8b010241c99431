//! Where in the recipe's files a finding is from: the bodies don't know.

use std::path::{Path, PathBuf};

use super::finding::{Finding, Place};
use crate::recipe::compose::{line_of_path, nearest_line_of_path};

/// The finding with `file:line` in front, where its value or its key stands in a compose file.
pub fn located(finding: &Finding, tree: &Path, files: &[PathBuf]) -> String {
    // The last file that says something is the one that counts.
    let texts: Vec<(&PathBuf, String)> = files
        .iter()
        .rev()
        .filter_map(|file| Some((file, read(tree, file)?)))
        .collect();
    let search = |line_of: fn(&str, &Place) -> Option<usize>| {
        let mut texts = texts.iter();
        texts.find_map(|(file, text)| Some((*file, line_of(text, &finding.place)?)))
    };
    let found = search(line_of_value)
        .or_else(|| search(|text, place| line_of_path(text, &place.key)))
        .or_else(|| search(|text, place| nearest_line_of_path(text, &place.key)));
    match found {
        Some((file, line)) => format!("{}:{line}: {finding}", file.display()),
        None => finding.to_string(),
    }
}

/// Nothing outside the recipe is opened.
fn read(tree: &Path, file: &Path) -> Option<String> {
    let root = tree.canonicalize().ok()?;
    let path = root.join(file).canonicalize().ok()?;
    (path.starts_with(&root) && path.is_file()).then_some(())?;
    std::fs::read_to_string(path).ok()
}

/// The line with the value, below the key's.
fn line_of_value(text: &str, place: &Place) -> Option<usize> {
    let value = place.value.as_deref()?;
    let key = line_of_path(text, &place.key)?;
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start_matches([' ', '-']).len();
    let own = indent(lines[key - 1]);
    let below = lines[key - 1..]
        .iter()
        .enumerate()
        .take_while(|(at, line)| *at == 0 || line.trim().is_empty() || indent(line) > own);
    let mut with = below.filter(|(_, line)| {
        !line.trim_start().starts_with('#') && line.to_lowercase().contains(&value.to_lowercase())
    });
    with.next().map(|(at, _)| key + at)
}
