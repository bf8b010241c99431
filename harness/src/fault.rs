//! Whose fault it is. The verdict depends on this, so it is a type and not a text.

use results::Outcome;

/// Why something could not be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The recipe is at fault: a maintainer can mend it.
    #[error("{0}")]
    Recipe(String),
    /// cc-ci, the host, a registry or the network is at fault: no statement about the recipe.
    #[error("{0}")]
    Infra(String),
    /// What was asked for can't be: an unknown ref, a zone that is no domain. Exit code 2.
    #[error("{0}")]
    Usage(String),
}

impl Fault {
    pub fn recipe(text: impl Into<String>) -> Self {
        Self::Recipe(text.into())
    }

    pub fn infra(text: impl Into<String>) -> Self {
        Self::Infra(text.into())
    }

    pub fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// Puts `what` in front of the text.
    #[must_use]
    pub fn context(self, what: impl std::fmt::Display) -> Self {
        match self {
            Self::Recipe(text) => Self::Recipe(format!("{what}: {text}")),
            Self::Infra(text) => Self::Infra(format!("{what}: {text}")),
            Self::Usage(text) => Self::Usage(format!("{what}: {text}")),
        }
    }

    /// How an operation that met this fault is recorded.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Recipe(reason) => Outcome::fail(reason),
            Self::Infra(reason) | Self::Usage(reason) => Outcome::error(reason),
        }
    }
}
