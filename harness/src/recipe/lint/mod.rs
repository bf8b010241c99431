//! The rules of a recipe's form, checked on its files where abra is not there to do it.
//!
//! Names and levels follow the documented list of abra's checks. Of their numbers only R001 and
//! R002 are documented; the others are as abra is understood to count.
//!
//! Invariant: a finding's rule is one of [`Rule::ALL`], and its line is one of its file.

mod compose;
mod folder;
mod services;
mod tags;

use std::fmt;
use std::path::{Path, PathBuf};

use results::event::LintFinding;

use crate::recipe::compose::{line_of_path, nearest_line_of_path};
use crate::recipe::versions::Tag;
use crate::recipe::{AbraSh, Compose, EnvFile};

/// A documented rule that needs no network. R013 is the one that does: the repository exists at
/// the forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    ComposeVersion,
    Healthchecks,
    ImageTags,
    StableTags,
    VersionTags,
    Published,
    Metadata,
    EnvSample,
    ServiceApp,
    Routed,
    Images,
    ConfigVersions,
    AnnotatedTags,
    SecretNames,
}

/// How much a finding weighs: an error takes away the rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warn,
}

impl Rule {
    pub const ALL: [Self; 14] = [
        Self::ComposeVersion,
        Self::Healthchecks,
        Self::ImageTags,
        Self::StableTags,
        Self::VersionTags,
        Self::Published,
        Self::Metadata,
        Self::EnvSample,
        Self::ServiceApp,
        Self::Routed,
        Self::Images,
        Self::ConfigVersions,
        Self::AnnotatedTags,
        Self::SecretNames,
    ];

    pub fn id(self) -> &'static str {
        match self {
            Self::ComposeVersion => "R001",
            Self::Healthchecks => "R002",
            Self::ImageTags => "R003",
            Self::StableTags => "R004",
            Self::VersionTags => "R005",
            Self::Published => "R006",
            Self::Metadata => "R007",
            Self::EnvSample => "R008",
            Self::ServiceApp => "R009",
            Self::Routed => "R010",
            Self::Images => "R011",
            Self::ConfigVersions => "R012",
            Self::AnnotatedTags => "R014",
            Self::SecretNames => "R015",
        }
    }

    pub fn severity(self) -> Severity {
        match self {
            Self::ComposeVersion
            | Self::Healthchecks
            | Self::Published
            | Self::Metadata
            | Self::SecretNames => Severity::Warn,
            _ => Severity::Error,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warn => "warn",
        })
    }
}

/// What is looked at: one commit, with the environment of its own `.env.sample`.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub tree: &'a Path,
    /// Selected compose files, relative to `tree`.
    pub files: &'a [PathBuf],
    pub compose: &'a Compose,
    pub env: &'a EnvFile,
    pub abra_sh: &'a AbraSh,
    pub tags: &'a [Tag],
}

/// All findings, in the order of the rules.
pub fn lint(subject: &Subject<'_>) -> Vec<LintFinding> {
    let text_of = |file: &PathBuf| {
        let text = std::fs::read_to_string(subject.tree.join(file)).unwrap_or_default();
        (file.display().to_string(), text)
    };
    let mut found = Findings {
        texts: subject.files.iter().map(text_of).collect(),
        list: Vec::new(),
    };
    compose::check(subject, &mut found);
    services::check(subject, &mut found);
    folder::check(subject.tree, &mut found);
    tags::check(subject.tags, &mut found);
    found.list.sort_by(|one, two| one.rule.cmp(&two.rule));
    found.list
}

struct Findings {
    /// Name and text of each compose file.
    texts: Vec<(String, String)>,
    list: Vec<LintFinding>,
}

impl Findings {
    /// At a path of keys in one of the compose files, or as near to it as there is a line.
    fn at_path(&mut self, rule: Rule, message: String, path: &str) {
        let search = |line_of: fn(&str, &str) -> Option<usize>| {
            let mut texts = self.texts.iter();
            texts.find_map(|(file, text)| Some((file.clone(), line_of(text, path)?)))
        };
        let place = search(line_of_path).or_else(|| search(nearest_line_of_path));
        match place {
            Some((file, line)) => self.at_line(rule, message, &file, Some(line)),
            None => self.nowhere(rule, message),
        }
    }

    fn at_line(&mut self, rule: Rule, message: String, file: &str, line: Option<usize>) {
        self.nowhere(rule, message);
        if let Some(finding) = self.list.last_mut() {
            finding.file = Some(file.to_owned());
            finding.line = line.and_then(|line| line.try_into().ok());
        }
    }

    /// Of the recipe as a whole.
    fn nowhere(&mut self, rule: Rule, message: String) {
        self.list.push(LintFinding {
            rule: rule.id().to_owned(),
            severity: rule.severity().to_string(),
            message,
            file: None,
            line: None,
        });
    }
}

#[cfg(test)]
mod tests;
