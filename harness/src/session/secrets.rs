//! Values of secrets that the session knows: generated, or given by a hook.
//!
//! Invariant: a value is in the file, and so with every redactor of the run, before it is used.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::fault::Fault;
use crate::redact::Redactor;

pub struct Secrets {
    values: RefCell<BTreeMap<String, String>>,
    /// Of mode 0600, in the private folder: tests and hooks read it.
    file: PathBuf,
}

impl Secrets {
    pub fn new(file: PathBuf) -> Self {
        Self {
            values: RefCell::default(),
            file,
        }
    }

    pub fn add(&self, new: Vec<(String, String)>) -> Result<(), Fault> {
        let mut values = self.values.borrow_mut();
        values.extend(new);
        let json = serde_json::to_vec(&*values).unwrap_or_default();
        write_private(&self.file, &json)
            .map_err(|error| Fault::infra(format!("{}: {error}", self.file.display())))
    }

    pub fn redactor(&self) -> Redactor {
        Redactor::new(self.values.borrow().iter())
    }
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)
}
