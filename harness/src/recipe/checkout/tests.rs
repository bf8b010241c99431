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
        self.commit_index(text)
    }

    /// Commits what the index holds.
    pub fn commit_index(&self, text: &str) -> CommitSha {
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
#[case("a\nb")]
#[case("a\0b")]
#[case("a\u{1b}[2J")]
#[case("../../etc")]
#[case("refs/heads/../../config")]
#[case("main@{1}")]
#[case(&"a".repeat(501))]
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

/// Names that a stranger may give to branches and tags: git allows each of them.
#[tokio::test]
async fn hostile_names_of_branches_and_tags_are_texts_and_nothing_else() {
    let repo = Repo::new();
    let commit = repo.release("1.0.0+1");
    let long = "x".repeat(200);
    let names = [
        "--upload-pack=touch",
        "-rf",
        "1.0.0+1;reboot",
        "1.0.0+$(reboot)",
        "1.0.0+`id`",
        "<script>alert(1)</script>",
        "1.0.0+\u{202e}1",
        "é'\"&|",
        "a/b/c",
        long.as_str(),
    ];
    for name in names {
        for below in ["refs/tags", "refs/heads"] {
            repo.git(&["update-ref", &format!("{below}/{name}"), commit.as_str()]);
        }
    }
    let checkout = repo.fetch(None).await.unwrap();
    assert_eq!(checkout.tags().len(), names.len() + 1);
    let releases: Vec<_> = checkout
        .releases()
        .iter()
        .map(|release| release.version.as_str())
        .collect();
    assert_eq!(releases, ["1.0.0+1"], "only a version is a release");
    let found = checkout.tagged_ancestors(&commit).await.unwrap();
    assert_eq!(found.len(), names.len() + 1);
    for name in names {
        let resolved = checkout.resolve(name).await;
        if name.starts_with('-') {
            assert!(matches!(resolved, Err(CheckoutError::RefName(_))), "{name}");
        } else {
            assert_eq!(resolved.unwrap(), commit, "{name}");
        }
    }
}

/// HEAD of a source is its owner's word, too.
#[tokio::test]
async fn a_default_branch_with_the_name_of_an_option_is_a_branch() {
    let repo = Repo::new();
    let commit = repo.commit("first");
    repo.git(&["update-ref", "refs/heads/--exec=x", commit.as_str()]);
    repo.git(&["symbolic-ref", "HEAD", "refs/heads/--exec=x"]);
    let checkout = repo.fetch(None).await.unwrap();
    assert_eq!(checkout.default_branch(), Some(("--exec=x", &commit)));
    assert_eq!(checkout.head(), &commit);
}

#[tokio::test]
async fn a_replaced_commit_is_not_taken_for_the_one_that_is_named() {
    let repo = Repo::new();
    let good = repo.commit("good");
    let other = repo.commit("other");
    repo.git(&["replace", good.as_str(), other.as_str()]);
    let asked = format!("refs/replace/{good}");
    let checkout = repo.fetch(Some(&asked)).await.unwrap();
    let tree = checkout.tree(&good).await.unwrap();
    assert_eq!(
        std::fs::read_to_string(tree.join("compose.yml")).unwrap(),
        "# good\n"
    );
}

#[rstest::rstest]
#[case::of_the_host("/etc/passwd", ".env.sample")]
#[case::endless("/dev/zero", "README.md")]
#[case::above("../../git-home/gitconfig", "abra.sh")]
#[case::in_a_folder("../..", "sub/up")]
#[case::nowhere_yet("not-there", "conf")]
#[case::by_way_of_another("inside/../../../..", "out")]
#[tokio::test]
async fn a_link_that_leads_out_of_the_recipe_is_refused(#[case] to: &str, #[case] name: &str) {
    let repo = Repo::new();
    let first = repo.commit("first");
    std::fs::create_dir(repo.path().join("sub")).unwrap();
    std::os::unix::fs::symlink("sub", repo.path().join("inside")).unwrap();
    std::fs::write(repo.path().join("sub/file"), "x").unwrap();
    std::os::unix::fs::symlink(to, repo.path().join(name)).unwrap();
    let second = repo.commit("second");
    let checkout = repo.fetch(None).await.unwrap();
    assert!(checkout.tree(&first).await.is_ok());
    let error = checkout.tree(&second).await.unwrap_err();
    let expected = format!(
        "`{name}` of commit {second} is a symbolic link that leads out of the recipe, or nowhere"
    );
    assert_eq!(error.to_string(), expected);
    assert!(matches!(Fault::from(error), Fault::Recipe(_)));
}
