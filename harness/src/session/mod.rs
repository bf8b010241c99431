//! The live app and its keeper.
