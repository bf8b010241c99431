use std::process::Command;

use super::*;
use crate::fault::Fault;

/// A real repository to fetch from.
pub(in crate::recipe) struct Repo {
    dir: tempfile::TempDir,
}

impl Repo {
    pub fn new() -> Self {
        let repo = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(repo.path()).unwrap();
        repo.git(&["init", "-q", "-b", "main"]);
        repo
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("recipe")
    }

    pub fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(args)
            .current_dir(self.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_AUTHOR_NAME", "a")
            .env("GIT_AUTHOR_EMAIL", "a@ci.test")
            .env("GIT_COMMITTER_NAME", "a")
            .env("GIT_COMMITTER_EMAIL", "a@ci.test")
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits a compose file that holds `text`.
    pub fn commit(&self, text: &str) -> CommitSha {
        std::fs::write(self.path().join("compose.yml"), format!("# {text}\n")).unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", text]);
        self.git(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    pub fn release(&self, version: &str) -> CommitSha {
        let commit = self.commit(version);
        self.git(&["tag", "-a", "-m", version, version]);
        commit
    }

    pub async fn fetch(&self, requested: Option<&str>) -> Result<Checkout, CheckoutError> {
        let into = tempfile::tempdir_in(self.dir.path()).unwrap().keep();
        Checkout::fetch(&Source::path(self.path()), requested, &into).await
    }
}

#[tokio::test]
async fn every_way_to_name_a_commit_gives_its_full_sha() {
    let repo = Repo::new();
    let first = repo.release("1.0.0+1");
    let second = repo.commit("second");
    repo.git(&["update-ref", "refs/pull/7/head", second.as_str()]);
    repo.git(&["reset", "-q", "--hard", first.as_str()]);
    let pulled = repo.fetch(Some("refs/pull/7/head")).await.unwrap();
    assert_eq!(pulled.head(), &second);
    assert_eq!(
        repo.fetch(Some(second.as_str())).await.unwrap().head(),
        &second
    );
    let tip = repo.fetch(None).await.unwrap();
    assert_eq!(tip.head(), &first);
    assert_eq!(tip.default_branch(), Some(("main", &first)));
    for name in [
        "main",
        "1.0.0+1",
        "refs/heads/main",
        first.short(),
        first.as_str(),
    ] {
        assert_eq!(tip.resolve(name).await.unwrap(), first, "{name}");
    }
}

#[tokio::test]
async fn the_files_of_a_commit_stay_what_they_are() {
    let repo = Repo::new();
    std::fs::write(
        repo.path().join(".gitattributes"),
        "compose.yml export-ignore\n",
    )
    .unwrap();
    std::fs::create_dir(repo.path().join("sub")).unwrap();
    std::os::unix::fs::symlink("../compose.yml", repo.path().join("sub/link")).unwrap();
    let first = repo.commit("first");
    let second = repo.commit("second");
    let checkout = repo.fetch(None).await.unwrap();
    let one = checkout.tree(&first).await.unwrap();
    let two = checkout.tree(&second).await.unwrap();
    assert_eq!(checkout.tree(&first).await.unwrap(), one);
    let text = |tree: &Path| std::fs::read_to_string(tree.join("sub/link")).unwrap();
    assert_eq!(
        (text(&one), text(&two)),
        ("# first\n".into(), "# second\n".into())
    );
    let mut names = std::fs::read_dir(&one)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect::<Vec<_>>();
    names.sort();
    assert_eq!(names, [".gitattributes", "compose.yml", "sub"]);
}

#[tokio::test]
async fn hooks_and_filters_of_a_recipe_are_not_run() {
    let repo = Repo::new();
    let mark = repo.dir.path().join("ran");
    std::fs::write(repo.path().join(".gitattributes"), "* filter=evil\n").unwrap();
    repo.git(&[
        "config",
        "filter.evil.smudge",
        &format!("touch {}; cat", mark.display()),
    ]);
    let hook = repo.path().join(".git/hooks/post-checkout");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", mark.display())).unwrap();
    let commit = repo.commit("first");
    let checkout = repo.fetch(None).await.unwrap();
    checkout.tree(&commit).await.unwrap();
    assert!(!mark.exists());
}

#[rstest::rstest]
#[case("--upload-pack=touch /tmp/x")]
#[case("-x")]
#[case("main~1")]
#[case("main:compose.yml")]
#[case("a b")]
#[case("")]
#[tokio::test]
async fn a_ref_that_is_no_name_is_refused_before_git_sees_it(#[case] name: &str) {
    let error = Repo::new().fetch(Some(name)).await.unwrap_err();
    assert!(matches!(error, CheckoutError::RefName(_)), "{error}");
}

#[tokio::test]
async fn a_ref_that_is_not_there_is_named_with_the_nearest() {
    let repo = Repo::new();
    repo.release("1.0.0+1");
    repo.release("1.1.0+1");
    let said = async |name: &str| repo.fetch(Some(name)).await.unwrap_err().to_string();
    insta::assert_snapshot!(said("1.1.0+2").await, @"there is no ref `1.1.0+2`; nearest: 1.1.0+1, 1.0.0+1");
    insta::assert_snapshot!(said("zzz").await, @"there is no ref `zzz`; nothing has a name like it");
    insta::assert_snapshot!(said("refs/pull/9/head").await, @"there is no ref `refs/pull/9/head`; nothing has a name like it");
    let absent = "f".repeat(40);
    assert!(
        said(&absent)
            .await
            .starts_with(&format!("there is no ref `{absent}`"))
    );
}

#[tokio::test]
async fn a_name_of_a_branch_and_a_tag_of_different_commits_is_ambiguous() {
    let repo = Repo::new();
    repo.commit("first");
    repo.git(&["tag", "both"]);
    repo.commit("second");
    repo.git(&["branch", "both"]);
    let error = repo.fetch(Some("both")).await.unwrap_err();
    assert!(matches!(error, CheckoutError::Ambiguous { .. }), "{error}");
    assert!(repo.fetch(Some("refs/tags/both")).await.is_ok());
}

#[tokio::test]
async fn whose_fault_a_fetch_is_depends_on_the_cause() {
    let empty = Repo::new();
    let error = empty.fetch(None).await.unwrap_err();
    assert!(matches!(error, CheckoutError::Empty { .. }), "{error}");

    let dir = tempfile::tempdir().unwrap();
    let fetch = async |source: Source, into: &str| {
        Checkout::fetch(&source, None, &dir.path().join(into))
            .await
            .unwrap_err()
    };
    let error = fetch(Source::path(dir.path()), "a").await;
    assert!(
        matches!(error, CheckoutError::NotARepository { .. }),
        "{error}"
    );
    // Nobody listens on the discard port.
    let source = Source::parse("http://127.0.0.1:9/a.git").unwrap();
    let error = fetch(source, "b").await;
    assert!(matches!(Fault::from(error), Fault::Infra(_)));

    let repo = Repo::new();
    std::fs::write(repo.path().join("README.md"), "no recipe").unwrap();
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-q", "-m", "x"]);
    let checkout = repo.fetch(None).await.unwrap();
    let error = checkout.tree(checkout.head()).await.unwrap_err();
    assert!(matches!(error, CheckoutError::NoCompose { .. }), "{error}");
    assert!(matches!(Fault::from(error), Fault::Recipe(_)));
}

#[tokio::test]
async fn tags_are_read_with_what_is_odd_about_them() {
    let repo = Repo::new();
    let first = repo.release("1.0.0+1");
    repo.commit("second");
    repo.git(&["tag", "1.1.0+1"]);
    repo.git(&["tag", "-a", "-m", "nested", "0.9.0+1", "1.0.0+1"]);
    repo.git(&["tag", "notes", "HEAD:compose.yml"]);
    let checkout = repo.fetch(None).await.unwrap();
    let seen = checkout
        .releases()
        .iter()
        .map(|release| (release.version.as_str(), release.annotated))
        .collect::<Vec<_>>();
    assert_eq!(
        seen,
        [("0.9.0+1", true), ("1.0.0+1", true), ("1.1.0+1", false)]
    );
    assert_eq!(checkout.releases()[0].commit, first);
    assert_eq!(checkout.notes().len(), 1);
}
