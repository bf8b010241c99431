//! Lists of the forge, page by page.
//!
//! Invariant: a list counts as whole only if the count that the server gives stayed the same and
//! was reached.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;

use jiff::Timestamp;

use super::client::Forge;
use super::wire::{CommentWire, Found, IssueWire, RepoWire};
use super::{Changed, Changes, ForgeError};
use crate::http::{Answer, Ask};
use crate::names::{CommentId, Repo};

/// As many as Gitea gives at most.
const LIMIT: u32 = 50;
const MOST_PAGES: u32 = 400;

struct List<T> {
    items: Vec<T>,
    /// When the first page was answered, by the server's clock.
    now: Timestamp,
    whole: bool,
}

impl Forge {
    /// The pull requests of an owner's repositories that changed at `since` or after.
    pub async fn search(&self, owner: &str, since: Timestamp) -> Result<Changes, ForgeError> {
        let what = format!("search for changed pull requests of {owner}");
        let ask = Ask::get(&["api", "v1", "repos", "issues", "search"])
            .query("type", "pulls")
            .query("state", "all")
            .query("owner", owner)
            .query("since", seconds(since));
        let read = |answer: &Answer| {
            let list: Vec<IssueWire> = answer.json()?;
            Ok(list.into_iter().map(Changed::from).collect())
        };
        let key = |item: &Changed| (item.repo.clone(), item.number);
        let list = self.pages(&what, &ask, read, key).await?;
        Ok(Changes {
            items: list.items,
            now: list.now,
            whole: list.whole,
        })
    }

    /// The pull requests of a repository with a comment that was written or edited at `since` or
    /// after.
    pub async fn comments_since(
        &self,
        repo: &Repo,
        since: Timestamp,
    ) -> Result<Changes, ForgeError> {
        let what = format!("changed comments of {repo}");
        let ask = comments(repo).query("since", seconds(since));
        let read = |answer: &Answer| {
            let list: Vec<CommentWire> = answer.json()?;
            let entry = |wire: CommentWire| Ok((wire.id, wire.pull()?, wire.updated_at));
            list.into_iter().map(entry).collect()
        };
        let list = self.pages(&what, &ask, read, |item| item.0).await?;
        let mut newest = BTreeMap::new();
        for (_, pull, updated) in list.items {
            if let Some(pull) = pull {
                let at = newest.entry(pull).or_insert(updated);
                *at = updated.max(*at);
            }
        }
        let changed = |(number, updated)| Changed {
            repo: repo.clone(),
            number,
            updated,
            comments: 0,
        };
        Ok(Changes {
            items: newest.into_iter().map(changed).collect(),
            now: list.now,
            whole: list.whole,
        })
    }

    /// The last comment of a repository, on whatever; none: it has none.
    pub async fn newest_comment(&self, repo: &Repo) -> Result<Option<CommentId>, ForgeError> {
        let what = format!("newest comment of {repo}");
        let page = |number: u64| comments(repo).query("page", number).query("limit", 1);
        let first = self.ask(&what, page(1)).await?;
        let count = self.total(&what, &first)?;
        if count == 0 {
            return Ok(None);
        }
        let last = self.ask(&what, page(count)).await?;
        let list: Vec<CommentWire> = self.read(&what, &last)?;
        match list.last() {
            Some(comment) => Ok(Some(comment.id.get())),
            None => Err(self.passing(&what, "a comment went while they were counted", None)),
        }
    }

    /// The repositories of an organisation that have a topic and are not archived.
    pub async fn repos_with_topic(&self, org: &str, topic: &str) -> Result<Vec<Repo>, ForgeError> {
        let what = format!("repositories of {org} with the topic {topic}");
        let ask = Ask::get(&["api", "v1", "repos", "search"])
            .query("q", topic)
            .query("topic", true);
        let read = |answer: &Answer| answer.json().map(|found: Found| found.data);
        let key = |item: &RepoWire| item.full_name.clone();
        let list = self.pages(&what, &ask, read, key).await?;
        if !list.whole {
            return Err(self.passing(&what, "the list changed while it was read", None));
        }
        let ours =
            |item: &RepoWire| !item.archived && item.full_name.owner().eq_ignore_ascii_case(org);
        let found = list.items.into_iter().filter(ours);
        Ok(found.map(|item| item.full_name).collect())
    }

    async fn pages<T, K: Hash + Eq + Clone>(
        &self,
        what: &str,
        ask: &Ask,
        read: impl Fn(&Answer) -> Result<Vec<T>, String>,
        key: impl Fn(&T) -> K,
    ) -> Result<List<T>, ForgeError> {
        let mut items = Vec::new();
        let mut seen = HashSet::new();
        let mut before: Vec<K> = Vec::new();
        let mut begin = None;
        for page in 1..=MOST_PAGES {
            let ask = ask.clone().query("page", page).query("limit", LIMIT);
            let answer = self.ask(what, ask).await?;
            let list = read(&answer).map_err(|why| self.odd(what, why))?;
            let total = self.total(what, &answer)?;
            let now = self.date(what, &answer)?;
            let (first_total, now) = *begin.get_or_insert((total, now));
            let keys: Vec<K> = list.iter().map(&key).collect();
            if !keys.is_empty() && keys == before {
                return Err(self.odd(
                    what,
                    format!("an endless list: page {page} is the same again"),
                ));
            }
            let is_last = keys.is_empty();
            before = keys;
            items.extend(list.into_iter().filter(|item| seen.insert(key(item))));
            let count = u64::try_from(items.len()).unwrap_or(u64::MAX);
            if is_last || count >= total {
                return Ok(List {
                    items,
                    now,
                    whole: count == total && total == first_total,
                });
            }
        }
        Err(self.odd(
            what,
            format!("an endless list: more than {MOST_PAGES} pages"),
        ))
    }

    fn total(&self, what: &str, answer: &Answer) -> Result<u64, ForgeError> {
        let total = answer.number("x-total-count");
        total.ok_or_else(|| self.odd(what, "there is no X-Total-Count".to_owned()))
    }
}

/// `limit` counts only together with `page`.
fn comments(repo: &Repo) -> Ask {
    let (owner, name) = (repo.owner(), repo.name());
    Ask::get(&["api", "v1", "repos", owner, name, "issues", "comments"])
}

/// The forge compares whole seconds.
pub(super) fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
