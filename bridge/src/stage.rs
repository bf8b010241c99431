//! A stage of the bridge: it takes what is due from the store and works on several items at once.
//!
//! Invariants: one item is worked on once at a time; an item that fails waits by itself and delays
//! no other; what is due is in the store and nowhere else, so nothing is lost with the process.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::store::StoreError;

/// What went wrong with one item, for now.
#[derive(Debug, Clone)]
pub struct Trouble {
    pub text: String,
    /// At least so long until the next try.
    pub wait: Option<Duration>,
}

impl Trouble {
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            wait: None,
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::new(chain(&error))
    }
}

impl From<crate::forge::ForgeError> for Trouble {
    fn from(error: crate::forge::ForgeError) -> Self {
        let wait = match &error {
            crate::forge::ForgeError::Passing { wait, .. } => *wait,
            _ => None,
        };
        Self {
            text: chain(&error),
            wait,
        }
    }
}

impl From<crate::executor::Trouble> for Trouble {
    fn from(error: crate::executor::Trouble) -> Self {
        Self::new(error.0)
    }
}

/// An error with its sources, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[async_trait]
pub trait Stage: Send + Sync + 'static {
    type Key: Clone + Eq + Hash + Send + Sync + 'static;

    /// For logs and the page.
    fn name(&self) -> &'static str;

    /// What there is to do, the most urgent first.
    async fn due(&self) -> Result<Vec<Self::Key>, StoreError>;

    /// One step of one item. The answer: when to look again, if it stays due.
    async fn work(&self, key: &Self::Key) -> Result<Option<Duration>, Trouble>;

    /// Something failed, or (None) works again.
    fn trouble(&self, key: &Self::Key, trouble: Option<&Trouble>);
}

/// How many items are worked on at once.
const AT_ONCE: usize = 16;
/// How long what is due is not asked for again.
const BETWEEN: Duration = Duration::from_millis(20);
/// How long a stage sleeps if nobody wakes it.
const NAP: Duration = Duration::from_secs(5);
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// When an item may be tried again.
struct Later {
    at: Instant,
    /// How often it failed in a row.
    failed: u32,
}

/// Works until it is told to stop, then ends what it has begun.
pub async fn run<S: Stage>(stage: Arc<S>, wake: Arc<Notify>, mut stop: watch::Receiver<bool>) {
    let mut later: HashMap<S::Key, Later> = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut busy: HashMap<tokio::task::Id, S::Key> = HashMap::new();
    let mut queue: VecDeque<S::Key> = VecDeque::new();
    let mut asked = Instant::now() - BETWEEN;
    let mut stale = true;
    while !*stop.borrow() {
        let now = Instant::now();
        if stale && queue.is_empty() && now >= asked + BETWEEN {
            asked = now;
            stale = false;
            match stage.due().await {
                Ok(due) => {
                    if later.len() > due.len() + busy.len() {
                        let due: std::collections::HashSet<_> = due.iter().collect();
                        later.retain(|key, later| due.contains(key) || later.at > now);
                    }
                    queue = due.into();
                }
                Err(error) => tracing::error!(stage = stage.name(), "{}", chain(&error)),
            }
        }
        while busy.len() < AT_ONCE
            && let Some(key) = queue.pop_front()
        {
            let waits = later.get(&key).is_some_and(|later| later.at > now);
            if waits || busy.values().any(|other| *other == key) {
                continue;
            }
            let stage = Arc::clone(&stage);
            let own = key.clone();
            let task = tasks.spawn(async move { stage.work(&own).await });
            busy.insert(task.id(), key);
        }
        let next = later.values().map(|later| later.at).filter(|at| *at > now);
        let wake_at = if stale && queue.is_empty() {
            asked + BETWEEN
        } else {
            next.min().unwrap_or(now + NAP).min(now + NAP)
        };
        tokio::select! {
            Some(done) = tasks.join_next_with_id() => {
                finished(&*stage, done, &mut busy, &mut later);
                stale = true;
            }
            () = wake.notified() => stale = true,
            () = sleep_until(wake_at) => stale = true,
            _ = stop.changed() => {}
        }
    }
    let end = Instant::now() + Duration::from_secs(10);
    while let Ok(Some(_)) = timeout_at(end, tasks.join_next()).await {}
}

type Done = Result<(tokio::task::Id, Result<Option<Duration>, Trouble>), tokio::task::JoinError>;

fn finished<S: Stage>(
    stage: &S,
    done: Done,
    busy: &mut HashMap<tokio::task::Id, S::Key>,
    later: &mut HashMap<S::Key, Later>,
) {
    let (id, result) = match done {
        Ok((id, result)) => (id, result),
        Err(error) => (
            error.id(),
            Err(Trouble::new(format!("it panicked: {error}"))),
        ),
    };
    let Some(key) = busy.remove(&id) else { return };
    match result {
        Ok(next) => {
            if later.remove(&key).is_some_and(|later| later.failed > 0) {
                stage.trouble(&key, None);
            }
            if let Some(next) = next {
                let at = Instant::now() + next;
                later.insert(key, Later { at, failed: 0 });
            }
        }
        Err(trouble) => {
            tracing::warn!(stage = stage.name(), "{}", trouble.text);
            stage.trouble(&key, Some(&trouble));
            let failed = later.get(&key).map_or(0, |later| later.failed) + 1;
            let at = Instant::now() + wait(failed, trouble.wait);
            later.insert(key, Later { at, failed });
        }
    }
}

/// How long to wait after so many failures in a row.
pub fn wait(failed: u32, at_least: Option<Duration>) -> Duration {
    let doubled = FIRST_WAIT * 2_u32.saturating_pow(failed.saturating_sub(1).min(10));
    doubled.min(LONGEST_WAIT).max(at_least.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(1, None, 1)]
    #[case(3, None, 4)]
    #[case(40, None, 300)]
    #[case(1, Some(90), 90)]
    fn a_wait_doubles_and_is_bounded(
        #[case] failed: u32,
        #[case] at_least: Option<u64>,
        #[case] seconds: u64,
    ) {
        let at_least = at_least.map(Duration::from_secs);
        assert_eq!(wait(failed, at_least), Duration::from_secs(seconds));
    }

    /// Items are due until they were worked on; odd ones fail.
    #[derive(Default)]
    struct Numbers {
        due: Mutex<Vec<u32>>,
        done: Mutex<Vec<u32>>,
        tried: Mutex<Vec<u32>>,
    }

    #[async_trait]
    impl Stage for Numbers {
        type Key = u32;

        fn name(&self) -> &'static str {
            "numbers"
        }

        async fn due(&self) -> Result<Vec<u32>, StoreError> {
            Ok(self.due.lock().unwrap().clone())
        }

        async fn work(&self, key: &u32) -> Result<Option<Duration>, Trouble> {
            self.tried.lock().unwrap().push(*key);
            if key % 2 == 1 {
                return Err(Trouble::new("odd"));
            }
            self.due.lock().unwrap().retain(|due| due != key);
            self.done.lock().unwrap().push(*key);
            Ok(None)
        }

        fn trouble(&self, _: &u32, _: Option<&Trouble>) {}
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_fails_waits_by_itself_and_delays_no_other() {
        let stage = Arc::new(Numbers::default());
        *stage.due.lock().unwrap() = (0..100).collect();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(Arc::clone(&stage), Arc::new(Notify::new()), stopped));
        tokio::time::sleep(Duration::from_millis(900)).await; // tidy: sleep: the clock is paused
        let done = stage.done.lock().unwrap().len();
        let tried = stage.tried.lock().unwrap().len();
        assert_eq!((done, tried), (50, 100));
        tokio::time::sleep(Duration::from_millis(200)).await; // tidy: sleep: the clock is paused
        assert_eq!(stage.tried.lock().unwrap().len(), 150);
        stop.send(true).unwrap();
        task.await.unwrap();
    }
}
