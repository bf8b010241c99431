//! What a session writes while it goes on: events, redacted.

use std::collections::{BTreeSet, VecDeque};
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use results::event::EventKind;
use results::log::EventLog;
use results::{Event, Outcome, Tier};
use serde_json::Value;

use crate::fault::Fault;
use crate::redact::{Learning, Redactor};
use crate::wait::Progress;

/// More events than a run has.
const MOST_WAITING: usize = 10_000;

/// The only writer of a run's `events.jsonl` while the keeper lives.
pub struct Journal {
    log: EventLog,
    redactor: Learning,
    /// Notes that were written: each is worth one line.
    noted: Mutex<BTreeSet<String>>,
    /// Events for which there was no room, in their order.
    waiting: Mutex<VecDeque<Event>>,
}

/// Whether events waited that are written now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caught {
    Nothing,
    Up,
}

impl Journal {
    /// Goes on with the file that the starting trial made.
    pub fn open(events: &Path) -> Result<Self, Fault> {
        let log = EventLog::open(events).map_err(|error| Fault::infra(error.to_string()))?;
        Ok(Self {
            log,
            redactor: Learning::default(),
            noted: Mutex::default(),
            waiting: Mutex::default(),
        })
    }

    /// From here on these values are kept out of everything that is written.
    pub fn redact_with(&self, redactor: Redactor) {
        self.redactor.know(redactor);
    }

    /// For those who cut texts themselves: what is cut can't be redacted afterwards.
    pub fn redactor(&self) -> Learning {
        self.redactor.clone()
    }

    pub fn redact(&self, text: &str) -> String {
        self.redactor.now().redact(text).into_owned()
    }

    /// Appends an event. A record that can't be written must not keep an app from being removed, so
    /// an event without room waits for the next one; one that stays away turns the verdict to error.
    pub fn emit(&self, kind: EventKind) {
        let event = Event {
            at: jiff::Timestamp::now(),
            kind: self.redacted(kind),
        };
        let mut waiting = self.waiting.lock().expect("no writer panics");
        if waiting.len() < MOST_WAITING {
            waiting.push_back(event);
        }
        self.write(&mut waiting);
    }

    /// Tries once more to write what waits.
    pub fn catch_up(&self) -> Caught {
        let mut waiting = self.waiting.lock().expect("no writer panics");
        if waiting.is_empty() {
            return Caught::Nothing;
        }
        self.write(&mut waiting);
        Caught::Up
    }

    fn write(&self, waiting: &mut VecDeque<Event>) {
        while let Some(event) = waiting.front() {
            if let Err(error) = self.log.append(event) {
                self.say(&error.to_string());
                return;
            }
            waiting.pop_front();
        }
    }

    /// Writes to the run's log, without the values of secrets.
    pub fn say(&self, text: &str) {
        say_in_the_log(&self.redact(text));
    }

    pub fn note(&self, tier: Option<Tier>, text: impl Into<String>) {
        let text = text.into();
        if self
            .noted
            .lock()
            .expect("no writer panics")
            .insert(text.clone())
        {
            self.emit(EventKind::Note { tier, text });
        }
    }

    /// Runs a named stretch of time outside the operations.
    pub async fn phase<T>(&self, name: &str, work: impl Future<Output = T>) -> T {
        self.emit(EventKind::PhaseStarted {
            phase: name.to_owned(),
        });
        let started = Instant::now();
        let result = work.await;
        self.emit(EventKind::PhaseEnded {
            phase: name.to_owned(),
            duration_ms: millis(started),
        });
        result
    }

    fn redacted(&self, kind: EventKind) -> EventKind {
        let redactor = self.redactor.now();
        let redacted = serde_json::to_value(&kind).map(|mut value| {
            each_text(&mut value, &|text| redactor.redact(text).into_owned());
            value
        });
        match redacted.and_then(serde_json::from_value) {
            Ok(kind) => kind,
            // A secret that is also a word of the schema: say less rather than leak.
            Err(_) => EventKind::Note {
                tier: None,
                text: "an event could not be redacted".into(),
            },
        }
    }
}

fn each_text(value: &mut Value, change: &impl Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Value::Object(fields) => fields.values_mut().for_each(|item| each_text(item, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl Progress for Journal {
    fn waiting(&self, subject: &str, status: &str, elapsed: Duration, deadline: Duration) {
        self.emit(EventKind::Waiting {
            subject: subject.to_owned(),
            status: status.to_owned(),
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
        });
    }
}

/// The keeper's standard error is the run's log, which may be on a full disk: that must not end the
/// keeper, as `eprintln` would.
pub fn say_in_the_log(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Milliseconds since `started`.
pub fn millis(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The reason of an outcome, for a line about what depends on it.
pub fn why(outcome: &Outcome) -> &str {
    outcome.reason().unwrap_or("passed")
}
