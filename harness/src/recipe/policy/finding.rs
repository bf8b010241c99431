//! A finding: what was found, where, and who could do something about it.

use std::fmt;

/// The longest text of a stranger's that a message quotes.
const LONGEST: usize = 160;

/// Who can do something about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The recipe: no site could allow it.
    Recipe,
    /// The site: it may allow it, by the finding's name.
    Site,
    /// Nobody: this site allows it, or it has no effect. It is worth a note.
    Nobody,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub blame: Blame,
    /// As in a site's `allow`: `host-bind`, `capability:NET_ADMIN`.
    pub name: String,
    pub place: Place,
    /// What was found, and what to do about it.
    pub message: String,
}

/// Where in the recipe's files to look.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// Short name; none for what belongs to no one service.
    pub service: Option<String>,
    /// Keys of a compose file, joined by dots: `services.app.cap_add`.
    pub key: String,
    /// A text that stands at or below the key, where there is one.
    pub value: Option<String>,
}

impl Finding {
    /// Whether nothing may be deployed because of it.
    pub fn refuses(&self) -> bool {
        self.blame != Blame::Nobody
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place.service {
            Some(service) => write!(f, "{}: service `{service}` {}", self.name, self.message),
            None => write!(f, "{}: {}", self.name, self.message),
        }
    }
}

/// A stranger's text in one line and of bounded length.
pub(super) fn quoted(text: &str) -> String {
    let mut out: String = text
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}
