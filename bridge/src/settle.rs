//! Requests whose answer was lost: they may still take effect for a while, so nobody looks for what
//! they made, or asks again, before that is over: an older text must not come after a newer one.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// When each request was sent, as far as it is known.
#[derive(Debug)]
pub struct Unsettled<K> {
    sent: Mutex<HashMap<K, Instant>>,
    settle: Duration,
    /// One that is not known was sent by an earlier process, at the latest just before this.
    began: Instant,
}

impl<K: Eq + Hash + Clone> Unsettled<K> {
    pub fn new(settle: Duration) -> Self {
        Self {
            sent: Mutex::default(),
            settle,
            began: Instant::now(),
        }
    }

    /// A request was sent, and its answer is lost.
    pub fn lost(&self, key: &K) {
        self.all().insert(key.clone(), Instant::now());
    }

    /// How long until it can be known what became of a request; none: now.
    pub fn wait(&self, key: &K) -> Option<Duration> {
        let sent = self.all().get(key).copied().unwrap_or(self.began);
        let left = (sent + self.settle).saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    pub fn over(&self, key: &K) {
        self.all().remove(key);
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<K, Instant>> {
        self.sent.lock().expect("nobody panicked with it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn what_an_earlier_process_sent_settles_from_the_start_of_this_one() {
        let unsettled = Unsettled::new(SETTLE);
        assert_eq!(unsettled.wait(&1), Some(SETTLE));
        tokio::time::advance(SETTLE).await;
        assert_eq!(unsettled.wait(&1), None);
        assert_eq!(unsettled.wait(&2), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_request_settles_from_its_loss() {
        let unsettled = Unsettled::new(SETTLE);
        tokio::time::advance(SETTLE * 2).await;
        unsettled.lost(&1);
        tokio::time::advance(SETTLE / 2).await;
        assert_eq!(unsettled.wait(&1), Some(SETTLE / 2));
        unsettled.over(&1);
        assert_eq!(unsettled.wait(&1), None);
    }
}
