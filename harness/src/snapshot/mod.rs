//! A volume as a checked archive: backups of the stack engine, and warm snapshots.
