//! A path inside a volume, parsed once: labels are written by strangers.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A path relative to a volume's root, without `..`; empty: the root itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InnerPath(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InnerPathError {
    #[error("`{0}` is absolute: a path in a volume is relative to the volume's root")]
    Absolute(String),
    #[error("`{0}` leaves the volume: `..` is not allowed in a path in a volume")]
    Parent(String),
    #[error("{0:?} has control characters")]
    Control(String),
}

impl InnerPath {
    /// The volume's root.
    pub fn root() -> Self {
        Self(String::new())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// As a path that the system takes: `.` for the root.
    pub fn as_path(&self) -> &Path {
        Path::new(if self.0.is_empty() { "." } else { &self.0 })
    }

    /// A name directly below this path.
    pub fn join(&self, name: &str) -> Result<Self, InnerPathError> {
        format!("{}/{name}", self.as_path().display()).parse()
    }

    /// The directory that holds it, and its name there; none for the root.
    pub fn split(&self) -> Option<(Self, &str)> {
        match self.0.rsplit_once('/') {
            Some((parent, name)) => Some((Self(parent.to_owned()), name)),
            None if self.0.is_empty() => None,
            None => Some((Self::root(), &self.0)),
        }
    }
}

impl FromStr for InnerPath {
    type Err = InnerPathError;

    fn from_str(text: &str) -> Result<Self, InnerPathError> {
        if text.starts_with('/') {
            return Err(InnerPathError::Absolute(text.to_owned()));
        }
        if text.chars().any(char::is_control) {
            return Err(InnerPathError::Control(text.to_owned()));
        }
        let parts: Vec<&str> = text
            .split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .collect();
        if parts.contains(&"..") {
            return Err(InnerPathError::Parent(text.to_owned()));
        }
        Ok(Self(parts.join("/")))
    }
}

impl fmt::Display for InnerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if self.0.is_empty() { "." } else { &self.0 })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("backup.sql", "backup.sql")]
    #[case("./data//dump/", "data/dump")]
    #[case("", "")]
    #[case(".", "")]
    #[case("..data/a..b", "..data/a..b")]
    fn relative_paths_are_normalised(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(text.parse::<InnerPath>().unwrap().as_str(), expected);
    }

    #[rstest]
    #[case("../../etc")]
    #[case("data/../../etc")]
    #[case("/etc/passwd")]
    #[case("a\nb")]
    #[case("a\0b")]
    fn paths_that_could_leave_are_refused(#[case] text: &str) {
        assert!(text.parse::<InnerPath>().is_err());
    }

    #[rstest]
    #[case("", None)]
    #[case("a", Some(("", "a")))]
    #[case("a/b/c", Some(("a/b", "c")))]
    fn splits_into_directory_and_name(#[case] text: &str, #[case] expected: Option<(&str, &str)>) {
        let path: InnerPath = text.parse().unwrap();
        let parts = path.split();
        let parts = parts
            .as_ref()
            .map(|(parent, name)| (parent.as_str(), *name));
        assert_eq!(parts, expected);
    }
}
