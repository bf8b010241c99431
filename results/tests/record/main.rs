//! What a record comes to, and what people read of it.

mod fold;
mod log;
mod properties;
mod rendering;
mod rules;
mod sample;
mod schema;
mod write;
