//! Traefik's rule language, versions 2 and 3: the one parser that policy and proxies share.
//!
//! Invariants: what this parser takes, it takes as Traefik does, byte for byte (strings, comments and
//! line ends are Go's, for Traefik reads rules with Go's own parser); what it refuses as a mistake,
//! Traefik refuses, too. A matcher of an unknown name is kept: whatever it asks for, it only narrows
//! what stands beside it.
//!
//! Must not know: labels, hosts that are somebody's, Docker.

mod rule;
mod scan;
#[cfg(test)]
mod tests;

pub use rule::{Kind, Matcher, Rule, SyntaxError, parse};
