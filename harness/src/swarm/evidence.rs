//! What is known of a stack where something failed: services, tasks, health, logs.
//!
//! Invariants: a look that fails is written down and stops nothing; whatever a container says is
//! redacted before it is cut, so that no half of a secret stays.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use bollard::query_parameters::{InspectContainerOptions, LogsOptionsBuilder};
use futures_util::future::join_all;

use super::logs::{self, Stamps};
use super::look::{self, seen_task};
use super::{Swarm, because};
use crate::evidence::{Piece, file_name};
use crate::recipe::StackName;

const LOG_WITHIN: Duration = Duration::from_secs(10);
/// Lines of each service.
const LINES: &str = "200";

/// The name of the file with the log of a service.
pub fn log_file(service: &str) -> String {
    format!("log-{}.txt", file_name(service))
}

/// What is known of the stack; the logs in the order of their services' names.
pub async fn collect(swarm: &Swarm, stack: &StackName) -> Vec<Piece> {
    let mut listed = look::services(swarm, stack).await.unwrap_or_default();
    listed.sort_by_key(|service| look::short_name(stack, service));
    let logs = join_all(listed.into_iter().map(|service| async move {
        let short = look::short_name(stack, &service);
        let id = service.id.unwrap_or_default();
        Piece::new(log_file(&short), service_log(swarm, &id).await)
    }));
    let (services, tasks, health, logs) = tokio::join!(
        services(swarm, stack),
        tasks(swarm, stack),
        health(swarm, stack),
        logs
    );
    let mut pieces = vec![
        Piece::new("services.txt", services),
        Piece::new("tasks.txt", tasks),
        Piece::new("health.txt", health),
    ];
    pieces.extend(logs);
    pieces
}

async fn services(swarm: &Swarm, stack: &StackName) -> String {
    let live = match super::live(swarm, stack).await {
        Ok(live) => live,
        Err(fault) => return format!("{fault}\n"),
    };
    if live.is_empty() {
        return format!("The stack {stack} has no services.\n");
    }
    let mut text = String::new();
    for service in live {
        let wanted = match service.replicas {
            Some(replicas) => replicas.to_string(),
            None => "global".to_owned(),
        };
        let _ = writeln!(
            text,
            "{}: {} running, wanted {wanted}, update {}, image {}",
            service.name,
            service.containers.len(),
            service.update.as_deref().unwrap_or("none"),
            service.image
        );
    }
    text
}

async fn tasks(swarm: &Swarm, stack: &StackName) -> String {
    let listed = tokio::try_join!(look::services(swarm, stack), look::tasks(swarm, stack));
    let (services, tasks) = match listed {
        Ok(listed) => listed,
        Err(error) => return format!("listing the tasks of {stack}: {}\n", because(&error)),
    };
    let mut text = String::new();
    for task in tasks {
        let service = services
            .iter()
            .find(|service| service.id == task.service_id)
            .map_or_else(
                || "(removed service)".to_owned(),
                |service| look::short_name(stack, service),
            );
        let created = task.created_at.clone().unwrap_or_default();
        let task = seen_task(task, true);
        let _ = writeln!(
            text,
            "{created} {service} {} is {}, should be {}{}{}",
            task.id,
            task.state,
            task.desired,
            task.exit_code
                .filter(|_| task.failed())
                .map(|code| format!(", exit {code}"))
                .unwrap_or_default(),
            task.error
                .map(|error| format!(": {error}"))
                .unwrap_or_default(),
        );
    }
    if text.is_empty() {
        text = format!("The stack {stack} has no tasks.\n");
    }
    text
}

async fn health(swarm: &Swarm, stack: &StackName) -> String {
    let tasks = match look::tasks(swarm, stack).await {
        Ok(tasks) => tasks,
        Err(error) => return format!("listing the tasks of {stack}: {}\n", because(&error)),
    };
    let containers = tasks
        .into_iter()
        .filter_map(|task| seen_task(task, true).container)
        .collect::<BTreeSet<_>>();
    let mut text = String::new();
    for id in containers {
        let inspected = swarm
            .docker()
            .inspect_container(&id, None::<InspectContainerOptions>)
            .await;
        let inspected = match inspected {
            Ok(inspected) => inspected,
            Err(error) => {
                let _ = writeln!(text, "container {id}: {}", because(&error));
                continue;
            }
        };
        let state = inspected.state.unwrap_or_default();
        let name = inspected.name.unwrap_or(id);
        let _ = write!(
            text,
            "{}: {}, exit {}, out of memory: {}",
            name.trim_start_matches('/'),
            state.status.map(|s| s.to_string()).unwrap_or_default(),
            state.exit_code.unwrap_or_default(),
            state.oom_killed.unwrap_or_default(),
        );
        let Some(health) = state.health else {
            text.push_str(", no health check\n");
            continue;
        };
        let _ = writeln!(
            text,
            ", health {}",
            health.status.map(|s| s.to_string()).unwrap_or_default()
        );
        for probe in health.log.unwrap_or_default() {
            let _ = writeln!(
                text,
                "  {} exit {}: {}",
                probe.start.unwrap_or_default(),
                probe.exit_code.unwrap_or_default(),
                probe.output.unwrap_or_default().trim_end()
            );
        }
    }
    text
}

async fn service_log(swarm: &Swarm, service: &str) -> String {
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .tail(LINES)
        .build();
    let log = swarm.docker().service_logs(service, Some(options));
    let redactor = swarm.redactor.now();
    let (mut text, trouble) = logs::read(log, Stamps::Yes, &redactor, LOG_WITHIN).await;
    match trouble {
        Some(trouble) => text.push_str(&format!("({trouble})\n")),
        None if text.is_empty() => text.push_str("(the log is empty)\n"),
        None => {}
    }
    text
}
