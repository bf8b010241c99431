//! What a failure leaves for people to read, each a bounded text file.
//!
//! Invariants: a look that fails is written down and stops nothing; whatever a container says is
//! made text and redacted before it is cut, so that no half of a secret stays.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use bollard::query_parameters::{InspectContainerOptions, LogsOptionsBuilder};
use futures_util::StreamExt;

use super::look::{self, seen_task};
use super::{Swarm, because};
use crate::recipe::StackName;

const LARGEST_FILE: usize = 256 * 1024;
/// What is read of a log; redaction needs whole values, so it is more than what is kept.
const LARGEST_READ: usize = 2 * LARGEST_FILE;
const LONGEST_LINE: usize = 4096;
const LOG_WITHIN: Duration = Duration::from_secs(10);

/// Writes what is known of the stack below `dir`, and returns the names of the files there.
pub async fn collect(
    swarm: &Swarm,
    stack: &StackName,
    dir: &Path,
    redact: &(dyn Fn(&str) -> String + Sync),
) -> Vec<String> {
    let mut written = Vec::new();
    let mut write = |name: String, text: String| {
        let text = bounded(&redact(&text));
        let done =
            std::fs::create_dir_all(dir).and_then(|()| std::fs::write(dir.join(&name), text));
        if done.is_ok() {
            written.push(name);
        }
    };
    write("services.txt".to_owned(), services(swarm, stack).await);
    write("tasks.txt".to_owned(), tasks(swarm, stack).await);
    write("health.txt".to_owned(), health(swarm, stack).await);
    let mut services = look::services(swarm, stack).await.unwrap_or_default();
    services.sort_by_key(|service| look::short_name(stack, service));
    for service in services {
        let short = look::short_name(stack, &service);
        let id = service.id.unwrap_or_default();
        write(
            format!("log-{}.txt", file_name(&short)),
            service_log(swarm, &id).await,
        );
    }
    written
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
        .tail("200")
        .build();
    let mut log = Vec::new();
    let mut cut = false;
    let mut trouble = String::new();
    let read = async {
        let mut stream = std::pin::pin!(swarm.docker().service_logs(service, Some(options)));
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => log.extend_from_slice(chunk.as_ref()),
                Err(error) => {
                    trouble = format!("\n(reading the log: {})\n", because(&error));
                    break;
                }
            }
            if log.len() > LARGEST_READ {
                // The end says more than the beginning.
                log.drain(..log.len() - LARGEST_READ);
                cut = true;
            }
        }
    };
    if tokio::time::timeout(LOG_WITHIN, read).await.is_err() {
        trouble = format!("\n(the log did not end within {LOG_WITHIN:?})\n");
    }
    if cut {
        // Of a secret that the cut went through no half may stay.
        let line = log.iter().position(|byte| *byte == b'\n');
        log.drain(..line.unwrap_or(LONGEST_LINE.min(log.len())));
    }
    let mut text = String::from_utf8_lossy(&log).into_owned();
    if text.is_empty() && trouble.is_empty() {
        text.push_str("(the log is empty)\n");
    }
    text + &trouble
}

/// At most [`LARGEST_FILE`] bytes, the end of it, with long lines cut and no control characters.
fn bounded(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LARGEST_FILE));
    for line in text.lines() {
        let mut chars = line.chars().map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        });
        out.extend(chars.by_ref().take(LONGEST_LINE));
        let cut = chars.count();
        if cut > 0 {
            let _ = write!(out, "… ({cut} more characters)");
        }
        out.push('\n');
    }
    if out.len() > LARGEST_FILE {
        const NOTE: &str = "(the beginning is cut)\n";
        let from = out.len() - (LARGEST_FILE - NOTE.len());
        let from = (from..out.len())
            .find(|at| out.is_char_boundary(*at))
            .unwrap_or(out.len());
        out.replace_range(..from, NOTE);
    }
    out
}

/// Service names come from a recipe.
fn file_name(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .take(64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_bounded_and_keeps_the_end() {
        let text = format!("{}the end", "é line\n".repeat(100_000));
        let out = bounded(&text);
        assert!(out.len() <= LARGEST_FILE, "{}", out.len());
        assert!(out.starts_with("(the beginning is cut)\n"));
        assert!(out.ends_with("the end\n"));
    }

    #[test]
    fn a_huge_line_is_cut_and_says_so() {
        let out = bounded(&"x".repeat(1_000_000));
        assert!(out.ends_with("… (995904 more characters)\n"));
    }

    #[test]
    fn a_service_name_leads_nowhere() {
        assert_eq!(file_name("../../etc/passwd"), "______etc_passwd");
    }
}
