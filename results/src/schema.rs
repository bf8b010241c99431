//! The JSON Schemas of `result.json`, of a line of `events.jsonl` and of a summary, made from the
//! types.
//!
//! They are checked in below `results/schema/`, for readers in other languages; a test compares.

use schemars::{JsonSchema, schema_for};

use crate::event::Event;
use crate::record::Record;
use crate::summary::Summary;

/// The schema of `result.json`, as the text of the file that is checked in.
pub fn result() -> String {
    text::<Record>()
}

/// The schema of one line of `events.jsonl`.
pub fn event() -> String {
    text::<Event>()
}

/// The schema of a run's summary, without the word that its line begins with.
pub fn summary() -> String {
    text::<Summary>()
}

fn text<T: JsonSchema>() -> String {
    let schema = schema_for!(T);
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is plain JSON");
    text.push('\n');
    text
}
