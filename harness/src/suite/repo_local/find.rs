//! What a recipe's `tests/` holds: what can be run, and what is listed with the reason why not.
//!
//! Invariants: a path that is found to run is `<name>` or `custom/<name>`, with a name of letters,
//! digits, `.`, `_` and `-`; it is a regular, executable file, and no link leads to it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, FileType};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use results::Tier;

use crate::fault::Fault;
use crate::suite::Hook;

/// The longest name of a file that is run.
const LONGEST_NAME: usize = 100;
/// As many files that are not run are listed one by one.
const LISTED: usize = 100;

/// What a recipe's `tests/` holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RepoLocal {
    /// By tier, relative to `tests/`.
    pub tests: BTreeMap<Tier, Vec<PathBuf>>,
    pub hooks: BTreeMap<Hook, PathBuf>,
    /// Files that are not run, with the reason.
    pub others: Vec<(String, String)>,
}

impl RepoLocal {
    /// Looks through `tests/` of a checkout. No such folder: nothing.
    pub fn find(tree: &Path) -> Result<Self, Fault> {
        let root = tree.join("tests");
        let mut found = Self::default();
        match fs::symlink_metadata(&root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(Fault::infra(format!("{}: {error}", root.display()))),
            Ok(what) => {
                if let Some(reason) = no_folder(what.file_type()) {
                    found.others.push((String::new(), reason.to_owned()));
                    return Ok(found);
                }
            }
        }
        for tier in [Tier::Install, Tier::Upgrade, Tier::Backup, Tier::Restore] {
            let path = PathBuf::from(tier.as_str());
            if found.is_test(&root, &path) {
                found.tests.insert(tier, vec![path]);
            }
        }
        for hook in Hook::ALL {
            let path = PathBuf::from(hook.name().replace('_', "-"));
            if found.is_test(&root, &path) {
                found.hooks.insert(hook, path);
            }
        }
        found.others(&root)?;
        found.customs(&root)?;
        if found.others.len() > LISTED {
            let more = found.others.len() - LISTED;
            found.others.truncate(LISTED);
            let reason = format!("and {more} more, which are not listed");
            found.others.push(("…".to_owned(), reason));
        }
        Ok(found)
    }

    fn customs(&mut self, root: &Path) -> Result<(), Fault> {
        let custom = Path::new("custom");
        let Ok(what) = fs::symlink_metadata(root.join(custom)) else {
            return Ok(());
        };
        if let Some(reason) = no_folder(what.file_type()) {
            self.others.push((shown(custom), reason.to_owned()));
            return Ok(());
        }
        for path in entries(root, custom)? {
            if self.is_test(root, &path) {
                self.tests.entry(Tier::Custom).or_default().push(path);
            }
        }
        Ok(())
    }

    /// Files whose names mean nothing here.
    fn others(&mut self, root: &Path) -> Result<(), Fault> {
        let mut known: BTreeSet<PathBuf> = Hook::ALL
            .into_iter()
            .map(|hook| hook.name().replace('_', "-").into())
            .collect();
        known.extend(Tier::NAMED.map(|tier| PathBuf::from(tier.as_str())));
        for path in entries(root, Path::new(""))? {
            if !known.contains(&path) {
                let reason = "is not the name of a test or a hook".to_owned();
                self.others.push((shown(&path), reason));
            }
        }
        Ok(())
    }

    /// Whether `path` is there and can be run; if it is there and can't, that is kept.
    fn is_test(&mut self, root: &Path, path: &Path) -> bool {
        let Ok(what) = fs::symlink_metadata(root.join(path)) else {
            return false;
        };
        let reason = if let Some(reason) = no_file(what.file_type()) {
            reason
        } else if !path.file_name().is_some_and(is_plain) {
            "has a name of other characters than letters, digits, `.`, `_`, `-`, or of more than 100"
        } else if what.permissions().mode() & 0o111 == 0 {
            "is not executable"
        } else {
            return true;
        };
        self.others.push((shown(path), reason.to_owned()));
        false
    }
}

fn is_plain(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        name.len() <= LONGEST_NAME
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(plain)
    })
}

/// Why this is not a file that may be run. None: it is a regular one.
fn no_file(what: FileType) -> Option<&'static str> {
    if what.is_file() {
        None
    } else if what.is_dir() {
        Some("is a directory")
    } else {
        Some(special(what))
    }
}

fn no_folder(what: FileType) -> Option<&'static str> {
    if what.is_dir() {
        None
    } else if what.is_file() {
        Some("is not a directory")
    } else {
        Some(special(what))
    }
}

fn special(what: FileType) -> &'static str {
    if what.is_symlink() {
        "is a symbolic link"
    } else if what.is_fifo() {
        "is a named pipe"
    } else if what.is_socket() {
        "is a socket"
    } else {
        "is a device"
    }
}

fn entries(root: &Path, below: &Path) -> Result<Vec<PathBuf>, Fault> {
    let dir = root.join(below);
    let fault = |error| Fault::infra(format!("{}: {error}", dir.display()));
    let mut paths = fs::read_dir(&dir)
        .map_err(fault)?
        .map(|entry| entry.map(|entry| below.join(entry.file_name())))
        .collect::<Result<Vec<_>, _>>()
        .map_err(fault)?;
    paths.sort();
    Ok(paths)
}

/// A path as it may be printed.
fn shown(path: &Path) -> String {
    path.to_string_lossy()
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rstest::rstest;
    use rustix::fs::{CWD, FileType as Kind, Mode, mknodat};

    use super::*;

    fn checkout(files: &[(&str, u32)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, mode) in files {
            let path = dir.path().join("tests").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
        }
        dir
    }

    #[test]
    fn tests_and_hooks_are_found_by_name_and_the_rest_is_listed() {
        let dir = checkout(&[
            ("upgrade", 0o755),
            ("before-upgrade", 0o755),
            ("custom/login", 0o755),
            ("custom/notes.md", 0o644),
            ("test_old.py", 0o755),
        ]);
        symlink("/bin/true", dir.path().join("tests/install")).unwrap();
        let found = RepoLocal::find(dir.path()).unwrap();
        assert_eq!(
            found,
            RepoLocal {
                tests: BTreeMap::from([
                    (Tier::Upgrade, vec!["upgrade".into()]),
                    (Tier::Custom, vec!["custom/login".into()]),
                ]),
                hooks: BTreeMap::from([(Hook::Upgrade, "before-upgrade".into())]),
                others: vec![
                    ("install".into(), "is a symbolic link".into()),
                    (
                        "test_old.py".into(),
                        "is not the name of a test or a hook".into()
                    ),
                    ("custom/notes.md".into(), "is not executable".into()),
                ],
            }
        );
    }

    const BAD_NAME: &str =
        "has a name of other characters than letters, digits, `.`, `_`, `-`, or of more than 100";

    /// What is at `tests/custom/<name>`, and what is said of it.
    #[rstest]
    #[case::a_link("t", |path: &Path| symlink("/bin/true", path).unwrap(), "t", "is a symbolic link")]
    #[case::a_link_to_itself("t", |path: &Path| symlink(path, path).unwrap(), "t", "is a symbolic link")]
    #[case::a_directory("t", |path: &Path| fs::create_dir(path).unwrap(), "t", "is a directory")]
    #[case::a_pipe("t", |path: &Path| node(path, Kind::Fifo), "t", "is a named pipe")]
    #[case::a_socket("t", |path: &Path| node(path, Kind::Socket), "t", "is a socket")]
    #[case::a_newline("t\nrm", file, "t?rm", BAD_NAME)]
    #[case::an_escape("t\u{1b}[2J", file, "t?[2J", BAD_NAME)]
    #[case::an_option("-rf", file, "-rf", BAD_NAME)]
    #[case::hidden(".t", file, ".t", BAD_NAME)]
    #[case::with_a_space("a b", file, "a b", BAD_NAME)]
    #[case::reordered("t\u{202e}x", file, "t\u{202e}x", BAD_NAME)]
    #[case::long(&"t".repeat(101), file, &"t".repeat(101), BAD_NAME)]
    fn a_trick_is_refused_with_its_reason(
        #[case] name: &str,
        #[case] make: fn(&Path),
        #[case] listed: &str,
        #[case] reason: &str,
    ) {
        let dir = checkout(&[("custom/good", 0o755)]);
        make(&dir.path().join("tests/custom").join(name));
        let found = RepoLocal::find(dir.path()).unwrap();
        assert_eq!(
            found.tests,
            BTreeMap::from([(Tier::Custom, vec!["custom/good".into()])])
        );
        assert_eq!(
            found.others,
            [(format!("custom/{listed}"), reason.to_owned())]
        );
    }

    fn file(path: &Path) {
        fs::write(path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn node(path: &Path, kind: Kind) {
        mknodat(CWD, path, kind, Mode::from_raw_mode(0o755), 0).unwrap();
    }

    #[test]
    fn a_device_is_refused() {
        if !rustix::process::getuid().is_root() {
            return; // Nobody else can make one, so none comes here.
        }
        let dir = checkout(&[("custom/good", 0o755)]);
        let path = dir.path().join("tests/install");
        let null = rustix::fs::makedev(1, 3);
        mknodat(
            CWD,
            &path,
            Kind::CharacterDevice,
            Mode::from_raw_mode(0o755),
            null,
        )
        .unwrap();
        let found = RepoLocal::find(dir.path()).unwrap();
        assert_eq!(found.others, [("install".into(), "is a device".into())]);
    }

    #[rstest]
    #[case::all_of_it("tests", "")]
    #[case::a_part_of_it("tests/custom", "custom")]
    fn a_link_in_the_place_of_a_folder_is_not_followed(#[case] at: &str, #[case] listed: &str) {
        let outside = checkout(&[("install", 0o755), ("custom/login", 0o755)]);
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join(at);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(outside.path().join(at), &link).unwrap();
        assert!(link.is_dir(), "the link leads somewhere");
        let found = RepoLocal::find(dir.path()).unwrap();
        assert_eq!(found.tests, BTreeMap::new());
        assert_eq!(
            found.others,
            [(listed.to_owned(), "is a symbolic link".to_owned())]
        );
    }

    #[test]
    fn what_is_listed_is_bounded() {
        let names: Vec<String> = (0..300).map(|n| format!("f{n:03}")).collect();
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), 0o644)).collect();
        let found = RepoLocal::find(checkout(&files).path()).unwrap();
        assert_eq!(found.others.len(), 101);
        let last = found.others.last().unwrap();
        assert_eq!(last.1, "and 200 more, which are not listed");
    }
}
