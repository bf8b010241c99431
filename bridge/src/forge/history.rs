//! When the head of a pull request changed, as its timeline tells.
//!
//! An entry of the timeline has an id of the same sequence as comments have, so that of an entry
//! and a comment the one with the smaller id was made first.

use jiff::Timestamp;
use serde::Deserialize;

use crate::names::CommitSha;

/// What may have changed the head, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History(Vec<Event>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: u64,
    pub at: Timestamp,
    pub what: Happened,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// New commits, oldest first. The opening of a pull request is the first push.
    Pushed(Vec<CommitSha>),
    Forced {
        before: Option<CommitSha>,
        after: Option<CommitSha>,
    },
    /// What was pushed while it was closed is in no list.
    Reopened,
}

impl History {
    pub fn events(&self) -> &[Event] {
        &self.0
    }
}

impl FromIterator<Event> for History {
    fn from_iter<I: IntoIterator<Item = Event>>(events: I) -> Self {
        let mut events: Vec<_> = events.into_iter().collect();
        events.sort_by_key(|event| event.id);
        Self(events)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct EntryWire {
    id: u64,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    body: String,
    created_at: Timestamp,
}

/// What a push has as its text.
#[derive(Debug, Default, Deserialize)]
struct PushWire {
    is_force_push: bool,
    #[serde(default)]
    commit_ids: Vec<String>,
}

impl From<Vec<EntryWire>> for History {
    fn from(entries: Vec<EntryWire>) -> Self {
        let event = |entry: EntryWire| {
            let what = match entry.kind.as_str() {
                "pull_push" => pushed(&entry.body),
                "reopen" => Happened::Reopened,
                _ => return None,
            };
            let (id, at) = (entry.id, entry.created_at);
            Some(Event { id, at, what })
        };
        entries.into_iter().filter_map(event).collect()
    }
}

/// A text that can't be read is a push of nothing that is known.
fn pushed(body: &str) -> Happened {
    let push: PushWire = serde_json::from_str(body).unwrap_or_default();
    let commits = push.commit_ids.iter().map(|id| id.parse().ok());
    if !push.is_force_push {
        return Happened::Pushed(commits.flatten().collect());
    }
    let mut commits = commits;
    let (before, after) = (commits.next().flatten(), commits.next().flatten());
    Happened::Forced { before, after }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("{\"is_force_push\":false,\"commit_ids\":[\"A\",\"B\"]}", Happened::Pushed(vec![sha('a'), sha('b')]))]
    #[case("{\"is_force_push\":true,\"commit_ids\":[\"A\",\"B\"]}", Happened::Forced { before: Some(sha('a')), after: Some(sha('b')) })]
    #[case("{\"is_force_push\":true}", Happened::Forced { before: None, after: None })]
    #[case(
        "{\"is_force_push\":false,\"commit_ids\":[\"HEAD\"]}",
        Happened::Pushed(Vec::new())
    )]
    #[case("", Happened::Pushed(Vec::new()))]
    #[case("pushed 2 commits", Happened::Pushed(Vec::new()))]
    fn a_push_is_read(#[case] body: &str, #[case] expected: Happened) {
        let body = body
            .replace('A', sha('a').as_str())
            .replace('B', sha('b').as_str());
        let entry = |id, kind: &str| EntryWire {
            id,
            kind: kind.to_owned(),
            body: body.clone(),
            created_at: Timestamp::UNIX_EPOCH,
        };
        let history = History::from(vec![
            entry(3, "pull_push"),
            entry(2, "comment"),
            entry(1, "reopen"),
        ]);
        let read: Vec<_> = history
            .events()
            .iter()
            .map(|event| event.what.clone())
            .collect();
        assert_eq!(read, [Happened::Reopened, expected]);
    }

    fn sha(digit: char) -> CommitSha {
        digit.to_string().repeat(40).parse().unwrap()
    }
}
