//! What is wrong with a configuration.

use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("{}: {why}; name a file that is there and that this account may read", path.display())]
    Unreadable { path: PathBuf, why: String },
    #[error("{}{}: {why}; docs/bridge.toml is an example of the whole file", path.display(), at(.line))]
    NoToml {
        path: PathBuf,
        line: Option<usize>,
        why: String,
    },
    #[error("{}{}: there is no setting `{key}` here{}", path.display(), at(.line), did_you_mean(.nearest))]
    Unknown {
        path: PathBuf,
        line: Option<usize>,
        key: String,
        nearest: Option<String>,
    },
    #[error("{key} is not set: it is {meaning}; set it in {file}{}", or_by(.variable))]
    Missing {
        key: String,
        meaning: String,
        /// The file, or where one is to be.
        file: String,
        variable: Option<&'static str>,
    },
    /// `at` is the file and the key, or the variable.
    #[error("{at}: {wrong}; {advice}")]
    Bad {
        at: String,
        wrong: String,
        advice: String,
    },
}

fn at(line: &Option<usize>) -> String {
    line.map(|line| format!(":{line}")).unwrap_or_default()
}

fn did_you_mean(name: &Option<String>) -> String {
    name.as_ref()
        .map(|name| format!("; did you mean `{name}`?"))
        .unwrap_or_default()
}

fn or_by(variable: &Option<&'static str>) -> String {
    variable
        .map(|name| format!(", or by the environment's {name}"))
        .unwrap_or_default()
}
