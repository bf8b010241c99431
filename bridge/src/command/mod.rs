//! What a comment asks for.
//!
//! Invariants: a pure function of the text, in time linear in its length, that never panics; what
//! is not a command of its own for whoever reads the comment (in a code block, a quote, a link, …)
//! is none here; a word that is not understood never starts anything.
//!
//! Must not know: who says it, and where.

mod find;
mod words;

use results::outcome::Tier;
use serde::{Deserialize, Serialize};

/// The word that begins a command.
pub const WORD: &str = "!testme";
/// As many digits has a commit's id.
const WHOLE_COMMIT: usize = 40;

/// What is in one comment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The first command.
    pub command: Option<Command>,
    /// How many further commands the comment has; they do not count.
    pub others: usize,
    /// Where there is no command: why a `!testme` that is there is none.
    pub hidden: Option<Hidden>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    Test(Asked),
    Stop,
    /// With what was not understood, where that is why help is given.
    Help(Option<Unknown>),
}

/// What a run is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// In their order, each once. Empty: all.
    pub tiers: Vec<Tier>,
    pub quick: bool,
    /// The version to upgrade from.
    pub from: Option<String>,
    /// What the head's id begins with, in small letters: 7 to 40 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

impl Asked {
    /// Whether no other commit can be meant. Of two commits with the same beginning, however long
    /// it looks to people, both can be made by one who wants to exchange them.
    pub fn names_a_whole_commit(&self) -> bool {
        self.commit
            .as_ref()
            .is_some_and(|commit| commit.len() == WHOLE_COMMIT)
    }
}

/// What was not understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// The word, cut; a stranger's text.
    pub word: String,
    pub why: Why,
    /// The word that may be meant.
    pub nearest: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    NoSuchWord,
    /// `from` without a version.
    NoVersion,
    /// `from` with something that no version can be.
    NotAVersion,
    /// Two versions to upgrade from.
    TwoVersions,
    /// Two commits to test.
    TwoCommits,
    /// `stop` and words for a run.
    StopAndMore,
}

/// Why a `!testme` is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    CodeBlock,
    InlineCode,
    Quote,
    List,
    Heading,
    Table,
    Footnote,
    Link,
    Emphasis,
    Html,
    /// Four or more blanks before it.
    Indented,
    /// Something else stands before it in its line.
    NotFirst,
    /// Something stands directly after it.
    Joined,
}

impl Hidden {
    /// For whoever looks why nothing happened.
    pub fn why(self) -> &'static str {
        match self {
            Self::CodeBlock => "it is in a code block",
            Self::InlineCode => "it is in inline code",
            Self::Quote => "it is in a quote",
            Self::List => "it is in a list",
            Self::Heading => "it is in a heading",
            Self::Table => "it is in a table",
            Self::Footnote => "it is in a footnote",
            Self::Link => "it is in a link or an image",
            Self::Emphasis => "it is in bold, italic or struck text",
            Self::Html => "it is in HTML",
            Self::Indented => "there are four or more blanks before it",
            Self::NotFirst => "it is not at the start of its line",
            Self::Joined => "something stands directly after it",
        }
    }
}

/// The commands in the text of a comment.
pub fn parse(body: &str) -> Parsed {
    let found = find::find(body);
    let mut commands = found.lines.into_iter();
    let command = commands.next().map(words::command);
    Parsed {
        others: commands.count(),
        hidden: found.hidden.filter(|_| command.is_none()),
        command,
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
