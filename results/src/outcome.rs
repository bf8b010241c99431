//! The words of a verdict: tiers, outcomes, causes.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A stage of a run. The order of the variants is the order in which they run.
///
/// `Fresh` is not a tier that a person asks for: it is the last proof of install, run where head
/// was reached by an upgrade.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    Install,
    Upgrade,
    Backup,
    Restore,
    Custom,
    Fresh,
}

impl Tier {
    pub const ALL: [Self; 6] = [
        Self::Install,
        Self::Upgrade,
        Self::Backup,
        Self::Restore,
        Self::Custom,
        Self::Fresh,
    ];

    /// The tiers that `--tiers` and a comment may name.
    pub const NAMED: [Self; 5] = [
        Self::Install,
        Self::Upgrade,
        Self::Backup,
        Self::Restore,
        Self::Custom,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Upgrade => "upgrade",
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Custom => "custom",
            Self::Fresh => "fresh",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a tier; the tiers are install, upgrade, backup, restore and custom")]
pub struct UnknownTier(String);

impl FromStr for Tier {
    type Err = UnknownTier;

    fn from_str(text: &str) -> Result<Self, UnknownTier> {
        Self::NAMED
            .into_iter()
            .find(|tier| tier.as_str() == text)
            .ok_or_else(|| UnknownTier(text.to_owned()))
    }
}

/// Why something that should have run did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A tier before it failed.
    Fail,
    /// cc-ci, the host, a registry or the network is at fault.
    Error,
    /// No base that can be deployed.
    Base,
    /// The recipe has no functional tests of its own, or nothing that could run them is there.
    Absent,
    /// Not among the tiers asked for.
    Deselected,
}

/// What came of an operation or of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    Pass,
    /// The recipe is at fault.
    Fail {
        reason: String,
    },
    /// Does not apply, from a declared or structural fact.
    Skip {
        reason: String,
    },
    /// Should have run and did not.
    Unverified {
        cause: Cause,
        reason: String,
    },
    /// cc-ci, the host, a registry or the network is at fault.
    Error {
        reason: String,
    },
}

impl Outcome {
    pub fn fail(reason: impl Into<String>) -> Self {
        Self::Fail {
            reason: reason.into(),
        }
    }

    pub fn skip(reason: impl Into<String>) -> Self {
        Self::Skip {
            reason: reason.into(),
        }
    }

    pub fn unverified(cause: Cause, reason: impl Into<String>) -> Self {
        Self::Unverified {
            cause,
            reason: reason.into(),
        }
    }

    pub fn error(reason: impl Into<String>) -> Self {
        Self::Error {
            reason: reason.into(),
        }
    }

    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Pass => None,
            Self::Fail { reason }
            | Self::Skip { reason }
            | Self::Unverified { reason, .. }
            | Self::Error { reason } => Some(reason),
        }
    }

    /// The word for the status, as in `result.json`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail { .. } => "fail",
            Self::Skip { .. } => "skip",
            Self::Unverified { .. } => "unverified",
            Self::Error { .. } => "error",
        }
    }

    /// How bad it is: of two outcomes of the same thing, the one with the higher number counts.
    pub(crate) fn badness(&self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Skip { .. } => 1,
            Self::Unverified { cause, .. } => match cause {
                Cause::Deselected => 2,
                Cause::Absent => 3,
                Cause::Base => 4,
                Cause::Fail => 5,
                Cause::Error => 6,
            },
            Self::Error { .. } => 7,
            Self::Fail { .. } => 8,
        }
    }

    /// The worse of two outcomes of the same thing; the first of two that are equally bad.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        if other.badness() > self.badness() {
            other
        } else {
            self
        }
    }

    /// Whether this outcome turns a run red: a failure, an error, or something that did not run
    /// because of one. `base`, `absent` and `deselected` cap the level instead.
    pub fn is_red(&self) -> bool {
        match self {
            Self::Pass | Self::Skip { .. } => false,
            Self::Fail { .. } | Self::Error { .. } => true,
            Self::Unverified { cause, .. } => matches!(cause, Cause::Fail | Cause::Error),
        }
    }
}

/// Where a test comes from.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    Generic,
    Overlay,
    RepoLocal,
    Custom,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Generic => "generic",
            Self::Overlay => "overlay",
            Self::RepoLocal => "repo-local",
            Self::Custom => "custom",
        })
    }
}

/// The verdict of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Pass,
    Fail,
    Error,
    Cancelled,
}

impl Verdict {
    /// The exit status of the entrypoint: 0 pass, 1 the recipe failed, 3 infrastructure error,
    /// 4 cancelled. (2, usage or configuration, is never the verdict of a run.)
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Error => 3,
            Self::Cancelled => 4,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        })
    }
}
