//! What goes wrong in a trial: on the way to both servers, in Drone, and with the forge's clock.

use std::sync::Arc;
use std::time::Duration;

use forge_model::{Fault, Kind, Rule};
use jiff::SignedDuration;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::world::World;

const LATE: Duration = Duration::from_millis(120);
/// A change may take effect this much later than its connection was cut; less than the bridge is
/// told to reckon with.
const APPLIED_LATE: Duration = Duration::from_millis(150);

/// From now on requests fail.
pub fn begin(world: &World, seed: u64) {
    world.gitea.faults().set(seed, rules());
    world.drone.faults().set(seed + 1, rules());
    world.drone.lose_cancels(seed + 2, 0.25);
}

pub fn end(world: &World) {
    world.gitea.faults().clear();
    world.drone.faults().clear();
    world.drone.lose_cancels(0, 0.0);
    world.drone.forge_is_down(false);
}

fn rules() -> Vec<Rule> {
    vec![
        Rule::new(Fault::ClosedAfter).on_writes().rate(0.04),
        Rule::new(Fault::AppliedLate(APPLIED_LATE))
            .on_writes()
            .rate(0.04),
        Rule::new(Fault::ErrorAfter(500)).on_writes().rate(0.03),
        Rule::new(Fault::ErrorAfter(502))
            .on([Kind::BuildStart])
            .rate(0.05),
        Rule::new(Fault::ClosedBefore).rate(0.01),
        Rule::new(Fault::ErrorBefore(503)).rate(0.01),
        Rule::new(Fault::ClosedAfter).rate(0.005),
        Rule::new(Fault::Html).rate(0.01),
        Rule::new(Fault::TooMany { retry_after: 1 }).rate(0.005),
        Rule::new(Fault::Late(LATE)).rate(0.02),
    ]
}

/// How often the forge was unreachable for Drone, and how often its clock jumped.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    pub dial_errors: u64,
    pub jumps: u64,
}

/// Until told to stop. A jump comes each `between`; one back after each one ahead and the other
/// way round, so that the clock is never more than an hour off.
pub async fn weather(
    world: Arc<World>,
    seed: u64,
    between: Duration,
    mut stop: watch::Receiver<bool>,
) -> Weather {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut weather = Weather::default();
    let mut next = Instant::now() + between;
    let mut searches = searched(&world);
    loop {
        let calm = Duration::from_millis(rng.random_range(400..1_500));
        tokio::select! {
            // tidy: sleep: nothing is waited for, this is how long it is fair
            () = sleep(calm) => {}
            _ = stop.changed() => break,
        }
        if rng.random_bool(0.4) {
            world.drone.forge_is_down(true);
            weather.dial_errors += 1;
            // tidy: sleep: and this is how long it is not
            sleep(Duration::from_millis(rng.random_range(50..400))).await;
            world.drone.forge_is_down(false);
        }
        // A clock that goes back and forth between two polls hides what was written meanwhile: no
        // question about changes since a time can find it. So each of its times is polled.
        if Instant::now() >= next && searched(&world) >= searches + 6 {
            let hour = SignedDuration::from_hours(1);
            let ahead = [1, -1, -1, 1][usize::try_from(weather.jumps % 4).unwrap_or(0)];
            world.gitea.clock().jump(hour * ahead);
            weather.jumps += 1;
            next = Instant::now() + between;
            searches = searched(&world);
        }
    }
    weather
}

fn searched(world: &World) -> u64 {
    world.gitea.traffic().count(Kind::IssueSearch)
}
