//! What the stages share.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use crate::config::Report;
use crate::executor::Executor;
use crate::forge::Forge;
use crate::metrics::Metrics;
use crate::names::Repo;
use crate::store::Store;

/// What the operator decided.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The bot's login.
    pub bot: String,
    /// Repositories that are polled.
    pub repositories: Vec<Repo>,
    /// Organisations, whose repositories are enrolled by a topic.
    pub topics: Vec<(String, String)>,
    /// Who may beside members of the owning organisation.
    pub allowed: Vec<String>,
    /// Where people see the forge; ends with no slash.
    pub forge: String,
    /// Where people read reports.
    pub report: Option<Report>,
    pub poll: Duration,
    /// How long a request whose answer was lost may still take effect.
    pub settle: Duration,
    /// How often a run that goes on is looked at.
    pub look: Duration,
}

impl Rules {
    /// From when on to ask for what changed since a time of the forge: a change may be visible later
    /// than its time says, and a clock may be put back between two polls.
    pub fn before(&self, at: Timestamp) -> Timestamp {
        let overlap = self.poll * 2 + Duration::from_secs(10);
        let overlap = SignedDuration::try_from(overlap).unwrap_or(SignedDuration::ZERO);
        at.checked_sub(overlap)
            .unwrap_or(Timestamp::UNIX_EPOCH)
            .max(Timestamp::UNIX_EPOCH)
    }
}

/// The bridge, but for its loops.
pub struct Bridge {
    pub forge: Forge,
    pub executor: Box<dyn Executor>,
    pub store: Store,
    pub rules: Rules,
    pub troubles: Troubles,
    pub wake: Wake,
    pub metrics: Arc<Metrics>,
    polls: Mutex<BTreeMap<String, Timestamp>>,
}

impl Bridge {
    pub fn new(
        forge: Forge,
        executor: Box<dyn Executor>,
        store: Store,
        rules: Rules,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            forge,
            executor,
            store,
            rules,
            troubles: Troubles::default(),
            wake: Wake::default(),
            metrics,
            polls: Mutex::default(),
        }
    }

    /// An owner was polled just now.
    pub fn polled(&self, owner: &str) {
        let mut polls = self.polls.lock().expect("nobody panicked with it");
        polls.insert(owner.to_owned(), Timestamp::now());
    }

    /// When each owner was polled last.
    pub fn polls(&self) -> BTreeMap<String, Timestamp> {
        self.polls.lock().expect("nobody panicked with it").clone()
    }
}

/// Wakes a stage that has new work.
#[derive(Debug, Default)]
pub struct Wake {
    pub judge: Arc<Notify>,
    pub drive: Arc<Notify>,
    pub say: Arc<Notify>,
}

/// What an operator should know, each once, for as long as it lasts.
#[derive(Debug, Default)]
pub struct Troubles(Mutex<BTreeMap<String, (Timestamp, String)>>);

impl Troubles {
    /// Something does not work, under a name by which its end is told.
    pub fn set(&self, name: &str, text: &str) {
        let mut all = self.0.lock().expect("nobody panicked with it");
        let since = all
            .get(name)
            .map_or_else(Timestamp::now, |(since, _)| *since);
        all.insert(name.to_owned(), (since, text.to_owned()));
    }

    pub fn clear(&self, name: &str) {
        self.0.lock().expect("nobody panicked with it").remove(name);
    }

    /// All of them, the oldest first, each text once.
    pub fn all(&self) -> Vec<String> {
        let all = self.0.lock().expect("nobody panicked with it");
        let mut all: Vec<_> = all.values().collect();
        all.sort();
        let mut seen = HashSet::new();
        let texts = all.into_iter().map(|(_, text)| text);
        texts.filter(|text| seen.insert(*text)).cloned().collect()
    }

    pub fn get(&self, name: &str) -> Option<String> {
        let all = self.0.lock().expect("nobody panicked with it");
        all.get(name).map(|(_, text)| text.clone())
    }
}
