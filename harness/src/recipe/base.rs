//! Which version is deployed first, before the upgrade to head.
//!
//! Never head itself: an upgrade from a version to itself proves nothing.

use super::checkout::{Checkout, CheckoutError};
use super::versions::{Release, Version};
use crate::fault::Fault;
use crate::recipe::CommitSha;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaseChoice {
    Base {
        /// A version tag, or the short commit where the base has none.
        version: String,
        commit: CommitSha,
        /// In words, for the record.
        reason: String,
    },
    None {
        reason: String,
    },
}

/// A base that somebody names: it is taken or refused, and nothing else is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named<'a> {
    /// `--from`.
    Flag(&'a str),
    /// The recipe's `upgrade_base`.
    Setting(&'a str),
}

#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    #[error(
        "{by} names `{asked}`, which is head itself ({head}); an upgrade from a version to itself proves nothing, name an older one"
    )]
    IsHead {
        by: &'static str,
        asked: String,
        head: String,
    },
    #[error("the base that {by} names can't be used")]
    Unknown {
        by: &'static str,
        source: CheckoutError,
    },
    #[error(transparent)]
    Checkout(#[from] CheckoutError),
}

impl From<BaseError> for Fault {
    fn from(error: BaseError) -> Self {
        match error {
            BaseError::IsHead { .. } => Self::usage(error.to_string()),
            BaseError::Unknown { by, source } => {
                Self::from(source).context(format!("the base that {by} names"))
            }
            BaseError::Checkout(source) => source.into(),
        }
    }
}

impl Named<'_> {
    fn by(self) -> &'static str {
        match self {
            Self::Flag(_) => "--from",
            Self::Setting(_) => "the recipe's upgrade_base",
        }
    }
}

/// Chooses the base, in this order: the one that is `named`; the newest tag that is an ancestor of
/// head and another commit; the newest tag of a version lower than head's; the tip of `target`
/// (name and commit of the branch that head is to be merged into); else none, with the reason.
///
/// `declared` is the version that head's compose file declares; where head is tagged, the tag
/// counts instead.
pub async fn choose_base(
    checkout: &Checkout,
    named: Option<Named<'_>>,
    declared: Option<&str>,
    target: Option<(&str, &CommitSha)>,
) -> Result<BaseChoice, BaseError> {
    let head = checkout.head();
    if let Some(named) = named {
        let (Named::Flag(asked) | Named::Setting(asked)) = named;
        let by = named.by();
        let commit = checkout
            .resolve(asked)
            .await
            .map_err(|source| BaseError::Unknown { by, source })?;
        if commit == *head {
            return Err(BaseError::IsHead {
                by,
                asked: asked.to_owned(),
                head: head.short().to_owned(),
            });
        }
        return Ok(BaseChoice::Base {
            version: name_of(checkout, asked, &commit),
            commit,
            reason: format!("named by {by}"),
        });
    }
    let releases = checkout.releases();
    let ancestors = checkout.tagged_ancestors(head).await?;
    let newest = |wanted: &dyn Fn(&Release) -> bool| {
        releases
            .iter()
            .rev()
            .find(|release| release.commit != *head && wanted(release))
    };
    if let Some(found) = newest(&|release| ancestors.contains(release.version.as_str())) {
        return Ok(released(
            found,
            format!("the newest tag that head ({}) descends from", head.short()),
        ));
    }
    let tagged = releases
        .iter()
        .rev()
        .find(|release| release.commit == *head);
    let version = match tagged {
        Some(release) => Some(release.version.clone()),
        None => declared.and_then(|text| text.parse::<Version>().ok()),
    };
    if let Some(version) = &version
        && let Some(found) = newest(&|release| release.version < *version)
    {
        return Ok(released(
            found,
            format!("the newest tag below head's version {version}; head descends from no tag"),
        ));
    }
    let why = match (releases.is_empty(), &version) {
        (true, _) => "no version is published".to_owned(),
        (false, Some(version)) => {
            format!("head descends from no other tag, and no tag is below its version {version}")
        }
        (false, None) => {
            "head descends from no other tag, and declares no version to look below".to_owned()
        }
    };
    Ok(match target {
        Some((name, tip)) if tip != head => BaseChoice::Base {
            version: tip.short().to_owned(),
            commit: tip.clone(),
            reason: format!("the tip of `{name}`, as {why}"),
        },
        Some((name, _)) => BaseChoice::None {
            reason: format!("{why}, and head is the tip of `{name}`"),
        },
        None => BaseChoice::None {
            reason: format!("{why}, and there is no target branch"),
        },
    })
}

fn released(release: &Release, reason: String) -> BaseChoice {
    BaseChoice::Base {
        version: release.version.to_string(),
        commit: release.commit.clone(),
        reason,
    }
}

/// The version of a commit that was named: the tag that was given, else the newest one there.
fn name_of(checkout: &Checkout, asked: &str, commit: &CommitSha) -> String {
    let here = || {
        let releases = checkout.releases().iter().rev();
        releases.filter(|release| release.commit == *commit)
    };
    let exact = here().find(|release| release.version.as_str() == asked);
    match exact.or_else(|| here().next()) {
        Some(release) => release.version.to_string(),
        None => commit.short().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::checkout::tests::Repo;

    fn words(choice: &BaseChoice) -> String {
        match choice {
            BaseChoice::Base {
                version, reason, ..
            } => format!("{version}: {reason}"),
            BaseChoice::None { reason } => format!("none: {reason}"),
        }
    }

    async fn choose(repo: &Repo, head: Option<&str>, declared: Option<&str>) -> String {
        let checkout = repo.fetch(head).await.unwrap();
        let target = checkout.default_branch();
        let choice = choose_base(&checkout, None, declared, target)
            .await
            .unwrap();
        if let BaseChoice::Base { commit, .. } = &choice {
            assert_ne!(commit, checkout.head());
        }
        words(&choice)
            .replace(checkout.head().short(), "HEAD")
            .replace(checkout.default_branch().unwrap().1.short(), "MAIN")
    }

    #[tokio::test]
    async fn an_unreleased_head_on_top_of_a_tag_upgrades_from_that_tag() {
        let repo = Repo::new();
        repo.release("1.0.0+1");
        repo.release("1.1.0+1");
        repo.commit("work");
        insta::assert_snapshot!(choose(&repo, None, Some("1.1.0+1")).await, @"1.1.0+1: the newest tag that head (HEAD) descends from");
    }

    #[tokio::test]
    async fn a_head_that_is_a_tag_upgrades_from_the_one_before() {
        let repo = Repo::new();
        repo.release("1.0.0+1");
        repo.release("1.10.0+1");
        repo.release("1.11.0+1");
        repo.git(&["tag", "-a", "-m", "again", "1.11.1+1"]);
        repo.commit("later");
        repo.release("2.0.0+1");
        insta::assert_snapshot!(choose(&repo, Some("1.11.0+1"), None).await, @"1.10.0+1: the newest tag that head (HEAD) descends from");
    }

    #[tokio::test]
    async fn a_head_that_descends_from_no_tag_upgrades_from_the_version_below() {
        let repo = Repo::new();
        repo.commit("root");
        repo.git(&["branch", "work"]);
        repo.release("1.0.0+1");
        repo.release("2.0.0+1");
        repo.git(&["checkout", "-q", "work"]);
        repo.commit("on the side");
        repo.git(&["checkout", "-q", "main"]);
        insta::assert_snapshot!(choose(&repo, Some("work"), Some("1.5.0+1")).await, @"1.0.0+1: the newest tag below head's version 1.5.0+1; head descends from no tag");
        insta::assert_snapshot!(choose(&repo, Some("work"), Some("0.5.0+1")).await, @"MAIN: the tip of `main`, as head descends from no other tag, and no tag is below its version 0.5.0+1");
        insta::assert_snapshot!(choose(&repo, Some("work"), None).await, @"MAIN: the tip of `main`, as head descends from no other tag, and declares no version to look below");
    }

    #[tokio::test]
    async fn without_tags_the_target_branch_is_the_base_unless_it_is_head() {
        let repo = Repo::new();
        repo.commit("root");
        repo.git(&["checkout", "-q", "-b", "work"]);
        repo.commit("more");
        repo.git(&["checkout", "-q", "main"]);
        insta::assert_snapshot!(choose(&repo, Some("work"), None).await, @"MAIN: the tip of `main`, as no version is published");
        insta::assert_snapshot!(choose(&repo, None, None).await, @"none: no version is published, and head is the tip of `main`");
    }

    #[tokio::test]
    async fn a_named_base_is_taken_or_refused_and_nothing_else_is_tried() {
        let repo = Repo::new();
        repo.release("1.0.0+1");
        repo.release("1.1.0+1");
        repo.commit("work");
        let checkout = repo.fetch(None).await.unwrap();
        let named = |named| choose_base(&checkout, Some(named), None, None);
        let taken = named(Named::Flag("1.0.0+1")).await.unwrap();
        assert_eq!(words(&taken), "1.0.0+1: named by --from");
        let taken = named(Named::Setting("1.1.0+1")).await.unwrap();
        assert_eq!(words(&taken), "1.1.0+1: named by the recipe's upgrade_base");
        let error = named(Named::Flag("1.0.1+1")).await.unwrap_err();
        assert_eq!(
            Fault::from(error),
            Fault::usage(
                "the base that --from names: there is no ref `1.0.1+1`; nearest: 1.1.0+1, 1.0.0+1"
            )
        );
        let error = named(Named::Flag("main")).await.unwrap_err();
        assert!(matches!(error, BaseError::IsHead { .. }));
    }
}
