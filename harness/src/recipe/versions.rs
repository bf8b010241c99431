//! Versions of recipes: `<recipe semver>+<app version>`, as tags have them.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::recipe::CommitSha;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no version of a recipe: `<major>.<minor>.<patch>+<app version>`, such as 1.2.0+16.4"
)]
pub struct VersionError(String);

/// A published version. Ordered by the recipe's part, then by the app's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version {
    text: String,
    recipe: [u64; 3],
    /// What follows a `-` in the recipe's part; a version with one comes before the same without.
    pre: Option<String>,
}

impl Version {
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The recipe's own major: a new one is a breaking release.
    pub fn major(&self) -> u64 {
        self.recipe[0]
    }

    /// The version of the app, after the `+`.
    pub fn app(&self) -> &str {
        self.text.split_once('+').map_or("", |(_, app)| app)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        parse(text).ok_or_else(|| VersionError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Version> {
    let (recipe, app) = text.split_once('+')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    if app.is_empty() || !text.chars().all(plain) {
        return None;
    }
    let (numbers, pre) = match recipe.split_once('-') {
        Some((_, "")) => return None,
        Some((numbers, pre)) => (numbers, Some(pre.to_owned())),
        None => (recipe, None),
    };
    let mut parts = numbers.split('.').map(|part| {
        let digits = part.chars().all(|c| c.is_ascii_digit());
        part.parse::<u64>().ok().filter(|_| digits)
    });
    let recipe = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then(|| Version {
        text: text.to_owned(),
        recipe,
        pre,
    })
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let pre = match (&self.pre, &other.pre) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(two)) => natural(one, two),
        };
        self.recipe
            .cmp(&other.recipe)
            .then(pre)
            .then_with(|| natural(self.app(), other.app()))
            .then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// Compares runs of digits as numbers and all else as text.
fn natural(one: &str, two: &str) -> Ordering {
    let (mut one, mut two) = (one, two);
    while !one.is_empty() && !two.is_empty() {
        let (a, rest_one) = chunk(one);
        let (b, rest_two) = chunk(two);
        let order = match (number(a), number(b)) {
            (Some(a), Some(b)) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
            _ => a.cmp(b),
        };
        if order.is_ne() {
            return order;
        }
        (one, two) = (rest_one, rest_two);
    }
    one.len().cmp(&two.len())
}

fn chunk(text: &str) -> (&str, &str) {
    let digit = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digit);
    text.split_at(end.unwrap_or(text.len()))
}

/// The digits without leading zeros, so that longer is greater.
fn number(chunk: &str) -> Option<&str> {
    chunk
        .starts_with(|c: char| c.is_ascii_digit())
        .then(|| chunk.trim_start_matches('0'))
}

/// A tag of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    pub name: String,
    /// The commit that it stands for in the end.
    pub commit: CommitSha,
    pub annotated: bool,
}

/// A tag that is a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    pub version: Version,
    pub commit: CommitSha,
    pub annotated: bool,
}

/// The versions among tags, oldest first, and what is odd about the others.
pub fn releases(tags: &[Tag]) -> (Vec<Release>, Vec<String>) {
    let mut releases = Vec::new();
    let mut notes = Vec::new();
    for tag in tags {
        match tag.name.parse::<Version>() {
            Ok(version) => {
                if !tag.annotated {
                    notes.push(format!(
                        "tag `{}` is lightweight; a release has an annotated one (git tag -a)",
                        tag.name
                    ));
                }
                releases.push(Release {
                    version,
                    commit: tag.commit.clone(),
                    annotated: tag.annotated,
                });
            }
            Err(error) => notes.push(format!("tag passed over: {error}")),
        }
    }
    releases.sort_by(|one, two| one.version.cmp(&two.version));
    (releases, notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_recipe_then_by_app() {
        let mut versions = [
            "1.10.0+1.0.0",
            "1.2.0+16.10",
            "1.2.0+16.9",
            "2.0.0-rc.1+17",
            "2.0.0+9",
            "2.0.1+1.0.6-social-amd64",
            "0.1.0+2024-01-02",
        ]
        .map(|text| text.parse::<Version>().unwrap());
        versions.sort();
        insta::assert_snapshot!(versions.map(|version| version.to_string()).join("\n"), @r"
        0.1.0+2024-01-02
        1.2.0+16.9
        1.2.0+16.10
        1.10.0+1.0.0
        2.0.0-rc.1+17
        2.0.0+9
        2.0.1+1.0.6-social-amd64
        ");
    }

    #[rstest::rstest]
    #[case("1.2.3")]
    #[case("v1.2.3+4")]
    #[case("1.2+4")]
    #[case("1.2.3+")]
    #[case("1.2.3.4+5")]
    #[case("latest")]
    #[case("+1.2.3+4")]
    #[case("1.2.3+a b")]
    #[case("")]
    fn what_is_no_version_is_refused(#[case] text: &str) {
        assert!(text.parse::<Version>().is_err());
    }

    #[test]
    fn odd_tags_are_passed_over_with_a_note() {
        let commit: CommitSha = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
        let tag = |name: &str, annotated| Tag {
            name: name.to_owned(),
            commit: commit.clone(),
            annotated,
        };
        let tags = [
            tag("1.1.0+2", false),
            tag("nightly", true),
            tag("1.0.0+2", true),
        ];
        let (found, notes) = releases(&tags);
        let found = found
            .iter()
            .map(|one| one.version.as_str())
            .collect::<Vec<_>>();
        assert_eq!(found, ["1.0.0+2", "1.1.0+2"]);
        insta::assert_snapshot!(notes.join("\n"), @r"
        tag `1.1.0+2` is lightweight; a release has an annotated one (git tag -a)
        tag passed over: `nightly` is no version of a recipe: `<major>.<minor>.<patch>+<app version>`, such as 1.2.0+16.4
        ");
    }

    proptest::proptest! {
        #[test]
        fn the_order_is_total(
            one in "[0-2]\\.[0-2]\\.[0-2](-[a-b]{1,2})?\\+[0-9a.]{1,4}",
            two in "[0-2]\\.[0-2]\\.[0-2](-[a-b]{1,2})?\\+[0-9a.]{1,4}",
            three in "[0-2]\\.[0-2]\\.[0-2](-[a-b]{1,2})?\\+[0-9a.]{1,4}",
        ) {
            let [a, b, c] = [one, two, three].map(|text| text.parse::<Version>().unwrap());
            assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            assert_eq!(a == b, a.cmp(&b).is_eq());
            if a <= b && b <= c {
                assert!(a <= c);
            }
        }
    }
}
