//! What was seen of a stack while it is waited for: failures of tasks, and when a service changed its
//! state last. Judges nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use super::converge::Converged;
use super::ended::error_of;
use super::look::{Observation, SeenService, SeenTask};
use crate::cause::Trouble;

const STARTS_OF_A_CRASH_LOOP: usize = 3;
const QUIET_AT_LEAST: Duration = Duration::from_secs(30);

/// What was seen in the looks before this one.
pub struct Memory {
    pub(super) quiet: Duration,
    /// Tasks that had failed before the first look: another deploy's.
    before: Option<Vec<String>>,
    pub(super) services: BTreeMap<String, Past>,
    /// Tasks that had run for long enough before the first look: nothing was deployed since.
    pub(super) steady: Option<Vec<String>>,
}

#[derive(Default)]
pub(super) struct Past {
    /// Task id, error without and with the last log line; oldest first.
    pub(super) failures: Vec<Failure>,
    /// Its state at the last look, and when that began.
    state: String,
    pub(super) since: Duration,
    /// The tasks that ran at the last look, and since when just these.
    pub(super) running: Vec<String>,
    pub(super) running_since: Duration,
}

pub(super) struct Failure {
    task: String,
    pub(super) error: String,
    pub(super) log: Option<String>,
}

impl Failure {
    pub(super) fn text(&self) -> String {
        match &self.log {
            Some(line) => format!("{}: `{line}`", self.error),
            None => self.error.clone(),
        }
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        Trouble::of(&self.error).or_else(|| self.log.as_deref().and_then(Trouble::in_log))
    }
}

impl Memory {
    pub fn new(deadline: Duration) -> Self {
        Self {
            quiet: QUIET_AT_LEAST.max(deadline / 5),
            before: None,
            services: BTreeMap::new(),
            steady: None,
        }
    }

    /// Of a stack that had converged and that nothing was deployed to since.
    pub fn of_converged(then: &Converged, deadline: Duration) -> Self {
        let tasks = then.services.values().flat_map(|service| &service.tasks);
        Self {
            steady: Some(tasks.map(|task| task.task.clone()).collect()),
            ..Self::new(deadline)
        }
    }

    /// Takes in one look. `log` knows the last words of the containers of failed tasks, by task id.
    pub fn note(&mut self, seen: &Observation, now: Duration, log: &BTreeMap<String, String>) {
        let first = self.before.is_none();
        let before = self.before.get_or_insert_with(|| {
            seen.services
                .values()
                .flat_map(|service| &service.tasks)
                .filter(|task| task.failed())
                .map(|task| task.id.clone())
                .collect()
        });
        for (name, service) in &seen.services {
            let past = self.services.entry(name.clone()).or_default();
            for task in service.tasks.iter().filter(|task| task.failed()) {
                let known = past.failures.iter().any(|failure| failure.task == task.id);
                if !known && !before.contains(&task.id) {
                    past.failures.push(Failure {
                        task: task.id.clone(),
                        error: error_of(task),
                        log: log.get(&task.id).cloned(),
                    });
                }
            }
            let state = past.state_now(service);
            if first || past.state != state {
                past.state = state;
                past.since = now;
            }
            let running = service
                .tasks
                .iter()
                .filter(|task| task.current && task.runs());
            let running = running.map(|task| task.id.clone()).collect::<Vec<_>>();
            if past.running != running {
                past.running = running;
                past.running_since = now;
            }
        }
    }

    /// Failures of tasks since the first look, for the record.
    pub fn failures(&self, service: &str) -> Vec<String> {
        self.services
            .get(service)
            .map(|past| past.failures.iter().map(Failure::text).collect())
            .unwrap_or_default()
    }

    /// Whether the failure of a task is new, so that its log is worth fetching.
    pub fn is_news(&self, service: &str, task: &SeenTask) -> bool {
        task.failed()
            && !self
                .before
                .as_ref()
                .is_some_and(|before| before.contains(&task.id))
            && !self
                .services
                .get(service)
                .is_some_and(|past| past.failures.iter().any(|seen| seen.task == task.id))
    }

    /// When the last of the other services changed its state.
    pub(super) fn others_quiet_since(&self, name: &str) -> Duration {
        self.services
            .iter()
            .filter(|(other, _)| *other != name)
            .map(|(_, past)| past.since)
            .max()
            .unwrap_or_default()
    }
}

impl Past {
    /// The last starts all ended in the same error.
    pub(super) fn loops(&self) -> bool {
        let last = self
            .failures
            .iter()
            .rev()
            .take(STARTS_OF_A_CRASH_LOOP)
            .collect::<Vec<_>>();
        last.len() == STARTS_OF_A_CRASH_LOOP
            && last.windows(2).all(|pair| pair[0].error == pair[1].error)
    }

    /// A crash loop is one state, else two loops would keep each other alive.
    fn state_now(&self, service: &SeenService) -> String {
        if self.loops() {
            return "crash loop".to_owned();
        }
        let tasks = service
            .tasks
            .iter()
            .map(|task| format!("{} {}", task.id, task.state))
            .collect::<Vec<_>>();
        format!("{:?} {}", service.update, tasks.join(", "))
    }
}
