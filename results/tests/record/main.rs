//! What a record comes to, and what people read of it.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: clippy spares only the test functions themselves"
)]

mod cause;
mod comparison;
mod fold;
mod hostile;
mod log;
mod nothing;
mod presentation;
mod properties;
mod rendering;
mod rules;
mod sample;
mod schema;
mod summary;
mod write;
