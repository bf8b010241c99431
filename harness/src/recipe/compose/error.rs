//! What can be wrong with a recipe's compose files. All of it is the recipe's fault, but for a file
//! that is there and can't be read.

use std::fmt;
use std::path::PathBuf;

use crate::fault::Fault;

#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    #[error("there is no `{}`, which {asked_by}; compose files in the recipe: {}", file.display(), list(.present))]
    Missing {
        file: PathBuf,
        asked_by: String,
        present: Vec<String>,
    },
    #[error(
        "`{path}`, which {asked_by}, leaves the recipe's folder; only relative paths without `..`, and links that stay inside, are taken"
    )]
    Escapes { path: String, asked_by: String },
    #[error("`{}` can't be read", file.display())]
    Unreadable {
        file: PathBuf,
        source: std::io::Error,
    },
    #[error("{place}: not YAML as Docker reads it: {message}")]
    Yaml { place: Place, message: String },
    #[error("{place}: {at}: expected {expected}, found {found}")]
    Shape {
        place: Place,
        at: String,
        expected: &'static str,
        found: String,
    },
    #[error(
        "{place}: {at}: `{text}` has a `$` that begins no variable; write `$$` for a plain `$`, or `$X`, `${{X}}`, `${{X:-default}}`, `${{X:?message}}`"
    )]
    Interpolation {
        place: Place,
        at: String,
        text: String,
    },
    #[error("{place}: {at}: `{variable}` must have a value: {message}")]
    Required {
        place: Place,
        at: String,
        variable: String,
        message: String,
    },
    #[error("{at} refers to the {kind} `{key}`, which no selected compose file declares")]
    Undeclared {
        at: String,
        kind: &'static str,
        key: String,
    },
    #[error(
        "service `{service}`: `{label}` has the path `{path}`; a path is relative to the volume's root, without `..`"
    )]
    BackupPath {
        service: String,
        label: String,
        path: String,
    },
    #[error(
        "service `{service}`: `backupbot.backup.path` is the first form of the backup labels, which the current backup bot does not read; {instead}"
    )]
    FirstFormOfLabels { service: String, instead: String },
}

/// A place in a file, as far as it is known: `compose.yml:12:3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Relative to the recipe's folder.
    pub file: PathBuf,
    pub line: Option<u32>,
    pub column: Option<u32>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        for number in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        Ok(())
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

impl From<ComposeError> for Fault {
    fn from(error: ComposeError) -> Self {
        match &error {
            ComposeError::Unreadable { source, .. } => Self::infra(format!("{error}: {source}")),
            _ => Self::recipe(error.to_string()),
        }
    }
}
