//! The house rules that no other tool knows, over all tracked files.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

const LONG: usize = 400;
const TOO_LONG: usize = 600;
/// Names that say nothing of what is inside.
const EMPTY_NAMES: [&str; 7] = [
    "util", "utils", "common", "helper", "helpers", "manager", "misc",
];
/// Written in two parts, or this file would find itself.
const UNDONE: &str = concat!("to", "do!(");
const IGNORED: &str = concat!("#[", "ignore");
const SLEEP: &str = concat!("sle", "ep(");
/// Lets the code of strangers run.
const APPROVED_FOR_TEST: &str = concat!(".approved_for", "_test(");
/// On the line or the one before: why this pause is no wait.
const SLEEP_ALLOWED: &str = concat!("tidy: sle", "ep: ");
const MACHINE_PATH: &str = concat!("/wo", "rk/");

/// One place where a rule is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    file: String,
    /// 0: the file as a whole.
    line: usize,
    severity: Severity,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    Warning,
    Error,
}

impl Finding {
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        match self.line {
            0 => write!(f, "{word}: {}: {}", self.file, self.text),
            line => write!(f, "{word}: {}:{line}: {}", self.file, self.text),
        }
    }
}

/// Looks at every tracked file of the workspace. No file at all is an error: then nothing was
/// checked.
pub fn check(root: &Path) -> Result<Vec<Finding>> {
    let files = tracked(root)?;
    ensure!(
        !files.is_empty(),
        "git tracks no file in {}",
        root.display()
    );
    let mut findings = Vec::new();
    for file in files {
        let path = root.join(&file);
        // A link, or a file that is deleted and not yet committed so.
        if !path.is_file() || path.is_symlink() {
            continue;
        }
        let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let text = String::from_utf8_lossy(&bytes);
        findings.extend(of_file(&file.to_string_lossy(), &text));
    }
    Ok(findings)
}

fn tracked(root: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root)
        .output()
        .context("starting git")?;
    ensure!(
        output.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let listing = String::from_utf8(output.stdout).context("a file's name is no text")?;
    Ok(listing.split_terminator('\0').map(PathBuf::from).collect())
}

fn of_file(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |line, severity, text: String| {
        findings.push(Finding {
            file: file.to_owned(),
            line,
            severity,
            text,
        });
    };
    let rust = file.ends_with(".rs");
    if rust {
        for part in Path::new(file).iter().map(|part| part.to_string_lossy()) {
            let stem = part.trim_end_matches(".rs");
            if EMPTY_NAMES.contains(&stem) {
                find(
                    0,
                    Severity::Error,
                    format!("`{stem}` says nothing of what is inside"),
                );
            }
        }
        match text.lines().count() {
            lines if lines > TOO_LONG => find(
                0,
                Severity::Error,
                format!("{lines} lines; over {TOO_LONG} is two rooms"),
            ),
            lines if lines > LONG => find(
                0,
                Severity::Warning,
                format!("{lines} lines; over {LONG} is asking to be two"),
            ),
            _ => {}
        }
    }
    let mut before = "";
    for (number, line) in (1..).zip(text.lines()) {
        if has_word(line, MACHINE_PATH) {
            find(number, Severity::Error, "a path of one machine".to_owned());
        }
        if rust && !line.trim_start().starts_with("//") {
            if has_word(line, UNDONE) {
                find(number, Severity::Error, "left undone".to_owned());
            }
            if line.trim_start().starts_with(IGNORED) {
                find(
                    number,
                    Severity::Error,
                    "a test that nobody runs".to_owned(),
                );
            }
            if line.contains(APPROVED_FOR_TEST) && !file.starts_with("harness/tests/") {
                find(
                    number,
                    Severity::Error,
                    "whose own tests may run is said by recipes/repo-local-approved.txt".to_owned(),
                );
            }
            let allowed = [before, line]
                .iter()
                .any(|text| text.contains(SLEEP_ALLOWED));
            if has_word(line, SLEEP) && !allowed && !file.ends_with("/wait.rs") {
                find(
                    number,
                    Severity::Error,
                    format!("a bare sleep: use wait_until (or say why not: // {SLEEP_ALLOWED}…)"),
                );
            }
        }
        before = line;
    }
    findings
}

/// Whether `word` is in `line` and is not the end of a longer name or path.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(|c: char| {
            c.is_alphanumeric() || c == '_' || c == '.' && word.starts_with('/')
        })
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn shown(file: &str, text: &str) -> Vec<String> {
        of_file(file, text).iter().map(Finding::to_string).collect()
    }

    #[rstest]
    #[case::undone(format!("    {UNDONE})"), "error: a/src/x.rs:2: left undone")]
    #[case::ignored(format!("    {IGNORED}]"), "error: a/src/x.rs:2: a test that nobody runs")]
    #[case::ignored_with_reason(format!("{IGNORED} = \"slow\"]"), "error: a/src/x.rs:2: a test that nobody runs")]
    #[case::path(format!("let x = \"{MACHINE_PATH}x\";"), "error: a/src/x.rs:2: a path of one machine")]
    #[case::path_in_a_comment(format!("// see {MACHINE_PATH}x"), "error: a/src/x.rs:2: a path of one machine")]
    fn a_broken_rule_is_found_where_it_is(#[case] line: String, #[case] expected: &str) {
        assert_eq!(shown("a/src/x.rs", &format!("//! x\n{line}\n")), [expected]);
    }

    #[rstest]
    #[case::thread(format!("std::thread::{SLEEP}x);"), 1)]
    #[case::tokio(format!("tokio::time::{SLEEP}x).await;"), 1)]
    #[case::longer_name(format!("no_{SLEEP}x);"), 0)]
    #[case::comment(format!("// {SLEEP}x)"), 0)]
    #[case::reason_before(format!("// {SLEEP_ALLOWED}the fault itself\n{SLEEP}x);"), 0)]
    #[case::reason_too_far(format!("// {SLEEP_ALLOWED}why\n\n{SLEEP}x);"), 1)]
    fn a_bare_sleep_is_found_unless_it_says_why(#[case] text: String, #[case] found: usize) {
        assert_eq!(of_file("a/src/x.rs", &text).len(), found);
        assert!(of_file("harness/src/wait.rs", &text).is_empty());
    }

    #[rstest]
    #[case("recipes/x/tests/main.rs", 1)]
    #[case("harness/src/suite/mod.rs", 1)]
    #[case("harness/tests/session/suites.rs", 0)]
    fn only_the_projects_tests_approve_a_recipe(#[case] file: &str, #[case] found: usize) {
        let text = format!("suite{APPROVED_FOR_TEST}list)");
        assert_eq!(of_file(file, &text).len(), found);
    }

    #[rstest]
    #[case("harness/src/utils.rs", 1)]
    #[case("harness/src/common/mod.rs", 1)]
    #[case("harness/src/manager_of_none.rs", 0)]
    #[case("docs/helpers.md", 0)]
    fn a_name_that_says_nothing_is_found(#[case] file: &str, #[case] found: usize) {
        assert_eq!(of_file(file, "x").len(), found);
    }

    #[rstest]
    #[case(400, None)]
    #[case(401, Some(Severity::Warning))]
    #[case(600, Some(Severity::Warning))]
    #[case(601, Some(Severity::Error))]
    fn a_long_file_is_warned_of_and_a_longer_one_refused(
        #[case] lines: usize,
        #[case] expected: Option<Severity>,
    ) {
        let found = of_file("a.rs", &"x\n".repeat(lines));
        assert_eq!(found.first().map(|finding| finding.severity), expected);
        assert!(of_file("Cargo.lock", &"x\n".repeat(lines)).is_empty());
    }

    #[test]
    fn only_whole_paths_are_taken_for_a_machines() {
        let relative = format!("target{MACHINE_PATH}x and .{MACHINE_PATH}x");
        assert!(of_file("x.md", &relative).is_empty());
        assert_eq!(of_file("x.md", &format!("`{MACHINE_PATH}x`")).len(), 1);
    }

    #[test]
    fn a_folder_in_which_git_tracks_nothing_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let ran = Command::new("git")
            .args(["init", "--quiet"])
            .current_dir(folder.path())
            .status()
            .unwrap();
        assert!(ran.success());
        assert!(check(folder.path()).is_err());
    }
}
