//! Takes secret values out of everything that is written for people.
//!
//! A value is found as it is and in the forms in which programs print it (`forms.rs`), and a long one
//! also where line breaks, cuts or prefixes of lines have parted it (`fragments.rs`). Short forms are
//! found where they are whole.
//!
//! Invariant: bytes go through unchanged where there is no secret, valid UTF-8 or not.

mod forms;
mod fragments;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use self::fragments::Fragments;
use aho_corasick::AhoCorasick;

/// Shorter values are left: they would be found everywhere.
pub const SHORTEST_SECRET: usize = 6;

/// Knows secret values and replaces them by `[redacted:<name>]`.
#[derive(Clone, Default)]
pub struct Redactor {
    inner: Option<Arc<Inner>>,
}

struct Inner {
    /// None: nothing is short.
    automaton: Option<AhoCorasick>,
    /// What is found whole, and the number of its value.
    patterns: Vec<(Vec<u8>, usize)>,
    fragments: Fragments,
    /// By value.
    replacements: Vec<String>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self
            .inner
            .as_ref()
            .map_or(0, |inner| inner.replacements.len());
        write!(f, "Redactor({values} values)")
    }
}

impl Redactor {
    /// Takes names and values.
    pub fn new<N, V>(secrets: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: AsRef<str>,
        V: AsRef<[u8]>,
    {
        let secrets: Vec<(String, Vec<u8>)> = secrets
            .into_iter()
            .map(|(name, value)| {
                (
                    name.as_ref().to_owned(),
                    value.as_ref().trim_ascii().to_owned(),
                )
            })
            .filter(|(_, value)| value.len() >= SHORTEST_SECRET)
            .collect();
        let says_a_secret = |text: &str| {
            let text = text.as_bytes();
            secrets
                .iter()
                .any(|(_, value)| text.windows(value.len()).any(|part| part == value))
        };
        let mut replacements = Vec::new();
        let mut by_form = BTreeMap::new();
        for (number, (name, value)) in secrets.iter().enumerate() {
            // A secret may be a word of its own replacement.
            let replacement = [format!("[redacted:{name}]"), "[redacted]".to_owned()]
                .into_iter()
                .find(|text| !says_a_secret(text))
                .unwrap_or_else(|| "[***]".to_owned());
            replacements.push(replacement);
            // Also where its lines are too short to be known one by one.
            let whole = value.contains(&b'\n').then(|| value.clone());
            for form in forms::forms(value).into_iter().chain(whole) {
                by_form.entry(form).or_insert((value.len(), number));
            }
        }
        if replacements.is_empty() {
            return Self::default();
        }
        let (mut patterns, mut long) = (Vec::new(), Vec::new());
        for (form, (value, number)) in by_form {
            if form.contains(&b'\n') || !Fragments::takes(&form) {
                patterns.push((form, number));
            } else {
                long.push((form, value, number));
            }
        }
        let automaton = (!patterns.is_empty()).then(|| {
            AhoCorasick::new(patterns.iter().map(|(pattern, _)| pattern))
                .expect("the values of an app's secrets fit into memory")
        });
        Self {
            inner: Some(Arc::new(Inner {
                automaton,
                patterns,
                fragments: Fragments::new(long),
                replacements,
            })),
        }
    }

    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.redact_bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            // A value that is no UTF-8 could have cut a character.
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    pub fn redact_bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(inner) = &self.inner else {
            return Cow::Borrowed(bytes);
        };
        let found = inner.find(bytes);
        if found.is_empty() {
            return Cow::Borrowed(bytes);
        }
        Cow::Owned(inner.replace(bytes, &found))
    }

    /// For what comes in pieces: a secret may be cut across them.
    pub fn stream(&self) -> RedactedStream {
        RedactedStream {
            redactor: self.clone(),
            held: Vec::new(),
        }
    }
}

/// A redactor that learns while a session goes on; clones share what they know.
#[derive(Debug, Clone, Default)]
pub struct Learning(Arc<RwLock<Redactor>>);

impl Learning {
    /// From here on these values are looked for, in place of those before.
    pub fn know(&self, redactor: Redactor) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = redactor;
    }

    /// What is known by now.
    pub fn now(&self) -> Redactor {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Redacts a text that comes in pieces. A line is held back until its end, and what may be parted from
/// the next line, or [`RedactedStream::finish`].
pub struct RedactedStream {
    redactor: Redactor,
    held: Vec<u8>,
}

impl RedactedStream {
    /// Takes a piece and returns what can be shown by now.
    #[must_use]
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        let Some(inner) = &self.redactor.inner else {
            return piece.to_vec();
        };
        self.held.extend_from_slice(piece);
        let found = inner.find(&self.held);
        let whole = self.held.len() - inner.started(&self.held);
        let mut end = whole.min(inner.fragments.open(&self.held, &found));
        // A match that goes on behind the end belongs to what is held.
        for (range, _) in found.iter().rev() {
            if range.contains(&end) {
                end = range.start;
            }
        }
        let shown: Vec<_> = found
            .into_iter()
            .filter(|(range, _)| range.end <= end)
            .collect();
        let output = inner.replace(&self.held[..end], &shown);
        self.held.drain(..end);
        output
    }

    /// Returns what was held back.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.redactor.redact_bytes(&self.held).into_owned()
    }
}

impl Inner {
    /// Where secrets are, overlapping ones as one, with the value of the one that starts first.
    fn find(&self, bytes: &[u8]) -> Vec<(Range<usize>, usize)> {
        let mut found: Vec<(Range<usize>, usize)> = Vec::new();
        if let Some(automaton) = &self.automaton {
            let whole = automaton.find_overlapping_iter(bytes);
            found.extend(whole.map(|it| (it.range(), self.patterns[it.pattern().as_usize()].1)));
        }
        self.fragments.find(bytes, &mut found);
        found.sort_unstable_by_key(|(range, value)| {
            (range.start, std::cmp::Reverse(range.end), *value)
        });
        let mut merged: Vec<(Range<usize>, usize)> = Vec::new();
        for (range, value) in found {
            match merged.last_mut() {
                Some((last, _)) if range.start < last.end => last.end = last.end.max(range.end),
                _ => merged.push((range, value)),
            }
        }
        merged
    }

    fn replace(&self, bytes: &[u8], found: &[(Range<usize>, usize)]) -> Vec<u8> {
        let mut output = Vec::with_capacity(bytes.len());
        let mut done = 0;
        for (range, value) in found {
            output.extend_from_slice(&bytes[done..range.start]);
            output.extend_from_slice(self.replacements[*value].as_bytes());
            done = range.end;
        }
        output.extend_from_slice(&bytes[done..]);
        output
    }

    /// Length of the longest end of `bytes` that is the start of a longer pattern.
    fn started(&self, bytes: &[u8]) -> usize {
        self.patterns
            .iter()
            .filter_map(|(pattern, _)| {
                let longest = bytes.len().min(pattern.len() - 1);
                (1..=longest)
                    .rev()
                    .find(|&length| bytes.ends_with(&pattern[..length]))
            })
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
