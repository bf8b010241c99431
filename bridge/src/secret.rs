//! Text that is never shown.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A token or a shared secret. It has no `Display`, and its `Debug` does not tell it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

const LARGEST: u64 = 4096;

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for whoever sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is wrong, and what to do.
    pub(crate) fn read(path: &Path) -> Result<Self, (String, String)> {
        let shown = path.display();
        let unreadable = |error: std::io::Error| {
            let advice = "name a file that is there and that this account may read";
            (format!("{shown}: {error}"), advice.to_owned())
        };
        let mut file = File::open(path).map_err(unreadable)?;
        let about = file.metadata().map_err(unreadable)?;
        if !about.is_file() {
            let wrong = format!("{shown} is no file");
            return Err((wrong, "name a file with the secret alone in it".to_owned()));
        }
        if about.mode() & 0o007 != 0 {
            let mode = about.mode() & 0o777;
            return Err((
                format!("everybody on this machine may use {shown} (mode {mode:04o})"),
                format!("take that right away: chmod o= {shown}"),
            ));
        }
        let mut text = String::new();
        file.by_ref()
            .take(LARGEST + 1)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        let secret = text.trim_end_matches(['\n', '\r']);
        let wrong = if secret.is_empty() {
            "is empty"
        } else if text.len() as u64 > LARGEST {
            "is too large for a secret"
        } else if secret.chars().any(char::is_control) {
            "has more than one line, or characters that can't be seen"
        } else {
            return Ok(Self::new(secret));
        };
        let advice = "write the secret alone into it, on one line";
        Err((format!("{shown} {wrong}"), advice.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}
