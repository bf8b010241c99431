//! One look at a stack: services and tasks, as far as convergence is concerned.
//!
//! This file must not know: what the facts mean; that is [`super::judge`]'s.

use std::collections::{BTreeMap, HashMap};

use bollard::errors::Error;
use bollard::models::{Service, ServiceUpdateStatusStateEnum, Task, TaskSpec, TaskState};
use bollard::query_parameters::{
    InspectContainerOptions, ListServicesOptions, ListTasksOptions, LogsOptionsBuilder,
};
use futures_util::StreamExt;

use super::{Swarm, of_stack};
use crate::recipe::StackName;

/// Of a container's log, in search of its last line.
const MOST_READ: usize = 32 * 1024 * 1024;
const MOST_KEPT: usize = 64 * 1024;

/// What one look saw, by the services' short names.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observation {
    pub services: BTreeMap<String, SeenService>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct SeenService {
    pub update: Option<ServiceUpdateStatusStateEnum>,
    /// Oldest first.
    pub tasks: Vec<SeenTask>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SeenTask {
    pub id: String,
    pub state: TaskState,
    pub desired: TaskState,
    /// Whether it runs what the service's spec asks for now.
    pub current: bool,
    pub error: Option<String>,
    pub exit_code: Option<i64>,
    pub container: Option<String>,
}

impl SeenTask {
    /// It ended, and not because it was told to.
    pub fn failed(&self) -> bool {
        matches!(
            self.state,
            TaskState::FAILED | TaskState::REJECTED | TaskState::ORPHANED
        ) || (self.state == TaskState::COMPLETE && self.desired != TaskState::COMPLETE)
    }

    /// Its container was killed because its healthcheck failed.
    pub fn is_unhealthy(&self) -> bool {
        let error = self.error.as_deref().unwrap_or_default();
        self.failed() && error.contains("unhealthy container")
    }

    pub fn runs(&self) -> bool {
        self.state == TaskState::RUNNING && self.desired == TaskState::RUNNING
    }
}

pub async fn look(swarm: &Swarm, stack: &StackName) -> Result<Observation, Error> {
    let (services, tasks) = tokio::try_join!(services(swarm, stack), tasks(swarm, stack))?;
    Ok(observation(stack, &services, tasks))
}

pub async fn services(swarm: &Swarm, stack: &StackName) -> Result<Vec<Service>, Error> {
    let options = ListServicesOptions {
        filters: Some(of_stack(stack)),
        status: None,
    };
    swarm.docker().list_services(Some(options)).await
}

/// All tasks of the stack that the engine still remembers, oldest first.
pub async fn tasks(swarm: &Swarm, stack: &StackName) -> Result<Vec<Task>, Error> {
    let options = ListTasksOptions {
        filters: Some(of_stack(stack)),
    };
    let mut tasks = swarm.docker().list_tasks(Some(options)).await?;
    tasks.sort_by(|a, b| (&a.created_at, &a.id).cmp(&(&b.created_at, &b.id)));
    Ok(tasks)
}

/// The name of a service without the stack's prefix.
pub fn short_name(stack: &StackName, service: &Service) -> String {
    let name = service
        .spec
        .as_ref()
        .and_then(|spec| spec.name.as_deref())
        .unwrap_or_default();
    name.strip_prefix(&stack.object(""))
        .unwrap_or(name)
        .to_owned()
}

fn observation(stack: &StackName, services: &[Service], tasks: Vec<Task>) -> Observation {
    let mut seen = Observation::default();
    let mut by_id = HashMap::new();
    for service in services {
        let name = short_name(stack, service);
        let template = service
            .spec
            .as_ref()
            .and_then(|spec| spec.task_template.as_ref());
        by_id.insert(service.id.clone(), (name.clone(), template));
        let update = service
            .update_status
            .as_ref()
            .and_then(|status| status.state);
        seen.services.insert(
            name,
            SeenService {
                update,
                tasks: Vec::new(),
            },
        );
    }
    for task in tasks {
        let Some((name, template)) = by_id.get(&task.service_id) else {
            continue;
        };
        let current = match (task.spec.as_ref(), template) {
            (Some(task), Some(service)) => same_spec(task, service),
            _ => false,
        };
        if let Some(service) = seen.services.get_mut(name) {
            service.tasks.push(seen_task(task, current));
        }
    }
    seen
}

/// Placement apart: the swarm keeps a running task when only that changed.
fn same_spec(task: &TaskSpec, service: &TaskSpec) -> bool {
    let without_placement = |spec: &TaskSpec| TaskSpec {
        placement: None,
        // Not always filled in on both sides.
        runtime: None,
        force_update: Some(spec.force_update.unwrap_or(0)),
        ..spec.clone()
    };
    without_placement(task) == without_placement(service)
}

pub fn seen_task(task: Task, current: bool) -> SeenTask {
    let status = task.status.unwrap_or_default();
    let container = status.container_status.unwrap_or_default();
    SeenTask {
        id: task.id.unwrap_or_default(),
        state: status.state.unwrap_or(TaskState::NEW),
        desired: task.desired_state.unwrap_or(TaskState::NEW),
        current,
        error: status.err.filter(|text| !text.is_empty()),
        // Before a container ended the engine says 0.
        exit_code: container.exit_code,
        container: container.container_id.filter(|id| !id.is_empty()),
    }
}

/// Why a task's container ended, in its own words: the last of its healthcheck where it was killed
/// for that, else of its log.
pub async fn cause_of(swarm: &Swarm, task: &SeenTask) -> Option<String> {
    let container = task.container.as_deref()?;
    if task.is_unhealthy()
        && let Some(line) = last_of_healthcheck(swarm, container).await
    {
        return Some(line);
    }
    last_words(swarm, container).await
}

/// What the healthchecks of tasks say that are not yet well, each with its service.
pub async fn of_healthchecks(swarm: &Swarm, seen: &Observation) -> Vec<String> {
    let mut words = Vec::new();
    for (name, service) in &seen.services {
        let mut starting = service
            .tasks
            .iter()
            .filter(|task| task.state == TaskState::STARTING && task.desired == TaskState::RUNNING);
        if let Some(container) = starting
            .next_back()
            .and_then(|task| task.container.as_deref())
            && let Some(line) = last_of_healthcheck(swarm, container).await
        {
            words.push(format!("the healthcheck of {name} says `{line}`"));
        }
    }
    words
}

async fn last_of_healthcheck(swarm: &Swarm, container: &str) -> Option<String> {
    let options = None::<InspectContainerOptions>;
    let inspected = swarm.docker().inspect_container(container, options).await;
    let log = inspected.ok()?.state?.health?.log?;
    let mut failed = log.into_iter().filter(|one| one.exit_code != Some(0));
    meaningful_line(&failed.next_back()?.output?)
}

/// The last line of a container's log that says something.
async fn last_words(swarm: &Swarm, container: &str) -> Option<String> {
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .tail("20")
        .build();
    let mut text: Vec<u8> = Vec::new();
    let mut read = 0;
    let mut log = std::pin::pin!(swarm.docker().logs(container, Some(options)));
    while let Some(Ok(chunk)) = log.next().await {
        let chunk = chunk.as_ref();
        text.extend_from_slice(chunk);
        read += chunk.len();
        if read > MOST_READ {
            break;
        }
        // Only the end counts, and before it there may be a line of any length.
        if text.len() > 2 * MOST_KEPT {
            text.drain(..text.len() - MOST_KEPT);
        }
    }
    meaningful_line(&String::from_utf8_lossy(&text))
}

/// The last line with a word in it that is no frame of a stack trace, without colours, bounded.
fn meaningful_line(log: &str) -> Option<String> {
    const LONGEST: usize = 300;
    let line = log.lines().rev().map(plain).find(|line| {
        line.chars().filter(|c| c.is_alphanumeric()).count() >= 2
            && !line.starts_with("at ")
            && !line.starts_with("File \"")
    })?;
    Some(if line.chars().count() > LONGEST {
        line.chars().take(LONGEST).chain(['…']).collect()
    } else {
        line
    })
}

/// Without escape sequences and other control characters.
fn plain(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            if chars.next() == Some('[') {
                chars.by_ref().find(|c| c.is_ascii_alphabetic());
            }
        } else if c.is_control() {
            out.push(' ');
        } else {
            out.push(c);
        }
    }
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::last("one\ntwo\n\n", Some("two"))]
    #[case::no_word("FATAL: no database\n----\n}\n", Some("FATAL: no database"))]
    #[case::frames(
        "Error: boom\n    at f (x.js:1)\n    at g (y.js:2)\n",
        Some("Error: boom")
    )]
    #[case::colours("\u{1b}[31mred\u{1b}[0m alert\r\n", Some("red alert"))]
    #[case::nothing("\n \n", None)]
    fn the_last_meaningful_line(#[case] log: &str, #[case] expected: Option<&str>) {
        assert_eq!(meaningful_line(log).as_deref(), expected);
    }

    #[test]
    fn a_huge_line_is_cut() {
        let line = meaningful_line(&"x".repeat(100_000)).unwrap();
        assert_eq!(line.chars().count(), 301);
    }

    #[test]
    fn a_change_of_placement_alone_leaves_a_task_current() {
        let placed = TaskSpec {
            placement: Some(bollard::models::TaskSpecPlacement::default()),
            ..TaskSpec::default()
        };
        assert!(same_spec(&TaskSpec::default(), &placed));
        let forced = TaskSpec {
            force_update: Some(1),
            ..TaskSpec::default()
        };
        assert!(!same_spec(&TaskSpec::default(), &forced));
    }
}
