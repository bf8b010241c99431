//! A configuration of nginx as nginx reads it: words, strings, blocks.

/// The words of a configuration; a quoted string is one word, whatever is in it.
///
/// # Panics
///
/// If a string has no end, a block is not closed, or one is closed twice.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.chars().peekable();
    let mut word = String::new();
    let mut depth = 0;
    while let Some(c) = rest.next() {
        match c {
            '#' if word.is_empty() => while rest.next().is_some_and(|c| c != '\n') {},
            '"' | '\'' if word.is_empty() => {
                loop {
                    match rest.next().expect("a string has an end") {
                        '\\' => drop(rest.next()),
                        end if end == c => break,
                        _ => {}
                    }
                }
                words.push("<string>".to_owned());
            }
            ';' | '{' | '}' => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
                words.push(c.to_string());
                depth += match c {
                    '{' => 1,
                    '}' => -1,
                    _ => 0,
                };
                assert!(depth >= 0, "a block is closed twice");
            }
            c if c.is_whitespace() => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            }
            c => word.push(c),
        }
    }
    assert_eq!(depth, 0, "a block is not closed");
    words
}
