//! The tables, as a list of steps that is only ever added to.

use rusqlite_migration::{M, Migrations};

/// Times are seconds since 1970; those of comments and pull requests are the forge's own.
const FIRST: &str = "
-- What is polled: an organisation's search, or the list of one repository's comments.
CREATE TABLE source (
    name TEXT PRIMARY KEY COLLATE NOCASE,
    -- The server's time of the last whole answer.
    cursor INTEGER NOT NULL,
    -- Its time at the first one.
    began INTEGER NOT NULL
) STRICT;

-- Repositories whose comments count.
CREATE TABLE repository (
    name TEXT PRIMARY KEY COLLATE NOCASE,
    -- Comments up to this one were there before, and count as seen.
    seen INTEGER NOT NULL,
    -- `list`, or `topic`.
    enrolled TEXT NOT NULL
) STRICT;

-- Pull requests that changed since the first poll.
CREATE TABLE pull (
    repository TEXT NOT NULL COLLATE NOCASE,
    number INTEGER NOT NULL,
    -- When it changed last, and how many comments it had then.
    updated INTEGER NOT NULL,
    comments INTEGER NOT NULL,
    -- 0: it may have changed again in the second in which it was looked at.
    settled INTEGER NOT NULL,
    -- Comments that changed before this are decided.
    since INTEGER NOT NULL,
    -- How often it was found since it was last looked at; 0: nothing to look at.
    due INTEGER NOT NULL,
    PRIMARY KEY (repository, number)
) STRICT;
CREATE INDEX pull_due ON pull (due) WHERE due > 0;

-- What was decided about each comment that holds a command.
CREATE TABLE decision (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    repository TEXT NOT NULL COLLATE NOCASE,
    comment INTEGER NOT NULL,
    pull INTEGER NOT NULL,
    author INTEGER NOT NULL,
    login TEXT NOT NULL,
    -- The beginning of what was written.
    text TEXT NOT NULL,
    -- The head when it was decided.
    head TEXT,
    -- JSON of the command.
    command TEXT,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    -- Whether it was answered by a comment of its own.
    replied INTEGER NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (repository, comment)
) STRICT;
CREATE INDEX decision_author ON decision (author, at);

-- One run of each decision to start one.
CREATE TABLE run (
    key TEXT PRIMARY KEY,
    decision INTEGER NOT NULL UNIQUE REFERENCES decision (id),
    repository TEXT NOT NULL COLLATE NOCASE,
    pull INTEGER NOT NULL,
    head TEXT NOT NULL,
    -- JSON of what was ordered.
    order_ TEXT NOT NULL,
    -- JSON of what is to be said beside it.
    notes TEXT NOT NULL,
    -- `waiting`, `starting` (the executor may have it), `started`, `over`.
    state TEXT NOT NULL,
    build TEXT,
    -- When the comment was written, the executor took it, it began, and was over.
    asked INTEGER NOT NULL,
    started INTEGER,
    began INTEGER,
    finished INTEGER,
    -- JSON: who wants it to stop, or which run took its place.
    stop TEXT,
    -- JSON: how it stands, and how it ended.
    progress TEXT,
    ended TEXT
) STRICT;
CREATE INDEX run_live ON run (decision) WHERE state <> 'over';
CREATE INDEX run_pull ON run (repository, pull, head);
CREATE INDEX run_finished ON run (finished);

-- What the forge is to show. `wanted` is at `revision`, the forge has `said`.
CREATE TABLE said (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    repository TEXT NOT NULL COLLATE NOCASE,
    -- `comment`, `status`, `reaction`.
    kind TEXT NOT NULL,
    -- A comment's marker, a status' commit and context, the comment that is reacted to.
    subject TEXT NOT NULL,
    pull INTEGER NOT NULL,
    wanted TEXT NOT NULL,
    revision INTEGER NOT NULL,
    said INTEGER NOT NULL,
    -- The comment's id, once it is known.
    remote INTEGER,
    -- Where people find it.
    link TEXT,
    -- 1: it may have been posted, and its id is not known.
    asked INTEGER NOT NULL,
    -- Why it will not be said.
    given_up TEXT,
    UNIQUE (repository, kind, subject)
) STRICT;
CREATE INDEX said_due ON said (id) WHERE said < revision AND given_up IS NULL;
";

pub fn migrations() -> Migrations<'static> {
    Migrations::new(vec![M::up(FIRST)])
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_step_is_sound() {
        super::migrations().validate().unwrap();
    }
}
