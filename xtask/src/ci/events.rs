//! Reads a run's events while they are written.
//!
//! JOINT: `results::log::Follow`, once it is there.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use results::event::Event;

/// A place in `events.jsonl`.
pub struct Events {
    path: PathBuf,
    file: Option<File>,
    /// The beginning of a line that is not written to its end yet.
    partial: Vec<u8>,
}

impl Events {
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            partial: Vec::new(),
        }
    }

    /// Whether the file was ever there.
    pub fn began(&self) -> bool {
        self.file.is_some()
    }

    /// What was written since the last look. A line that is no event is skipped: a newer keeper may
    /// write kinds that are unknown here, and the record has them all.
    pub fn news(&mut self) -> io::Result<Vec<Event>> {
        if self.file.is_none() {
            match File::open(&self.path) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
        }
        if let Some(file) = &mut self.file {
            file.read_to_end(&mut self.partial)?;
        }
        let whole = self
            .partial
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let rest = self.partial.split_off(whole);
        let lines = std::mem::replace(&mut self.partial, rest);
        Ok(lines
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect())
    }
}
