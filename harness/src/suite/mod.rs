//! What a recipe crate is written with.
