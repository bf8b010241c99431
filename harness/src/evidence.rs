//! The `evidence/` folder of a run: what is kept of a failure for people to read.
//!
//! Invariants: whatever is written was redacted before anything was cut off it, is text without
//! control characters, and the folder stays below [`LARGEST_RUN`], whatever an app prints and
//! however many processes of the run write there.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::redact::Redactor;

/// All evidence of a run.
pub const LARGEST_RUN: u64 = 20_000_000;
/// One file.
pub const LARGEST_FILE: usize = 256 * 1024;
/// Characters.
const LONGEST_LINE: usize = 4096;
/// Less than this is not worth a file.
const SMALLEST_FILE: u64 = 1024;

/// A text with the name of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub name: String,
    pub text: String,
}

impl Piece {
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }
}

/// The folder, for one writer.
pub struct Folder {
    /// `runs/<run id>/evidence`.
    root: PathBuf,
    redactor: Redactor,
}

impl Folder {
    pub fn new(root: PathBuf, redactor: Redactor) -> Self {
        Self { root, redactor }
    }

    /// Writes texts below `folder` (empty: the root), the most relevant first, as room is left. Gives
    /// their paths below the run's folder. Never fails: evidence must not stop a run.
    pub fn write(&self, folder: &str, pieces: Vec<Piece>) -> Vec<String> {
        let dir = self.root.join(folder);
        let mut written = Vec::new();
        for piece in pieces {
            let room = LARGEST_RUN.saturating_sub(size(&self.root));
            if room < SMALLEST_FILE {
                break;
            }
            let largest = LARGEST_FILE.min(usize::try_from(room).unwrap_or(LARGEST_FILE));
            let text = bounded(&self.redactor.redact(&piece.text), largest);
            let done = std::fs::create_dir_all(&dir)
                .and_then(|()| std::fs::write(dir.join(&piece.name), text));
            if done.is_ok() {
                let folder = if folder.is_empty() {
                    String::new()
                } else {
                    format!("{folder}/")
                };
                written.push(format!("evidence/{folder}{}", piece.name));
            }
        }
        written
    }
}

/// A name for a file, from one that a recipe chose.
pub fn file_name(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .take(64)
        .collect()
}

/// Bytes of all files below a folder. Others may write there meanwhile.
fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let kind = entry.file_type().ok()?;
            if kind.is_dir() {
                Some(size(&entry.path()))
            } else {
                Some(entry.metadata().ok()?.len())
            }
        })
        .sum()
}

/// At most so many bytes, the end of them, with long lines cut and no control characters.
fn bounded(text: &str, largest: usize) -> String {
    let mut out = String::with_capacity(text.len().min(largest));
    for line in text.lines() {
        let mut chars = line.chars().map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        });
        out.extend(chars.by_ref().take(LONGEST_LINE));
        let cut = chars.count();
        if cut > 0 {
            let _ = write!(out, "… ({cut} more characters)");
        }
        out.push('\n');
    }
    if out.len() > largest {
        const NOTE: &str = "(the beginning is cut)\n";
        let from = out.len() - largest.saturating_sub(NOTE.len());
        let from = (from..out.len())
            .find(|at| out.is_char_boundary(*at))
            .unwrap_or(out.len());
        out.replace_range(..from, NOTE);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_bounded_and_keeps_the_end() {
        let text = format!("{}the end", "é line\n".repeat(100_000));
        let out = bounded(&text, LARGEST_FILE);
        assert!(out.len() <= LARGEST_FILE, "{}", out.len());
        assert!(out.starts_with("(the beginning is cut)\n"));
        assert!(out.ends_with("the end\n"));
    }

    #[test]
    fn a_huge_line_is_cut_and_says_so() {
        let out = bounded(&"x".repeat(1_000_000), LARGEST_FILE);
        assert!(out.ends_with("… (995904 more characters)\n"));
    }

    #[test]
    fn a_name_of_a_recipe_leads_nowhere() {
        assert_eq!(file_name("../../etc/passwd"), "______etc_passwd");
    }

    /// Control characters become three bytes each.
    #[test]
    fn a_run_stays_below_its_bound_whatever_comes() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("evidence");
        let huge = "\u{1}\u{1b}x\n".repeat(200_000);
        for tier in ["install", "upgrade", ""] {
            // Two writers, as keeper and test are.
            let folder = Folder::new(root.clone(), Redactor::default());
            let pieces = (0..60).map(|n| Piece::new(format!("{n}.txt"), huge.as_str()));
            folder.write(tier, pieces.collect());
        }
        let size = size(&root);
        assert!(size <= LARGEST_RUN, "{size}");
        assert!(size > LARGEST_RUN - 2 * SMALLEST_FILE, "{size}");
        let folder = Folder::new(root, Redactor::default());
        let more = folder.write("restore", vec![Piece::new("late.txt", "late")]);
        assert_eq!(more, Vec::<String>::new());
    }

    #[test]
    fn what_is_written_is_redacted_text_below_the_runs_folder() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("evidence");
        let folder = Folder::new(root.clone(), Redactor::new([("pw", "very-secret")]));
        let text = format!("{}very-secret\u{1b}[31m", "x".repeat(LONGEST_LINE - 4));
        let written = folder.write("install", vec![Piece::new("a.txt", text)]);
        assert_eq!(written, ["evidence/install/a.txt"]);
        let text = std::fs::read_to_string(root.join("install/a.txt")).unwrap();
        assert!(!text.contains("very"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        let written = folder.write("", vec![Piece::new("b.txt", "b")]);
        assert_eq!(written, ["evidence/b.txt"]);
    }
}
