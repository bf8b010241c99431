//! What Drone sends, as far as it is read.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub struct BuildWire {
    pub number: u64,
    pub status: String,
    #[serde(default)]
    error: String,
    /// None where the pipeline's file is bad.
    params: Option<BTreeMap<String, String>>,
    /// Seconds; 0: not yet.
    #[serde(default)]
    started: i64,
    stages: Option<Vec<StageWire>>,
}

#[derive(Debug, Deserialize)]
struct StageWire {
    number: u64,
    #[serde(default)]
    error: String,
    steps: Option<Vec<StepWire>>,
}

#[derive(Debug, Deserialize)]
struct StepWire {
    number: u64,
}

impl BuildWire {
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.as_ref()?.get(name).map(String::as_str)
    }

    /// How long a runner has had it, by the server's clock; none: it has not begun.
    pub fn runs_for(&self, now: Timestamp) -> Option<Duration> {
        let started = Timestamp::from_second(self.started).ok()?;
        let has_begun = self.started > 0;
        has_begun.then(|| Duration::try_from(now.duration_since(started)).unwrap_or_default())
    }

    /// Stage and step of each step, the last first.
    pub fn steps(&self) -> Vec<(u64, u64)> {
        let stages = self.stages.iter().flatten();
        let steps = stages.flat_map(|stage| {
            let steps = stage.steps.iter().flatten();
            steps.map(move |step| (stage.number, step.number))
        });
        let mut steps: Vec<_> = steps.collect();
        steps.reverse();
        steps
    }

    /// What went wrong, in Drone's words, if it says.
    pub fn error(&self) -> Option<&str> {
        let of_stages = self.stages.iter().flatten();
        let mut texts = of_stages.map(|stage| stage.error.as_str());
        std::iter::once(self.error.as_str())
            .chain(texts.by_ref())
            .find(|text| !text.is_empty())
    }
}

#[derive(Debug, Deserialize)]
pub struct LogLine {
    #[serde(default)]
    pub pos: u64,
    #[serde(default)]
    pub out: String,
}

#[derive(Debug, Deserialize)]
pub struct RepoWire {
    #[serde(default)]
    pub active: bool,
    /// Minutes.
    #[serde(default)]
    pub timeout: u64,
}

#[derive(Debug, Deserialize)]
pub struct UserWire {
    pub login: String,
}
