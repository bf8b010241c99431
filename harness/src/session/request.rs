//! What one run is asked to do. It goes from the entrypoint through the runner to the keeper in
//! the environment, so that a bare `cargo nextest run` works by the same way.

use std::env;
use std::ffi::OsString;
use std::path::Path;

use results::Tier;

use super::lifetime::{NEXTEST_RUN_ID, ProcessId, runner};
use crate::fault::Fault;
use crate::recipe::{RecipeName, RunId, Source};
use crate::site::{Catalogue, Site};

const RUN_ID: &str = "CCCI_RUN_ID";
const RECIPE: &str = "CCCI_RECIPE";
const SOURCE: &str = "CCCI_SOURCE";
const REF: &str = "CCCI_REF";
const PR: &str = "CCCI_PR";
const TIERS: &str = "CCCI_TIERS";
const FROM: &str = "CCCI_FROM";
const QUICK: &str = "CCCI_QUICK";
const KEEP: &str = "CCCI_KEEP";
const RUNNER: &str = "CCCI_RUNNER";
const COMPLETE: &str = "CCCI_COMPLETE";

/// What one run is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub run_id: RunId,
    pub recipe: RecipeName,
    /// A URL or path of the recipe's repository; none: the site's catalogue.
    pub source: Option<String>,
    /// Branch, tag or sha; none: the default branch's tip.
    pub requested_ref: Option<String>,
    /// 0 where there is no pull request.
    pub pr: u64,
    /// The tiers asked for; none: all.
    pub tiers: Option<Vec<Tier>>,
    /// The base to upgrade from.
    pub from: Option<String>,
    pub quick: bool,
    /// The app stays until `reap` or the session's deadline.
    pub keep: bool,
    /// The process whose end ends the run.
    pub runner: ProcessId,
    /// Whether every trial of the listing will come: so with the entrypoint as the runner. A bare
    /// nextest may filter.
    pub complete: bool,
}

impl Request {
    /// What the environment of a trial or a keeper asks for. `recipe` is that of the suite.
    pub fn from_environment(recipe: &RecipeName) -> Result<Self, Fault> {
        let runner = match variable(RUNNER)? {
            Some(text) => text
                .parse()
                .map_err(|error| Fault::usage(format!("{RUNNER}: {error}")))?,
            None => runner(),
        };
        let run_id = match variable(RUN_ID)? {
            Some(text) => text
                .parse()
                .map_err(|error| Fault::usage(format!("{RUN_ID}: {error}")))?,
            None => run_id_of(recipe, runner)?,
        };
        let tiers = match variable(TIERS)? {
            None => None,
            Some(text) => Some(parse_tiers(&text)?),
        };
        let pr = match variable(PR)? {
            None => 0,
            Some(text) => text
                .parse()
                .map_err(|_| Fault::usage(format!("{PR}: `{text}` is no pull request's number")))?,
        };
        Ok(Self {
            run_id,
            recipe: recipe.clone(),
            source: variable(SOURCE)?,
            requested_ref: variable(REF)?,
            pr,
            tiers,
            from: variable(FROM)?,
            quick: flag(QUICK)?,
            keep: flag(KEEP)?,
            runner,
            complete: flag(COMPLETE)?,
        })
    }

    /// The variables that make [`Request::from_environment`] give this request again.
    pub fn to_environment(&self) -> Vec<(&'static str, Option<OsString>)> {
        let text = |text: &str| Some(OsString::from(text));
        let flag = |set: bool| set.then(|| OsString::from("1"));
        vec![
            (RUN_ID, text(self.run_id.as_str())),
            (RECIPE, text(self.recipe.as_str())),
            (SOURCE, self.source.as_deref().and_then(text)),
            (REF, self.requested_ref.as_deref().and_then(text)),
            (PR, text(&self.pr.to_string())),
            (
                TIERS,
                self.tiers.as_ref().map(|tiers| {
                    tiers
                        .iter()
                        .map(|tier| tier.as_str())
                        .collect::<Vec<_>>()
                        .join(",")
                        .into()
                }),
            ),
            (FROM, self.from.as_deref().and_then(text)),
            (QUICK, flag(self.quick)),
            (KEEP, flag(self.keep)),
            (RUNNER, text(&self.runner.to_string())),
            (COMPLETE, flag(self.complete)),
        ]
    }

    /// The tiers asked for: all of them where none are named. Fresh belongs to a whole run only.
    pub fn tiers(&self) -> Vec<Tier> {
        match &self.tiers {
            Some(tiers) => tiers.clone(),
            None => Tier::ALL.to_vec(),
        }
    }

    pub fn wants(&self, tier: Tier) -> bool {
        self.tiers().contains(&tier)
    }

    /// Where the recipe comes from, for the record: without a user and password in an address.
    pub fn source_shown(&self) -> String {
        let Some(source) = &self.source else {
            return "catalogue".to_owned();
        };
        match Source::parse(source) {
            Ok(source) => source.to_string(),
            Err(error) => error.shown().to_owned(),
        }
    }

    /// Where the recipe comes from: what was asked for, else the site's catalogue. A built-in
    /// recipe is made a repository below `state`.
    pub fn source_at(&self, site: &Site, state: &Path) -> Result<Source, Fault> {
        let recipe = self.recipe.as_str();
        match (&self.source, &site.catalogue) {
            (Some(source), _) => site.with_token(Source::parse(source)?),
            (None, Catalogue::Url(template)) => {
                site.with_token(Source::parse(&template.replace("{recipe}", recipe))?)
            }
            (None, Catalogue::BuiltIn) => {
                fixtures::catalogue::materialise(recipe, &state.join("catalogue"))
                    .map(Source::path)
                    .map_err(|error| Fault::usage(error.to_string()))
            }
        }
    }
}

/// The recipe that the suite without a crate is to test.
pub fn recipe_from_environment() -> Result<Option<RecipeName>, Fault> {
    variable(RECIPE)?
        .map(|text| {
            text.parse()
                .map_err(|error| Fault::usage(format!("{RECIPE}: {error}")))
        })
        .transpose()
}

/// Tier names separated by commas; each at most once, in the order of a run.
pub fn parse_tiers(text: &str) -> Result<Vec<Tier>, Fault> {
    let mut tiers = text
        .split(',')
        .map(|name| {
            name.trim()
                .parse()
                .map_err(|error| Fault::usage(format!("{error}")))
        })
        .collect::<Result<Vec<Tier>, _>>()?;
    tiers.sort();
    tiers.dedup();
    Ok(tiers)
}

/// Recipe and run of nextest, else recipe and process.
fn run_id_of(recipe: &RecipeName, runner: ProcessId) -> Result<RunId, Fault> {
    let run = match variable(NEXTEST_RUN_ID)? {
        Some(id) => id
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(12)
            .collect(),
        None => runner.to_string().replace(':', "-"),
    };
    format!("{recipe}-{run}")
        .parse()
        .map_err(|error| Fault::usage(format!("{error}")))
}

fn variable(name: &str) -> Result<Option<String>, Fault> {
    match env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => {
            Err(Fault::usage(format!("{name} holds bytes that are no text")))
        }
    }
}

fn flag(name: &str) -> Result<bool, Fault> {
    Ok(variable(name)?.is_some_and(|value| truthy(&value)))
}

/// 1, true, yes, on, in any case.
pub fn truthy(value: &str) -> bool {
    ["1", "true", "yes", "on"]
        .iter()
        .any(|yes| value.eq_ignore_ascii_case(yes))
}
