//! Follows a run to the runner's end: shows its events, and passes on every wish to stop.
//!
//! The first wish is a file that the keeper sees: it tears down and the record says who asked. A
//! second one ends the runner as well; the keeper sees that end and tears down all the same.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Result;
use harness::session::paths::Paths;
use results::Follow;
use results::stop::ask_to_stop;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, getppid, pidfd_open};
use tokio::signal::unix::{self, SignalKind};

use super::known::Stage;
use super::runner::Runner;
use crate::progress::Screen;

const LOOK: Duration = Duration::from_millis(200);

/// How the runner ended, and what was seen of the run until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub status: ExitStatus,
    /// Whether a keeper wrote any event.
    pub began: bool,
    /// Whether we were asked to stop.
    pub stopped: bool,
}

/// The process that started us. When it is gone nobody waits for the verdict.
pub struct Parent {
    pid: Pid,
    fd: OwnedFd,
}

impl Parent {
    /// None: it is gone already, or there never was one that we can see.
    pub fn of_this_process() -> Option<Self> {
        let pid = getppid()?;
        let fd = pidfd_open(pid, PidfdFlags::NONBLOCK).ok()?;
        // Opened first, compared after: else it may be another process with that id.
        (getppid() == Some(pid)).then_some(Self { pid, fd })
    }

    /// A thread of its own looks at the descriptor: tokio's way of doing that is `unsafe`.
    async fn gone(self) -> String {
        let name = format!(
            "its starting process ({}) is gone",
            self.pid.as_raw_nonzero()
        );
        let (tell, told) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
            let ended = loop {
                match poll(&mut fds, None) {
                    Err(rustix::io::Errno::INTR) => {}
                    looked => break looked.is_ok(),
                }
            };
            if ended {
                // Nobody listens once the run is over.
                let _ = tell.send(());
            }
        });
        match told.await {
            Ok(()) => name,
            // It can't be watched: then it is not known to be gone.
            Err(_) => std::future::pending().await,
        }
    }
}

/// What a wish to stop comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Ask the keeper.
    Ask,
    /// End the runner as well.
    EndRunner,
    /// It didn't listen.
    KillRunner,
}

impl Stop {
    /// The `n`th wish, counted from 0. Before a keeper `began` there is nobody to ask.
    pub fn of_wish(n: u32, began: bool) -> Self {
        match n + u32::from(!began) {
            0 => Self::Ask,
            1 => Self::EndRunner,
            _ => Self::KillRunner,
        }
    }
}

/// A run's events on the screen, as they come.
pub struct Feed {
    events: Follow,
    path: PathBuf,
    stage: Stage,
    screen: Screen,
}

impl Feed {
    pub fn new(paths: &Paths) -> Self {
        Self {
            events: Follow::new(&paths.events()),
            path: paths.events(),
            stage: Stage::default(),
            screen: Screen::new(),
        }
    }

    /// Shows what is new. A line that can't be read is for the record to say.
    pub fn show(&mut self) -> io::Result<()> {
        let (events, _) = self.events.poll().map_err(io::Error::other)?;
        for event in events {
            self.stage.take(&event.kind);
            self.screen.take(&event);
        }
        self.screen.tick();
        Ok(())
    }

    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Whether a test has come that starts a keeper.
    pub fn began(&self) -> bool {
        self.path.exists()
    }
}

/// The signals by which people and machines ask for an end. Heard from before the runner starts:
/// one that comes earlier would end us alone and leave the runner behind.
pub struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hang_up: unix::Signal,
}

impl Signals {
    pub fn listen() -> Result<Self> {
        Ok(Self {
            interrupt: unix::signal(SignalKind::interrupt())?,
            terminate: unix::signal(SignalKind::terminate())?,
            hang_up: unix::signal(SignalKind::hangup())?,
        })
    }
}

pub async fn follow(
    mut runner: Runner,
    mut signals: Signals,
    parent: Option<Parent>,
    paths: &Paths,
    feed: &mut Feed,
) -> Result<Ended> {
    let mut look = tokio::time::interval(LOOK);
    let mut orphaned = Box::pin(async {
        match parent {
            Some(parent) => parent.gone().await,
            None => std::future::pending().await,
        }
    });
    let mut is_orphan = false;
    let mut wishes = 0;
    let status = loop {
        let by = tokio::select! {
            status = runner.child.wait() => break status?,
            _ = look.tick() => {
                feed.show()?;
                // `cancel` came before there was a keeper to see it.
                if wishes > 0 || feed.began() || !paths.cancel_request().exists() {
                    continue;
                }
                "cargo xtask cancel".to_owned()
            }
            _ = signals.interrupt.recv() => "Ctrl-C".to_owned(),
            _ = signals.terminate.recv() => "SIGTERM".to_owned(),
            _ = signals.hang_up.recv() => "the end of the terminal".to_owned(),
            why = &mut orphaned, if !is_orphan => {
                is_orphan = true;
                why
            }
        };
        let wish = Stop::of_wish(wishes, feed.began());
        stop(&runner, wish, &by, &paths.run, &feed.screen);
        wishes += 1;
    };
    runner.logged().await;
    feed.show()?;
    Ok(Ended {
        status,
        began: feed.began(),
        stopped: wishes > 0,
    })
}

fn stop(runner: &Runner, stop: Stop, by: &str, dir: &Path, screen: &Screen) {
    // A wish that can't be written (the disk is full) is passed on another way.
    let stop = match (ask_to_stop(dir, by), stop) {
        (Err(_), Stop::Ask) => Stop::EndRunner,
        (_, stop) => stop,
    };
    match stop {
        Stop::Ask => {
            screen.say(&format!(
                "{by}: asked the run to stop; it removes the app first. Again to end the tests at once."
            ));
        }
        Stop::EndRunner => {
            screen.say(&format!(
                "{by}: ending the tests; the app is still removed."
            ));
            runner.signal_group(Signal::TERM);
        }
        Stop::KillRunner => {
            screen.say(&format!(
                "{by}: killing the tests; the app is still removed."
            ));
            runner.signal_group(Signal::KILL);
        }
    }
}
