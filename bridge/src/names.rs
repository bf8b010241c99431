//! Names of a forge, parsed once: nothing unparsed reaches a URL.

use std::fmt;
use std::str::FromStr;

pub use results::names::{CommitSha, RecipeName, RunId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no repository: owner/name, each of letters, digits, `-`, `_` and `.`")]
pub struct NotARepo(String);

/// `owner/name`. The forge takes both in any case; as it spells them is how they are kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repo {
    owner: String,
    name: String,
}

impl Repo {
    pub fn owner(&self) -> &str {
        &self.owner
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether both name the same repository.
    pub fn is(&self, other: &Self) -> bool {
        self.owner.eq_ignore_ascii_case(&other.owner) && self.name.eq_ignore_ascii_case(&other.name)
    }
}

impl FromStr for Repo {
    type Err = NotARepo;

    fn from_str(text: &str) -> Result<Self, NotARepo> {
        let (owner, name) = text
            .trim()
            .split_once('/')
            .filter(|(owner, name)| is_name(owner) && is_name(name))
            .ok_or_else(|| NotARepo(text.to_owned()))?;
        Ok(Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// The name of a person, an organisation or a repository.
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 100
        && text != "."
        && text != ".."
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

impl TryFrom<String> for Repo {
    type Error = NotARepo;

    fn try_from(text: String) -> Result<Self, NotARepo> {
        text.parse()
    }
}

impl From<Repo> for String {
    fn from(repo: Repo) -> Self {
        repo.to_string()
    }
}

impl fmt::Display for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// The number of a pull request in its repository, from 1.
pub type PullNumber = u64;

/// The id of a comment, unique and growing over the whole forge.
pub type CommentId = u64;

/// The run that one comment asks for: the same for the same comment, whenever it is asked, so that
/// a run that was started and forgotten is found again. `forge` is where it is: another one has
/// comments of the same numbers, and an old run of theirs must never be taken for this one.
pub fn run_key(
    forge: &str,
    recipe: &RecipeName,
    repo: &Repo,
    pull: PullNumber,
    comment: CommentId,
) -> RunId {
    let full = format!("{}/{repo}", forge.trim_end_matches('/')).to_ascii_lowercase();
    let digest = Sha256::digest(format!("{full}|{pull}|{comment}"));
    let hex: String = digest.iter().take(4).map(|b| format!("{b:02x}")).collect();
    let short: String = recipe.as_str().chars().take(30).collect();
    format!("{short}-pr{pull}-c{comment}-{hex}")
        .parse()
        .expect("a recipe's name, numbers and hexadecimal digits make a run id")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("coop-cloud/custom-html")]
    #[case(" a/b.c_d ")]
    fn a_repository_is_owner_and_name(#[case] text: &str) {
        assert_eq!(text.parse::<Repo>().unwrap().to_string(), text.trim());
    }

    #[rstest]
    #[case("")]
    #[case("name")]
    #[case("a/b/c")]
    #[case("../b")]
    #[case("a/..")]
    #[case("a b/c")]
    #[case("a/b?x=y")]
    #[case("a/b%2f")]
    fn all_else_is_refused(#[case] text: &str) {
        assert!(text.parse::<Repo>().is_err());
    }

    #[test]
    fn a_run_key_tells_comments_repositories_and_forges_apart() {
        let recipe: RecipeName = "custom-html".parse().unwrap();
        let of = |forge: &str, repo: &str, comment| {
            run_key(forge, &recipe, &repo.parse().unwrap(), 7, comment)
        };
        let key = |repo, comment| of("https://git.test", repo, comment);
        assert_eq!(key("a/b", 1), key("A/B", 1));
        assert_eq!(key("a/b", 1), of("https://git.test/", "a/b", 1));
        assert_ne!(key("a/b", 1), of("https://git.test:8443", "a/b", 1));
        assert_ne!(key("a/b", 1), key("a/c", 1));
        assert_ne!(key("a/b", 1), key("a/b", 2));
        assert!(key("a/b", 12).as_str().starts_with("custom-html-pr7-c12-"));
    }
}
