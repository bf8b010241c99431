//! Texts from outside, made so that Markdown and the forge read nothing into them.
//!
//! Gitea makes mentions, numbers of issues, hashes, emoji and bare URLs live in any text but code:
//! so every foreign text is code.

use results::text::{block, cut, line};
use url::Url;

/// A longer URL is left out.
const LONGEST_URL: usize = 2_000;

/// One line in a code span, of at most so many characters.
pub(super) fn code(text: &str, most: usize) -> String {
    let text = cut(&line(text), most);
    if text.is_empty() {
        return "`(nothing)`".to_owned();
    }
    let ticks = "`".repeat(longest_run(&text) + 1);
    // A tick at an end would join those around it.
    let pad = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{ticks}{pad}{text}{pad}{ticks}")
}

/// A code span in a cell. How `\|` and `\\|` are read there differs from parser to parser, so no
/// bar is left.
pub(super) fn cell(text: &str, most: usize) -> String {
    code(&text.replace('|', "¦"), most)
}

/// The last lines of a text in a fence, bounded in lines, in characters a line and in bytes all in
/// all.
pub(super) fn fence(text: &str, lines: usize, width: usize, bytes: usize) -> String {
    let text = block(text);
    let all: Vec<_> = text.split('\n').collect();
    let last = &all[all.len().saturating_sub(lines)..];
    let last: Vec<_> = last
        .iter()
        .map(|line| cut(line.trim_end(), width))
        .collect();
    // Both fences and `text`; a run of ticks is in one line.
    let mut left = bytes.saturating_sub(2 * width + 20);
    let fits = last.iter().rev().take_while(|line| {
        let enough = line.len() < left;
        left = left.saturating_sub(line.len() + 1);
        enough
    });
    let text = last[last.len() - fits.count()..].join("\n");
    let ticks = "`".repeat(longest_run(&text).max(2) + 1);
    format!("{ticks}text\n{text}\n{ticks}")
}

/// A link with a text of our own; none where the URL can't be one.
pub(super) fn link(text: &str, url: Option<&str>) -> Option<String> {
    let to = destination(url?)?;
    Some(format!("[{text}]({to})"))
}

/// A URL as the destination of a link: of the web, with nothing in it that Markdown reads.
pub(super) fn destination(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#@$+,=%&".contains(&b);
    let escaped: String = url
        .as_str()
        .bytes()
        .map(|b| match b {
            b if plain(b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect();
    (escaped.len() <= LONGEST_URL).then(|| format!("<{escaped}>"))
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a", "`a`")]
    #[case("", "`(nothing)`")]
    #[case("\u{202e}\n", "`(nothing)`")]
    #[case("a\n`b``", "``` a `b`` ```")]
    #[case("@a #1 <b>", "`@a #1 <b>`")]
    #[case("abcdefghijk", "`abcdefghi…`")]
    fn a_text_is_code(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(code(text, 10), shown);
    }

    #[rstest]
    #[case("https://a.test/x?y=1#z", Some("<https://a.test/x?y=1#z>"))]
    #[case("http://a.test:8080", Some("<http://a.test:8080/>"))]
    #[case(
        "https://a.test/(x) [y]`z`",
        Some("<https://a.test/%28x%29%20%5By%5D%60z%60>")
    )]
    #[case(
        "https://a.test/?a=\\>&amp;",
        Some("<https://a.test/?a=%5C%3E&amp%3B>")
    )]
    #[case("javascript:alert(1)", None)]
    #[case("data:text/html,x", None)]
    #[case("/x", None)]
    #[case("", None)]
    fn a_destination_is_a_url_of_the_web(#[case] url: &str, #[case] to: Option<&str>) {
        assert_eq!(destination(url).as_deref(), to);
    }

    #[test]
    fn a_fence_keeps_the_last_lines_that_fit() {
        assert_eq!(fence("a\nb\nc", 2, 10, 1_000), "```text\nb\nc\n```");
        assert_eq!(fence("a\nb\nc", 9, 10, 45), "```text\nb\nc\n```");
        assert_eq!(fence("````", 9, 10, 1_000), "`````text\n````\n`````");
        assert_eq!(fence("abc", 9, 10, 0), "```text\n\n```");
    }
}
