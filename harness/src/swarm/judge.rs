//! From what was seen to a verdict on convergence: pure, so that it is tested with tables.
//!
//! Converged means: every wanted service exists; as many of its tasks run its present spec as are
//! wanted, zero included; nothing of an older spec still runs; no update is in progress. An update
//! that was rolled back is a failure, whatever the counts say.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::models::{ServiceUpdateStatusStateEnum as Update, TaskState};

use super::ended::{newest_error, nowhere_to_run};
use super::look::{Observation, SeenService, SeenTask};
use super::memory::{Failure, Memory, Past};
use crate::cause::Trouble;
use crate::fault::Fault;
use crate::wait::Seconds;

/// How many tasks of a service are to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Replicas(u64),
    /// One on every node that the swarm finds suitable, and at least one.
    Global,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Ready,
    /// Not yet: the status, and whose fault it is if the deadline passes like this.
    NotYet(Fault),
    Never(Fault),
}

/// An update that was just asked for shows within about 50 ms; before this, counts of the old spec
/// and the update state of the last deploy could be taken for an answer.
const UPDATES_SHOW_WITHIN: Duration = Duration::from_millis(250);
/// A task runs for a moment even if its program ends at once: so long all tasks must have run.
const STEADY: Duration = Duration::from_millis(300);
/// The same once a task failed. As long as the swarm itself watches an update by default.
const STEADY_AFTER_FAILURE: Duration = Duration::from_secs(5);

impl Memory {
    /// What the look that was noted last means.
    pub fn judge(
        &self,
        seen: &Observation,
        wanted: &BTreeMap<String, Wanted>,
        now: Duration,
    ) -> Verdict {
        if wanted.is_empty() {
            return Verdict::Never(Fault::recipe("no service is wanted: nothing can converge"));
        }
        let mut missing = Vec::new();
        for (name, wanted) in wanted {
            let Some(service) = seen.services.get(name) else {
                missing.push(Fault::recipe(format!("{name}: no such service")));
                continue;
            };
            if let Some(fault) = self.hopeless(name, service, now) {
                return Verdict::Never(fault);
            }
            missing.extend(
                self.lacks(name, service, *wanted)
                    .or_else(|| self.unsteady(name, now)),
            );
        }
        if missing.is_empty() && self.steady.is_none() && now < UPDATES_SHOW_WITHIN {
            missing.push(Fault::infra("looking whether an update begins"));
        }
        if missing.is_empty() {
            return Verdict::Ready;
        }
        let infra = missing.iter().all(|fault| matches!(fault, Fault::Infra(_)));
        let text = missing
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; ");
        Verdict::NotYet(if infra {
            Fault::Infra(text)
        } else {
            Fault::Recipe(text)
        })
    }

    /// Why no wait can help this service.
    fn hopeless(&self, name: &str, service: &SeenService, now: Duration) -> Option<Fault> {
        let past = self.services.get(name)?;
        if let Some(Update::ROLLBACK_COMPLETED | Update::ROLLBACK_PAUSED) = service.update
            && now >= UPDATES_SHOW_WITHIN
        {
            return Some(update_failed(name, "was rolled back", past, service));
        }
        let known = |failure: &Failure| Some((failure.trouble()?, failure.text()));
        if let Some((trouble, text)) = past.failures.iter().find_map(known) {
            return Some(blame(Some(trouble), format!("{name}: {text}")));
        }
        if past.loops() && self.others_quiet_since(name) + self.quiet <= now {
            let count = match past.failures.len() {
                3 => "three".to_owned(),
                more => more.to_string(),
            };
            let last = past.failures.last()?.text();
            return Some(Fault::recipe(format!(
                "{name}: task failed {count} times: {last}"
            )));
        }
        if service.update == Some(Update::PAUSED)
            && service.tasks.iter().any(is_old)
            && past.since + self.quiet <= now
        {
            let what = "is paused and an old task stays";
            return Some(update_failed(name, what, past, service));
        }
        let stuck = service.tasks.iter().any(nowhere_to_run);
        if stuck && past.since + self.quiet <= now {
            let why = newest_error(service).unwrap_or_default();
            return Some(Fault::infra(format!("{name}: {why}")));
        }
        None
    }

    /// As many run as are wanted, but not for long enough to count.
    fn unsteady(&self, name: &str, now: Duration) -> Option<Fault> {
        let past = self.services.get(name)?;
        let known = self.steady.iter().flatten();
        let steady = match past.failures.last() {
            Some(_) => STEADY_AFTER_FAILURE,
            None if past
                .running
                .iter()
                .all(|task| known.clone().any(|one| one == task)) =>
            {
                Duration::ZERO
            }
            None => STEADY,
        };
        if past.running.is_empty() || past.running_since + steady <= now {
            return None;
        }
        let failure = past
            .failures
            .last()
            .map(|failure| format!(", last failure: {}", failure.text()))
            .unwrap_or_default();
        Some(Fault::recipe(format!(
            "{name}: running for {} so far{failure}",
            Seconds(now.saturating_sub(past.running_since))
        )))
    }

    /// What this service lacks, if anything.
    fn lacks(&self, name: &str, service: &SeenService, wanted: Wanted) -> Option<Fault> {
        let tasks = &service.tasks;
        let running = tasks
            .iter()
            .filter(|task| task.current && task.runs())
            .count() as u64;
        let goal = match wanted {
            Wanted::Replicas(replicas) => replicas,
            Wanted::Global => tasks
                .iter()
                .filter(|task| task.desired == TaskState::RUNNING)
                .count()
                .max(1) as u64,
        };
        let mut status = Vec::new();
        if running != goal {
            status.push(format!("{running} of {goal} running"));
        }
        let old = tasks.iter().filter(|task| is_old(task)).count();
        if old > 0 {
            status.push(format!("{old} old still there"));
        }
        match service.update {
            Some(Update::UPDATING) => status.push("the update goes on".to_owned()),
            Some(Update::ROLLBACK_STARTED) => status.push("the update is rolled back".to_owned()),
            _ => {}
        }
        if status.is_empty() {
            return None;
        }
        let last = self
            .services
            .get(name)
            .and_then(|past| past.failures.last());
        if let Some(failure) = last {
            status.push(format!("last failure: {}", failure.text()));
        }
        let waits = tasks.iter().rev().find(|task| {
            task.desired <= TaskState::RUNNING && task.state < TaskState::RUNNING && !task.failed()
        });
        if let Some(task) = waits {
            status.push(match &task.error {
                Some(error) => format!("a task is {}: {error}", task.state),
                None => format!("a task is {}", task.state),
            });
        }
        let text = format!("{name}: {}", status.join(", "));
        let infra = tasks.iter().any(nowhere_to_run)
            || last
                .and_then(Failure::trouble)
                .is_some_and(|trouble| !trouble.is_of_recipe());
        Some(if infra {
            Fault::Infra(text)
        } else {
            Fault::Recipe(text)
        })
    }
}

/// Runs, and is not what is asked for now.
fn is_old(task: &SeenTask) -> bool {
    task.state == TaskState::RUNNING && !(task.current && task.runs())
}

fn update_failed(name: &str, what: &str, past: &Past, service: &SeenService) -> Fault {
    let last = past.failures.last();
    let cause = last.map_or_else(
        || newest_error(service).unwrap_or_else(|| "the cause is not known".to_owned()),
        Failure::text,
    );
    let trouble = last.map_or_else(|| Trouble::of(&cause), Failure::trouble);
    blame(trouble, format!("{name}: the update {what}: {cause}"))
}

fn blame(trouble: Option<Trouble>, text: String) -> Fault {
    match trouble {
        Some(trouble) if !trouble.is_of_recipe() => Fault::Infra(text),
        _ => Fault::Recipe(text),
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
