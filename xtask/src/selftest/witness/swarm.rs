//! What the engine was given: each service, config, volume and network as it was made or changed, and
//! each container that was started. It tells what was in the swarm for a moment only, too.

use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::wait::{Probe, Unwatched, wait_until};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use super::docker;

const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(60);

/// One thing that the engine was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `service`, `config`, `volume`, `network`, `container`.
    pub kind: String,
    /// Of a container: its service's.
    pub name: String,
    /// The engine's own description of it.
    pub text: String,
    /// What a config has inside.
    pub content: String,
}

pub struct SwarmWatch {
    mark: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    turns: AtomicU32,
    _client: Child,
}

impl SwarmWatch {
    pub fn start(mark: &str) -> Result<Self> {
        let mut client = Command::new("docker")
            .args(["events", "--format", "{{json .}}"])
            .args(
                ["service", "config", "volume", "network", "container"]
                    .map(|kind| format!("--filter=type={kind}")),
            )
            .args(["create", "update", "start"].map(|action| format!("--filter=event={action}")))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting docker events")?;
        let stdout = client.stdout.take().context("it has a pipe")?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(follow(stdout, Arc::clone(&seen)));
        Ok(Self {
            mark: mark.to_owned(),
            seen,
            turns: AtomicU32::new(0),
            _client: client,
        })
    }

    /// All so far. A volume of ours that is made now is waited for: what came before it was seen.
    pub async fn seen(&self) -> Result<Vec<Seen>> {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let last = format!("{}-turn-{turn}", self.mark);
        docker(&["volume", "create", &last]).await?;
        let all = wait_until(
            "docker's account of what it was given",
            CAUGHT_UP_WITHIN,
            Duration::from_millis(20),
            &Unwatched,
            || async {
                let seen = self.seen.lock().expect("nobody panics with it");
                match seen.iter().any(|one| one.name == last) {
                    true => Probe::Ready(seen.clone()),
                    false => Probe::NotYet(format!("{} so far", seen.len())),
                }
            },
        );
        let all = all.await;
        docker(&["volume", "rm", &last]).await?;
        Ok(all?)
    }
}

async fn follow(stdout: ChildStdout, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Some(one) = read(&line).await else {
            continue;
        };
        seen.lock().expect("nobody panics with it").push(one);
    }
}

/// An event, and what it is of. None where it is no event of ours to see.
async fn read(line: &str) -> Option<Seen> {
    let event: Value = serde_json::from_str(line).ok()?;
    let actor = event.get("Actor")?;
    let attribute = |name: &str| actor.get("Attributes")?.get(name)?.as_str();
    let id = actor.get("ID")?.as_str()?;
    let kind = event.get("Type")?.as_str()?;
    let name = match kind {
        "container" => attribute("com.docker.swarm.service.name")?,
        "volume" => id,
        _ => attribute("name").unwrap_or(id),
    };
    // A container's is its service's. What is gone by now was not there for long, and its name tells.
    let mut text = String::new();
    if kind != "container" {
        let inspected = docker(&[kind, "inspect", "--format", "{{json .}}", id]).await;
        text = inspected.unwrap_or_default();
    }
    let content = content(&mut text);
    Some(Seen {
        kind: kind.to_owned(),
        name: name.to_owned(),
        text,
        content,
    })
}

/// Takes a config's content, which is in base64, out of its description.
fn content(text: &mut String) -> String {
    let Ok(mut config) = serde_json::from_str::<Value>(text) else {
        return String::new();
    };
    let data = config.pointer_mut("/Spec/Data").map(Value::take);
    let data = data.and_then(|data| STANDARD.decode(data.as_str()?).ok());
    if let Some(content) = data {
        *text = config.to_string();
        return String::from_utf8_lossy(&content).into_owned();
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configs_content_is_read() {
        let mut text = r#"{"Spec":{"Data":"aGVsbG8=","Name":"x"}}"#.to_owned();
        assert_eq!(content(&mut text), "hello");
        assert_eq!(text, r#"{"Spec":{"Data":null,"Name":"x"}}"#);
        assert_eq!(content(&mut "{}".to_owned()), "");
    }
}
