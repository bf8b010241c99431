//! The `.env` file of an app: the only reader and the only writer.
//!
//! Invariants: a file that is read and written again is the same byte for byte; a value that is
//! set reads back identical; setting a key changes no other line.
//!
//! Syntax: `KEY=value` with `#` comments. Single quotes are literal. Double-quoted and unquoted
//! values expand `$X` and `${X}` from keys set earlier in the same file. A key may occur again: the
//! last one wins, and each may refer to the one before. A comment behind a value may carry
//! modifiers (`# length=64 charset=hex`, `# generate=false`).

mod modifiers;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

pub use modifiers::{Charset, Modifiers};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    #[error("line {line}: `{text}` is neither `KEY=value` nor a comment")]
    NotAnAssignment { line: usize, text: String },
    #[error(
        "line {line}: `{key}` is no name of a variable: letters, digits and `_`, no digit first"
    )]
    Key { line: usize, key: String },
    #[error(
        "line {line}: the value of `{key}` opens a {quote} that is not closed on the same line"
    )]
    Unclosed {
        line: usize,
        key: String,
        quote: char,
    },
    #[error(
        "line {line}: `{text}` stands behind the closing quote of `{key}`; only a `#` comment may"
    )]
    AfterQuote {
        line: usize,
        key: String,
        text: String,
    },
    #[error(
        "`{key}` can't be set: its value has a line break or a NUL, and a line of an env file can't hold one; pass it as a secret or a config"
    )]
    Unrepresentable { key: String },
    #[error("`{key}` is no name of a variable: letters, digits and `_`, no digit first")]
    SetKey { key: String },
    #[error(
        "line {line}: with `{key}` all values together have more than {LARGEST} bytes, for a value may take in others"
    )]
    TooLarge { line: usize, key: String },
}

/// As many bytes all values together may have: a line `A=$A$A` doubles what is above it.
const LARGEST: usize = 1024 * 1024;

/// The lines of an `.env` file, and what they mean.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnvFile {
    /// Each with its line ending, so that together they are the file.
    lines: Vec<Line>,
    variables: BTreeMap<String, String>,
    notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    text: String,
    assignment: Option<Assignment>,
    /// The key of an assignment that is commented out, and the comment behind it.
    disabled: Option<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Assignment {
    key: String,
    /// Where the value stands in the line, quotes included.
    raw: Range<usize>,
    comment: Option<String>,
    exported: bool,
}

impl EnvFile {
    pub fn parse(text: &str) -> Result<Self, EnvError> {
        let lines = text
            .split_inclusive('\n')
            .enumerate()
            .map(|(index, line)| read_line(line, index + 1))
            .collect::<Result<Vec<_>, _>>()?;
        let mut file = Self {
            lines,
            ..Self::default()
        };
        file.evaluate()?;
        Ok(file)
    }

    /// The value of a key, expanded; the last one where it occurs again.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.variables.get(key).map(String::as_str)
    }

    /// All keys with their expanded values.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    /// What the comments behind a key's lines ask for. A line that is commented out counts, too,
    /// but less than one that is not.
    pub fn modifiers(&self, key: &str) -> Modifiers {
        let disabled = self.lines.iter().filter_map(|line| {
            let (name, comment) = line.disabled.as_ref()?;
            (name == key).then_some(comment)
        });
        let live = self.lines.iter().filter_map(|line| {
            let assignment = line.assignment.as_ref()?;
            (assignment.key == key).then_some(assignment.comment.as_ref()?)
        });
        let mut modifiers = Modifiers::default();
        for comment in disabled.chain(live) {
            modifiers.read(comment);
        }
        modifiers
    }

    /// What is odd and no error, with the line.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Gives `key` this value: in its last line, whose comment stays, or in a new line at the end.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), EnvError> {
        if !is_key(key) {
            return Err(EnvError::SetKey {
                key: key.to_owned(),
            });
        }
        let quoted = value::quote(value).ok_or_else(|| EnvError::Unrepresentable {
            key: key.to_owned(),
        })?;
        let found = self.lines.iter().rposition(|line| {
            let assignment = line.assignment.as_ref();
            assignment.is_some_and(|assignment| assignment.key == key)
        });
        let mut changed = self.clone();
        match found {
            Some(index) => changed.replace(index, &quoted),
            None => changed.append(key, &quoted),
        }
        changed.evaluate()?;
        *self = changed;
        Ok(())
    }

    fn replace(&mut self, index: usize, quoted: &str) {
        let line = &mut self.lines[index];
        let Some(assignment) = &line.assignment else {
            return;
        };
        // Behind a quoted value a comment may follow at once; behind another it may not.
        if line.text[assignment.raw.end..].starts_with('#') {
            line.text.insert(assignment.raw.end, ' ');
        }
        line.text.replace_range(assignment.raw.clone(), quoted);
        *line = reread(&line.text, index);
    }

    fn append(&mut self, key: &str, quoted: &str) {
        if let Some(last) = self.lines.last_mut()
            && !last.text.ends_with('\n')
        {
            last.text.push('\n');
        }
        let line = reread(&format!("{key}={quoted}\n"), self.lines.len());
        self.lines.push(line);
    }

    fn evaluate(&mut self) -> Result<(), EnvError> {
        let mut size = 0;
        self.variables.clear();
        self.notes.clear();
        for (index, line) in self.lines.iter().enumerate() {
            let Some(assignment) = &line.assignment else {
                continue;
            };
            let number = index + 1;
            if assignment.exported {
                self.notes.push(format!(
                    "line {number}: `export` before `{}` has no meaning in an env file",
                    assignment.key
                ));
            }
            if let Some(comment) = &assignment.comment {
                for odd in Modifiers::default().read(comment) {
                    self.notes.push(format!("line {number}: {odd}"));
                }
            }
            let mut unset = Vec::new();
            let raw = &line.text[assignment.raw.clone()];
            let before = self.variables.get(&assignment.key).map_or(0, String::len);
            let most = LARGEST.saturating_sub(size);
            let value =
                value::evaluate(raw, &self.variables, &mut unset, most).ok_or_else(|| {
                    EnvError::TooLarge {
                        line: number,
                        key: assignment.key.clone(),
                    }
                })?;
            size = size + value.len() - before;
            for name in unset {
                self.notes.push(format!(
                    "line {number}: `{}` refers to `{name}`, which is not set above; taken as empty",
                    assignment.key
                ));
            }
            self.variables.insert(assignment.key.clone(), value);
        }
        Ok(())
    }
}

impl fmt::Display for EnvFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines
            .iter()
            .try_for_each(|line| f.write_str(&line.text))
    }
}

fn reread(text: &str, index: usize) -> Line {
    read_line(text, index + 1).expect("a line with a checked key and a quoted value is well formed")
}

fn is_key(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn read_line(text: &str, number: usize) -> Result<Line, EnvError> {
    let content = text.trim_end();
    let start = content.len() - content.trim_start().len();
    let mut line = Line {
        text: text.to_owned(),
        assignment: None,
        disabled: None,
    };
    if let Some(comment) = content[start..].strip_prefix('#') {
        line.disabled = match read_assignment(comment, 0, number) {
            Ok(found) => Some((found.key, found.comment.unwrap_or_default())),
            Err(_) => None,
        };
    } else if start < content.len() {
        line.assignment = Some(read_assignment(content, start, number)?);
    }
    Ok(line)
}

/// Reads `KEY=value # comment` from `start` on.
fn read_assignment(content: &str, start: usize, number: usize) -> Result<Assignment, EnvError> {
    let Some(equals) = content[start..].find('=').map(|at| start + at) else {
        return Err(EnvError::NotAnAssignment {
            line: number,
            text: content[start..].to_owned(),
        });
    };
    let name = content[start..equals].trim();
    let (name, exported) = match name.strip_prefix("export ") {
        Some(rest) => (rest.trim_start(), true),
        None => (name, false),
    };
    if !is_key(name) {
        return Err(EnvError::Key {
            line: number,
            key: name.to_owned(),
        });
    }
    let (raw, comment) = value::locate(content, equals + 1).map_err(|problem| match problem {
        value::Problem::Unclosed(quote) => EnvError::Unclosed {
            line: number,
            key: name.to_owned(),
            quote,
        },
        value::Problem::AfterQuote(text) => EnvError::AfterQuote {
            line: number,
            key: name.to_owned(),
            text,
        },
    })?;
    Ok(Assignment {
        key: name.to_owned(),
        raw,
        comment,
        exported,
    })
}

#[cfg(test)]
mod tests;
