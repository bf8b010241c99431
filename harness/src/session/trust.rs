//! Which folders nobody but root and this account can have made, moved or filled.
//!
//! Invariant: what a path leads to is looked at part by part, links included, so that no part of it
//! is another account's.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::paths::LONGEST_SOCKET;

const GROUP_OR_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;
/// As many links of a path are followed.
const MOST_LINKS: u8 = 8;

pub fn own_uid() -> u32 {
    rustix::process::getuid().as_raw()
}

/// Whether nobody but root and the account `uid` may write there.
pub fn is_closed(found: &Metadata, uid: u32) -> bool {
    (found.uid() == uid || found.uid() == 0) && found.mode() & GROUP_OR_OTHERS == 0
}

/// Looks at a folder and at each one above it. The error says which is another's.
///
/// Where anybody may make a name (a sticky folder), only what is there already and is ours counts:
/// the kernel lets nobody else take it away.
pub fn only_ours(folder: &Path) -> io::Result<()> {
    walk(folder, MOST_LINKS)
}

fn walk(path: &Path, links: u8) -> io::Result<()> {
    if !path.is_absolute() {
        return Err(refused(path, "is no whole path"));
    }
    let uid = own_uid();
    let mut parts: Vec<&Path> = path.ancestors().collect();
    parts.reverse();
    for part in &parts {
        let found = fs::symlink_metadata(part).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", part.display()))
        })?;
        if found.uid() != uid && found.uid() != 0 {
            let owner = format!("belongs to another account (uid {})", found.uid());
            return Err(refused(part, &owner));
        }
        if found.is_symlink() {
            let links = links
                .checked_sub(1)
                .ok_or_else(|| refused(part, "is one link too many"))?;
            let target = fs::read_link(part)?;
            let above = part.parent().unwrap_or(Path::new("/"));
            let rest = path.strip_prefix(part).unwrap_or(Path::new(""));
            let mut target = above.join(target);
            // An empty rest would add a slash.
            if rest != Path::new("") {
                target.push(rest);
            }
            return walk(&target, links);
        }
        if !found.is_dir() {
            return Err(refused(part, "is no folder"));
        }
        let last = *part == path;
        let open = found.mode() & GROUP_OR_OTHERS != 0;
        if open && (last || found.mode() & STICKY == 0) {
            return Err(refused(
                part,
                "may be written by other accounts: chmod go-w",
            ));
        }
    }
    Ok(())
}

fn refused(part: &Path, why: &str) -> io::Error {
    let text = format!("{} {why}", part.display());
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

/// The folder for sockets of this account, with a file name of this length in it: the first that
/// is short enough. None: none is.
pub fn socket_folder(state: &Path, name: usize) -> Option<PathBuf> {
    let fits = |dir: &PathBuf| dir.as_os_str().len() + 1 + name <= LONGEST_SOCKET;
    if own_uid() == 0 {
        return Some(PathBuf::from("/run/cc-ci"));
    }
    let set = |key| std::env::var_os(key).filter(|value| !value.is_empty());
    let is_own = |dir: &PathBuf| fs::symlink_metadata(dir).is_ok_and(|it| it.uid() == own_uid());
    // `su` and `sudo` may leave another account's.
    let runtime = set("XDG_RUNTIME_DIR").map(PathBuf::from).filter(is_own);
    let home = set("HOME").map(PathBuf::from);
    [
        runtime.map(|dir| dir.join("cc-ci")),
        Some(state.join("sockets")),
        home.map(|dir| dir.join(".cc-ci")),
    ]
    .into_iter()
    .flatten()
    .find(fits)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    fn folder(at: &Path, mode: u32) -> PathBuf {
        fs::create_dir(at).unwrap();
        fs::set_permissions(at, fs::Permissions::from_mode(mode)).unwrap();
        at.to_owned()
    }

    #[test]
    fn a_folder_is_ours_only_if_all_above_it_are() {
        let dir = tempfile::tempdir().unwrap();
        let inner = folder(&folder(&dir.path().join("a"), 0o755).join("b"), 0o700);
        only_ours(&inner).unwrap();
        symlink(&inner, dir.path().join("link")).unwrap();
        only_ours(&dir.path().join("link")).unwrap();
        fs::set_permissions(dir.path().join("a"), fs::Permissions::from_mode(0o777)).unwrap();
        for way in [inner, dir.path().join("link")] {
            let why = only_ours(&way).unwrap_err().to_string();
            assert!(why.contains("a may be written by other accounts"), "{why}");
        }
    }

    #[test]
    fn a_sticky_folder_will_do_above_and_not_itself() {
        let dir = tempfile::tempdir().unwrap();
        let sticky = folder(&dir.path().join("sticky"), 0o1777);
        let inner = folder(&sticky.join("ours"), 0o700);
        only_ours(&inner).unwrap();
        assert!(only_ours(&sticky).is_err());
    }

    #[test]
    fn what_another_account_made_first_is_refused_and_a_link_of_its_too() {
        if own_uid() != 0 {
            eprintln!("not tried: only root can be another account");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let sticky = folder(&dir.path().join("sticky"), 0o1777);
        let theirs = folder(&sticky.join("theirs"), 0o755);
        chown(&theirs, Some(65534), None).unwrap();
        let why = only_ours(&theirs).unwrap_err().to_string();
        assert!(
            why.ends_with("belongs to another account (uid 65534)"),
            "{why}"
        );
        let inner = folder(&theirs.join("ours"), 0o700);
        assert!(only_ours(&inner).is_err());
        let link = sticky.join("link");
        symlink(dir.path(), &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(65534), None).unwrap();
        assert!(only_ours(&link).is_err());
    }

    #[test]
    fn links_that_lead_to_each_other_end() {
        let dir = tempfile::tempdir().unwrap();
        symlink(dir.path().join("b"), dir.path().join("a")).unwrap();
        symlink(dir.path().join("a"), dir.path().join("b")).unwrap();
        assert!(only_ours(&dir.path().join("a")).is_err());
    }
}
