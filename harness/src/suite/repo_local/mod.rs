//! Tests that the recipe repository itself ships in `tests/`: found always, run only for recipes
//! on the list.
//!
//! Invariants: default deny; only regular executable files inside `tests/` run; they get a cleared
//! environment, a process group of their own, a deadline, and an unprivileged user where we are
//! root; they see copies and never the session's own files.

mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use results::Tier;

pub(crate) use run::{Surroundings, run};

use super::Hook;
use crate::fault::Fault;
use crate::recipe::RecipeName;

/// The recipes whose repo-local code may run.
pub struct Approved(BTreeSet<RecipeName>);

impl Approved {
    /// The project's list.
    pub fn list() -> Self {
        Self::parse(include_str!("../../../../recipes/repo-local-approved.txt"))
    }

    /// One name a line, `#` comments. What is no recipe name approves nobody.
    pub fn parse(text: &str) -> Self {
        let name = |line: &str| {
            line.split('#')
                .next()
                .unwrap_or_default()
                .trim()
                .parse()
                .ok()
        };
        Self(text.lines().filter_map(name).collect())
    }

    pub fn allows(&self, recipe: &RecipeName) -> bool {
        self.0.contains(recipe)
    }
}

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
            Ok(what) if !what.is_dir() => {
                found
                    .others
                    .push(("tests".into(), "is not a directory".into()));
                return Ok(found);
            }
            Ok(_) => {}
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
        let known: BTreeSet<PathBuf> = found
            .tests
            .values()
            .flatten()
            .chain(found.hooks.values())
            .cloned()
            .chain(found.others.iter().map(|(path, _)| PathBuf::from(path)))
            .chain([PathBuf::from("custom")])
            .collect();
        for path in entries(&root, Path::new(""))?
            .into_iter()
            .filter(|p| !known.contains(p))
        {
            found
                .others
                .push((shown(&path), "is not the name of a test or a hook".into()));
        }
        if fs::symlink_metadata(root.join("custom")).is_ok_and(|what| what.is_dir()) {
            for path in entries(&root, Path::new("custom"))? {
                if found.is_test(&root, &path) {
                    found.tests.entry(Tier::Custom).or_default().push(path);
                }
            }
        }
        Ok(found)
    }

    /// Whether `path` is there and can be run; if it is there and can't, that is kept.
    fn is_test(&mut self, root: &Path, path: &Path) -> bool {
        let Ok(what) = fs::symlink_metadata(root.join(path)) else {
            return false;
        };
        let reason = if what.is_symlink() {
            "is a symbolic link"
        } else if !what.is_file() {
            "is not a regular file"
        } else if shown(path) != path.to_string_lossy() {
            "has control characters in its name"
        } else if what.permissions().mode() & 0o111 == 0 {
            "is not executable"
        } else {
            return true;
        };
        self.others.push((shown(path), reason.to_owned()));
        false
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
    use std::time::Duration;

    use results::Outcome;

    use super::*;

    #[rstest::rstest]
    #[case::empty("", false)]
    #[case::commented("# custom-html", false)]
    #[case::wildcard("*", false)]
    #[case::other("custom-html-tiny", false)]
    #[case::named("keycloak\n custom-html # reviewed\n", true)]
    fn only_a_named_recipe_is_approved(#[case] list: &str, #[case] allowed: bool) {
        assert_eq!(
            Approved::parse(list).allows(&"custom-html".parse().unwrap()),
            allowed
        );
    }

    #[test]
    fn nobody_is_approved_by_the_projects_list() {
        assert_eq!(Approved::list().0, BTreeSet::new());
    }

    fn checkout(files: &[(&str, &str, u32)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text, mode) in files {
            let path = dir.path().join("tests").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
        }
        fs::write(dir.path().join("app.env"), "A=b\n").unwrap();
        fs::write(dir.path().join("state.json"), "{}").unwrap();
        dir
    }

    #[test]
    fn tests_and_hooks_are_found_by_name_and_the_rest_is_listed() {
        let dir = checkout(&[
            ("upgrade", "", 0o755),
            ("before-upgrade", "", 0o755),
            ("custom/login", "", 0o755),
            ("custom/notes.md", "", 0o644),
            ("test_old.py", "", 0o755),
        ]);
        std::os::unix::fs::symlink("/bin/true", dir.path().join("tests/install")).unwrap();
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

    #[rstest::rstest]
    #[case::passes("exit 0", Outcome::Pass)]
    #[case::skips("echo no mail here; exit 77", Outcome::skip("no mail here"))]
    #[case::fails("echo broken >&2; exit 3", Outcome::fail("exit 3: broken"))]
    #[case::hangs("sleep 60", Outcome::fail("tests/custom/t: no end within 0.5 s"))]
    #[case::sees_no_environment("[ -z \"$CARGO_MANIFEST_DIR\" ]", Outcome::Pass)]
    #[case::has_its_own(
        "[ \"$CCCI_APP_DOMAIN\" = x.ci.test ] && grep -q A=b \"$CCCI_APP_ENV\"",
        Outcome::Pass
    )]
    #[tokio::test]
    async fn exit_status_is_the_outcome(#[case] script: &str, #[case] expected: Outcome) {
        let text = format!("#!/bin/sh\n{script}\n");
        let dir = checkout(&[("custom/t", &text, 0o755)]);
        let around = Surroundings {
            tree: dir.path(),
            recipe: &"custom-html".parse().unwrap(),
            domain: "x.ci.test",
            env_file: &dir.path().join("app.env"),
            state: &dir.path().join("state.json"),
            authority: None,
        };
        let (outcome, _) = run(Path::new("custom/t"), &around, Duration::from_millis(500))
            .await
            .unwrap();
        assert_eq!(outcome, expected);
    }
}
