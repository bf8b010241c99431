//! Named points at which a test kills the bridge, so that it is hit just there and never by luck.
//!
//! `CC_CI_BRIDGE_KILL` is `NAME` or `NAME:N`: the process sends itself SIGKILL when it comes to that
//! point the Nth time. Without the variable a point costs one look at memory and does nothing.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The variable that names a point.
pub const KILL: &str = "CC_CI_BRIDGE_KILL";

macro_rules! points {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Where the bridge can be killed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Point {
            $($(#[$doc])* $variant,)*
        }

        impl Point {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

points! {
    /// The newest comment of a repository is known and not stored.
    Enrolling = "enrolling",
    /// A search is answered, nothing of it is stored.
    Searched = "searched",
    /// What changed is written, the transaction is open.
    Finding = "finding",
    /// What changed is stored, nothing of it was looked at.
    Found = "found",
    /// The comments of a pull request are read, none is decided.
    Read = "read",
    /// Decisions, runs and what is to be said are written, the transaction is open.
    Deciding = "deciding",
    /// They are stored, and nothing was started or said.
    Decided = "decided",
    /// It is stored that a start is tried; the executor was not asked.
    Starting = "starting",
    /// The executor has answered, which is not stored.
    Asked = "asked",
    /// It is stored that the run was started.
    Started = "started",
    /// A run that may have been started was looked for, and nothing is stored.
    LookedFor = "looked-for",
    /// The end of a run is seen and not stored.
    Ending = "ending",
    /// It is stored, and not said.
    Ended = "ended",
    /// A stop was passed on.
    Stopping = "stopping",
    /// It is stored that a comment is about to be posted.
    Posting = "posting",
    /// The forge has it, which is not stored.
    Posted = "posted",
    /// Its id is stored.
    Said = "said",
    /// A comment is edited, which is not stored.
    Edited = "edited",
    /// A comment that may have been posted was looked for, and nothing is stored.
    Sought = "sought",
    /// A commit status or a reaction is set, which is not stored.
    Set = "set",
}

/// Says that the bridge has come here, and ends it if it is to end here.
pub fn reach(point: Point) {
    static ASKED: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();
    let asked = ASKED.get_or_init(|| parse(&std::env::var(KILL).ok()?));
    if let Some((name, left)) = asked
        && name == point.name()
        && left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        let own = rustix::process::getpid();
        let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    }
}

fn parse(text: &str) -> Option<(String, AtomicU64)> {
    let (name, count) = text.split_once(':').unwrap_or((text, "1"));
    Some((name.to_owned(), AtomicU64::new(count.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_named_with_a_count() {
        let (name, count) = parse("posted:3").unwrap();
        assert_eq!((name.as_str(), count.into_inner()), ("posted", 3));
        assert_eq!(parse("posted").unwrap().1.into_inner(), 1);
        assert!(parse("posted:x").is_none());
    }

    #[test]
    fn names_are_used_once() {
        let mut names: Vec<_> = Point::ALL.iter().map(|point| point.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Point::ALL.len());
    }
}
