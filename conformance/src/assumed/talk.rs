//! Talking to abra directly: its own directory, its words and its exit code as they are.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use harness::fault::Fault;
use harness::recipe::AppDomain;
use harness::site::AbraSite;
use serde_json::Value;
use tokio::process::Command;

use crate::git::git;
use crate::row::Miss;
use crate::subject::RECIPE;

/// After which a call is ended: longer than any wait that is assumed.
const SECONDS: u64 = 150;
/// What a Docker client needs to find its engine.
const PASSED_ON: [&str; 6] = [
    "PATH",
    "HOME",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "SSH_AUTH_SOCK",
];

/// What a call is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    Pipes,
    /// Pipes, with `ABRA_CI=1`.
    PipesOfCi,
    Terminal,
}

/// What came of a call.
#[derive(Debug, Clone)]
pub struct Said {
    pub shown: String,
    /// None: a signal.
    pub code: Option<i32>,
    pub stdout: String,
    /// On a terminal both are in `stdout`.
    pub stderr: String,
    pub took: Duration,
}

impl Said {
    /// Command, exit code and both streams, for the evidence.
    pub fn raw(&self) -> String {
        let (shown, took) = (&self.shown, self.took);
        let code = self
            .code
            .map_or("a signal".to_owned(), |code| code.to_string());
        let (stdout, stderr) = (self.stdout.trim_end(), self.stderr.trim_end());
        format!(
            "$ {shown}\n(exit {code}, {took:.1?})\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n"
        )
    }

    /// In a line: how it ended, and its last words.
    pub fn brief(&self) -> String {
        let code = self
            .code
            .map_or("a signal".to_owned(), |code| code.to_string());
        let all = format!("{}\n{}", self.stdout, self.stderr);
        let last = all.lines().map(str::trim).rfind(|line| !line.is_empty());
        let last = last.unwrap_or("nothing").to_owned();
        format!("exit {code}, last words `{last}`")
    }

    pub fn is_good(&self) -> bool {
        self.code == Some(0)
    }

    pub fn must_be_good(self) -> Result<Self, Miss> {
        if self.is_good() {
            return Ok(self);
        }
        Err(Miss::Differs(format!("{}: {}", self.shown, self.brief())))
    }

    /// It failed as abra fails, and these words are in the line that says so.
    pub fn must_be_fatal(self, words: &[&str]) -> Result<Self, Miss> {
        let all = format!("{}\n{}", self.stdout, self.stderr);
        let fatal = all.lines().find(|line| line.trim().starts_with("FATA"));
        let said = fatal.unwrap_or_default().to_lowercase();
        let fits = words.iter().all(|word| said.contains(word));
        if self.code == Some(1) && fatal.is_some() && fits {
            return Ok(self);
        }
        let got = fatal.map_or_else(
            || self.brief(),
            |line| {
                let code = self
                    .code
                    .map_or("a signal".to_owned(), |code| code.to_string());
                format!("exit {code}, `{}`", line.trim())
            },
        );
        Err(Miss::Differs(got))
    }

    /// The JSON that it printed to standard output.
    pub fn json(&self) -> Result<Value, Miss> {
        let from = self.stdout.find(['[', '{']).unwrap_or(0);
        serde_json::from_str(self.stdout[from..].trim())
            .map_err(|error| Miss::Differs(format!("no JSON ({error}): {}", self.brief())))
    }
}

/// An abra with a directory of its own, and the recipe in it.
pub struct Abra {
    program: PathBuf,
    site: AbraSite,
    home: PathBuf,
}

impl Abra {
    pub async fn new(
        program: &Path,
        site: &AbraSite,
        dir: &Path,
        origin: &Path,
    ) -> Result<Self, Fault> {
        let abra = Self {
            program: program.to_owned(),
            site: site.clone(),
            home: dir.join("abra"),
        };
        let io = |error: std::io::Error| Fault::infra(format!("{}: {error}", dir.display()));
        fs::create_dir_all(abra.apps()).map_err(io)?;
        fs::create_dir_all(abra.home.join("recipes")).map_err(io)?;
        let catalogue = site.dir()?.join("catalogue");
        if catalogue.is_dir() {
            symlink(&catalogue, abra.home.join("catalogue")).map_err(io)?;
        }
        let recipes = abra.home.join("recipes");
        let origin = origin.to_string_lossy();
        git(&recipes, &["clone", "--quiet", "--", &origin, RECIPE]).await?;
        Ok(abra)
    }

    fn apps(&self) -> PathBuf {
        self.home.join("servers").join(self.site.server.as_str())
    }

    pub fn clone_dir(&self) -> PathBuf {
        self.home.join("recipes").join(RECIPE)
    }

    /// `app new`, for this recipe.
    pub async fn make(&self, domain: &AppDomain, recipe: &str) -> Result<Said, Miss> {
        let server = self.site.server.as_str();
        let flags = ["app", "new", "--no-input", "--offline", "--chaos"];
        let more = ["--server", server, "--domain", domain.as_str(), recipe];
        self.call(On::Pipes, &[&flags[..], &more].concat()).await
    }

    /// Chooses the compose files of the app, and no certificate from outside.
    pub fn choose(&self, domain: &AppDomain, files: &str) -> Result<(), Miss> {
        let path = self.apps().join(format!("{domain}.env"));
        let text = fs::read_to_string(&path)
            .map_err(|error| Miss::Differs(format!("{}: {error}", path.display())))?;
        let kept = text.lines().filter(|line| {
            !line.starts_with("COMPOSE_FILE=") && !line.starts_with("LETS_ENCRYPT_ENV=")
        });
        let mut lines: Vec<&str> = kept.collect();
        let chosen = format!("COMPOSE_FILE=\"{files}\"");
        lines.extend([chosen.as_str(), "LETS_ENCRYPT_ENV="]);
        Ok(fs::write(&path, lines.join("\n") + "\n")?)
    }

    pub async fn call(&self, on: On, arguments: &[&str]) -> Result<Said, Miss> {
        let program = self.program.display().to_string();
        let mut words = vec![program.as_str()];
        words.extend(arguments);
        let mut command = Command::new("timeout");
        command.arg("--kill-after=5").arg(SECONDS.to_string());
        if on == On::Terminal {
            // A terminal that nobody has given a size has none.
            let script = format!("stty cols 240 rows 50; exec {}", quoted(&words));
            command
                .args(["script", "-qec"])
                .arg(script)
                .arg("/dev/null");
        } else {
            command.args(&words);
        }
        command.env_clear();
        for name in PASSED_ON {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if on == On::PipesOfCi {
            command.env("ABRA_CI", "1");
        }
        command
            .env("ABRA_DIR", &self.home)
            .env("LC_ALL", "C.UTF-8")
            .env("NO_COLOR", "1")
            .env("TERM", "dumb")
            .env("SHELL", "/bin/sh")
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let started = Instant::now();
        let ended = command.output().await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\r', "");
        Ok(Said {
            shown: format!("abra {} ({on:?})", arguments.join(" ")),
            code: ended.status.code(),
            stdout: text(&ended.stdout),
            stderr: text(&ended.stderr),
            took: started.elapsed(),
        })
    }
}

/// For a shell.
fn quoted(words: &[&str]) -> String {
    let quote = |word: &&str| format!("'{}'", word.replace('\'', "'\\''"));
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: i32, stderr: &str) -> Said {
        Said {
            shown: "abra app deploy (Pipes)".to_owned(),
            code: Some(code),
            stdout: String::new(),
            stderr: stderr.to_owned(),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn a_failure_has_its_word_its_text_and_its_code() {
        let words = &["timed out"];
        let good = said(1, "INFO waiting\nFATA deploy timed out\n");
        assert!(good.must_be_fatal(words).is_ok());
        for (other, got) in [
            (
                said(0, "FATA deploy timed out"),
                "exit 0, `FATA deploy timed out`",
            ),
            (said(1, "FATA too late"), "exit 1, `FATA too late`"),
            (
                said(2, "ERRO timed out"),
                "exit 2, last words `ERRO timed out`",
            ),
            (said(1, ""), "exit 1, last words `nothing`"),
        ] {
            let miss = other.must_be_fatal(words).unwrap_err();
            assert_eq!(miss, Miss::Differs(got.to_owned()));
        }
    }

    #[test]
    fn json_is_found_behind_what_stands_before_it() {
        let mut said = said(0, "");
        said.stdout = "INFO one\n[{\"name\": \"a\"}]\n".to_owned();
        assert_eq!(said.json().unwrap()[0]["name"], "a");
        said.stdout = "a table".to_owned();
        assert!(matches!(said.json(), Err(Miss::Differs(_))));
    }
}
