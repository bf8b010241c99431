//! Paths beneath a volume's root, in a tree that a stranger built: whatever is asked for there, what
//! lies outside is neither read nor changed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Component, Path};

use harness::snapshot::{InnerPath, Volume};

const WITNESS: &str = "outside-witness";
const SECRET: &str = "a word outside";
const OURS: &[u8] = b"ours";

/// Each line is a step in the tree: `d path` a folder, `f path` a file, `l path target` a link; or
/// something that is asked of the volume: `? path`.
pub(crate) fn holds(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let dir = tempfile::tempdir().unwrap();
    let (root, outside) = (dir.path().join("volume"), dir.path().join("outside"));
    fs::create_dir(&root).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join(WITNESS), SECRET).unwrap();
    let mut asked = Vec::new();
    for line in text.lines().take(24) {
        let (step, rest) = line.split_once(' ').unwrap_or((line, ""));
        match step {
            "?" => asked.extend(rest.parse::<InnerPath>()),
            _ => build(&root, step, rest),
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let volume = Volume::at(&root).unwrap();
        for path in &asked {
            assert!(is_relative(path), "{path}");
            ask(&volume, path).await;
        }
        volume.close().await.unwrap();
    });
    let left: Vec<_> = fs::read_dir(&outside).unwrap().collect();
    assert_eq!(left.len(), 1, "{text:?}");
    let file = fs::read_to_string(outside.join(WITNESS)).unwrap();
    assert_eq!(file, SECRET, "{text:?}");
}

fn is_relative(path: &InnerPath) -> bool {
    let mut parts = path.as_path().components();
    parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// What the volume's owner makes: anything, in its own volume. `@` stands for the folder outside.
fn build(root: &Path, step: &str, rest: &str) {
    let (path, target) = rest.split_once(' ').unwrap_or((rest, "x"));
    let Ok(path) = path.parse::<InnerPath>() else {
        return;
    };
    // Only plain folders are built in: the builder is this process.
    let Some((parent, name)) = path.split() else {
        return;
    };
    let mut folder = root.to_owned();
    for part in parent.as_path().components() {
        folder.push(part);
        if !folder.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            return;
        }
    }
    let at = folder.join(name);
    if name == WITNESS {
        return;
    }
    if at.symlink_metadata().is_ok() {
        return;
    }
    // A name may be longer than the file system takes.
    let _ = match step {
        "d" => fs::create_dir(at),
        "f" => fs::write(at, "inside"),
        "l" => {
            let outside = root.with_file_name("outside");
            let target = target.replace('@', &outside.display().to_string());
            symlink(target.replace('\0', ""), at)
        }
        _ => Ok(()),
    };
}

/// All that is ever done with a path, reading first.
async fn ask(volume: &Volume, path: &InnerPath) {
    let read = volume.read(path, 1 << 16).await;
    assert!(!read.is_ok_and(|read| read == SECRET.as_bytes()), "{path}");
    if let (Ok(sum), Ok(read)) = (
        volume.checksum(path).await,
        volume.read(path, 1 << 16).await,
    ) {
        assert_eq!(sum.len(), 64, "{path}");
        assert!(
            read.starts_with(b"inside") || read.starts_with(OURS),
            "{path}"
        );
    }
    // The folder outside has one file, of a name that nothing inside has.
    let listed = volume.list(path, 100).await;
    assert!(
        !listed.is_ok_and(|names| names.iter().any(|name| name == WITNESS)),
        "{path}"
    );
    // What is refused is refused: the look outside is what counts.
    let _ = volume.kind(path).await;
    let _ = volume.append(path, OURS).await;
    let _ = volume.write(path, OURS).await;
    let _ = volume.remove(path).await;
}
