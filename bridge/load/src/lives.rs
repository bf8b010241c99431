//! Starts the bridge again whenever it is gone, and sees to it that it goes.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use bridge::point::Point;
use forge_model::{Kind, When};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::life::{Life, Server, Shot};
use crate::world::World;

/// How long a life may last whose end does not come.
const PATIENCE: Duration = Duration::from_secs(4);
/// One life in so many is ended by a signal that it can hear.
const GRACEFUL: u64 = 14;
const SIGKILL: i32 = 9;

const SHOTS: [(Server, Kind); 13] = [
    (Server::Forge, Kind::CommentCreate),
    (Server::Drone, Kind::BuildStart),
    (Server::Forge, Kind::CommentEdit),
    (Server::Forge, Kind::StatusCreate),
    (Server::Forge, Kind::Reaction),
    (Server::Drone, Kind::Build),
    (Server::Forge, Kind::ThreadComments),
    (Server::Drone, Kind::BuildCancel),
    (Server::Forge, Kind::IssueSearch),
    (Server::Forge, Kind::Pull),
    (Server::Forge, Kind::Member),
    (Server::Drone, Kind::Builds),
    (Server::Drone, Kind::BuildLogs),
];

/// How the lives ended.
#[derive(Debug, Clone, Default)]
pub struct Deaths {
    pub by_point: BTreeMap<&'static str, u64>,
    pub by_request: BTreeMap<String, u64>,
    /// Told to end, and did with 0.
    pub graceful: u64,
    /// The longest that took.
    pub slowest: Duration,
    /// Lives that did not come to where they were to be killed.
    pub missed: u64,
    /// Ends that nobody asked for, or that were not as they should be.
    pub odd: Vec<String>,
    /// Milliseconds since the begin, and what it was.
    pub log: Vec<(u128, String)>,
}

impl Deaths {
    pub fn kills(&self) -> u64 {
        self.by_point.values().chain(self.by_request.values()).sum()
    }

    pub fn unkilled(&self) -> Vec<&'static str> {
        let names = Point::ALL.iter().map(|point| point.name());
        names
            .filter(|name| !self.by_point.contains_key(name))
            .collect()
    }
}

enum Plan {
    Point(Point, u64),
    Shot(Shot),
    Graceful,
}

pub struct Lives {
    world: Arc<World>,
    pub life: Life,
    rng: StdRng,
    begun: Instant,
    lives: u64,
    next_point: usize,
    next_shot: usize,
    late: usize,
    pub deaths: Deaths,
}

impl Lives {
    pub fn new(world: Arc<World>, life: Life, seed: u64, begun: Instant) -> Self {
        Self {
            world,
            life,
            rng: StdRng::seed_from_u64(seed),
            begun,
            lives: 0,
            next_point: 0,
            next_shot: 0,
            late: 0,
            deaths: Deaths::default(),
        }
    }

    /// The next life, from its start to its end.
    pub async fn next(&mut self) -> Result<()> {
        self.lives += 1;
        match self.plan()? {
            Plan::Point(point, nth) => {
                self.life.start(Some(&format!("{}:{nth}", point.name())))?;
                match self.life.end_within(PATIENCE).await? {
                    Some(status) if status.signal() == Some(SIGKILL) => {
                        *self.deaths.by_point.entry(point.name()).or_default() += 1;
                        self.log(format!("killed at {} {nth}", point.name()));
                    }
                    Some(status) => self.odd(status),
                    None => self.missed(point.name(), Some(point)).await?,
                }
            }
            Plan::Shot(shot) => {
                self.life.start(None)?;
                self.life.aim(shot);
                match self.life.end_within(PATIENCE).await? {
                    Some(status) if status.signal() == Some(SIGKILL) && self.life.was_shot() => {
                        *self.deaths.by_request.entry(shot.name()).or_default() += 1;
                        self.log(format!("killed {} {}", shot.name(), shot.nth));
                    }
                    Some(status) => self.odd(status),
                    None => self.missed(&shot.name(), None).await?,
                }
            }
            Plan::Graceful => {
                self.life.start(None)?;
                let time = Duration::from_millis(self.rng.random_range(300..1_500));
                match self.life.end_within(time).await? {
                    Some(status) => self.odd(status),
                    None => self.stop().await?,
                }
            }
        }
        Ok(())
    }

    fn plan(&mut self) -> Result<Plan> {
        if self.lives.is_multiple_of(GRACEFUL) {
            return Ok(Plan::Graceful);
        }
        if self.lives.is_multiple_of(4) {
            let (server, kind) = SHOTS[self.next_shot % SHOTS.len()];
            // Each kind before and after, by turns.
            let turn = self.next_shot / SHOTS.len() + self.next_shot;
            self.next_shot += 1;
            let when = if turn.is_multiple_of(2) {
                When::After
            } else {
                When::Before
            };
            return Ok(Plan::Shot(Shot {
                server,
                kind,
                when,
                nth: self.rng.random_range(1..=3),
            }));
        }
        let point = Point::ALL[self.next_point % Point::ALL.len()];
        let first_round = self.next_point < Point::ALL.len();
        // Those that never killed are tried again first.
        let unkilled = |point: &&Point| !self.deaths.by_point.contains_key(point.name());
        let again = Point::ALL.iter().find(unkilled);
        let point = again.filter(|_| !first_round).copied().unwrap_or(point);
        self.next_point += 1;
        if point == Point::Enrolling {
            // Each repository is enrolled once.
            self.late += 1;
            self.world
                .settings(self.late.min(self.world.late.len()), 100)?;
            if self.late > self.world.late.len() {
                return self.plan();
            }
            return Ok(Plan::Point(point, 1));
        }
        let nth = if first_round || again.is_some() {
            1
        } else {
            self.rng.random_range(1..=3)
        };
        Ok(Plan::Point(point, nth))
    }

    async fn missed(&mut self, what: &str, point: Option<Point>) -> Result<()> {
        self.deaths.missed += 1;
        self.log(format!("did not come to {what}"));
        let (status, took) = self.life.stop().await?;
        match point {
            // On its way to the end it came there after all.
            Some(point) if status.signal() == Some(SIGKILL) => {
                *self.deaths.by_point.entry(point.name()).or_default() += 1;
            }
            _ => self.stopped(status, took),
        }
        Ok(())
    }

    /// Tells it to end.
    pub async fn stop(&mut self) -> Result<()> {
        let (status, took) = self.life.stop().await?;
        self.stopped(status, took);
        Ok(())
    }

    fn stopped(&mut self, status: ExitStatus, took: Duration) {
        if status.code() == Some(0) {
            self.deaths.graceful += 1;
            self.deaths.slowest = self.deaths.slowest.max(took);
            self.log(format!("told to end, took {} ms", took.as_millis()));
        } else {
            self.odd(status);
        }
    }

    fn odd(&mut self, status: ExitStatus) {
        let text = format!("the bridge ended with {status}, and nobody wanted that");
        self.log(text.clone());
        self.deaths.odd.push(text);
    }

    fn log(&mut self, text: String) {
        self.deaths
            .log
            .push((self.begun.elapsed().as_millis(), text));
    }
}
