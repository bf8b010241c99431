//! The JSON Schemas of `result.json` and of a line of `events.jsonl`, made from the types.
//!
//! They are checked in below `results/schema/`, for readers in other languages; a test compares.

use schemars::{JsonSchema, schema_for};

use crate::event::Event;
use crate::record::Record;

/// The schema of `result.json`, as the text of the file that is checked in.
pub fn result() -> String {
    text::<Record>()
}

/// The schema of one line of `events.jsonl`.
pub fn event() -> String {
    text::<Event>()
}

fn text<T: JsonSchema>() -> String {
    let schema = schema_for!(T);
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is plain JSON");
    text.push('\n');
    text
}
