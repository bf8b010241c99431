//! Versions of abra, and what is known of them.

use std::fmt;

/// As upstream numbers them; every tag has the suffix `-beta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32, u32, u32);

/// The first whose backups go through the backup bot.
pub const OLDEST: Version = Version::new(0, 9, 0);
/// Those whose documented behaviour was read.
const KNOWN: [(u32, u32); 3] = [(0, 9), (0, 10), (0, 11)];

impl Version {
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self(major, minor, patch)
    }

    /// From what `abra --version` prints: the first word that is a version.
    pub fn read(said: &str) -> Option<Self> {
        said.split_whitespace().find_map(|word| {
            let word = word.trim_start_matches('v');
            let numbers = word.split(['-', '+']).next()?;
            let mut parts = numbers.split('.').map(str::parse::<u32>);
            let mut next = || parts.next()?.ok();
            let version = Self(next()?, next()?, next()?);
            parts.next().is_none().then_some(version)
        })
    }

    /// Whether what this version does is known.
    pub fn is_known(self) -> bool {
        KNOWN.contains(&(self.0, self.1))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("abra version 0.10.1-beta-1a2b3c4d", Some("0.10.1"))]
    #[case("0.9.0-beta", Some("0.9.0"))]
    #[case("abra v0.13.0-beta (built 2026-01-02)", Some("0.13.0"))]
    #[case("abra version dev-1a2b3c4d", None)]
    #[case("built 2026.01.02.3", None)]
    #[case("", None)]
    fn a_version_is_read(#[case] said: &str, #[case] expected: Option<&str>) {
        let read = Version::read(said).map(|version| version.to_string());
        assert_eq!(read.as_deref(), expected);
    }

    #[test]
    fn versions_are_ordered_by_number() {
        assert!(Version::new(0, 9, 0) < Version::new(0, 10, 1));
        assert!(Version::new(0, 11, 0).is_known());
        assert!(!Version::new(0, 13, 0).is_known());
    }
}
