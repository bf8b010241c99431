//! One life of the bridge, and how it ends.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bridge::point;
use forge_model::{Kind, Seen, When};
use rustix::process::{Pid, Signal, kill_process};

/// What `cargo xtask test` gives to all that it starts.
const TEST_RUN: &str = "CCCI_TEST_RUN";
/// How often it is looked whether it is still there.
const LOOK: Duration = Duration::from_millis(5);
/// How long it may take to end when it is told to.
pub const GRACE: Duration = Duration::from_secs(12);

/// Which of the two models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Forge,
    Drone,
}

/// At a request it is killed: just before or just after it is done.
#[derive(Debug, Clone, Copy)]
pub struct Shot {
    pub server: Server,
    pub kind: Kind,
    pub when: When,
    /// The request of this kind, from 1.
    pub nth: u64,
}

impl Shot {
    pub fn name(&self) -> String {
        let when = match self.when {
            When::Before => "before",
            When::After => "after",
        };
        format!("{when} {:?}", self.kind)
    }
}

#[derive(Default)]
struct Held {
    child: Option<Child>,
    shot: Option<Shot>,
    fired: bool,
}

/// The bridge's process: started, shot at, told to end.
#[derive(Clone)]
pub struct Life {
    held: Arc<Mutex<Held>>,
    binary: PathBuf,
    config: PathBuf,
    log: PathBuf,
}

impl Life {
    pub fn new(binary: PathBuf, config: PathBuf, log: PathBuf) -> Self {
        Self {
            held: Arc::default(),
            binary,
            config,
            log,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts it, with a fault point at which it kills itself, if any.
    pub fn start(&self, kill: Option<&str>) -> Result<u32> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("opening {}", self.log.display()))?;
        let mut command = Command::new(&self.binary);
        command
            .arg("--config")
            .arg(&self.config)
            .env_clear()
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        if let Some(kill) = kill {
            command.env(point::KILL, kill);
        }
        // By this whoever runs the tests knows what they left, should they be killed themselves.
        if let Some(run) = std::env::var_os(TEST_RUN) {
            command.env(TEST_RUN, run);
        }
        let child = command.spawn();
        let child = child.with_context(|| format!("starting {}", self.binary.display()))?;
        let id = child.id();
        *self.lock() = Held {
            child: Some(child),
            ..Held::default()
        };
        Ok(id)
    }

    pub fn aim(&self, shot: Shot) {
        self.lock().shot = Some(shot);
    }

    /// A request was seen: maybe the one at which to shoot.
    pub fn seen(&self, server: Server, seen: Seen) {
        let mut held = self.lock();
        let Some(shot) = &mut held.shot else { return };
        if shot.server != server || shot.kind != seen.kind || shot.when != seen.when {
            return;
        }
        shot.nth -= 1;
        if shot.nth == 0 {
            held.shot = None;
            held.fired = true;
            if let Some(child) = &mut held.child {
                // One that is gone already was not killed by this: its status says so.
                let _ = child.kill();
            }
        }
    }

    /// Whether it was shot at a request.
    pub fn was_shot(&self) -> bool {
        self.lock().fired
    }

    /// How it ended, if it did.
    fn ended(&self) -> Result<Option<ExitStatus>> {
        let mut held = self.lock();
        let child = held.child.as_mut().context("the bridge was not started")?;
        Ok(child.try_wait()?)
    }

    /// Waits for its end; none: it still lives.
    pub async fn end_within(&self, time: Duration) -> Result<Option<ExitStatus>> {
        let until = Instant::now() + time;
        let mut every = tokio::time::interval(LOOK);
        loop {
            every.tick().await;
            if let Some(status) = self.ended()? {
                return Ok(Some(status));
            }
            if Instant::now() >= until {
                return Ok(None);
            }
        }
    }

    /// Tells it to end. How it did, and after how long.
    pub async fn stop(&self) -> Result<(ExitStatus, Duration)> {
        let asked = Instant::now();
        {
            let mut held = self.lock();
            held.shot = None;
            let child = held.child.as_ref().context("the bridge was not started")?;
            // It is not reaped, so the id is its own, or its corpse's.
            kill_process(Pid::from_child(child), Signal::TERM)?;
        }
        let status = self.end_within(GRACE).await?;
        if status.is_none()
            && let Some(child) = &mut self.lock().child
        {
            child.kill()?;
            child.wait()?;
        }
        ensure!(
            status.is_some(),
            "the bridge was told to end and did not within {GRACE:?}"
        );
        Ok((status.context("it ended")?, asked.elapsed()))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may be over long since.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
