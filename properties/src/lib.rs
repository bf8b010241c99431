//! What holds for any input from outside: a function for each reader of what strangers write.
//!
//! Each takes bytes and panics where a property does not hold. The fuzz targets in `fuzz/` look for
//! such bytes; `tests/replay.rs` asks of each input in `fuzz/corpus` again, in the ordinary tests.
//!
//! Invariant: a property says more than "no panic".

#![expect(clippy::unwrap_used, reason = "a panic is how a property says no")]

mod command;
mod compose;
mod env;
mod names;
mod nginx;
mod paths;
mod protocol;
mod record;
mod repo_local;
mod rules;
mod specs;
mod summary;

/// A property, by the name of its fuzz target and of its corpus.
pub type Property = fn(&[u8]);

pub const ALL: [(&str, Property); 11] = [
    ("command", command::holds),
    ("compose", compose::holds),
    ("env", env::holds),
    ("names", names::holds),
    ("paths", paths::holds),
    ("protocol", protocol::holds),
    ("record", record::holds),
    ("repo_local", repo_local::holds),
    ("rules", rules::holds),
    ("specs", specs::holds),
    ("summary", summary::holds),
];

/// # Panics
///
/// If the property does not hold for these bytes, or there is none of that name.
pub fn check(name: &str, bytes: &[u8]) {
    let found = ALL.iter().find(|(known, _)| *known == name);
    let (_, property) = found.unwrap_or_else(|| panic!("there is no property `{name}`"));
    property(bytes);
}
