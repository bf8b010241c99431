//! A home as an operator's may be: logins at registries, a key, credentials of a cloud; and a
//! variable of the runner. They may be read by nobody, and are never changed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::tree::{differences, picture};
use super::{Spoilt, Tokens};

pub struct Home {
    folder: tempfile::TempDir,
    made: std::collections::BTreeMap<PathBuf, String>,
}

impl Home {
    /// `registry`: the port of a listener that passes for a registry.
    pub fn make(run: &str, tokens: &Tokens, registry: u16) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("home-{run}-"))
            .tempdir_in("/var/tmp")
            .context("making a home")?;
        let auth = json!({ "auth": base64_of(&format!("operator:{}", tokens.registry)) });
        let here = format!("127.0.0.1:{registry}");
        let logins = json!({ "auths": { (here): auth, "registry.witness.test": auth } });
        let files = [
            (".docker/config.json", format!("{logins:#}\n")),
            (
                ".ssh/id_ed25519",
                format!(
                    "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n",
                    tokens.file
                ),
            ),
            (
                ".aws/credentials",
                format!("[default]\naws_secret_access_key = {}\n", tokens.file),
            ),
            (
                ".netrc",
                format!("default login x password {}\n", tokens.file),
            ),
        ];
        for (name, content) in files {
            let path = folder.path().join(name);
            let parent = path.parent().context("a file lies in a folder")?;
            fs::create_dir_all(parent)?;
            fs::write(&path, content)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        }
        let made = kept(folder.path())?;
        Ok(Self { folder, made })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The run's variables. cargo's own homes stay where they are.
    pub fn environment(&self, tokens: &Tokens) -> Result<Vec<(&'static str, PathBuf)>> {
        let real = std::env::var_os("HOME").context("there is no HOME")?;
        let of_cargo = |variable: &'static str, folder: &str| {
            let set = std::env::var_os(variable).map(PathBuf::from);
            (variable, set.unwrap_or(Path::new(&real).join(folder)))
        };
        Ok(vec![
            of_cargo("CARGO_HOME", ".cargo"),
            of_cargo("RUSTUP_HOME", ".rustup"),
            ("HOME", self.path().to_owned()),
            ("DOCKER_CONFIG", self.path().join(".docker")),
            ("WITNESS_RUNNER", tokens.runner.clone().into()),
        ])
    }

    pub fn look(&self) -> Result<Vec<Spoilt>> {
        let differs = differences(&self.made, &kept(self.path())?);
        let spoilt = |how| Spoilt::new("the runner's home", how);
        Ok(differs.into_iter().map(spoilt).collect())
    }
}

/// What was put there. What a program of the run makes of its own beside it (a cache) is no attack.
fn kept(home: &Path) -> Result<std::collections::BTreeMap<PathBuf, String>> {
    let mut lines = picture(home)?;
    lines.retain(|path, _| {
        let path = path.to_string_lossy();
        [".docker/config.json", ".ssh", ".aws", ".netrc"]
            .iter()
            .any(|name| path.starts_with(name))
    });
    Ok(lines)
}

pub fn base64_of(text: &str) -> String {
    STANDARD.encode(text)
}

/// Whether a text has a word in base64, wherever the word begins in what was encoded.
pub fn has_base64_of(text: &str, word: &str) -> bool {
    (0..3).any(|shift| {
        let padded = STANDARD.encode(format!("{}{word}", " ".repeat(shift)));
        // The first and the last group depend on what is before and behind.
        let inner = padded.get(4..padded.len() - 4).unwrap_or_default();
        inner.len() > 16 && text.contains(inner)
    })
}
