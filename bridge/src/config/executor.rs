//! What does the runs, as configured.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::given::Given;
use super::{ConfigError, Secret, raw};
use crate::names::Repo;

#[derive(Debug, Clone)]
pub enum Executor {
    Drone(Drone),
    Local(Local),
}

#[derive(Debug, Clone)]
pub struct Drone {
    /// Ends with a slash.
    pub url: Url,
    pub token: Secret,
    pub ca_file: Option<PathBuf>,
    /// Whose builds the runs are.
    pub repository: Repo,
    pub branch: String,
    /// What Drone's own time-out is to be.
    pub timeout: Duration,
    /// The state directory of the runs, where it can be read from here.
    pub runs: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub struct Local {
    /// The entrypoint and its first arguments.
    pub program: Vec<String>,
    /// Its working directory.
    pub folder: Option<PathBuf>,
    /// Runs at once.
    pub slots: usize,
    /// The state directory of the runs.
    pub runs: PathBuf,
}

const DEFAULT_RUNS: &str = "/var/lib/cc-ci";

pub fn read(given: &Given<'_>, raw: raw::Executor) -> Result<Executor, ConfigError> {
    let kind = raw
        .kind
        .clone()
        .map(|kind| given.in_file("executor.kind", kind));
    match kind.as_ref().map(|kind| kind.as_str()) {
        Some("drone") => drone(given, raw),
        Some("local") => local(given, raw),
        // A server with Drone can do without a file.
        None if given.variable("DRONE_URL").is_some() => drone(given, raw),
        None => Err(given.unset(
            None,
            "executor.kind",
            "what does the runs: \"drone\", or \"local\" for this machine",
        )),
        Some(other) => Err(kind.as_ref().expect("it is there").bad(
            format!("`{other}` is no executor"),
            "write \"drone\" or \"local\"",
        )),
    }
}

fn drone(given: &Given<'_>, raw: raw::Executor) -> Result<Executor, ConfigError> {
    refuse(
        given,
        "drone",
        "local",
        &[
            ("program", raw.program.is_some()),
            ("folder", raw.folder.is_some()),
            ("slots", raw.slots.is_some()),
        ],
    )?;
    let repository = given
        .text("DRONE_REPOSITORY", "executor.repository", raw.repository)
        .ok_or_else(|| {
            let meaning = "the repository whose pipeline does the runs, owner/name";
            given.missing("DRONE_REPOSITORY", "executor.repository", meaning)
        })?;
    let branch = match raw.branch {
        None => "main".to_owned(),
        Some(branch) => given.in_file("executor.branch", branch).check(
            is_branch,
            "is no branch",
            "write the branch that has the pipeline, say main",
        )?,
    };
    let minutes = given.number("executor.timeout_min", raw.timeout_min, 60, 1..=1440)?;
    Ok(Executor::Drone(Drone {
        url: given
            .url("DRONE_URL", "executor.url", raw.url)?
            .ok_or_else(|| given.missing("DRONE_URL", "executor.url", "the address of Drone"))?,
        token: given
            .secret("DRONE_TOKEN_FILE", "executor.token_file", raw.token_file)?
            .ok_or_else(|| {
                let meaning = "the file of the token that starts builds";
                given.missing("DRONE_TOKEN_FILE", "executor.token_file", meaning)
            })?,
        ca_file: given.ca("DRONE_CA_FILE", "executor.ca_file", raw.ca_file)?,
        repository: repository.parse("write owner/name")?,
        branch,
        timeout: Duration::from_secs(minutes * 60),
        runs: given.path("CC_CI_RUNS", "executor.runs", raw.runs)?,
    }))
}

fn local(given: &Given<'_>, raw: raw::Executor) -> Result<Executor, ConfigError> {
    refuse(
        given,
        "local",
        "drone",
        &[
            ("url", raw.url.is_some()),
            ("token_file", raw.token_file.is_some()),
            ("ca_file", raw.ca_file.is_some()),
            ("repository", raw.repository.is_some()),
            ("branch", raw.branch.is_some()),
            ("timeout_min", raw.timeout_min.is_some()),
        ],
    )?;
    for name in [
        "DRONE_URL",
        "DRONE_TOKEN_FILE",
        "DRONE_CA_FILE",
        "DRONE_REPOSITORY",
    ] {
        if let Some(text) = given.variable(name) {
            let wrong = "is for the executor `drone`, and executor.kind is `local`";
            return Err(text.bad(wrong, "unset it, or write kind = \"drone\""));
        }
    }
    let cargo = || ["cargo", "xtask", "ci"].map(str::to_owned).to_vec();
    let program = raw.program.unwrap_or_else(cargo);
    if program.first().is_none_or(String::is_empty)
        || program.iter().any(|word| word.contains('\0'))
    {
        return Err(given.in_file("executor.program", String::new()).bad(
            "is no program",
            "write the entrypoint and its first arguments, say [\"cargo\", \"xtask\", \"ci\"]",
        ));
    }
    let slots = given.number("executor.slots", raw.slots, 1, 1..=64)?;
    Ok(Executor::Local(Local {
        program,
        folder: raw
            .folder
            .map(|folder| given.in_file("executor.folder", folder).path())
            .transpose()?,
        slots: usize::try_from(slots).expect("64 at most"),
        runs: given
            .path("CC_CI_RUNS", "executor.runs", raw.runs)?
            .unwrap_or_else(|| DEFAULT_RUNS.into()),
    }))
}

/// A key of the other kind would do nothing, which nobody wants who wrote it.
fn refuse(
    given: &Given<'_>,
    kind: &str,
    other: &str,
    keys: &[(&str, bool)],
) -> Result<(), ConfigError> {
    match keys.iter().find(|(_, there)| *there) {
        None => Ok(()),
        Some((key, _)) => {
            let at = given.in_file(format!("executor.{key}"), String::new());
            let wrong = format!("is for kind = \"{other}\", and the kind is \"{kind}\"");
            Err(at.bad(wrong, "leave it out, or write the other kind"))
        }
    }
}

fn is_branch(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 200
        && !text.starts_with(['-', '/'])
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
}
