//! The trial itself: the world, the faults, the lives, and the judgement at the end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::sync::watch;

use crate::life::{Life, Server};
use crate::lives::Lives;
use crate::outside::Outside;
use crate::poster::{Pace, Poster, Script};
use crate::report::Report;
use crate::settle::settled;
use crate::world::{Size, World};
use crate::{deliver, faults, step};

/// How large a trial is.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The bridge.
    pub binary: PathBuf,
    pub comments: u64,
    pub repositories: usize,
    /// At least so often it is killed, and once at each of its fault points.
    pub kills: u64,
    pub seed: u64,
    /// About this part of the comments is more than talk.
    pub commands: f64,
    /// How long all of it may take.
    pub deadline: Duration,
}

/// About how long a life lasts.
const LIFE: f64 = 1.3;
const UP: Duration = Duration::from_secs(60);

/// Posts, kills, waits until all is settled, and judges.
pub async fn exactly_once(settings: &Settings) -> Result<Report> {
    let begun = Instant::now();
    let size = Size {
        enrolled: settings.repositories,
        late: usize::try_from(settings.kills)? / 20 + 2,
        hooked: settings.repositories.div_ceil(2),
    };
    let world = Arc::new(World::new(size).await?);
    world.drone.set_capacity(8);
    step::act(&world.drone, Arc::clone(&world.busy));
    let outside = Outside::new(world.bridge())?;
    let life = Life::new(settings.binary.clone(), world.config(), world.log());
    let mut lives = Lives::new(Arc::clone(&world), life.clone(), settings.seed, begun);
    let mut poster = Poster::new(Arc::clone(&world), settings.seed + 1, begun);
    poster.old()?;
    first_life(&life, &outside).await?;

    faults::begin(&world, settings.seed + 2);
    aim(&world, &life);
    let (stop, stopped) = watch::channel(false);
    let count = Arc::new(AtomicU64::new(0));
    let a_second = settings.comments as f64 / (settings.kills as f64 * LIFE);
    let pace = Pace {
        a_second,
        comments: settings.comments,
        commands: settings.commands,
    };
    let posting = tokio::spawn(poster.run(pace, Arc::clone(&count), stopped.clone()));
    let (seed, between) = (settings.seed + 3, jumps(settings));
    let weather = faults::weather(Arc::clone(&world), seed, between, stopped.clone());
    let weather = tokio::spawn(weather);
    let sending = deliver::deliver(
        Arc::clone(&world),
        outside.clone(),
        settings.seed + 4,
        stopped.clone(),
    );
    let sending = tokio::spawn(sending);
    while lives.deaths.kills() < settings.kills
        || !lives.deaths.unkilled().is_empty()
        || count.load(Ordering::Relaxed) < settings.comments
    {
        lives.next().await?;
        ensure!(!posting.is_finished(), "nobody posts any more");
        if begun.elapsed() > settings.deadline {
            bail!(
                "after {:?} the bridge was killed {} times, never at {:?}",
                settings.deadline,
                lives.deaths.kills(),
                lives.deaths.unkilled()
            );
        }
    }
    stop.send_replace(true);
    let script = posting.await??;
    let weather = weather.await?;
    let sent = sending.await?;
    faults::end(&world);
    world.gitea.traffic().no_hook();
    world.drone.traffic().no_hook();

    let killed = begun.elapsed();
    let left = settings.deadline.saturating_sub(killed);
    let (facts, found) = last_life(&world, &mut lives, &outside, &script, &sent, left).await?;
    Ok(Report {
        seed: settings.seed,
        deaths: lives.deaths.clone(),
        faults: world.gitea.faults().happened() + world.drone.faults().happened(),
        requests: world.gitea.traffic().total() + world.drone.traffic().total(),
        took: begun.elapsed(),
        settling: begun.elapsed().saturating_sub(killed),
        log: std::fs::read_to_string(world.log()).unwrap_or_default(),
        weather,
        sent,
        facts,
        violations: found,
    })
}

fn jumps(settings: &Settings) -> Duration {
    let all = Duration::from_secs_f64(settings.kills as f64 * LIFE);
    (all / 5).clamp(Duration::from_secs(5), Duration::from_secs(60))
}

/// Nothing fails yet: all repositories are enrolled in it.
async fn first_life(life: &Life, outside: &Outside) -> Result<()> {
    life.start(None)?;
    let until = Instant::now() + UP;
    let mut every = tokio::time::interval(Duration::from_millis(50));
    while !outside.is_ready().await {
        every.tick().await;
        if let Some(status) = life.end_within(Duration::ZERO).await? {
            bail!("the bridge ended at once: {status}");
        }
        ensure!(
            Instant::now() < until,
            "the bridge is not ready after {UP:?}"
        );
    }
    life.stop().await.context("the first life")?;
    Ok(())
}

/// Shots are fired at requests.
fn aim(world: &World, life: &Life) {
    let own = life.clone();
    world.gitea.traffic().on_request(move |seen| {
        own.seen(Server::Forge, seen);
        std::future::ready(())
    });
    let own = life.clone();
    world.drone.traffic().on_request(move |seen| {
        own.seen(Server::Drone, seen);
        std::future::ready(())
    });
}

/// Undisturbed until all is settled; then it is started once more, and hooks come again that came
/// before: nothing may change.
async fn last_life(
    world: &World,
    lives: &mut Lives,
    outside: &Outside,
    script: &Script,
    sent: &deliver::Sent,
    left: Duration,
) -> Result<(crate::oracle::Facts, Vec<crate::oracle::Violation>)> {
    lives.life.start(None)?;
    let (facts, found) = settled(world, outside, script, left).await?;
    if !found.is_empty() {
        return Ok((facts, found));
    }
    lives.stop().await?;
    lives.life.start(None)?;
    let until = Instant::now() + UP;
    let mut every = tokio::time::interval(Duration::from_millis(50));
    while !outside.is_ready().await {
        every.tick().await;
        ensure!(
            Instant::now() < until,
            "the bridge is not ready after {UP:?}"
        );
    }
    for delivery in &sent.kept {
        deliver::send(outside, delivery).await;
    }
    let again = settled(world, outside, script, left).await?;
    lives.stop().await?;
    ensure!(
        again.0.builds.len() == facts.builds.len() && again.0.said.len() == facts.said.len(),
        "a restart brought new builds or comments: {} and {} before, {} and {} after",
        facts.builds.len(),
        facts.said.len(),
        again.0.builds.len(),
        again.0.said.len()
    );
    Ok(again)
}
