//! From what was seen to a verdict on convergence: pure, so that it is tested with tables.
//!
//! Converged means: every wanted service exists; as many of its tasks run its present spec as are
//! wanted, zero included; nothing of an older spec still runs; no update is in progress. An update
//! that was rolled back is a failure, whatever the counts say.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::models::{ServiceUpdateStatusStateEnum as Update, TaskState};

use super::converge::Converged;
use super::look::{Observation, SeenService, SeenTask};
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
const STARTS_OF_A_CRASH_LOOP: usize = 3;
const QUIET_AT_LEAST: Duration = Duration::from_secs(30);

/// What was seen in the looks before this one.
pub struct Memory {
    quiet: Duration,
    /// Tasks that had failed before the first look: another deploy's.
    before: Option<Vec<String>>,
    services: BTreeMap<String, Past>,
    /// Tasks that had run for long enough before the first look: nothing was deployed since.
    steady: Option<Vec<String>>,
}

#[derive(Default)]
struct Past {
    /// Task id, error without and with the last log line; oldest first.
    failures: Vec<Failure>,
    /// Its state at the last look, and when that began.
    state: String,
    since: Duration,
    /// The tasks that ran at the last look, and since when just these.
    running: Vec<String>,
    running_since: Duration,
}

struct Failure {
    task: String,
    error: String,
    log: Option<String>,
}

impl Failure {
    fn text(&self) -> String {
        match &self.log {
            Some(line) => format!("{}: `{line}`", self.error),
            None => self.error.clone(),
        }
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
            let cause = past.failures.last().map_or_else(
                || newest_error(service).unwrap_or_else(|| "the cause is not known".to_owned()),
                Failure::text,
            );
            return Some(blame(
                &cause,
                format!("{name}: the update was rolled back: {cause}"),
            ));
        }
        for failure in &past.failures {
            let text = failure.text();
            if is_infra(&failure.error, failure.log.as_deref()) {
                return Some(Fault::infra(format!("{name}: {text}")));
            }
            if is_permanent(&failure.error) {
                return Some(Fault::recipe(format!("{name}: {text}")));
            }
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
            let cause = past.failures.last().map_or_else(
                || newest_error(service).unwrap_or_else(|| "the cause is not known".to_owned()),
                Failure::text,
            );
            return Some(blame(
                &cause,
                format!("{name}: the update is paused and an old task stays: {cause}"),
            ));
        }
        let stuck = service.tasks.iter().any(nowhere_to_run);
        if stuck && past.since + self.quiet <= now {
            let why = newest_error(service).unwrap_or_default();
            return Some(Fault::infra(format!("{name}: {why}")));
        }
        None
    }

    /// When the last of the other services changed its state.
    fn others_quiet_since(&self, name: &str) -> Duration {
        self.services
            .iter()
            .filter(|(other, _)| *other != name)
            .map(|(_, past)| past.since)
            .max()
            .unwrap_or_default()
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
            || last.is_some_and(|last| is_infra(&last.error, last.log.as_deref()));
        Some(if infra {
            Fault::Infra(text)
        } else {
            Fault::Recipe(text)
        })
    }
}

impl Past {
    /// The last starts all ended in the same error.
    fn loops(&self) -> bool {
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

/// What a task says of its end: `exit 1`, or the engine's error.
pub fn error_of(task: &SeenTask) -> String {
    let error = task.error.as_deref().unwrap_or_default();
    let code = task.exit_code.unwrap_or(0);
    let plain_exit = error.is_empty() || error.starts_with("task: non-zero exit");
    match (task.state, plain_exit) {
        (TaskState::ORPHANED, true) => "its node is gone".to_owned(),
        (TaskState::REJECTED, true) => "rejected".to_owned(),
        (TaskState::COMPLETE, _) => "exit 0, where it should go on running".to_owned(),
        // It was killed for that: its exit code says nothing.
        _ if task.is_unhealthy() => "unhealthy".to_owned(),
        (_, true) => format!("exit {code}"),
        // `task: non-zero exit (1): dockerexec: unhealthy container` and the like say both.
        (_, false) => error.to_owned(),
    }
}

fn newest_error(service: &SeenService) -> Option<String> {
    service
        .tasks
        .iter()
        .rev()
        .find(|task| task.failed() || nowhere_to_run(task))
        .map(|task| match &task.error {
            Some(error) if !task.failed() => error.clone(),
            _ => error_of(task),
        })
}

/// Runs, and is not what is asked for now.
fn is_old(task: &SeenTask) -> bool {
    task.state == TaskState::RUNNING && !(task.current && task.runs())
}

/// Waits for a node: drained, down, without room, or with the port taken.
fn nowhere_to_run(task: &SeenTask) -> bool {
    task.state == TaskState::PENDING
        && task.desired <= TaskState::RUNNING
        && task
            .error
            .as_deref()
            .is_some_and(|error| error.contains("no suitable node"))
}

fn blame(cause: &str, text: String) -> Fault {
    if is_infra(cause, None) {
        Fault::Infra(text)
    } else {
        Fault::Recipe(text)
    }
}

/// Marks of a fault of the host or a registry in what the engine says, and the one that counts in
/// an app's own log too.
fn is_infra(error: &str, log: Option<&str>) -> bool {
    const MARKS: [&str; 9] = [
        "no space left on device",
        "disk quota exceeded",
        "toomanyrequests",
        "rate limit",
        "its node is gone",
        "tls handshake timeout",
        "i/o timeout",
        "cannot allocate memory",
        "context deadline exceeded",
    ];
    let has = |text: &str, mark: &str| text.to_lowercase().contains(mark);
    MARKS.iter().any(|mark| has(error, mark)) || log.is_some_and(|line| has(line, MARKS[0]))
}

/// Causes that no retry cures.
fn is_permanent(error: &str) -> bool {
    const MARKS: [&str; 11] = [
        "no such image",
        "invalid mount config",
        "bind source path does not exist",
        "exec format error",
        "executable file not found",
        "invalid reference format",
        "unable to find user",
        "no matching manifest",
        "repository does not exist",
        "not a directory: are you trying to mount a directory onto a file",
        "invalid containerspec",
    ];
    let lower = error.to_lowercase();
    MARKS.iter().any(|mark| lower.contains(mark))
        || (lower.contains("exec:") && lower.contains("no such file or directory"))
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
