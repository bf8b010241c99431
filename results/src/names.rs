//! Names from outside, parsed once: nothing unparsed reaches a path, a URL or a child's arguments.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Swarm refuses secret and config names that are longer.
pub const LONGEST_OBJECT_NAME: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error(
        "`{0}` is no recipe name: lower-case letters, digits, `-`, `_` and `.`, starting with a letter or digit, at most 64 characters"
    )]
    Recipe(String),
    #[error(
        "`{0}` is no domain name: labels of letters, digits and `-`, at most 63 characters each, separated by dots"
    )]
    Domain(String),
    #[error(
        "`{0}` is no run id: letters, digits, `-`, `_` and `.`, starting with a letter or digit, at most 80 characters"
    )]
    RunId(String),
    #[error("`{0}` is no commit: a full sha is 40 hexadecimal digits")]
    Commit(String),
}

/// Declares a string type that is checked where it is made.
macro_rules! parsed {
    ($(#[$doc:meta])* $name:ident, $error:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError::$error(text.to_owned()))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

parsed!(
    /// The name of a recipe, as it stands in the catalogue.
    RecipeName, Recipe, |text| {
        plain(text, 64, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c))
    }
);
parsed!(
    /// The name of one run: a folder's name, and part of a socket's.
    RunId, RunId, |text| plain(text, 80, |c| c.is_ascii_alphanumeric() || "-_.".contains(c))
);
parsed!(
    /// A full commit id.
    CommitSha, Commit, |text| {
        text.len() == 40 && text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
    }
);
parsed!(
    /// The public name of one app, or the zone that apps are named below.
    AppDomain, Domain, |text| {
        text.len() <= 253 && text.split('.').all(|label| {
            plain(label, 63, |c| c.is_ascii_alphanumeric() || c == '-') && !label.ends_with('-')
        })
    }
);

fn plain(text: &str, longest: usize, allowed: fn(char) -> bool) -> bool {
    !text.is_empty()
        && text.len() <= longest
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(allowed)
}

impl CommitSha {
    /// The first eight digits: what abra writes in its labels.
    pub fn short(&self) -> &str {
        &self.0[..8]
    }
}

impl AppDomain {
    /// `<first 4 of recipe>-<6 hex of sha256(recipe|pr|ref)>.<zone>`: short, because the stack name
    /// is part of every secret's and config's name, and those may have 64 characters.
    pub fn of_run(recipe: &RecipeName, pr: u64, head: &CommitSha, zone: &AppDomain) -> Self {
        let digest = Sha256::digest(format!("{recipe}|{pr}|{head}"));
        let hex = digest
            .iter()
            .take(3)
            .map(|b| format!("{b:02x}"))
            .collect::<String>();
        let prefix = recipe
            .as_str()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(4)
            .collect::<String>();
        Self(format!("{prefix}-{hex}.{zone}"))
    }

    pub fn stack(&self) -> StackName {
        let mut name = self.0.replace('.', "_");
        name.truncate(45);
        StackName(name)
    }
}

/// The name of the swarm stack of an app: its domain with dots as underscores, cut at 45.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StackName(String);

impl StackName {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The full name of an object of the stack: `<stack>_<short>`.
    pub fn object(&self, short: &str) -> String {
        format!("{}_{short}", self.0)
    }
}

impl fmt::Display for StackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_run_app_depends_on_recipe_pull_request_and_head() {
        let zone: AppDomain = "ci.test".parse().unwrap();
        let head: CommitSha = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
        let recipe: RecipeName = "custom-html".parse().unwrap();
        let one = AppDomain::of_run(&recipe, 0, &head, &zone);
        let other = AppDomain::of_run(&recipe, 1, &head, &zone);
        assert_ne!(one, other);
        assert!(one.as_str().starts_with("cust-") && one.as_str().ends_with(".ci.test"));
        assert_eq!(one.as_str().len(), "cust-123456.ci.test".len());
        assert_eq!(one.stack().as_str(), one.as_str().replace('.', "_"));
    }

    #[rstest::rstest]
    #[case("../etc")]
    #[case("a/b")]
    #[case("")]
    #[case("-rf")]
    #[case("a\nb")]
    fn hostile_names_are_refused(#[case] text: &str) {
        assert!(text.parse::<RecipeName>().is_err());
        assert!(text.parse::<RunId>().is_err());
        assert!(text.parse::<AppDomain>().is_err());
    }
}
