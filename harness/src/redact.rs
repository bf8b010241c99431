//! Secrets out of everything that is written.
