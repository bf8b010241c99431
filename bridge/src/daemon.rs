//! The bridge, put together from its settings: every loop of it, until it is told to end.

use std::fs;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::bridge::{Bridge, Rules};
use crate::config::{self, Config};
use crate::drive::Drive;
use crate::executor::{Drone, DroneSettings, Executor, Local, LocalSettings, RunDirs};
use crate::forge::{self, Forge};
use crate::http::SetupError;
use crate::judge::Judge;
use crate::metrics::Metrics;
use crate::say::Say;
use crate::serve::{self, Nudge, Shared};
use crate::store::{self, Store, StoreError};
use crate::{poll, shown, stage};

/// Hints that wait to be written down; more are dropped, for polling finds the comments too.
const NUDGES: usize = 1024;
/// How often figures that are read from the store are read.
const FIGURES: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error("the folder {path} can't be made; name another one with `state`")]
    Folder { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("nothing can listen on {at}; name another address with `listen`")]
    Listen {
        at: std::net::SocketAddr,
        source: io::Error,
    },
    #[error("signals can't be listened for")]
    Signals(#[source] io::Error),
    #[error("a loop of the bridge panicked; nothing is lost, start it again: {0}")]
    Panicked(String),
}

impl DaemonError {
    /// Whether it is the settings' fault, and not the machine's.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Folder { .. } | Self::Setup(_) | Self::Listen { .. } => true,
            Self::Store(error) => {
                matches!(error, StoreError::Newer { .. } | StoreError::Locked { .. })
            }
            Self::Signals(_) | Self::Panicked(_) => false,
        }
    }
}

/// Runs until SIGTERM or SIGINT.
pub async fn run(config: Config) -> Result<(), DaemonError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(DaemonError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DaemonError::Signals)?;
    let until = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    run_until(config, until).await
}

/// Runs until a future is over. What is begun then is ended, and the rest is done by the next one.
pub async fn run_until(config: Config, until: impl Future<Output = ()>) -> Result<(), DaemonError> {
    let state = config.state.clone();
    fs::create_dir_all(&state).map_err(|source| DaemonError::Folder {
        path: state.clone(),
        source,
    })?;
    let store = Store::open(&state)?;
    let forge = client(&config)?;
    let executor = executor(&config.executor)?;
    let at = config.listen;
    let listener = TcpListener::bind(at)
        .await
        .map_err(|source| DaemonError::Listen { at, source })?;
    let metrics = Arc::new(Metrics::new());
    let rules = rules(&config);
    let bridge = Arc::new(Bridge::new(
        forge,
        executor,
        store,
        rules,
        Arc::clone(&metrics),
    ));
    let (stop, stopped) = watch::channel(false);
    let mut loops = JoinSet::new();
    start(&mut loops, &bridge, &stopped);
    let checked = tokio::spawn(check_once(Arc::clone(&bridge)));
    let (nudges, hints) = mpsc::channel(NUDGES);
    loops.spawn(take_hints(Arc::clone(&bridge), hints, stopped.clone()));
    loops.spawn(figures(Arc::clone(&bridge), stopped.clone()));
    let shared = Arc::new(Shared {
        webhook: config.webhook.clone(),
        nudges,
        ready: {
            let bridge = Arc::clone(&bridge);
            Arc::new(move || shown::ready(&bridge))
        },
        page: {
            let bridge = Arc::clone(&bridge);
            Arc::new(move || shown::page(Arc::clone(&bridge)).boxed())
        },
        metrics,
    });
    let mut end = stopped.clone();
    loops.spawn(async move {
        let until = async move {
            let _ = end.wait_for(|stop| *stop).await;
        };
        serve::serve(listener, shared, until).await;
    });
    tracing::info!(%at, version = env!("CARGO_PKG_VERSION"), "the bridge is up");
    let failed = until_told(&mut loops, until).await;
    stop.send_replace(true);
    tracing::info!("ends");
    checked.abort();
    while loops.join_next().await.is_some() {}
    failed
}

fn start(loops: &mut JoinSet<()>, bridge: &Arc<Bridge>, stopped: &watch::Receiver<bool>) {
    for owner in poll::owners(&bridge.rules) {
        loops.spawn(poll::run(Arc::clone(bridge), owner, stopped.clone()));
    }
    let judge = Arc::new(Judge(Arc::clone(bridge)));
    let drive = Arc::new(Drive::new(Arc::clone(bridge)));
    let say = Arc::new(Say::new(Arc::clone(bridge)));
    loops.spawn(stage::run(
        judge,
        Arc::clone(&bridge.wake.judge),
        stopped.clone(),
    ));
    loops.spawn(stage::run(
        drive,
        Arc::clone(&bridge.wake.drive),
        stopped.clone(),
    ));
    loops.spawn(stage::run(
        say,
        Arc::clone(&bridge.wake.say),
        stopped.clone(),
    ));
}

/// Until it is told to end, or until a loop is gone that should never end.
async fn until_told(
    loops: &mut JoinSet<()>,
    until: impl Future<Output = ()>,
) -> Result<(), DaemonError> {
    let mut until = pin!(until);
    tokio::select! {
        () = &mut until => Ok(()),
        Some(ended) = loops.join_next() => Err(DaemonError::Panicked(match ended {
            Err(error) => error.to_string(),
            Ok(()) => "it ended by itself".to_owned(),
        })),
    }
}

pub(crate) fn client(config: &Config) -> Result<Forge, SetupError> {
    Forge::new(forge::Settings {
        url: config.forge.url.clone(),
        token: config.forge.token.clone(),
        ca: config.forge.ca_file.clone(),
        bot: config.forge.bot.clone(),
    })
}

pub(crate) fn executor(config: &config::Executor) -> Result<Box<dyn Executor>, SetupError> {
    Ok(match config {
        config::Executor::Drone(drone) => Box::new(Drone::new(DroneSettings {
            url: drone.url.clone(),
            token: drone.token.clone(),
            ca: drone.ca_file.clone(),
            repository: drone.repository.clone(),
            branch: drone.branch.clone(),
            timeout: drone.timeout,
            runs: drone.runs.clone().map(RunDirs::new),
        })?),
        config::Executor::Local(local) => Box::new(Local::new(LocalSettings {
            program: local.program.clone(),
            folder: local.folder.clone(),
            runs: RunDirs::new(local.runs.clone()),
            slots: local.slots,
        })),
    })
}

pub(crate) fn rules(config: &Config) -> Rules {
    let topics = config.poll.organisations.iter();
    Rules {
        bot: config.forge.bot.clone(),
        repositories: config.poll.repositories.clone(),
        topics: topics
            .map(|organisation| (organisation.name.clone(), organisation.topic.clone()))
            .collect(),
        allowed: config.allowlist.clone(),
        forge: config.forge.url.as_str().trim_end_matches('/').to_owned(),
        report: config.report.clone(),
        poll: config.poll.interval,
        settle: config.forge.settle,
        look: config.look,
    }
}

/// Writes down where a webhook says that something changed.
async fn take_hints(
    bridge: Arc<Bridge>,
    mut hints: mpsc::Receiver<Nudge>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let Nudge { repo, number } = tokio::select! {
            Some(hint) = hints.recv() => hint,
            _ = stop.changed() => return,
            else => return,
        };
        let nudged = bridge.store.write(move |db| {
            let owner = poll::source_of(repo.owner());
            let source = store::source(db, &owner)?;
            // One that nobody polls, or before the first poll: there is nothing to look from.
            if let Some(source) = source {
                store::nudge(db, &repo, number, source.cursor)?;
            }
            Ok(())
        });
        match nudged.await {
            Ok(()) => bridge.wake.judge.notify_one(),
            Err(error) => tracing::warn!("a hint is lost, polling finds it: {error}"),
        }
    }
}

/// Figures that nobody counts as they come.
async fn figures(bridge: Arc<Bridge>, mut stop: watch::Receiver<bool>) {
    let mut every = tokio::time::interval(FIGURES);
    loop {
        tokio::select! {
            _ = every.tick() => shown::figures(&bridge).await,
            _ = stop.changed() => return,
        }
    }
}

/// What the executor finds wrong with itself is shown, and no reason not to start.
async fn check_once(bridge: Arc<Bridge>) {
    for (number, finding) in bridge.executor.check().await.into_iter().enumerate() {
        if !finding.good {
            tracing::warn!("{}", finding.text);
            bridge
                .troubles
                .set(&format!("check {number}"), &finding.text);
        }
    }
}
