//! The log of a build, on its way into a comment.

use results::summary::{LONGEST, Summary};

/// The bytes are a log.
pub(crate) fn holds(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(Some(summary)) = Summary::last_in(text.lines()) else {
        return;
    };
    let line = summary.to_line();
    assert!(line.len() <= LONGEST, "{} bytes", line.len());
    assert!(!line.contains(char::is_control), "{line:?}");
    let again = Summary::parse_line(&line).unwrap();
    assert_eq!(
        again.to_line(),
        line,
        "a text is not clean once it is cleaned"
    );
    assert_eq!(again.verdict, summary.verdict);
}
