//! By what the bridge knows a comment of its own again, when the answer to its posting was lost.
//!
//! A marker is no proof of who wrote a comment: anybody can write one. Ask for the author, too.

use std::fmt;

use crate::names::{CommentId, CommitSha, PullNumber, Repo};

/// The first line of a comment, which the forge does not show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker(String);

/// Of the one comment that says how a head's runs go.
pub fn of_status(repo: &Repo, pull: PullNumber, head: &CommitSha) -> Marker {
    Marker::new(repo, &format!("status {pull} {head}"))
}

/// Of the reply to a comment.
pub fn of_reply(repo: &Repo, comment: CommentId) -> Marker {
    Marker::new(repo, &format!("reply {comment}"))
}

/// Whether a comment begins with the marker.
pub fn has_marker(body: &str, marker: &Marker) -> bool {
    body.lines().next().map(str::trim_end) == Some(marker.0.as_str())
}

impl Marker {
    fn new(repo: &Repo, what: &str) -> Self {
        // The forge takes a repository's name in any case.
        let repo = repo.to_string().to_ascii_lowercase();
        Self(format!("<!-- cc-ci:{repo} {what} -->"))
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repo(text: &str) -> Repo {
        text.parse().unwrap()
    }

    #[test]
    fn a_comment_is_known_by_its_first_line() {
        let head: CommitSha = "4be1c2d9a07735f0c1d2e3f4a5b6c7d8e9f00112".parse().unwrap();
        let marker = of_status(&repo("Coop/html"), 7, &head);
        assert_eq!(
            marker.to_string(),
            "<!-- cc-ci:coop/html status 7 4be1c2d9a07735f0c1d2e3f4a5b6c7d8e9f00112 -->"
        );
        assert_eq!(marker, of_status(&repo("coop/HTML"), 7, &head));
        assert!(has_marker(&format!("{marker}\r\n\r\nPASS"), &marker));
        assert!(has_marker(&marker.to_string(), &marker));
        assert!(!has_marker(&format!("> {marker}"), &marker));
        assert!(!has_marker(&format!("\n{marker}"), &marker));
        assert!(!has_marker("", &marker));
        assert!(!has_marker(
            &marker.to_string(),
            &of_status(&repo("coop/html"), 70, &head)
        ));
    }

    #[test]
    fn replies_differ_by_the_comment() {
        let reply = of_reply(&repo("a/b"), 12);
        assert_eq!(reply.to_string(), "<!-- cc-ci:a/b reply 12 -->");
        assert!(!has_marker(&reply.to_string(), &of_reply(&repo("a/b"), 1)));
    }
}
