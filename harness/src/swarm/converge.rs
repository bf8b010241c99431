//! Waiting until a stack runs what its services ask for.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bollard::models::TaskState;
use bollard::query_parameters::InspectContainerOptions;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::ended::{error_of, is_unhealthy};
use super::judge::Verdict;
use super::look::{self, Observation, SeenTask, last_check, last_words, look};
use super::memory::Memory;
use super::{Swarm, because};
use crate::fault::Fault;
use crate::recipe::{Compose, StackName};
use crate::wait::{Probe, Progress, Seconds, WaitError, wait_until};

pub use super::judge::Wanted;

/// The bridge by which containers of overlay networks reach the host, and the host them.
const GATEWAY: &str = "docker_gwbridge";

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a stack was when it had converged, by the services' short names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Converged {
    pub services: BTreeMap<String, ConvergedService>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConvergedService {
    pub tasks: Vec<ConvergedTask>,
    /// Tasks that failed on the way, each with its cause.
    pub restarts: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConvergedTask {
    pub task: String,
    pub container: String,
}

/// Waits until the wanted services of the stack have converged. Call it after the deploy returned.
///
/// The fault is the recipe's or the infrastructure's, by its cause; a deadline that passes is the
/// recipe's, unless Docker did not answer or no node would take a task.
pub async fn converge(
    swarm: &Swarm,
    stack: &StackName,
    wanted: &BTreeMap<String, Wanted>,
    deadline: Duration,
    progress: &dyn Progress,
) -> Result<Converged, Fault> {
    wait(
        swarm,
        stack,
        wanted,
        Memory::new(deadline),
        deadline,
        progress,
    )
    .await
}

/// The same where nothing was deployed since the stack had converged: a task that ran then and runs
/// now has run long enough, and no update is about to begin.
pub async fn still_converged(
    swarm: &Swarm,
    stack: &StackName,
    wanted: &BTreeMap<String, Wanted>,
    then: &Converged,
    deadline: Duration,
    progress: &dyn Progress,
) -> Result<Converged, Fault> {
    let memory = Memory::of_converged(then, deadline);
    wait(swarm, stack, wanted, memory, deadline, progress).await
}

async fn wait(
    swarm: &Swarm,
    stack: &StackName,
    wanted: &BTreeMap<String, Wanted>,
    memory: Memory,
    deadline: Duration,
    progress: &dyn Progress,
) -> Result<Converged, Fault> {
    let started = Instant::now();
    let memory = Mutex::new(memory);
    // Whose fault the last answer was: `wait_until` carries texts only.
    let last = Mutex::new(Fault::infra("Docker never answered"));
    let subject = format!("the services of {stack}");
    let lock = "no probe panics while it holds the lock";
    let found = wait_until(&subject, deadline, LOOK_EVERY, progress, || async {
        let seen = match look(swarm, stack).await {
            Ok(seen) => seen,
            Err(error) => {
                let status = format!("Docker does not answer: {}", because(&error));
                *last.lock().expect(lock) = Fault::infra(&status);
                return Probe::NotYet(status);
            }
        };
        let news = news(&memory.lock().expect(lock), &seen);
        let logs = words_of(swarm, news).await;
        let now = started.elapsed();
        let (verdict, found) = {
            let mut memory = memory.lock().expect(lock);
            memory.note(&seen, now, &logs);
            (
                memory.judge(&seen, wanted, now),
                converged(&seen, wanted, &memory),
            )
        };
        match verdict {
            Verdict::Ready => match ended(swarm, &found).await {
                None => Probe::Ready(found),
                Some(service) => {
                    let status = format!("{service}: its container has just ended");
                    *last.lock().expect(lock) = Fault::recipe(&status);
                    Probe::NotYet(status)
                }
            },
            Verdict::NotYet(fault) => {
                let status = fault.to_string();
                *last.lock().expect(lock) = fault;
                Probe::NotYet(status)
            }
            Verdict::Never(fault) => {
                let reason = fault.to_string();
                *last.lock().expect(lock) = fault;
                Probe::Never(reason)
            }
        }
    })
    .await;
    let text = match found {
        Ok(found) => return Ok(found),
        Err(WaitError::Never { reason, .. }) => reason,
        // What is missing comes first: it is the cause.
        Err(WaitError::TimedOut {
            deadline, status, ..
        }) => {
            let checks = failing_checks(swarm, stack).await;
            format!("{status}{checks} (not within {})", Seconds(deadline))
        }
    };
    Err(match last.into_inner().expect(lock) {
        Fault::Recipe(_) => Fault::Recipe(text),
        Fault::Infra(_) => Fault::Infra(text),
        Fault::Usage(_) => Fault::Usage(text),
    })
}

/// What the health checks of tasks say that are still to become healthy.
async fn failing_checks(swarm: &Swarm, stack: &StackName) -> String {
    let Ok(seen) = look(swarm, stack).await else {
        return String::new();
    };
    let mut text = String::new();
    for (name, service) in &seen.services {
        let starting = |task: &&SeenTask| task.state == TaskState::STARTING;
        let task = service.tasks.iter().rev().find(starting);
        if let Some(container) = task.and_then(|task| task.container.as_ref())
            && let Some(line) = last_check(swarm, container).await
        {
            text.push_str(&format!("; {name}: the health check says `{line}`"));
        }
    }
    text
}

/// What happened to the tasks of a converged stack since: empty if they all still run.
pub async fn restarts(
    swarm: &Swarm,
    stack: &StackName,
    since: &Converged,
) -> Result<Vec<String>, Fault> {
    let seen = look(swarm, stack)
        .await
        .map_err(|error| Swarm::fault(format!("looking at the tasks of {stack}"), &error))?;
    let mut found = Vec::new();
    for (name, service) in &since.services {
        for then in &service.tasks {
            let now = seen
                .services
                .get(name)
                .and_then(|service| service.tasks.iter().find(|task| task.id == then.task));
            found.extend(match now {
                Some(task) if task.runs() => match exit_of(swarm, &then.container).await {
                    Some(code) => {
                        let words = last_words(swarm, &then.container).await;
                        Some(task_ended(name, &format!("exit {code}"), words))
                    }
                    None => None,
                },
                Some(task) if task.failed() => {
                    let words = words_on(swarm, task, &then.container).await;
                    Some(task_ended(name, &error_of(task), words))
                }
                Some(task) => Some(format!("{name}: task is {} now", task.state)),
                None => Some(format!("{name}: task is gone")),
            });
        }
    }
    Ok(found)
}

fn task_ended(service: &str, error: &str, words: Option<String>) -> String {
    let words = words.map(|line| format!(": `{line}`")).unwrap_or_default();
    format!("{service}: task ended: {error}{words}")
}

/// Tasks whose failure is new, with their containers.
fn news(memory: &Memory, seen: &Observation) -> Vec<(SeenTask, String)> {
    seen.services
        .iter()
        .flat_map(|(name, service)| service.tasks.iter().map(move |task| (name, task)))
        .filter(|(name, task)| memory.is_news(name, task))
        .filter_map(|(_, task)| Some((task.clone(), task.container.clone()?)))
        .collect()
}

async fn words_of(swarm: &Swarm, failed: Vec<(SeenTask, String)>) -> BTreeMap<String, String> {
    let mut words = BTreeMap::new();
    for (task, container) in failed {
        let line = words_on(swarm, &task, &container).await;
        words.extend(line.map(|line| (task.id, line)));
    }
    words
}

/// What was said of this task's end: by the health check that ended it, else by the app.
async fn words_on(swarm: &Swarm, task: &SeenTask, container: &str) -> Option<String> {
    if is_unhealthy(task)
        && let Some(line) = last_check(swarm, container).await
    {
        return Some(line);
    }
    last_words(swarm, container).await
}

/// A service of which a container has ended, though its task is said to run still.
async fn ended(swarm: &Swarm, found: &Converged) -> Option<String> {
    let containers = found
        .services
        .iter()
        .flat_map(|(name, service)| service.tasks.iter().map(move |task| (name, task)));
    let looks = containers.map(|(name, task)| async move {
        let exit = exit_of(swarm, &task.container).await;
        exit.map(|_| name.clone())
    });
    join_all(looks).await.into_iter().flatten().next()
}

/// The exit code of a container that has ended.
///
/// The engine tells the swarm of an end once the networks are cleared away, which may take a
/// second. Asked for the container it holds the answer back until then.
async fn exit_of(swarm: &Swarm, container: &str) -> Option<i64> {
    let inspected = swarm
        .docker()
        .inspect_container(container, None::<InspectContainerOptions>)
        .await;
    // One that can't be asked is on another node.
    let state = inspected.ok()?.state?;
    let ended = state.running == Some(false);
    ended.then(|| state.exit_code.unwrap_or_default())
}

fn converged(seen: &Observation, wanted: &BTreeMap<String, Wanted>, memory: &Memory) -> Converged {
    let service = |name: &String| ConvergedService {
        tasks: seen
            .services
            .get(name)
            .into_iter()
            .flat_map(|service| &service.tasks)
            .filter(|task| task.runs())
            .map(converged_task)
            .collect(),
        restarts: memory.failures(name),
    };
    Converged {
        services: wanted
            .keys()
            .map(|name| (name.clone(), service(name)))
            .collect(),
    }
}

fn converged_task(task: &SeenTask) -> ConvergedTask {
    ConvergedTask {
        task: task.id.clone(),
        container: task.container.clone().unwrap_or_default(),
    }
}

/// Where the host reaches the newest running task of a service: its address on the gateway bridge.
pub async fn address(swarm: &Swarm, stack: &StackName, service: &str) -> Result<String, Fault> {
    let container = running_container(swarm, stack, service)
        .await?
        .ok_or_else(|| Fault::recipe(format!("{service}: no task runs")))?;
    let gateway = swarm
        .docker()
        .inspect_network(
            GATEWAY,
            None::<bollard::query_parameters::InspectNetworkOptions>,
        )
        .await
        .map_err(|error| Swarm::fault(format!("looking at the network {GATEWAY}"), &error))?;
    let address = gateway
        .containers
        .unwrap_or_default()
        .remove(&container)
        .and_then(|endpoint| endpoint.ipv4_address)
        .unwrap_or_default();
    match address.split('/').next() {
        Some(host) if !host.is_empty() => Ok(host.to_owned()),
        _ => Err(Fault::infra(format!(
            "{service}: its container has no address on {GATEWAY}"
        ))),
    }
}

/// What the services of a compose model want.
pub fn wanted(compose: &Compose) -> BTreeMap<String, Wanted> {
    compose
        .services
        .iter()
        .map(|(name, service)| {
            let wanted = if service.global {
                Wanted::Global
            } else {
                Wanted::Replicas(service.replicas)
            };
            (name.clone(), wanted)
        })
        .collect()
}

/// The container of the newest running task of a service.
pub async fn running_container(
    swarm: &Swarm,
    stack: &StackName,
    service: &str,
) -> Result<Option<String>, Fault> {
    let seen = look::look(swarm, stack)
        .await
        .map_err(|error| Swarm::fault(format!("looking for {service} of {stack}"), &error))?;
    Ok(seen.services.get(service).and_then(|service| {
        let running = service.tasks.iter().rev().filter(|task| task.runs());
        running.filter_map(|task| task.container.clone()).next()
    }))
}
