//! Proof that data survives: markers that are seeded, mutated and compared.
