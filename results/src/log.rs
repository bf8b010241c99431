//! `events.jsonl`: appending, reading, following.
//!
//! Invariants: an event is one line and one write call on a file opened for appending, so several
//! processes can write at once; a line that was cut never spoils the next one; a reader survives
//! anything that is in the file.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::event::{Event, EventKind};

/// The list's name, in the folder of its run.
pub const EVENTS: &str = "events.jsonl";

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("the list of events {path} could not be {what}")]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(
        "only {written} of {length} bytes of an event went into {path}: is the disk full? That event is lost"
    )]
    Short {
        path: PathBuf,
        written: usize,
        length: usize,
    },
    #[error("an event can't be written as JSON")]
    Json(#[source] serde_json::Error),
}

/// The events of a run, open for appending.
#[derive(Debug)]
pub struct EventLog {
    file: File,
    path: PathBuf,
    /// Whether the last line may have no end.
    torn: AtomicBool,
}

impl EventLog {
    /// A new list. It is an error if there is one: a run has one start.
    pub fn create(path: &Path) -> Result<Self, LogError> {
        let mut options = OpenOptions::new();
        options.append(true).read(true).create_new(true);
        Self::with(path, &options, "created")
    }

    /// The list of a run that goes on.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        let mut options = OpenOptions::new();
        options.append(true).read(true);
        let log = Self::with(path, &options, "opened")?;
        log.torn.store(log.ends_torn(), Ordering::Relaxed);
        Ok(log)
    }

    /// Appends one event that happens now.
    pub fn record(&self, kind: EventKind) -> Result<(), LogError> {
        self.append(&Event::now(kind))
    }

    pub fn append(&self, event: &Event) -> Result<(), LogError> {
        let mut line = Vec::with_capacity(256);
        let torn = self.torn.swap(false, Ordering::Relaxed);
        if torn {
            line.push(b'\n');
        }
        serde_json::to_writer(&mut line, event).map_err(LogError::Json)?;
        line.push(b'\n');
        let written = loop {
            match (&self.file).write(&line) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        let written = written.map_err(|source| {
            self.torn.store(torn, Ordering::Relaxed);
            LogError::Io {
                what: "appended to",
                path: self.path.clone(),
                source,
            }
        })?;
        if written < line.len() {
            self.torn.store(true, Ordering::Relaxed);
            return Err(LogError::Short {
                path: self.path.clone(),
                written,
                length: line.len(),
            });
        }
        Ok(())
    }

    fn with(path: &Path, options: &OpenOptions, what: &'static str) -> Result<Self, LogError> {
        let file = options.open(path).map_err(|source| LogError::Io {
            what,
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            file,
            path: path.to_owned(),
            torn: AtomicBool::new(false),
        })
    }

    /// Whether whoever wrote last was cut off in a line.
    fn ends_torn(&self) -> bool {
        let length = self.file.metadata().map_or(0, |meta| meta.len());
        let mut last = [b'\n'];
        length > 0 && self.file.read_at(&mut last, length - 1).is_ok() && last != *b"\n"
    }
}

/// A line that is not an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {} of the events can't be read: {}",
            self.line, self.why
        )
    }
}

/// All events of a list, and the lines that are none: an invalid one, or the last one, if
/// whoever wrote it was cut off.
pub fn read_events(path: &Path) -> Result<(Vec<Event>, Vec<Problem>), LogError> {
    // A watcher may come before the run; whoever reads a whole list expects one.
    File::open(path).map_err(|source| LogError::Io {
        what: "opened",
        path: path.to_owned(),
        source,
    })?;
    let mut follow = Follow::new(path);
    let (mut events, mut problems) = follow.poll()?;
    let rest = std::mem::take(&mut follow.rest);
    follow.take_line(&rest, &mut events, &mut problems);
    Ok((events, problems))
}

/// A reader that follows a list while it grows. The file may come later.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
    file: Option<File>,
    /// The beginning of a line whose end has not come yet.
    rest: Vec<u8>,
    lines: usize,
}

impl Follow {
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            file: None,
            rest: Vec::new(),
            lines: 0,
        }
    }

    /// The whole lines that have come since the last call.
    pub fn poll(&mut self) -> Result<(Vec<Event>, Vec<Problem>), LogError> {
        let (mut events, mut problems) = (Vec::new(), Vec::new());
        self.read_more().map_err(|source| LogError::Io {
            what: "read",
            path: self.path.clone(),
            source,
        })?;
        let new = std::mem::take(&mut self.rest);
        let whole = new
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let (lines, rest) = new.split_at(whole);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.take_line(line, &mut events, &mut problems);
        }
        self.rest = rest.to_vec();
        Ok((events, problems))
    }

    fn read_more(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            match File::open(&self.path) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if let Some(file) = &mut self.file {
            let (at, had) = (file.stream_position()?, self.rest.len());
            // After an error half-way nothing must be taken twice.
            if let Err(error) = file.read_to_end(&mut self.rest) {
                self.rest.truncate(had);
                file.seek(SeekFrom::Start(at))?;
                return Err(error);
            }
        }
        Ok(())
    }

    fn take_line(&mut self, line: &[u8], events: &mut Vec<Event>, problems: &mut Vec<Problem>) {
        let text = line.trim_ascii();
        self.lines += usize::from(!line.is_empty());
        if text.is_empty() {
            return;
        }
        match serde_json::from_slice(text) {
            Ok(event) => events.push(event),
            Err(error) => problems.push(Problem {
                line: self.lines,
                why: error.to_string(),
            }),
        }
    }
}
