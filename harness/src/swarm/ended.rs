//! Why a task ended or does not start, in words.

use bollard::models::TaskState;

use super::look::{SeenService, SeenTask};

/// What a task says of its end: `exit 1`, or the engine's error.
pub fn error_of(task: &SeenTask) -> String {
    let error = task.error.as_deref().unwrap_or_default();
    let code = task.exit_code.unwrap_or(0);
    let plain_exit = error.is_empty() || error.starts_with("task: non-zero exit");
    if is_unhealthy(task) {
        return "the health check failed".to_owned();
    }
    match (task.state, plain_exit) {
        (TaskState::ORPHANED, true) => "its node is gone".to_owned(),
        (TaskState::REJECTED, true) => "rejected".to_owned(),
        (TaskState::COMPLETE, _) => "exit 0, where it should go on running".to_owned(),
        (_, true) => format!("exit {code}"),
        (_, false) => error.to_owned(),
    }
}

/// Whether its health check ended it: `task: non-zero exit (137): dockerexec: unhealthy container`,
/// where 137 says only that it was killed for that.
pub fn is_unhealthy(task: &SeenTask) -> bool {
    task.error
        .as_deref()
        .is_some_and(|error| error.contains("unhealthy container"))
}

/// What the newest task that failed or finds no node says.
pub fn newest_error(service: &SeenService) -> Option<String> {
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

/// Waits for a node: drained, down, without room, or with the port taken.
pub fn nowhere_to_run(task: &SeenTask) -> bool {
    task.state == TaskState::PENDING
        && task.desired <= TaskState::RUNNING
        && task
            .error
            .as_deref()
            .is_some_and(|error| error.contains("no suitable node"))
}
