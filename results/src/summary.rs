//! The record of a run in one line, for whoever is not on its host: the bridge finds it as the last
//! line of a build's log.
//!
//! Invariants: all texts are inert and bounded, so a line is at most some kilobytes; a line of
//! another version, or that is no summary, is refused and never half read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::{Evidence, Find, culprit, first_shown, piece};
use crate::names::{CommitSha, RunId};
use crate::outcome::{Outcome, Tier, Verdict};
use crate::record::Record;
use crate::remarks::news;
use crate::text::{block, cut, line};

/// The version of the shape of [`Summary`].
pub const SCHEMA: u32 = 1;

/// What a line begins with, before the JSON.
pub const PREFIX: &str = "cc-ci-summary: ";

/// How long a line may be, in bytes.
pub const LONGEST: usize = 16 * 1024;

/// Bounds, in characters. Without lines and news a summary is below [`LONGEST`], whatever it holds.
const REASON: usize = 500;
const ROW_REASON: usize = 120;
const NAME: usize = 200;
const RECIPE: usize = 64;
const WORD: usize = 16;
const LINE: usize = 200;
/// Bounds, in items.
const LINES: usize = 40;
const NEWS: usize = 20;
const ROWS: usize = Tier::ALL.len() + 2;

/// What is said of a run where there is little room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    pub schema: u32,
    #[schemars(with = "String")]
    pub run_id: RunId,
    pub recipe: String,
    /// The commit that was tested; none: the run ended before it was known.
    #[serde(rename = "ref")]
    #[schemars(with = "Option<String>")]
    pub head: Option<CommitSha>,
    pub pr: u64,
    pub verdict: Verdict,
    pub verdict_reason: String,
    /// 0 to 5; none for a partial run.
    pub level: Option<u8>,
    pub level_reason: String,
    pub elapsed_ms: u64,
    /// The tiers in their order, then `lint` and `teardown`.
    pub rows: Vec<Row>,
    /// What the verdict rests on, where it is no pass.
    pub first: Option<First>,
    /// What differs from the target branch's last run, a line each.
    pub news: Vec<String>,
    /// The target branch, where there is something to compare with.
    pub target: Option<String>,
    pub cancelled_by: Option<String>,
    /// Not all tiers were asked for.
    pub partial: bool,
}

/// A tier, lint or the teardown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    pub name: String,
    /// `pass`, `fail`, `skip`, `unverified`, `error`.
    pub status: String,
    pub duration_ms: u64,
    /// Why it is no pass.
    pub reason: Option<String>,
}

/// The first failing thing, with the end of the file that shows why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct First {
    pub tier: Tier,
    /// None: the operation.
    pub test: Option<String>,
    pub reason: String,
    /// The file of evidence, below the run's directory.
    pub path: Option<String>,
    pub lines: Option<String>,
}

/// Why a line is not read.
#[derive(Debug, thiserror::Error)]
pub enum SummaryError {
    #[error("the line does not begin with `{PREFIX}`")]
    NoSummary,
    #[error("a summary has at most {LONGEST} bytes, and this one has {0}")]
    TooLong(usize),
    #[error("the summary is not JSON; was its line cut?")]
    NotJson(#[source] serde_json::Error),
    #[error(
        "the summary has schema {0}, and this program knows schema {SCHEMA}: the bridge and cc-ci on the runner's host must be of one version"
    )]
    Schema(String),
    #[error("the summary is not one of schema {SCHEMA}")]
    Shape(#[source] serde_json::Error),
    #[error("the summary has level {0}, and there are 0 to 5")]
    Level(u8),
}

impl Summary {
    /// What a record comes to. `find` gives evidence. None: the record has no run id, because the
    /// run's start was never written, and nobody could say what it is of.
    pub fn of(record: &Record, find: Find<'_>) -> Option<Self> {
        let row = |name: &str, outcome: &Outcome, duration_ms| Row {
            name: name.to_owned(),
            status: outcome.word().to_owned(),
            duration_ms,
            reason: outcome.reason().map(str::to_owned),
        };
        let mut rows: Vec<_> = record
            .tiers
            .iter()
            .take(Tier::ALL.len())
            .map(|tier| row(tier.name.as_str(), &tier.outcome, tier.duration_ms))
            .collect();
        rows.push(row("lint", &record.lint.outcome, 0));
        let teardown = &record.teardown;
        rows.push(row("teardown", &teardown.outcome, teardown.duration_ms));
        let comparison = record.comparison.as_ref();
        let asked = |tier: &Tier| record.tiers_asked.contains(tier);
        let summary = Self {
            schema: SCHEMA,
            run_id: record.run_id.parse().ok()?,
            recipe: record.recipe.clone(),
            head: record.head.as_ref().and_then(|head| head.parse().ok()),
            pr: record.pr,
            verdict: record.verdict,
            verdict_reason: record.verdict_reason.clone(),
            level: record.level,
            level_reason: record.level_reason.clone(),
            elapsed_ms: record.elapsed_ms(),
            rows,
            first: first(record, find),
            news: comparison.map(news).unwrap_or_default(),
            target: comparison.map(|comparison| comparison.branch.clone()),
            cancelled_by: record.cancelled_by.clone(),
            partial: !Tier::NAMED.iter().all(asked),
        };
        Some(summary.cleaned())
    }

    /// One line, with [`PREFIX`] and without a line break, of at most [`LONGEST`] bytes. Where it
    /// would be longer, lines of the file go first, from the front, and then news.
    pub fn to_line(&self) -> String {
        let mut summary = self.clone().cleaned();
        loop {
            let json = serde_json::to_string(&summary).expect("a summary is plain JSON");
            if PREFIX.len() + json.len() <= LONGEST || !summary.shorten() {
                return format!("{PREFIX}{json}");
            }
        }
    }

    /// Reads a line back. It comes from a log: every text is made inert again.
    pub fn parse_line(text: &str) -> Result<Self, SummaryError> {
        let text = text.trim();
        let json = text
            .strip_prefix(PREFIX.trim_end())
            .ok_or(SummaryError::NoSummary)?;
        if text.len() > LONGEST {
            return Err(SummaryError::TooLong(text.len()));
        }
        let value: serde_json::Value = serde_json::from_str(json).map_err(SummaryError::NotJson)?;
        let schema = value.get("schema");
        if schema.and_then(serde_json::Value::as_u64) != Some(u64::from(SCHEMA)) {
            let found = schema.map_or("(none)".to_owned(), ToString::to_string);
            return Err(SummaryError::Schema(cut(&line(&found), WORD)));
        }
        let summary: Self = serde_json::from_value(value).map_err(SummaryError::Shape)?;
        match summary.level {
            Some(level) if level > 5 => Err(SummaryError::Level(level)),
            _ => Ok(summary.cleaned()),
        }
    }

    /// The summary in the lines of a log: the last line that begins like one. Where that one can't
    /// be read, an earlier one does not count: it may be anything that a test printed.
    pub fn last_in<'a>(
        lines: impl IntoIterator<Item = &'a str>,
    ) -> Result<Option<Self>, SummaryError> {
        let is_summary = |text: &&str| text.trim_start().starts_with(PREFIX.trim_end());
        let last = lines.into_iter().filter(is_summary).last();
        last.map(Self::parse_line).transpose()
    }

    /// The same with every text inert and within its bound.
    fn cleaned(mut self) -> Self {
        let short = |text: &str, most| cut(&line(text), most);
        let option = |text: Option<String>, most| text.map(|text| short(&text, most));
        self.recipe = short(&self.recipe, RECIPE);
        self.verdict_reason = short(&self.verdict_reason, REASON);
        self.level_reason = short(&self.level_reason, REASON);
        self.target = option(self.target, NAME);
        self.cancelled_by = option(self.cancelled_by, NAME);
        self.news.truncate(NEWS);
        for news in &mut self.news {
            *news = short(news, LINE);
        }
        self.rows.truncate(ROWS);
        for row in &mut self.rows {
            row.name = short(&row.name, WORD);
            row.status = short(&row.status, WORD);
            row.reason = option(row.reason.take(), ROW_REASON);
        }
        self.first = self.first.map(|first| First {
            tier: first.tier,
            test: option(first.test, NAME),
            reason: short(&first.reason, REASON),
            path: option(first.path, NAME),
            lines: first.lines.map(|lines| last_lines(&lines)),
        });
        self
    }

    /// Leaves out the one piece that is missed least; false: there is none.
    fn shorten(&mut self) -> bool {
        if let Some(first) = &mut self.first
            && let Some(lines) = first.lines.take()
        {
            first.lines = lines.split_once('\n').map(|(_, rest)| rest.to_owned());
            return true;
        }
        self.news.pop().is_some()
    }
}

fn first(record: &Record, find: Find<'_>) -> Option<First> {
    let culprit = culprit(record)?;
    let (path, lines) = match first_shown(culprit.evidence, find) {
        Some((path, Evidence::Text { text, part })) => {
            let (lines, _) = piece(path, &block(&text), part, LINES);
            (Some(path.to_owned()), Some(lines))
        }
        Some((path, _)) => (Some(path.to_owned()), None),
        None => (None, None),
    };
    Some(First {
        tier: culprit.tier,
        test: culprit.test.map(str::to_owned),
        reason: culprit.outcome.reason().unwrap_or_default().to_owned(),
        path,
        lines,
    })
}

fn last_lines(text: &str) -> String {
    let text = block(text);
    let lines: Vec<_> = text.split('\n').collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    let last: Vec<_> = last.iter().map(|line| cut(line.trim_end(), LINE)).collect();
    last.join("\n")
}
