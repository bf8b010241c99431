//! The bridge as a program.

fn main() {}
