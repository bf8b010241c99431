//! A tree of host files: content, owner, mode and times of each, and that none is added.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{Spoilt, Tokens};

/// Not below a state directory, and not below a home: what a run may use is elsewhere.
const BELOW: &str = "/var/tmp";

pub struct Tree {
    folder: tempfile::TempDir,
    made: Picture,
}

/// What is at each path, as a line.
type Picture = BTreeMap<PathBuf, String>;

impl Tree {
    pub fn make(run: &str, tokens: &Tokens) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("witness-{run}-"))
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(BELOW)
            .context("making a folder of the host")?;
        let at = |name: &str| folder.path().join(name);
        // An env file, a config and a word in one.
        fs::write(at("secret"), format!("WITNESS_FILE={}\n", tokens.file))?;
        fs::create_dir_all(at("landing/deep"))?;
        fs::write(at("landing/deep/kept"), "kept\n")?;
        fs::write(at("tool"), "#!/bin/sh\n")?;
        fs::set_permissions(at("tool"), fs::Permissions::from_mode(0o755))?;
        symlink("secret", at("link"))?;
        fs::write(at("compose.yml"), foreign_compose(&tokens.file))?;
        // Whoever opens it to read waits for ever.
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o644),
            0,
        )
        .context("making a FIFO")?;
        let made = picture(folder.path())?;
        Ok(Self { folder, made })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn look(&self) -> Result<Vec<Spoilt>> {
        let now = picture(self.folder.path())?;
        let differs = differences(&self.made, &now);
        let spoilt = |how| Spoilt::new("host files", how);
        Ok(differs.into_iter().map(spoilt).collect())
    }
}

/// A compose file that is not the recipe's.
fn foreign_compose(token: &str) -> String {
    format!(
        "version: \"3.8\"\nservices:\n  app:\n    environment:\n      - WITNESS_COMPOSE={token}\n"
    )
}

/// A folder and all below it; links are not followed.
pub fn picture(folder: &Path) -> Result<Picture> {
    let mut lines = Picture::new();
    add(folder, folder, &mut lines)?;
    Ok(lines)
}

fn add(path: &Path, root: &Path, lines: &mut Picture) -> Result<()> {
    let about = || format!("looking at {}", path.display());
    let meta = fs::symlink_metadata(path).with_context(about)?;
    let kind = meta.file_type();
    let content = if kind.is_file() {
        format!("{:?}", String::from_utf8_lossy(&fs::read(path)?))
    } else if kind.is_symlink() {
        format!("-> {}", fs::read_link(path)?.display())
    } else {
        String::new()
    };
    lines.insert(
        path.strip_prefix(root).unwrap_or(path).to_owned(),
        format!(
            "{:o} {}:{} {}.{} {content}",
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.mtime(),
            meta.mtime_nsec()
        ),
    );
    if kind.is_dir() {
        for entry in fs::read_dir(path).with_context(about)? {
            add(&entry?.path(), root, lines)?;
        }
    }
    Ok(())
}

/// What is added, gone or changed.
pub fn differences(before: &Picture, now: &Picture) -> Vec<String> {
    let mut found = Vec::new();
    for (path, line) in before {
        let path_text = path.display();
        match now.get(path) {
            None => found.push(format!("{path_text} is gone")),
            Some(other) if other != line => {
                found.push(format!("{path_text} was {line}, is {other}"));
            }
            Some(_) => {}
        }
    }
    let added = now.keys().filter(|path| !before.contains_key(*path));
    found.extend(added.map(|path| format!("{} is new", path.display())));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::written(|at: &Path| fs::write(at.join("secret"), "x"))]
    #[case::added(|at: &Path| fs::write(at.join("landing/new"), "x"))]
    #[case::gone(|at: &Path| fs::remove_file(at.join("landing/deep/kept")))]
    #[case::mode(|at: &Path| fs::set_permissions(at.join("tool"), fs::Permissions::from_mode(0o4755)))]
    #[case::link(|at: &Path| { fs::remove_file(at.join("link"))?; symlink("tool", at.join("link")) })]
    fn each_change_is_seen(#[case] change: fn(&Path) -> std::io::Result<()>) {
        let tree = Tree::make("test", &Tokens::new()).unwrap();
        assert!(tree.look().unwrap().is_empty());
        change(tree.path()).unwrap();
        assert!(!tree.look().unwrap().is_empty());
    }
}
