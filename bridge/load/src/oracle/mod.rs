//! Judges what the bridge did, by what the forge and the CI engine hold and by what was posted.
//!
//! Must not know: how any of it came about.

mod heads;
mod history;
mod replies;
mod runs;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use forge_model::drone::Status;

use crate::words::Wish;
use crate::world::Place;

/// What a comment is there for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// No command, whatever it looks like.
    Chatter,
    /// Of somebody who may, on a pull request that has no other command.
    Alone(Wish),
    /// Of somebody who may, on a pull request with several.
    Among(Wish),
    Stop,
    /// Help is asked for, or a word is not understood.
    Help,
    Stranger,
    /// A command that somebody edited before anybody could read it.
    EditedAtOnce,
    /// It became a command by an edit.
    MadeCommand,
    /// A command of the bot's own account.
    ByBot,
    /// A command on a pull request that is closed or merged.
    Shut,
    /// A command in a locked thread.
    Locked,
    /// A command in a repository that nobody watches.
    Elsewhere,
    /// A command from before its repository was enrolled.
    Old,
}

/// A comment of the script.
#[derive(Debug, Clone)]
pub struct Posted {
    pub id: u64,
    pub place: Place,
    pub author: &'static str,
    pub text: String,
    pub what: What,
    /// How many heads the pull request had had.
    pub heads: usize,
    /// Milliseconds since the begin.
    pub at: u128,
    /// By the forge's clock, which jumps.
    pub created: i64,
    /// When it was edited, and to what.
    pub edits: Vec<(u128, String)>,
}

impl Posted {
    /// Whether it may have been decided after another one: in the order of their posting, or in
    /// the forge's order where both were read at once. Those differ where the clock was put back.
    fn may_follow(&self, other: &Self) -> bool {
        self.id > other.id || self.created > other.created
    }
}

/// A build, as the CI engine holds it.
#[derive(Debug, Clone)]
pub struct Build {
    pub number: u64,
    pub status: Status,
    pub params: BTreeMap<String, String>,
}

impl Build {
    pub fn get(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }

    pub fn comment(&self) -> Option<u64> {
        self.get("COMMENT_ID").parse().ok()
    }
}

/// A comment of the bot that the script did not post.
#[derive(Debug, Clone)]
pub struct Said {
    pub id: u64,
    pub place: Place,
    pub body: String,
}

/// The newest state of each context, of a commit.
pub type Contexts = BTreeMap<String, String>;

/// All that is judged.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    pub posted: Vec<Posted>,
    /// The heads of each pull request, oldest first.
    pub heads: HashMap<Place, Vec<String>>,
    pub builds: Vec<Build>,
    pub said: Vec<Said>,
    /// Comments with the bot's reaction.
    pub reacted: HashSet<u64>,
    /// By repository and commit.
    pub statuses: HashMap<(String, String), Contexts>,
    /// Repositories in which the bot may set a commit status.
    pub writable: HashSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Each build belongs to one authorised command.
    BuildOfNothing,
    TwoBuilds,
    KeyTwice,
    MissingBuild,
    /// The build is not of what was asked for.
    OtherBuild,
    Unaccounted,
    /// A comment of the bot that is about nothing.
    Stray,
    /// More than one comment with a marker.
    CommentTwice,
    MissingReply,
    /// A comment that never had to be answered.
    NeedlessReply,
    TooManyRefusals,
    MissingStatusComment,
    StaleComment,
    StaleStatus,
    MissingReaction,
    NeedlessReaction,
}

#[derive(Debug, Clone)]
pub struct Violation {
    pub rule: Rule,
    pub comment: Option<u64>,
    pub text: String,
    /// All that is known of the comment and its pull request.
    pub history: String,
}

impl Violation {
    fn new(rule: Rule, comment: Option<u64>, text: impl Into<String>) -> Self {
        Self {
            rule,
            comment,
            text: text.into(),
            history: String::new(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.text)
    }
}

/// The same facts, found by what is asked for.
struct Index<'a> {
    facts: &'a Facts,
    posted: HashMap<u64, &'a Posted>,
    /// By comment.
    builds: HashMap<u64, Vec<&'a Build>>,
    /// By marker.
    marked: HashMap<&'a str, Vec<&'a Said>>,
}

impl<'a> Index<'a> {
    fn new(facts: &'a Facts) -> Self {
        let mut builds: HashMap<_, Vec<_>> = HashMap::new();
        for build in &facts.builds {
            if let Some(comment) = build.comment() {
                builds.entry(comment).or_default().push(build);
            }
        }
        let mut marked: HashMap<_, Vec<_>> = HashMap::new();
        for said in &facts.said {
            let marker = said.body.lines().next().unwrap_or_default();
            marked.entry(marker.trim_end()).or_default().push(said);
        }
        Self {
            facts,
            posted: facts
                .posted
                .iter()
                .map(|posted| (posted.id, posted))
                .collect(),
            builds,
            marked,
        }
    }

    fn builds(&self, comment: u64) -> &[&'a Build] {
        self.builds.get(&comment).map_or(&[], Vec::as_slice)
    }

    /// The comment that a build is of.
    fn posted_of(&self, build: &Build) -> Option<&'a Posted> {
        self.posted.get(&build.comment()?).copied()
    }

    fn marked(&self, marker: &str) -> &[&'a Said] {
        self.marked.get(marker).map_or(&[], Vec::as_slice)
    }

    fn replies(&self, posted: &Posted) -> &[&'a Said] {
        self.marked(&marker_of_reply(&posted.place.0, posted.id))
    }

    /// The head that a run of a comment may be of: the one that was there when it was written,
    /// whatever was pushed since.
    fn heads(&self, posted: &Posted) -> &'a [String] {
        let all = self.facts.heads.get(&posted.place);
        let at = posted.heads.saturating_sub(1);
        all.and_then(|all| all.get(at..=at)).unwrap_or_default()
    }
}

fn marker_of_reply(repo: &str, comment: u64) -> String {
    format!("<!-- cc-ci:{} reply {comment} -->", repo.to_lowercase())
}

fn marker_of_status((repo, pull): &Place, head: &str) -> String {
    format!(
        "<!-- cc-ci:{} status {pull} {head} -->",
        repo.to_lowercase()
    )
}

/// What a status comment says first.
fn headline(said: &Said) -> &str {
    let mut lines = said.body.lines().filter(|line| line.starts_with("**"));
    lines.next().unwrap_or_default()
}

/// All that is not as it has to be, once all is settled.
pub fn violations(facts: &Facts) -> Vec<Violation> {
    let index = Index::new(facts);
    let mut found = runs::check(&index);
    found.extend(replies::check(&index));
    found.extend(heads::check(&index));
    for violation in &mut found {
        if let Some(comment) = violation.comment {
            violation.history = history::of(&index, comment);
        }
    }
    found
}
