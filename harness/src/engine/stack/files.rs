//! The files that are given to Docker: a copy of the recipe, with a `version` where one lacks, and
//! the overlay beside it.
//!
//! Docker reads the files that a compose file names with the engine's rights, and their content
//! ends up in the app. So nothing may lead out of the recipe's folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::engine::inside::{leads_inside, stays_inside};
use crate::engine::overlay::{DEFAULT_VERSION, overlay, version_of};
use crate::engine::{AppSpec, Deployment};
use crate::fault::Fault;

/// Compose files in the order of merging; relative paths in them begin at the first one's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    pub compose: Vec<PathBuf>,
}

/// Makes the copy in `folder`, in place of the last deploy's.
pub fn prepare(
    folder: &Path,
    app: &AppSpec,
    what: &Deployment,
    dnsrr: bool,
) -> Result<Files, Fault> {
    if what.files.is_empty() {
        return Err(Fault::recipe("no compose file is selected"));
    }
    stays_inside(what)?;
    let copy = folder.join("recipe");
    let host = |error: std::io::Error| {
        Fault::infra(format!("copying the recipe to {}: {error}", copy.display()))
    };
    match fs::remove_dir_all(&copy) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(host(error)),
        _ => {}
    }
    copy_tree(&what.tree, &copy).map_err(|error| match error {
        CopyError::Host(error) => host(error),
        CopyError::Link(path) => Fault::recipe(format!(
            "`{}` is a symbolic link that leads out of the recipe",
            path.display()
        )),
    })?;
    let mut texts = Vec::new();
    for file in &what.files {
        let text = fs::read_to_string(copy.join(file))
            .map_err(|error| Fault::recipe(format!("reading {}: {error}", file.display())))?;
        texts.push(text);
    }
    let version = texts
        .iter()
        .find_map(|text| version_of(text))
        .unwrap_or(DEFAULT_VERSION)
        .to_owned();
    for (index, (file, text)) in what.files.iter().zip(&texts).enumerate() {
        let has_version = match what.compose.has_version.get(index) {
            Some(has) => *has,
            None => version_of(text).is_some(),
        };
        if !has_version {
            fs::write(copy.join(file), with_version(text, &version)).map_err(host)?;
        }
    }
    let mut compose = what
        .files
        .iter()
        .map(|file| copy.join(file))
        .collect::<Vec<_>>();
    if let Some(text) = overlay(Some(app), what, &version, dnsrr) {
        let file = folder.join("overlay.yml");
        fs::write(&file, text).map_err(host)?;
        compose.push(file);
    }
    Ok(Files { compose })
}

enum CopyError {
    Host(std::io::Error),
    Link(PathBuf),
}

impl From<std::io::Error> for CopyError {
    fn from(error: std::io::Error) -> Self {
        Self::Host(error)
    }
}

/// Copies files, folders and links that stay inside; not `.git`, and nothing that is no file.
fn copy_tree(from: &Path, to: &Path) -> Result<(), CopyError> {
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        fs::create_dir_all(to.join(&folder))?;
        for entry in fs::read_dir(from.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_symlink() {
                let target = fs::read_link(entry.path())?;
                if !leads_inside(&folder, &target) {
                    return Err(CopyError::Link(path));
                }
                std::os::unix::fs::symlink(target, to.join(&path))?;
            } else if kind.is_dir() && path.as_os_str() != ".git" {
                folders.push(path);
            } else if kind.is_file() {
                fs::copy(entry.path(), to.join(&path))?;
            }
        }
    }
    Ok(())
}

/// The text with a `version` at its top: after the mark that begins a document, if there is one.
fn with_version(text: &str, version: &str) -> String {
    let line = format!("version: \"{version}\"\n");
    let mut at = 0;
    for head in text.split_inclusive('\n') {
        let head_end = at + head.len();
        let trimmed = head.trim();
        if trimmed == "---" {
            return format!("{}{line}{}", &text[..head_end], &text[head_end..]);
        }
        if !trimmed.is_empty() && !trimmed.starts_with(['#', '%']) {
            break;
        }
        at = head_end;
    }
    format!("{line}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::overlay::tests::{app, deployment};
    use crate::recipe::Compose;
    use crate::recipe::compose::Service;

    #[rstest::rstest]
    #[case::plain("services: {}\n", "version: \"3.8\"\nservices: {}\n")]
    #[case::document(
        "# a\n---\nservices: {}\n",
        "# a\n---\nversion: \"3.8\"\nservices: {}\n"
    )]
    #[case::later_mark("services: {}\n---\n", "version: \"3.8\"\nservices: {}\n---\n")]
    fn a_version_is_put_first(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(with_version(text, "3.8"), expected);
    }

    fn recipe(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn the_copy_gets_the_version_of_its_siblings_and_the_tree_stays_as_it_was() {
        let tree = recipe(&[
            ("compose.yml", "services: {}\n"),
            ("compose.db.yml", "version: '3.7'\n"),
            ("conf/a.tmpl", "text"),
            (".git/HEAD", "x"),
        ]);
        let work = tempfile::tempdir().unwrap();
        let mut what = deployment(Compose {
            services: [("app".to_owned(), Service::default())].into(),
            ..Compose::default()
        });
        what.tree = tree.path().to_owned();
        what.files.push("compose.db.yml".into());
        let files = prepare(work.path(), &app(), &what, false).unwrap();
        let first = fs::read_to_string(&files.compose[0]).unwrap();
        assert_eq!(first, "version: \"3.7\"\nservices: {}\n");
        let last = fs::read_to_string(&files.compose[2]).unwrap();
        assert!(last.contains("\"version\": \"3.7\""), "{last}");
        assert!(work.path().join("recipe/conf/a.tmpl").exists());
        assert!(!work.path().join("recipe/.git").exists());
        let source = fs::read_to_string(tree.path().join("compose.yml")).unwrap();
        assert_eq!(source, "services: {}\n");
    }

    #[test]
    fn a_link_out_of_the_recipe_is_refused_and_one_inside_is_kept() {
        let tree = recipe(&[("compose.yml", "services: {}\n"), ("conf/a", "text")]);
        let link = |to: &str, name: &str| {
            std::os::unix::fs::symlink(to, tree.path().join(name)).unwrap();
        };
        link("../conf/a", "conf/b");
        let work = tempfile::tempdir().unwrap();
        let mut what = deployment(Compose::default());
        what.tree = tree.path().to_owned();
        prepare(work.path(), &app(), &what, false).unwrap();
        let copied = fs::read_to_string(work.path().join("recipe/conf/b")).unwrap();
        assert_eq!(copied, "text");
        link("/etc/passwd", "leak");
        let fault = prepare(work.path(), &app(), &what, false).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "`leak` is a symbolic link that leads out of the recipe"
        );
    }
}
