//! What is refused at the door: names of refs that are none, and links out of a recipe.

use std::path::{Path, PathBuf};

use super::CheckoutError;

/// A link below `files` that does not lead to something below it: what reads the recipe's files must
/// not read the host's. One that leads nowhere may lead out tomorrow.
pub(super) fn link_out(files: &Path) -> std::io::Result<Option<PathBuf>> {
    let root = files.canonicalize()?;
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let what = entry.file_type()?;
            if what.is_dir() {
                folders.push(entry.path());
            } else if what.is_symlink() {
                let inside = entry
                    .path()
                    .canonicalize()
                    .is_ok_and(|to| to.starts_with(&root));
                if !inside {
                    let path = entry.path();
                    return Ok(Some(path.strip_prefix(&root).unwrap_or(&path).to_owned()));
                }
            }
        }
    }
    Ok(None)
}

/// The longest name of a ref that is asked for: git keeps them as names of files.
const LONGEST_REF: usize = 500;

pub(super) fn ref_name(text: &str) -> Result<(), CheckoutError> {
    let hostile = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    if text.len() > LONGEST_REF {
        let shown: String = text.chars().take(40).collect();
        return Err(CheckoutError::RefName(format!("{shown}…")));
    }
    if text.is_empty()
        || text.starts_with('-')
        || text.contains("..")
        || text.contains("@{")
        || text.contains(hostile)
    {
        return Err(CheckoutError::RefName(text.to_owned()));
    }
    Ok(())
}
