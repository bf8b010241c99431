//! Where in a comment commands are: at the start of a line of a paragraph that is in nothing else,
//! as the forge renders it.

use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag};

use super::{Hidden, WORD};

/// A longer comment is read as far as this. The forge takes some 70,000 characters.
const LONGEST: usize = 256 * 1024;
/// One more makes a line code.
const MOST_BLANKS: usize = 3;

#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    /// What follows the word in each line that is a command.
    pub lines: Vec<&'a str>,
    /// Why the first `!testme` of the text is no command.
    pub hidden: Option<Hidden>,
}

pub(super) fn find(body: &str) -> Found<'_> {
    let body = &body[..body.floor_char_boundary(LONGEST)];
    let Some(first) = first_word(body) else {
        return Found::default();
    };
    let mut found = Found::default();
    // What the first one is in; the event that begins last is the innermost.
    let mut inside = None;
    let mut depth = 0_usize;
    let mut paragraph = false;
    for (event, range) in Parser::new_ext(body, options()).into_offset_iter() {
        if range.contains(&first) {
            inside = hides(&event).or(inside);
        }
        match event {
            Event::Start(tag) => {
                depth += 1;
                if depth == 1 {
                    paragraph = tag == Tag::Paragraph;
                    if paragraph {
                        found
                            .lines
                            .extend(command(body, start_of_line(body, range)));
                    }
                }
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::SoftBreak | Event::HardBreak if paragraph && depth == 1 => {
                let next = start_of_next_line(body, range);
                found.lines.extend(next.and_then(|at| command(body, at)));
            }
            _ => {}
        }
    }
    found.hidden = Some(inside.unwrap_or_else(|| hidden_in_line(body, first)));
    found
}

/// What Gitea reads beside CommonMark, as far as it bears on where a paragraph is.
fn options() -> Options {
    Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_FOOTNOTES
}

fn hides(event: &Event<'_>) -> Option<Hidden> {
    Some(match event {
        Event::Code(_) => Hidden::InlineCode,
        Event::Html(_) | Event::InlineHtml(_) => Hidden::Html,
        Event::Start(tag) => match tag {
            Tag::CodeBlock(_) => Hidden::CodeBlock,
            Tag::BlockQuote(_) => Hidden::Quote,
            Tag::List(_) | Tag::Item => Hidden::List,
            Tag::Heading { .. } => Hidden::Heading,
            Tag::Table(_) => Hidden::Table,
            Tag::FootnoteDefinition(_) => Hidden::Footnote,
            Tag::Link { .. } | Tag::Image { .. } => Hidden::Link,
            Tag::Emphasis | Tag::Strong | Tag::Strikethrough => Hidden::Emphasis,
            Tag::HtmlBlock => Hidden::Html,
            _ => return None,
        },
        _ => return None,
    })
}

/// Where the first `!testme` begins that is not a part of a longer word.
fn first_word(body: &str) -> Option<usize> {
    let is_word = |at: &usize| {
        let after = body[*at..].chars().nth(WORD.len());
        word_at(body, *at).is_some() && !after.is_some_and(char::is_alphanumeric)
    };
    body.match_indices('!').map(|(at, _)| at).find(is_word)
}

/// What follows the word that begins there.
fn word_at(body: &str, at: usize) -> Option<&str> {
    let word = body.get(at..at + WORD.len())?;
    word.eq_ignore_ascii_case(WORD)
        .then(|| &body[at + WORD.len()..])
}

/// What follows the word in the line that begins there, where it is a command.
fn command(body: &str, line: usize) -> Option<&str> {
    let rest = &body[line..];
    let text = rest.trim_start_matches(' ');
    let blanks = rest.len() - text.len();
    let rest = word_at(body, line + blanks)?;
    let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
    let alone = rest.is_empty() || rest.starts_with(char::is_whitespace);
    (blanks <= MOST_BLANKS && alone).then(|| &rest[..end])
}

/// A block's range may begin after its blanks.
fn start_of_line(body: &str, range: Range<usize>) -> usize {
    body[..range.start]
        .rfind(['\n', '\r'])
        .map_or(0, |end| end + 1)
}

/// The line after a break, whose range may be that of the break alone or with what is around it.
fn start_of_next_line(body: &str, range: Range<usize>) -> Option<usize> {
    let bytes = body.as_bytes();
    let from = range.start;
    let at = from
        + bytes[from..]
            .iter()
            .position(|b| matches!(b, b'\n' | b'\r'))?;
    let end = if bytes[at..].starts_with(b"\r\n") {
        2
    } else {
        1
    };
    Some(at + end)
}

fn hidden_in_line(body: &str, at: usize) -> Hidden {
    let before = &body[start_of_line(body, at..at)..at];
    if !before.trim_matches([' ', '\t']).is_empty() {
        Hidden::NotFirst
    } else if before.len() > MOST_BLANKS || before.contains('\t') {
        Hidden::Indented
    } else if command(body, at).is_some() {
        // What no event is of: the definition of a link.
        Hidden::Link
    } else {
        Hidden::Joined
    }
}
