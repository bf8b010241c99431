//! Why a recipe could not be fetched, and whose fault that is.

use std::path::PathBuf;

use url::Url;

use crate::fault::Fault;
use crate::recipe::CommitSha;
use crate::recipe::git::GitError;

#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    #[error(
        "{source_shown} can't be read as a repository; check the address, that it is there, and for a private one the token: {stderr}"
    )]
    NotARepository {
        source_shown: String,
        stderr: String,
    },
    #[error("{source_shown} can't be reached: {stderr}")]
    Unreachable {
        source_shown: String,
        stderr: String,
    },
    #[error(
        "{source_shown} leads to {}, and was asked with a token, which goes nowhere but where it is meant for; if that is the right place, name it as the source", said_place(.to)
    )]
    Redirected {
        source_shown: String,
        to: Option<Url>,
    },
    #[error("{source_shown} is a repository without a commit")]
    Empty { source_shown: String },
    #[error("{source_shown} has no default branch; name one with --ref: {}", .branches.join(", "))]
    NoDefaultBranch {
        source_shown: String,
        branches: Vec<String>,
    },
    #[error(
        "`{0}` is no name of a ref: at most 500 characters, without spaces and control characters, and no `-` at its beginning"
    )]
    RefName(String),
    #[error("there is no ref `{asked}`; {}", said_nearest(.nearest))]
    NoSuchRef { asked: String, nearest: Vec<String> },
    #[error(
        "`{asked}` is a branch and a tag of different commits; say refs/heads/{asked} or refs/tags/{asked}"
    )]
    Ambiguous { asked: String },
    #[error("commit {commit} has no compose.yml at its top: it is no recipe")]
    NoCompose { commit: CommitSha },
    #[error(
        "`{}` of commit {commit} is a symbolic link that leads out of the recipe, or nowhere", path.display()
    )]
    Link { commit: CommitSha, path: PathBuf },
    #[error("`{}` can't be written", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("git said `{0}` where a full sha was expected")]
    Unexpected(String),
}

fn said_place(to: &Option<Url>) -> String {
    match to {
        Some(to) => results::text::cut(to.as_str(), 300),
        None => "another place".to_owned(),
    }
}

fn said_nearest(names: &[String]) -> String {
    if names.is_empty() {
        "nothing has a name like it".to_owned()
    } else {
        format!("nearest: {}", names.join(", "))
    }
}

impl From<CheckoutError> for Fault {
    fn from(error: CheckoutError) -> Self {
        use CheckoutError as E;
        match &error {
            E::NoCompose { .. } | E::Link { .. } => Self::recipe(error.to_string()),
            E::NotARepository { .. }
            | E::Redirected { .. }
            | E::Empty { .. }
            | E::NoDefaultBranch { .. }
            | E::RefName(_)
            | E::NoSuchRef { .. }
            | E::Ambiguous { .. } => Self::usage(error.to_string()),
            E::Write { source, .. } => Self::infra(format!("{error}: {source}")),
            E::Unreachable { .. } | E::Git(_) | E::Unexpected(_) => Self::infra(error.to_string()),
        }
    }
}
