//! Observing the swarm: convergence, tasks, logs, evidence, residue.
//!
//! This room must not know: engines.
