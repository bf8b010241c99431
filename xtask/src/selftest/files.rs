//! The files of a run's record: what a stranger's output must not bring into them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use fixtures::known_bad::Files;

use super::once::below;

/// Evidence is bounded to this, whatever an app prints.
const LARGEST: u64 = 20 * 1024 * 1024;

/// What is wrong with the files below a run's folder; nothing, if all is well.
pub fn faults(run: &Path, expect: &Files) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let mut bytes = 0;
    let mut files = Vec::new();
    for path in paths(run)? {
        let content = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        bytes += content.len() as u64;
        files.push((below(&path, run).display().to_string(), content));
    }
    if files.is_empty() {
        faults.push("the run has no files".to_owned());
    }
    if bytes > LARGEST {
        faults.push(format!(
            "the files have {bytes} bytes, and {LARGEST} is the most"
        ));
    }
    for (name, content) in &files {
        match std::str::from_utf8(content) {
            Err(_) => faults.push(format!("{name} is no text")),
            Ok(text) => {
                let control = text
                    .chars()
                    .find(|c| c.is_control() && !"\n\t".contains(*c));
                faults.extend(control.map(|c| format!("{name} has the character {c:?}")));
                let lacking = expect.lack.iter().filter(|lack| text.contains(*lack));
                faults.extend(lacking.map(|lack| format!("{name} has `{lack}`")));
            }
        }
    }
    for wanted in &expect.followed {
        let mut seen = false;
        for (name, content) in &files {
            let text = String::from_utf8_lossy(content);
            for (at, _) in text.match_indices(&wanted.text) {
                seen = true;
                if !text[at + wanted.text.len()..].starts_with(&wanted.by) {
                    faults.push(format!(
                        "{name} has `{}` and not `{}` behind it",
                        wanted.text, wanted.by
                    ));
                }
            }
        }
        if !seen {
            faults.push(format!("no file has `{}`", wanted.text));
        }
    }
    Ok(faults)
}

fn paths(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            paths.extend(self::paths(&path)?);
        } else {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use fixtures::known_bad::Followed;

    use super::*;

    #[rstest::rstest]
    #[case::sound(b"log: token [redacted:t]; end", &[])]
    #[case::leaked(b"log: token abc", &["a/log.txt has `token ` and not `[redacted:t]` behind it"])]
    #[case::escape(b"token [redacted:t] \x1b[2J", &["a/log.txt has the character '\\u{1b}'"])]
    #[case::bytes(b"token [redacted:t] \xff", &["a/log.txt is no text"])]
    #[case::lacking(b"token [redacted:t] XXX", &["a/log.txt has `XXX`"])]
    #[case::silent(b"nothing", &["no file has `token `"])]
    fn a_stranger_in_a_file_is_found(#[case] content: &[u8], #[case] expected: &[&str]) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/log.txt"), content).unwrap();
        let expect = Files {
            lack: vec!["XXX".to_owned()],
            followed: vec![Followed {
                text: "token ".to_owned(),
                by: "[redacted:t]".to_owned(),
            }],
        };
        assert_eq!(faults(dir.path(), &expect).unwrap(), expected);
    }

    #[test]
    fn no_files_at_all_are_a_fault() {
        let dir = tempfile::tempdir().unwrap();
        let found = faults(dir.path(), &Files::default()).unwrap();
        assert_eq!(found, ["the run has no files"]);
    }
}
