//! One value of an `.env` file: where it stands, what it means, how it is written.

use std::collections::BTreeMap;
use std::ops::Range;

pub(super) enum Problem {
    Unclosed(char),
    AfterQuote(String),
}

/// Where the value that begins at `from` stands in the line, and the comment behind it.
///
/// A `#` begins a comment only behind white space: `KEY=a#b` has none.
pub(super) fn locate(line: &str, from: usize) -> Result<(Range<usize>, Option<String>), Problem> {
    let rest = &line[from..];
    let start = from + (rest.len() - rest.trim_start().len());
    let tail = &line[start..];
    if let Some(quote) = tail.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let close = closing(tail, quote).ok_or(Problem::Unclosed(quote))?;
        let end = start + close + 1;
        let behind = line[end..].trim();
        return match behind.strip_prefix('#') {
            Some(comment) => Ok((start..end, Some(comment.to_owned()))),
            None if behind.is_empty() => Ok((start..end, None)),
            None => Err(Problem::AfterQuote(behind.to_owned())),
        };
    }
    let hash = line[from..]
        .char_indices()
        .find(|(at, c)| *c == '#' && line[from..from + at].ends_with(char::is_whitespace));
    match hash {
        Some((at, _)) => {
            let value = line[from..from + at].trim_end();
            // An empty value stands right behind the `=`, so that what is written there is not
            // taken for a part of the comment.
            let start = start.min(from + value.len());
            Ok((
                start..from + value.len(),
                Some(line[from + at + 1..].to_owned()),
            ))
        }
        None => Ok((start..start + tail.trim_end().len(), None)),
    }
}

/// The position of the closing quote of a text that begins with one.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            _ if c == quote => return Some(at),
            _ => {}
        }
    }
    None
}

/// What a value means, given the keys that are set above it. None: it has more bytes than `most`.
pub(super) fn evaluate(
    raw: &str,
    above: &BTreeMap<String, String>,
    unset: &mut Vec<String>,
    most: usize,
) -> Option<String> {
    if let Some(inner) = raw.strip_prefix('\'') {
        let value = inner.strip_suffix('\'').unwrap_or(inner);
        return (value.len() <= most).then(|| value.to_owned());
    }
    let (text, quoted) = match raw.strip_prefix('"') {
        Some(inner) => (inner.strip_suffix('"').unwrap_or(inner), true),
        None => (raw, false),
    };
    let mut value = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if value.len() > most {
            return None;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' if quoted || rest.starts_with('$') => {
                let Some(next) = rest.chars().next() else {
                    value.push('\\');
                    break;
                };
                value.push(match next {
                    'n' => '\n',
                    'r' => '\r',
                    other => other,
                });
                rest = &rest[next.len_utf8()..];
            }
            '$' => match reference(rest) {
                Some((name, length)) => {
                    match above.get(name) {
                        Some(found) => value.push_str(found),
                        None => unset.push(name.to_owned()),
                    }
                    rest = &rest[length..];
                }
                None => value.push('$'),
            },
            other => value.push(other),
        }
    }
    (value.len() <= most).then_some(value)
}

/// The name at the start of what stands behind a `$`, and how long the reference is.
fn reference(text: &str) -> Option<(&str, usize)> {
    let inner = text.strip_prefix('{');
    let body = inner.unwrap_or(text);
    let length = body
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(body.len());
    let name = &body[..length];
    if !super::is_key(name) {
        return None;
    }
    match inner {
        None => Some((name, length)),
        Some(_) => body[length..]
            .starts_with('}')
            .then_some((name, length + 2)),
    }
}

/// The value as it is written, so that it reads back identical; none for line breaks and NUL.
pub(super) fn quote(value: &str) -> Option<String> {
    if value.contains(['\n', '\r', '\0']) {
        return None;
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c);
    if value.chars().all(plain) {
        return Some(value.to_owned());
    }
    // Other readers take a backslash before a single quote for an escape.
    if !value.contains(['\'', '\\']) {
        return Some(format!("'{value}'"));
    }
    let mut quoted = String::from("\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    Some(quoted)
}
