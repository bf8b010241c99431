//! The characters of a rule as Go's scanner sees them.
//!
//! What is easily forgotten: a carriage return inside backticks is dropped, a line end behind a name,
//! a string or `)` ends the expression, and comments are white space.

use super::rule::SyntaxError;

pub(super) struct Scanner<'a> {
    rule: &'a str,
    /// Byte offset, always at a character's start.
    at: usize,
    /// Whether a line end here ends the expression.
    ended: bool,
}

impl<'a> Scanner<'a> {
    pub fn new(rule: &'a str) -> Result<Self, SyntaxError> {
        const ORDER_MARK: char = '\u{feff}';
        let begin = if rule.starts_with(ORDER_MARK) {
            ORDER_MARK.len_utf8()
        } else {
            0
        };
        if rule[begin..].contains(['\0', ORDER_MARK]) {
            return Err(SyntaxError::Character);
        }
        Ok(Self {
            rule,
            at: begin,
            ended: false,
        })
    }

    /// Skips white space and comments, and shows the next character; a line end that ends the
    /// expression is one.
    pub fn peek(&mut self) -> Option<char> {
        loop {
            let rest = &self.rule[self.at..];
            let next = rest.chars().next()?;
            let skipped = match next {
                '\n' if self.ended => return Some('\n'),
                ' ' | '\t' | '\r' | '\n' => 1,
                '/' => match comment(rest) {
                    Some((_, true)) if self.ended => return Some('\n'),
                    Some((length, _)) => length,
                    None => return Some('/'),
                },
                other => return Some(other),
            };
            self.at += skipped;
        }
    }

    /// Whether nothing is left but white space.
    pub fn is_at_end(&mut self) -> bool {
        if self.peek() == Some('\n') {
            self.ended = false;
        }
        self.peek().is_none()
    }

    pub fn take(&mut self, token: &str) -> bool {
        self.peek();
        let found = self.rule[self.at..].starts_with(token);
        if found {
            self.at += token.len();
            self.ended = token == ")";
        }
        found
    }

    pub fn want(&mut self, token: &str, expected: &'static str) -> Result<(), SyntaxError> {
        if self.take(token) {
            Ok(())
        } else {
            Err(self.unexpected(expected))
        }
    }

    /// A name; empty where none stands here.
    pub fn word(&mut self) -> &'a str {
        self.peek();
        let rest = &self.rule[self.at..];
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        self.at += end;
        self.ended = end > 0;
        &rest[..end]
    }

    pub fn string(&mut self) -> Result<String, SyntaxError> {
        let text = match self.peek() {
            Some('`') => self.raw()?,
            Some('"') => self.interpreted()?,
            _ => return Err(self.unexpected("a name in backticks")),
        };
        self.ended = true;
        Ok(text)
    }

    fn raw(&mut self) -> Result<String, SyntaxError> {
        let inner = &self.rule[self.at + 1..];
        let end = inner
            .find('`')
            .ok_or(SyntaxError::OpenString(self.at + 1))?;
        self.at += end + 2;
        Ok(inner[..end].replace('\r', ""))
    }

    fn interpreted(&mut self) -> Result<String, SyntaxError> {
        let open = SyntaxError::OpenString(self.at + 1);
        let mut rest = self.rule[self.at + 1..].chars();
        let mut bytes = Vec::new();
        loop {
            match rest.next() {
                None | Some('\n') => return Err(open),
                Some('"') => break,
                Some('\\') => escape(&mut rest, &mut bytes)?,
                Some(plain) => bytes.extend(plain.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        self.at = self.rule.len() - rest.as_str().len();
        // Bytes that are no text equal no name that is somebody's.
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub fn unexpected(&mut self, expected: &'static str) -> SyntaxError {
        let found = match self.peek() {
            None => "the end".to_owned(),
            Some('\n') => "a line end".to_owned(),
            Some(c) => format!("`{c}`"),
        };
        let at = self.rule[..self.at].chars().count() + 1;
        SyntaxError::Unexpected {
            expected,
            found,
            at,
        }
    }
}

/// The length of the comment that `text` begins with, and whether it has a line end in or behind it.
fn comment(text: &str) -> Option<(usize, bool)> {
    if let Some(line) = text.strip_prefix("//") {
        return Some((2 + line.find('\n').unwrap_or(line.len()), true));
    }
    let body = text.strip_prefix("/*")?;
    let end = body.find("*/")?;
    Some((end + 4, body[..end].contains('\n')))
}

/// Reads what follows a backslash.
fn escape(rest: &mut std::str::Chars<'_>, bytes: &mut Vec<u8>) -> Result<(), SyntaxError> {
    let kind = rest.next().ok_or(SyntaxError::Escape)?;
    let mut number = |first: Option<char>, digits: usize, radix: u32| {
        let text = first.into_iter().chain(rest.by_ref().take(digits));
        text.map(|c| c.to_digit(radix))
            .try_fold((0_u32, 0), |(sum, read), digit| {
                Some((sum.checked_mul(radix)?.checked_add(digit?)?, read + 1))
            })
            .filter(|(_, read)| *read == digits + usize::from(first.is_some()))
            .map(|(sum, _)| sum)
            .ok_or(SyntaxError::Escape)
    };
    let byte = match kind {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        '"' => b'"',
        'x' => u8::try_from(number(None, 2, 16)?).map_err(|_| SyntaxError::Escape)?,
        '0'..='7' => u8::try_from(number(Some(kind), 2, 8)?).map_err(|_| SyntaxError::Escape)?,
        'u' | 'U' => {
            let code = number(None, if kind == 'u' { 4 } else { 8 }, 16)?;
            let made = char::from_u32(code).ok_or(SyntaxError::Escape)?;
            bytes.extend(made.encode_utf8(&mut [0; 4]).as_bytes());
            return Ok(());
        }
        _ => return Err(SyntaxError::Escape),
    };
    bytes.push(byte);
    Ok(())
}
