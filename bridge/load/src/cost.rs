//! What the bridge costs: idle with many repositories, when many pull requests changed, and how
//! long a comment waits for its build.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use forge_model::{Kind, When};

use crate::life::Life;
use crate::outside::{Outside, memory, processor};
use crate::settle::deeds;
use crate::step;
use crate::world::{BOT, CI, MEMBERS, STRANGERS, Size, World};

const REPOSITORIES: usize = 1_000;
/// In each repository, on one pull request, before the bridge begins.
const OLD: usize = 100;
const ROUNDS: u64 = 40;
const CHANGED: usize = 50;
const COMMENTS: usize = 20;
/// As the bridge has it where nobody sets it.
const LOOK_MS: u64 = 3_000;
const LIMIT: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(20);
/// How long nothing but polls is asked when all is done; more than a look at a run takes to come.
const QUIET: Duration = Duration::from_millis(3_500);

/// What was measured.
#[derive(Debug, Clone)]
pub struct Figures {
    pub repositories: usize,
    pub old_comments: usize,
    pub rounds: u64,
    /// Requests of an idle round.
    pub idle_requests: f64,
    /// Processor time of an idle round.
    pub idle_ms: f64,
    /// Resident memory at the end, and the most there was.
    pub resident_mib: f64,
    pub most_mib: f64,
    pub changed: usize,
    /// Processor time until all is done.
    pub chatter_s: f64,
    pub commands_s: f64,
    /// From the answer that first shows a comment to the request that starts its build.
    pub start_ms: Vec<f64>,
}

struct Bench {
    world: World,
    outside: Outside,
    life: Life,
    pid: u32,
    pulls: Vec<(String, u64)>,
    seen: Arc<Mutex<Vec<(Instant, Kind)>>>,
}

/// Measures one bridge, with nothing that fails.
pub async fn cost(binary: &Path) -> Result<Figures> {
    let bench = Bench::new(binary).await?;
    bench.quiet().await?;
    let (rounds, idle_requests, idle_ms) = bench.idle().await?;
    let chatter_s = bench.chatter().await?;
    let commands_s = bench.commands().await?;
    let mut start_ms = Vec::new();
    for nth in 0..COMMENTS {
        let pull = &bench.pulls[2 * CHANGED + nth];
        start_ms.push(bench.one(pull).await?.as_secs_f64() * 1_000.0);
    }
    bench.quiet().await?;
    let figures = Figures {
        repositories: REPOSITORIES,
        old_comments: REPOSITORIES * OLD,
        rounds,
        idle_requests,
        idle_ms,
        resident_mib: memory(bench.pid, "VmRSS")?,
        most_mib: memory(bench.pid, "VmHWM")?,
        changed: CHANGED,
        chatter_s,
        commands_s,
        start_ms,
    };
    bench.life.stop().await?;
    Ok(figures)
}

impl Bench {
    async fn new(binary: &Path) -> Result<Self> {
        let world = World::new(Size {
            enrolled: REPOSITORIES,
            late: 0,
            hooked: 0,
        })
        .await?;
        world.settings(0, LOOK_MS)?;
        world.drone.set_capacity(8);
        step::act(&world.drone, Arc::clone(&world.busy));
        let mut pulls = Vec::new();
        for repo in &world.enrolled {
            let (number, _) = world.open(repo, MEMBERS[0])?;
            for nth in 0..OLD {
                let text = if nth % 10 == 0 {
                    "!testme"
                } else {
                    "Thank you!"
                };
                world.gitea.comment(repo, number, MEMBERS[nth % 4], text)?;
            }
            pulls.push((repo.clone(), number));
        }
        let seen = Arc::new(Mutex::new(Vec::new()));
        for (traffic, kind, when) in [
            (world.gitea.traffic(), Kind::IssueSearch, When::After),
            (world.drone.traffic(), Kind::BuildStart, When::Before),
        ] {
            let seen = Arc::clone(&seen);
            traffic.on_request(move |request| {
                if request.kind == kind && request.when == when {
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.push((Instant::now(), kind));
                }
                std::future::ready(())
            });
        }
        let outside = Outside::new(world.bridge())?;
        let life = Life::new(binary.to_owned(), world.config(), world.log());
        let pid = life.start(None)?;
        let bench = Self {
            world,
            outside,
            life,
            pid,
            pulls,
            seen,
        };
        bench.ready().await?;
        Ok(bench)
    }

    async fn ready(&self) -> Result<()> {
        let until = Instant::now() + LIMIT;
        let mut every = tokio::time::interval(LOOK * 5);
        while !self.outside.is_ready().await {
            every.tick().await;
            ensure!(
                Instant::now() < until,
                "the bridge is not ready after {LIMIT:?}"
            );
        }
        Ok(())
    }

    fn rounds(&self) -> u64 {
        self.world.gitea.traffic().count(Kind::IssueSearch)
    }

    /// Waits until `done`, which is cheap to ask.
    async fn until(&self, what: &str, mut done: impl FnMut() -> bool) -> Result<()> {
        let until = Instant::now() + LIMIT;
        let mut every = tokio::time::interval(LOOK);
        while !done() {
            every.tick().await;
            ensure!(Instant::now() < until, "{what}: not within {LIMIT:?}");
        }
        Ok(())
    }

    /// Waits until nothing but the poll is asked.
    async fn quiet(&self) -> Result<()> {
        let deeds = || deeds(&self.world.gitea, &self.world.drone);
        let (mut last, mut since) = (deeds(), Instant::now());
        self.until("quiet", || {
            let now = deeds();
            if now != last {
                (last, since) = (now, Instant::now());
            }
            since.elapsed() >= QUIET
        })
        .await
    }

    async fn idle(&self) -> Result<(u64, f64, f64)> {
        let begin = self.rounds();
        // From the end of one round to the end of another.
        self.until("a round", || self.rounds() > begin).await?;
        let (first, requests) = (self.rounds(), self.world.gitea.traffic().total());
        let time = processor(self.pid)?;
        self.until("idle rounds", || self.rounds() >= first + ROUNDS)
            .await?;
        let rounds = self.rounds() - first;
        let requests = self.world.gitea.traffic().total() - requests;
        let time = processor(self.pid)?.saturating_sub(time);
        let each = |all: f64| all / rounds as f64;
        Ok((
            rounds,
            each(requests as f64),
            each(time.as_secs_f64() * 1_000.0),
        ))
    }

    /// Fifty pull requests get a comment that is no command.
    async fn chatter(&self) -> Result<f64> {
        let time = processor(self.pid)?;
        for (repo, number) in &self.pulls[..CHANGED] {
            let text = "I don't think that !testme would find it.";
            self.world
                .gitea
                .comment(repo, *number, STRANGERS[0], text)?;
        }
        let next = self.rounds() + 1;
        self.until("a round", || self.rounds() > next).await?;
        self.quiet().await?;
        Ok(processor(self.pid)?.saturating_sub(time).as_secs_f64())
    }

    /// Fifty get a command: until each of their runs is over and said.
    async fn commands(&self) -> Result<f64> {
        let time = processor(self.pid)?;
        for (repo, number) in &self.pulls[CHANGED..2 * CHANGED] {
            self.world
                .gitea
                .comment(repo, *number, MEMBERS[1], "!testme")?;
        }
        self.until("builds", || {
            let builds = self.world.drone.builds(CI);
            builds.len() == CHANGED && builds.iter().all(|build| build.status.is_final())
        })
        .await?;
        self.quiet().await?;
        let said = self.world.gitea.comments_by(BOT);
        let open = said.iter().find(|said| {
            let head = said.body.lines().find(|line| line.starts_with("**"));
            head.is_none_or(|head| head.starts_with("**Queued") || head.starts_with("**Running"))
        });
        ensure!(
            said.len() == CHANGED && open.is_none(),
            "{open:?} of {}",
            said.len()
        );
        Ok(processor(self.pid)?.saturating_sub(time).as_secs_f64())
    }

    /// One command on a quiet forge.
    async fn one(&self, (repo, number): &(String, u64)) -> Result<Duration> {
        let posted = Instant::now();
        self.world
            .gitea
            .comment(repo, *number, MEMBERS[2], "!testme")?;
        let started = |kind| {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let of_kind = seen.iter().filter(|(at, of)| *of == kind && *at >= posted);
            of_kind.map(|(at, _)| *at).min()
        };
        self.until("its build", || started(Kind::BuildStart).is_some())
            .await?;
        let seen = started(Kind::IssueSearch).context("it was found by a poll")?;
        let build = started(Kind::BuildStart).context("it was started")?;
        Ok(build.saturating_duration_since(seen))
    }
}
