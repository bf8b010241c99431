//! The wish that a run may stop: a file in its directory, for whoever can't or may not signal it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

/// The wish to stop, in the run's folder.
pub const CANCEL: &str = "cancel";

/// Writes the wish to stop. Whoever asked first is named; a second wish changes nothing, and the
/// answer is whether this was the first.
pub fn ask_to_stop(run: &Path, by: &str) -> io::Result<bool> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(run.join(CANCEL));
    match made {
        Ok(mut file) => {
            // The disk may be full: a wish without a name is one all the same.
            let _ = file.write_all(by.as_bytes());
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}
