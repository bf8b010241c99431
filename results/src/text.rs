//! Text from outside, made fit to be shown: a log line or a commit message may hold anything.

/// One line without escape sequences, control characters or characters that reorder text.
pub fn line(text: &str) -> String {
    clean(&text.replace(char::is_whitespace, " "))
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// The same for a block of text, whose lines stay; a tab becomes four spaces.
pub(crate) fn block(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    // Line by line: a sequence without an end must not swallow the rest.
    let lines: Vec<_> = text.split('\n').map(clean).collect();
    lines.join("\n")
}

fn clean(text: &str) -> String {
    let text = text.replace('\t', "    ");
    let text = if text.contains('\u{1b}') {
        strip_ansi_escapes::strip_str(text)
    } else {
        text
    };
    text.chars()
        .filter(|c| !is_reordering(*c) && !matches!(c, '\u{fffe}' | '\u{ffff}'))
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Marks that make text look other than it is.
fn is_reordering(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A length of time for people: `850 ms`, `3.2 s`, `4 min 05 s`.
pub(crate) fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

/// The first twelve characters of a commit.
pub(crate) fn short(commit: &str) -> String {
    line(commit).chars().take(12).collect()
}

/// `1 test`, `2 tests`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{s}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::colour("\u{1b}[31mred\u{1b}[0m", "red")]
    #[case::title("\u{1b}]0;owned\u{7}title", "title")]
    #[case::line_breaks("one\r\ntwo\tthree\0", "one two three")]
    #[case::c1("a\u{9b}2Jb", "a 2Jb")]
    #[case::right_to_left("exe\u{202e}gpj", "exegpj")]
    #[case::words("Zürich 東京", "Zürich 東京")]
    fn a_line_is_inert(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(line(text), shown);
    }

    #[test]
    fn a_block_keeps_its_lines() {
        assert_eq!(
            block("a\r\n\u{1b}[1mb\u{1b}[m\n\tc\0\n\u{1b}]0;no end\nd"),
            "a\nb\n    c \n\nd"
        );
    }

    #[rstest]
    #[case(0, "0 ms")]
    #[case(999, "999 ms")]
    #[case(3_250, "3.2 s")]
    #[case(59_999, "59.9 s")]
    #[case(65_000, "1 min 05 s")]
    fn a_duration_reads_well(#[case] ms: u64, #[case] shown: &str) {
        assert_eq!(duration(ms), shown);
    }
}
