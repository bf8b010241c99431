//! A recipe's repository, fetched once, and the exact files of any of its commits.
//!
//! Invariants: whatever was asked for is resolved to a full sha before anything else; each commit
//! has a folder of its own, so nothing ever moves under anybody; the source is never written to.

mod check;
mod error;
mod refused;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::check::{link_out, ref_name};
pub use self::error::CheckoutError;
use self::refused::{is_answer, refused};
use super::git::{Git, GitError};
use super::source::Source;
use super::versions::{self, Release, Tag};
use crate::recipe::CommitSha;

/// For what goes over a network.
const FETCH: Duration = Duration::from_secs(300);
/// For what reads the local copy, and for a question.
const LOCAL: Duration = Duration::from_secs(60);

/// A fetched repository.
#[derive(Debug)]
pub struct Checkout {
    git: Git,
    repo: PathBuf,
    trees: PathBuf,
    head: CommitSha,
    /// Name and tip.
    default_branch: Option<(String, CommitSha)>,
    /// Full names of refs, and their commits.
    refs: BTreeMap<String, CommitSha>,
    tags: Vec<Tag>,
    releases: Vec<Release>,
    notes: Vec<String>,
}

impl Checkout {
    /// Fetches all branches and tags of `source` into `dir`, which must not hold a checkout yet,
    /// and resolves `requested`: a branch, a tag, a short or full sha, or a full name `refs/…`.
    /// None is the default branch's tip.
    pub async fn fetch(
        source: &Source,
        requested: Option<&str>,
        dir: &Path,
    ) -> Result<Self, CheckoutError> {
        if let Some(asked) = requested {
            ref_name(asked)?;
        }
        let write = |source| CheckoutError::Write {
            path: dir.to_owned(),
            source,
        };
        // Git runs in a folder of its own, so no path may be relative.
        let dir = &std::path::absolute(dir).map_err(write)?;
        let repo = dir.join("repo.git");
        let git = Git::new(&dir.join("git-home")).map_err(write)?;
        let cloned = git
            .call(FETCH)
            .args(["clone", "--quiet", "--bare", "--no-local", "--"])
            .arg(source.to_string())
            .arg(&repo)
            .credentials(source.url(), source.credentials())
            .run()
            .await;
        if let Err(error) = cloned {
            return Err(refused(&git, source, error).await);
        }
        let mut checkout = Self {
            git,
            trees: dir.join("trees"),
            repo,
            // Replaced below, before anybody sees it.
            head: zero(),
            default_branch: None,
            refs: BTreeMap::new(),
            tags: Vec::new(),
            releases: Vec::new(),
            notes: Vec::new(),
        };
        checkout.read_refs().await?;
        if checkout.refs.is_empty() {
            return Err(CheckoutError::Empty {
                source_shown: source.to_string(),
            });
        }
        checkout.read_default_branch().await?;
        checkout.head = match requested {
            Some(asked) => {
                checkout.fetch_missing(source, asked).await?;
                checkout.resolve(asked).await?
            }
            None => match checkout.commit("HEAD").await? {
                Some(tip) => tip,
                None => {
                    return Err(CheckoutError::NoDefaultBranch {
                        source_shown: source.to_string(),
                        branches: checkout.names("refs/heads/"),
                    });
                }
            },
        };
        Ok(checkout)
    }

    /// The repository, bare, with all that was fetched.
    pub fn repo(&self) -> &Path {
        &self.repo
    }

    /// The commit under test.
    pub fn head(&self) -> &CommitSha {
        &self.head
    }

    /// Name and tip of the default branch; none where the source's HEAD is on no branch.
    pub fn default_branch(&self) -> Option<(&str, &CommitSha)> {
        let (name, tip) = self.default_branch.as_ref()?;
        Some((name, tip))
    }

    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// Published versions, oldest first.
    pub fn releases(&self) -> &[Release] {
        &self.releases
    }

    /// What is odd about the tags.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The commit that a name stands for.
    pub async fn resolve(&self, asked: &str) -> Result<CommitSha, CheckoutError> {
        ref_name(asked)?;
        if let Some(commit) = self.refs.get(asked) {
            return Ok(commit.clone());
        }
        let branch = self.refs.get(&format!("refs/heads/{asked}"));
        let tag = self.refs.get(&format!("refs/tags/{asked}"));
        match (branch, tag) {
            (Some(branch), Some(tag)) if branch != tag => {
                return Err(CheckoutError::Ambiguous {
                    asked: asked.to_owned(),
                });
            }
            (Some(commit), _) | (None, Some(commit)) => return Ok(commit.clone()),
            (None, None) => {}
        }
        let hex = (4..=40).contains(&asked.len()) && asked.chars().all(|c| c.is_ascii_hexdigit());
        if hex && let Some(commit) = self.commit(&asked.to_ascii_lowercase()).await? {
            return Ok(commit);
        }
        Err(CheckoutError::NoSuchRef {
            asked: asked.to_owned(),
            nearest: self.nearest(asked),
        })
    }

    /// The files of a commit, in a folder that nothing else writes to.
    pub async fn tree(&self, commit: &CommitSha) -> Result<PathBuf, CheckoutError> {
        let tree = self.trees.join(commit.as_str());
        if tree.is_dir() {
            return Ok(tree);
        }
        let write = |source| CheckoutError::Write {
            path: self.trees.clone(),
            source,
        };
        std::fs::create_dir_all(&self.trees).map_err(write)?;
        let partial = tempfile::Builder::new()
            .prefix("partial-")
            .tempdir_in(&self.trees)
            .map_err(write)?;
        let files = partial.path().join("files");
        std::fs::create_dir(&files).map_err(write)?;
        for arguments in [["read-tree", commit.as_str()], ["checkout-index", "--all"]] {
            self.git
                .call(LOCAL)
                .args(["--git-dir"])
                .arg(&self.repo)
                .args(["--work-tree"])
                .arg(&files)
                .args(arguments)
                .env("GIT_INDEX_FILE", partial.path().join("index"))
                .run()
                .await?;
        }
        if let Some(path) = link_out(&files).map_err(write)? {
            return Err(CheckoutError::Link {
                commit: commit.clone(),
                path,
            });
        }
        if !files.join("compose.yml").is_file() {
            return Err(CheckoutError::NoCompose {
                commit: commit.clone(),
            });
        }
        match std::fs::rename(&files, &tree) {
            // Somebody else was faster, with the same files.
            Err(_) if tree.is_dir() => Ok(tree),
            Err(error) => Err(write(error)),
            Ok(()) => Ok(tree),
        }
    }

    /// Those of the tagged commits from which `commit` descends, itself included.
    pub(super) async fn tagged_ancestors(
        &self,
        commit: &CommitSha,
    ) -> Result<BTreeSet<String>, CheckoutError> {
        let names = self
            .local()
            .args(["for-each-ref", "--format=%(refname:strip=2)"])
            .arg(format!("--merged={commit}"))
            .args(["refs/tags"])
            .run()
            .await?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Fetches what a clone of branches and tags does not bring: pull requests, and commits that
    /// are on no branch.
    async fn fetch_missing(&mut self, source: &Source, asked: &str) -> Result<(), CheckoutError> {
        let sha = asked.parse::<CommitSha>().ok();
        let specs = if asked.starts_with("refs/") && !self.refs.contains_key(asked) {
            vec![format!("+{asked}:{asked}")]
        } else if let Some(sha) = sha
            && self.commit(sha.as_str()).await?.is_none()
        {
            vec![sha.to_string(), "+refs/pull/*:refs/pull/*".to_owned()]
        } else {
            return Ok(());
        };
        for spec in specs {
            let fetched = self
                .git
                .call(FETCH)
                .args(["--git-dir"])
                .arg(&self.repo)
                .args(["fetch", "--quiet", "--no-tags", "--"])
                .arg(source.to_string())
                .arg(spec)
                .credentials(source.url(), source.credentials())
                .run()
                .await;
            match fetched {
                Ok(_) => break,
                // The forge says no: the next way, or `resolve` names what is missing.
                Err(GitError::Failed { stderr, .. }) if is_answer(&stderr) => {}
                Err(error) => return Err(refused(&self.git, source, error).await),
            }
        }
        self.read_refs().await
    }

    async fn read_refs(&mut self) -> Result<(), CheckoutError> {
        let format =
            "--format=%(refname)%09%(objecttype)%09%(objectname)%09%(*objecttype)%09%(*objectname)";
        let listed = self.local().args(["for-each-ref", format]).run().await?;
        self.refs.clear();
        self.tags.clear();
        for line in listed.lines() {
            let fields = line.split('\t').collect::<Vec<_>>();
            let [name, kind, object, peeled_kind, peeled] = fields[..] else {
                return Err(CheckoutError::Unexpected(line.to_owned()));
            };
            let annotated = kind == "tag";
            // A tag may stand for a file, which is nothing to deploy, or for another tag.
            let commit = match (kind, peeled_kind) {
                ("commit", _) => object.parse().ok(),
                ("tag", "commit") => peeled.parse().ok(),
                ("tag", "tag") => self.commit(object).await?,
                _ => None,
            };
            let Some(commit) = commit else { continue };
            if let Some(tag) = name.strip_prefix("refs/tags/") {
                self.tags.push(Tag {
                    name: tag.to_owned(),
                    commit: commit.clone(),
                    annotated,
                });
            }
            self.refs.insert(name.to_owned(), commit);
        }
        (self.releases, self.notes) = versions::releases(&self.tags);
        Ok(())
    }

    async fn read_default_branch(&mut self) -> Result<(), CheckoutError> {
        let head = self
            .local()
            .args(["symbolic-ref", "--quiet", "HEAD"])
            .run()
            .await;
        let name = match head {
            Ok(name) => name.trim().to_owned(),
            Err(GitError::Failed { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.default_branch = self.refs.get(&name).map(|tip| {
            let short = name.strip_prefix("refs/heads/").unwrap_or(&name);
            (short.to_owned(), tip.clone())
        });
        Ok(())
    }

    /// The commit of a name that git knows, where there is exactly one.
    async fn commit(&self, name: &str) -> Result<Option<CommitSha>, CheckoutError> {
        let found = self
            .local()
            .args(["rev-parse", "--verify", "--quiet", "--end-of-options"])
            .arg(format!("{name}^{{commit}}"))
            .run()
            .await;
        match found {
            Ok(text) => {
                let sha = text.lines().last().unwrap_or_default().trim();
                let sha = sha.parse();
                sha.map(Some).map_err(|_| CheckoutError::Unexpected(text))
            }
            Err(GitError::Failed { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn local(&self) -> super::git::Call<'_> {
        self.git.call(LOCAL).args(["--git-dir"]).arg(&self.repo)
    }

    fn names(&self, prefix: &str) -> Vec<String> {
        let names = self
            .refs
            .keys()
            .filter_map(|name| name.strip_prefix(prefix));
        names.map(str::to_owned).collect()
    }

    fn nearest(&self, asked: &str) -> Vec<String> {
        let mut names = self.names("refs/heads/");
        names.extend(self.names("refs/tags/"));
        let likeness = |name: &String| strsim::jaro_winkler(name, asked);
        names.retain(|name| likeness(name) > 0.6);
        names.sort_by(|one, two| likeness(two).total_cmp(&likeness(one)));
        names.truncate(3);
        names
    }
}

fn zero() -> CommitSha {
    "0".repeat(40).parse().expect("forty digits are a full sha")
}

#[cfg(test)]
mod elsewhere;
#[cfg(test)]
pub(in crate::recipe) mod tests;
