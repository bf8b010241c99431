//! Somebody else's stack whose name begins as the run's does: a removal by the beginning of a name, or
//! by a label that is compared so, takes it along.

use std::fs;

use anyhow::{Context as _, Result};

use super::{Spoilt, docker};

/// Labels all that is of one selftest here, with its mark.
const OURS: &str = "cc-ci.selftest";

pub struct Beside {
    /// `docker <kind> inspect <name>`, and what it said.
    was: Vec<(&'static str, String, String)>,
}

impl Beside {
    pub async fn make(stack: &str, mark: &str) -> Result<Self> {
        let other = format!("{stack}x");
        let namespace = format!("com.docker.stack.namespace={other}");
        let ours = format!("{OURS}={mark}");
        let labels = ["--label", &namespace, "--label", &ours];
        let content = tempfile::NamedTempFile::new().context("making a file")?;
        fs::write(content.path(), "kept by somebody else\n")?;
        let file = content.path().to_string_lossy();
        let names = [format!("{other}_settings"), format!("{other}_data")];
        let config = [&["config", "create"][..], &labels, &[&names[0], &file]].concat();
        docker(&config).await?;
        docker(&[&["volume", "create"][..], &labels, &[&names[1]]].concat()).await?;
        let mut was = Vec::new();
        for (kind, name) in ["config", "volume"].into_iter().zip(names) {
            let said = docker(&[kind, "inspect", &name]).await?;
            was.push((kind, name, said));
        }
        Ok(Self { was })
    }

    /// What is not as it was; then it is removed.
    pub async fn end(self) -> Result<Vec<Spoilt>> {
        let mut spoilt = Vec::new();
        for (kind, name, was) in self.was {
            let Ok(now) = docker(&[kind, "inspect", &name]).await else {
                let how = format!("{kind} {name} is gone");
                spoilt.push(Spoilt::new("a stack with a longer name", how));
                continue;
            };
            if now != was {
                let how = format!("{kind} {name} changed");
                spoilt.push(Spoilt::new("a stack with a longer name", how));
            }
            docker(&[kind, "rm", &name]).await?;
        }
        Ok(spoilt)
    }
}

/// Removes what runs have left that could not come to their end.
pub async fn sweep(mark: &str) -> Result<()> {
    let label = format!("label={OURS}={mark}");
    for kind in ["config", "volume"] {
        let left = docker(&[kind, "ls", "--quiet", "--filter", &label]).await?;
        for id in left.lines() {
            docker(&[kind, "rm", id]).await?;
        }
    }
    Ok(())
}
