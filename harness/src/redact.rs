//! Takes secret values out of everything that is written for people.
//!
//! A value is found as it is and in the forms in which programs print it: base64 (also inside a
//! longer text, as in an `Authorization` header), URL-encoded, JSON-escaped, and line by line.
//!
//! Invariant: bytes go through unchanged where there is no secret, valid UTF-8 or not.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// Shorter values are left: they would be found everywhere.
pub const SHORTEST_SECRET: usize = 6;

/// A part of a value (a line of a key, a piece of base64) is looked for from this length on.
const SHORTEST_PART: usize = 8;

/// Knows secret values and replaces them by `[redacted:<name>]`.
#[derive(Clone, Default)]
pub struct Redactor {
    inner: Option<Arc<Inner>>,
}

struct Inner {
    automaton: AhoCorasick,
    /// By pattern.
    patterns: Vec<Vec<u8>>,
    replacements: Vec<String>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns = self.inner.as_ref().map_or(0, |inner| inner.patterns.len());
        write!(f, "Redactor({patterns} patterns)")
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
        let mut by_pattern = BTreeMap::new();
        for (name, value) in &secrets {
            // A secret may be a word of its own replacement.
            let replacement = [format!("[redacted:{name}]"), "[redacted]".to_owned()]
                .into_iter()
                .find(|text| !says_a_secret(text))
                .unwrap_or_else(|| "[***]".to_owned());
            for form in forms(value) {
                by_pattern
                    .entry(form)
                    .or_insert_with(|| replacement.clone());
            }
        }
        if by_pattern.is_empty() {
            return Self::default();
        }
        let (patterns, replacements): (Vec<_>, Vec<_>) = by_pattern.into_iter().unzip();
        let automaton =
            AhoCorasick::new(&patterns).expect("the values of an app's secrets fit into memory");
        Self {
            inner: Some(Arc::new(Inner {
                automaton,
                patterns,
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

/// Redacts a text that comes in pieces. Bytes that may be the start of a secret are held back until
/// the next piece, or [`RedactedStream::finish`].
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
        let mut end = self.held.len() - inner.started(&self.held);
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
    /// Where secrets are, overlapping ones as one, with the pattern that starts first.
    fn find(&self, bytes: &[u8]) -> Vec<(Range<usize>, usize)> {
        let mut found: Vec<(Range<usize>, usize)> = self
            .automaton
            .find_overlapping_iter(bytes)
            .map(|found| (found.range(), found.pattern().as_usize()))
            .collect();
        found.sort_unstable_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
        let mut merged: Vec<(Range<usize>, usize)> = Vec::new();
        for (range, pattern) in found {
            match merged.last_mut() {
                Some((last, _)) if range.start < last.end => last.end = last.end.max(range.end),
                _ => merged.push((range, pattern)),
            }
        }
        merged
    }

    fn replace(&self, bytes: &[u8], found: &[(Range<usize>, usize)]) -> Vec<u8> {
        let mut output = Vec::with_capacity(bytes.len());
        let mut done = 0;
        for (range, pattern) in found {
            output.extend_from_slice(&bytes[done..range.start]);
            output.extend_from_slice(self.replacements[*pattern].as_bytes());
            done = range.end;
        }
        output.extend_from_slice(&bytes[done..]);
        output
    }

    /// Length of the longest end of `bytes` that is the start of a longer pattern.
    fn started(&self, bytes: &[u8]) -> usize {
        self.patterns
            .iter()
            .filter_map(|pattern| {
                let longest = bytes.len().min(pattern.len() - 1);
                (1..=longest)
                    .rev()
                    .find(|&length| bytes.ends_with(&pattern[..length]))
            })
            .max()
            .unwrap_or(0)
    }
}

/// The forms in which a value may be printed.
fn forms(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![value.to_owned()];
    forms.extend(base64_forms(value));
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let component = |byte: u8| unreserved(byte) || b"!*'()".contains(&byte);
    forms.push(percent(value, unreserved, false));
    forms.push(percent(value, unreserved, true));
    forms.push(percent(value, component, false));
    forms.push(
        url::form_urlencoded::byte_serialize(value)
            .collect::<String>()
            .into(),
    );
    if let Ok(text) = std::str::from_utf8(value) {
        let json = serde_json::Value::from(text).to_string();
        let json = json[1..json.len() - 1].to_owned();
        forms.push(json.replace('/', "\\/").into());
        let for_html = ['<', '>', '&']
            .into_iter()
            .fold(json.clone(), |text, sign| {
                text.replace(sign, &format!("\\u{:04x}", u32::from(sign)))
            });
        forms.push(for_html.into());
        forms.push(ascii_only(&json).into());
        forms.push(json.into());
    }
    // A key in several lines is printed line by line, with something in front of each.
    let lines = value.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    forms.extend(
        lines
            .filter(|line| line.len() >= 2 * SHORTEST_PART && !line.starts_with(b"-----"))
            .map(<[u8]>::to_owned),
    );
    forms
}

/// In base64 a value looks different by where it stands; its outermost digits depend on its
/// neighbours.
fn base64_forms(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for engine in [&STANDARD, &URL_SAFE] {
        forms.push(engine.encode(value).into_bytes());
        for before in 0..3 {
            let mut text = vec![0; before];
            text.extend_from_slice(value);
            let digits = engine.encode(&text).into_bytes();
            let from = [0, 2, 3][before];
            let to = text.len() / 3 * 4 + [0, 1, 2][text.len() % 3];
            if to >= from + SHORTEST_PART {
                forms.push(digits[from..to].to_owned());
            }
        }
    }
    forms
}

fn percent(value: &[u8], keep: impl Fn(u8) -> bool, lower: bool) -> Vec<u8> {
    let mut text = Vec::new();
    for &byte in value {
        if keep(byte) {
            text.push(byte);
        } else if lower {
            text.extend_from_slice(format!("%{byte:02x}").as_bytes());
        } else {
            text.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    text
}

/// JSON as some programs write it: every other character as `\uXXXX`.
fn ascii_only(json: &str) -> String {
    let mut text = String::new();
    for unit in json.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\u{unit:04x}")),
        }
    }
    text
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
