//! Webhooks, by a forge and a network at their worst: at once, late, twice, out of order, never.

use std::sync::Arc;
use std::time::Duration;

use forge_model::gitea::Delivery;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::outside::Outside;
use crate::world::World;

const EVERY: Duration = Duration::from_millis(50);
const AT_ONCE: usize = 8;
/// How many are kept, to be sent once more at the very end.
const KEPT: usize = 64;

/// What was sent.
#[derive(Debug, Default)]
pub struct Sent {
    pub tries: u64,
    pub taken: u64,
    pub never: u64,
    pub kept: Vec<Delivery>,
}

/// Sends until told to stop.
pub async fn deliver(
    world: Arc<World>,
    outside: Outside,
    seed: u64,
    mut stop: watch::Receiver<bool>,
) -> Sent {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut every = tokio::time::interval(EVERY);
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut sends = JoinSet::new();
    let mut sent = Sent::default();
    loop {
        tokio::select! {
            _ = every.tick() => {}
            _ = stop.changed() => break,
        }
        let mut new = world.gitea.deliveries();
        if rng.random_bool(0.3) {
            new.reverse();
        }
        for delivery in new {
            if sent.kept.len() < KEPT {
                sent.kept.push(delivery.clone());
            }
            let late = Duration::from_millis(rng.random_range(200..2_500));
            let delays: &[Duration] = match rng.random_range(0..10) {
                0..=3 => &[Duration::ZERO],
                4 | 5 => &[late],
                6 => &[Duration::ZERO, late],
                _ => &[],
            };
            sent.never += u64::from(delays.is_empty());
            for delay in delays {
                let at = Instant::now() + *delay;
                let (outside, slots) = (outside.clone(), Arc::clone(&slots));
                let delivery = delivery.clone();
                sends.spawn(async move {
                    sleep_until(at).await;
                    let _slot = slots.acquire().await;
                    send(&outside, &delivery).await
                });
            }
        }
        while let Some(done) = sends.try_join_next() {
            sent.tries += 1;
            sent.taken += u64::from(done.unwrap_or(false));
        }
    }
    sends.shutdown().await;
    sent
}

/// Whether the bridge took it.
pub async fn send(outside: &Outside, delivery: &Delivery) -> bool {
    let mut request = outside.client().post(&delivery.url);
    for (name, value) in &delivery.headers {
        request = request.header(*name, value);
    }
    let answer = request.body(delivery.body.clone()).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}
