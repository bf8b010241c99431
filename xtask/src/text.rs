//! Text from outside, before a terminal sees it; and colour, where it is wanted.

use std::io::IsTerminal as _;

/// One line: control characters (line ends too) are spaces, marks that reorder text are gone.
pub fn clean(text: &str) -> String {
    let text: String = text.chars().filter(|c| !reorders(*c)).collect();
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same, but lines stay lines.
pub fn clean_block(text: &str) -> String {
    text.chars()
        .filter(|c| !reorders(*c) && (!c.is_control() || matches!(c, '\n' | '\t')))
        .collect()
}

fn reorders(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Whether words are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Never,
    Ansi,
}

impl Colour {
    pub fn of_stdout() -> Self {
        Self::of(std::io::stdout().is_terminal())
    }

    pub fn of_stderr() -> Self {
        Self::of(std::io::stderr().is_terminal())
    }

    /// On a terminal, unless `NO_COLOR` says otherwise.
    fn of(terminal: bool) -> Self {
        Self::decide(
            terminal,
            std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
            std::env::var("TERM").is_ok_and(|term| term == "dumb"),
        )
    }

    fn decide(terminal: bool, no_color: bool, dumb: bool) -> Self {
        if terminal && !no_color && !dumb {
            Self::Ansi
        } else {
            Self::Never
        }
    }

    /// A status word in its colour: good, red, or neither.
    pub fn status(self, padded: &str) -> String {
        let code = match (self, padded.trim()) {
            (Self::Never, _) => return padded.to_owned(),
            (Self::Ansi, "pass" | "ok") => "32",
            (Self::Ansi, "fail" | "error" | "broken" | "missing") => "31",
            (Self::Ansi, "skip" | "unverified" | "cancelled" | "unknown") => "33",
            (Self::Ansi, _) => "2",
        };
        format!("\u{1b}[{code}m{padded}\u{1b}[0m")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a\u{1b}[2Jb", "a [2Jb")]
    #[case("one\r\ntwo\u{7}", "one two")]
    #[case("c1\u{9b}31m", "c1 31m")]
    #[case("abc\u{202e}cba", "abccba")]
    fn what_could_steer_a_terminal_is_gone(#[case] text: &str, #[case] clean_text: &str) {
        assert_eq!(clean(text), clean_text);
        assert!(!clean_block(text).contains(['\u{1b}', '\r', '\u{9b}']));
    }

    #[rstest]
    #[case(true, false, false, Colour::Ansi)]
    #[case(true, true, false, Colour::Never)]
    #[case(true, false, true, Colour::Never)]
    #[case(false, false, false, Colour::Never)]
    fn colour_is_for_a_terminal_that_wants_it(
        #[case] terminal: bool,
        #[case] no_color: bool,
        #[case] dumb: bool,
        #[case] expected: Colour,
    ) {
        assert_eq!(Colour::decide(terminal, no_color, dumb), expected);
    }
}
