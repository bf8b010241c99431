//! Requests whose answer was lost: they may still take effect for a while, so nobody looks for what
//! they made, or asks again, before that is over.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// When each request was sent, as far as it is known.
#[derive(Debug)]
pub struct Unsettled<K>(Mutex<HashMap<K, Instant>>, Duration);

impl<K: Eq + Hash + Clone> Unsettled<K> {
    pub fn new(settle: Duration) -> Self {
        Self(Mutex::default(), settle)
    }

    /// A request was sent, and its answer is lost.
    pub fn lost(&self, key: &K) {
        self.all().insert(key.clone(), Instant::now());
    }

    /// How long until it can be known what became of a request; none: now. One that is not known
    /// was sent by an earlier process, at the latest just before this one began.
    pub fn wait(&self, key: &K) -> Option<Duration> {
        let now = Instant::now();
        let sent = *self.all().entry(key.clone()).or_insert(now);
        let left = (sent + self.1).saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    pub fn over(&self, key: &K) {
        self.all().remove(key);
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<K, Instant>> {
        self.0.lock().expect("nobody panicked with it")
    }
}
