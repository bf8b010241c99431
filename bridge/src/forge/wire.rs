//! What the forge sends, as far as it is read, and what is made of it.

use std::num::NonZeroU64;

use jiff::Timestamp;
use serde::Deserialize;
use url::Url;

use super::{Author, Changed, Comment, Pull, PullState, RepoInfo};
use crate::names::{PullNumber, Repo};

#[derive(Debug, Deserialize)]
pub struct IssueWire {
    number: NonZeroU64,
    updated_at: Timestamp,
    #[serde(default)]
    comments: u64,
    repository: FullName,
}

#[derive(Debug, Deserialize)]
struct FullName {
    full_name: Repo,
}

impl From<IssueWire> for Changed {
    fn from(wire: IssueWire) -> Self {
        Self {
            repo: wire.repository.full_name,
            number: wire.number.get(),
            updated: wire.updated_at,
            comments: wire.comments,
        }
    }
}

#[derive(Debug, Deserialize)]
pub struct UserWire {
    id: i64,
    login: String,
}

impl From<UserWire> for Author {
    fn from(wire: UserWire) -> Self {
        Self {
            id: wire.id,
            login: wire.login,
        }
    }
}

#[derive(Debug, Deserialize)]
pub struct CommentWire {
    pub id: NonZeroU64,
    /// None: deleted.
    user: Option<UserWire>,
    #[serde(default)]
    body: String,
    created_at: Timestamp,
    pub updated_at: Timestamp,
    #[serde(default)]
    html_url: String,
    #[serde(default)]
    pull_request_url: String,
}

impl CommentWire {
    /// The pull request that it is on; none: it is on an issue.
    pub fn pull(&self) -> Result<Option<PullNumber>, String> {
        if self.pull_request_url.is_empty() {
            return Ok(None);
        }
        let last = self.pull_request_url.rsplit('/').next();
        let number = last.and_then(|part| part.parse::<NonZeroU64>().ok());
        match number {
            Some(number) => Ok(Some(number.get())),
            None => Err(format!(
                "comment {} is on a pull request without a number",
                self.id
            )),
        }
    }
}

impl From<CommentWire> for Comment {
    fn from(wire: CommentWire) -> Self {
        let deleted = || Author {
            id: -1,
            login: "Ghost".to_owned(),
        };
        Self {
            id: wire.id.get(),
            author: wire.user.map_or_else(deleted, Author::from),
            body: wire.body,
            created: wire.created_at,
            updated: wire.updated_at,
            html_url: wire.html_url,
        }
    }
}

#[derive(Debug, Deserialize)]
pub struct PullWire {
    number: PullNumber,
    state: String,
    #[serde(default)]
    merged: bool,
    #[serde(default)]
    is_locked: bool,
    head: HeadWire,
    base: BaseWire,
    #[serde(default)]
    html_url: String,
}

#[derive(Debug, Deserialize)]
struct HeadWire {
    sha: Option<String>,
    repo: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct BaseWire {
    #[serde(rename = "ref")]
    branch: String,
    repo: CloneWire,
}

#[derive(Debug, Deserialize)]
struct CloneWire {
    clone_url: String,
}

impl PullWire {
    pub fn read(self, asked: PullNumber) -> Result<Pull, String> {
        if self.number != asked {
            return Err(format!("it is pull request {}", self.number));
        }
        let state = match (self.merged, self.state.as_str()) {
            (true, _) => PullState::Merged,
            (false, "open") => PullState::Open,
            (false, "closed") => PullState::Closed,
            (false, _) => return Err("its state is neither open nor closed".to_owned()),
        };
        Ok(Pull {
            number: asked,
            state,
            locked: self.is_locked,
            head: self.head.sha.and_then(|sha| sha.parse().ok()),
            fork_gone: self.head.repo.is_none(),
            base: self.base.branch,
            clone_url: clonable(self.base.repo.clone_url)?,
            html_url: self.html_url,
        })
    }
}

#[derive(Debug, Deserialize)]
pub struct RepoWire {
    pub full_name: Repo,
    #[serde(default)]
    pub archived: bool,
    clone_url: Option<String>,
    #[serde(default)]
    default_branch: String,
    #[serde(default)]
    permissions: Permissions,
}

#[derive(Debug, Default, Deserialize)]
struct Permissions {
    #[serde(default)]
    admin: bool,
    #[serde(default)]
    push: bool,
}

impl RepoWire {
    pub fn read(self) -> Result<RepoInfo, String> {
        Ok(RepoInfo {
            repo: self.full_name,
            archived: self.archived,
            clone_url: clonable(self.clone_url.unwrap_or_default())?,
            default_branch: self.default_branch,
            can_write: self.permissions.push || self.permissions.admin,
        })
    }
}

/// An address that git may be given. Some of its ways of transport run programs.
fn clonable(text: String) -> Result<String, String> {
    let known = |url: Url| matches!(url.scheme(), "http" | "https" | "ssh" | "git" | "file");
    match text.parse().is_ok_and(known) {
        true => Ok(text),
        false => Err("its clone_url is no address of a repository".to_owned()),
    }
}

#[derive(Debug, Deserialize)]
pub struct Found {
    pub data: Vec<RepoWire>,
}

#[derive(Debug, Deserialize)]
pub struct VersionWire {
    pub version: String,
}
