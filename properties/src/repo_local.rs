//! What is found in a recipe's `tests/`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path};

use harness::suite::RepoLocal;

/// Each line makes one thing below the recipe: a letter says what, the rest is its path. A link's
/// path is followed by a NUL and where it leads.
pub(crate) fn holds(bytes: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(dir.path().join("outside"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(
        dir.path().join("outside"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    for line in bytes.split(|byte| *byte == b'\n').take(32) {
        // What can't be made is not there.
        let _ = make(&tree, line);
    }
    let found = RepoLocal::find(&tree).unwrap();
    let inside = tree.join("tests");
    let paths = found.tests.values().flatten().chain(found.hooks.values());
    for path in paths {
        let parts: Vec<_> = path.components().collect();
        match parts[..] {
            [Component::Normal(_)] => {}
            [Component::Normal(folder), Component::Normal(_)] => assert_eq!(folder, "custom"),
            _ => panic!("{path:?} is found"),
        }
        let file = inside.join(path);
        assert_eq!(
            file.canonicalize().unwrap(),
            inside.canonicalize().unwrap().join(path)
        );
        let what = fs::symlink_metadata(&file).unwrap();
        assert!(
            what.is_file() && what.permissions().mode() & 0o111 != 0,
            "{path:?}"
        );
        let text = path.to_str().unwrap();
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        assert!(text.chars().all(plain), "{text:?}");
    }
    assert!(found.others.len() <= 101);
    for (path, reason) in &found.others {
        assert!(
            !path.contains(char::is_control) && !reason.is_empty(),
            "{path:?}"
        );
    }
}

fn make(tree: &Path, line: &[u8]) -> std::io::Result<()> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let Some((kind, rest)) = line.split_first() else {
        return Ok(());
    };
    let mut parts = rest.splitn(2, |byte| *byte == 0);
    let name = Path::new(OsStr::from_bytes(parts.next().unwrap_or_default()));
    let target = Path::new(OsStr::from_bytes(parts.next().unwrap_or(b"../../outside")));
    let below = |part: Component<'_>| matches!(part, Component::Normal(_));
    if name.as_os_str().len() > 300 || !name.components().all(below) {
        return Ok(());
    }
    let path = tree.join("tests").join(name);
    // A folder's parents, and no way through a link that was made before.
    let folder = path.parent().unwrap_or(tree);
    let there = folder.ancestors().find(|folder| folder.exists());
    if !there
        .unwrap_or(tree)
        .canonicalize()?
        .starts_with(tree.canonicalize()?)
    {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    match kind {
        b'd' => fs::create_dir(path),
        b'l' => symlink(target, path),
        b'T' => symlink(target, tree.join("tests")),
        b'n' => fs::write(path, ""),
        b's' => std::os::unix::net::UnixListener::bind(path).map(drop),
        _ => {
            fs::write(&path, "")?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        }
    }
}
