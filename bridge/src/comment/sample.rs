//! A view to start tests from.

use results::outcome::{Tier, Verdict};
use results::summary::{First, Row, SCHEMA, Summary};

use super::{Note, Phase, View};
use crate::command::Asked;
use crate::names::{CommitSha, RecipeName, Repo};

pub(super) const HEAD: &str = "4be1c2d9a07735f0c1d2e3f4a5b6c7d8e9f00112";
pub(super) const OTHER: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567";
pub(super) const REPORT: &str = "https://ci.test/runs/r-1/report.html";
pub(super) const LOG: &str = "https://drone.test/coop/cc-ci/12";
pub(super) const BADGE: &str = "https://ci.test/badge/r-1.svg";

/// What a view borrows.
pub(super) struct Held {
    recipe: RecipeName,
    repo: Repo,
    head: CommitSha,
    pub asked: Asked,
    pub notes: Vec<Note>,
}

impl Held {
    pub fn new() -> Self {
        Self {
            recipe: "custom-html".parse().unwrap(),
            repo: "coop-cloud/custom-html".parse().unwrap(),
            head: HEAD.parse().unwrap(),
            asked: Asked::default(),
            notes: Vec::new(),
        }
    }

    pub fn view<'a>(&'a self, phase: Phase<'a>) -> View<'a> {
        View {
            recipe: &self.recipe,
            repo: &self.repo,
            pull: 7,
            head: &self.head,
            asked: &self.asked,
            phase,
            notes: &self.notes,
        }
    }
}

pub(super) fn done(summary: &Summary) -> Phase<'_> {
    Phase::Done {
        summary,
        link: Some(LOG),
        report_url: Some(REPORT),
        badge_url: Some(BADGE),
    }
}

pub(super) fn passed() -> Summary {
    let row = |name: &str, duration_ms| Row {
        name: name.to_owned(),
        status: "pass".to_owned(),
        duration_ms,
        reason: None,
    };
    let mut rows: Vec<_> = Tier::ALL
        .iter()
        .map(|tier| row(tier.as_str(), 5_400))
        .collect();
    rows.extend([row("lint", 0), row("teardown", 638)]);
    Summary {
        schema: SCHEMA,
        run_id: "r-1".parse().unwrap(),
        recipe: "custom-html".to_owned(),
        head: Some(HEAD.parse().unwrap()),
        pr: 7,
        verdict: Verdict::Pass,
        verdict_reason: "install, upgrade, backup, restore, custom, fresh passed, 26 assertions"
            .to_owned(),
        level: Some(5),
        level_reason: "every rung passed".to_owned(),
        elapsed_ms: 83_000,
        rows,
        first: None,
        news: vec![
            "compared with run m-1 of main (0a1b2c3d4e5f, pass)".to_owned(),
            "nothing is newly red, newly green or slower".to_owned(),
        ],
        target: Some("main".to_owned()),
        cancelled_by: None,
        partial: false,
    }
}

pub(super) fn failed() -> Summary {
    let mut summary = passed();
    summary.verdict = Verdict::Fail;
    summary.verdict_reason = "custom login failed: /login answers 502, and not 200".to_owned();
    summary.level = Some(4);
    summary.level_reason = "functional tests failed".to_owned();
    summary.rows[4].status = "fail".to_owned();
    summary.news = vec![
        "compared with run m-1 of main (0a1b2c3d4e5f, pass)".to_owned(),
        "newly red: custom::login (pass there, fail here)".to_owned(),
    ];
    summary.first = Some(First {
        tier: Tier::Custom,
        test: Some("login".to_owned()),
        reason: "/login answers 502, and not 200".to_owned(),
        path: Some("evidence/custom/log-app.txt".to_owned()),
        lines: Some(
            "connecting to db:5432\npanic: no such host\n\ngoroutine 1 [running]".to_owned(),
        ),
    });
    summary
}

pub(super) fn error() -> Summary {
    let mut summary = passed();
    summary.verdict = Verdict::Error;
    summary.verdict_reason =
        "install met an error: docker.io says 429, too many requests".to_owned();
    summary.level = Some(0);
    summary.level_reason = "install met an error".to_owned();
    summary.rows[0].status = "error".to_owned();
    summary.news = Vec::new();
    summary
}

pub(super) fn cancelled() -> Summary {
    let mut summary = passed();
    summary.verdict = Verdict::Cancelled;
    summary.verdict_reason = "cancelled by ada".to_owned();
    summary.level = None;
    summary.level_reason = "the run was cancelled".to_owned();
    summary.rows[1].status = "unverified".to_owned();
    summary.cancelled_by = Some("ada".to_owned());
    summary.news = Vec::new();
    summary
}
