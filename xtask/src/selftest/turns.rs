//! Many runs, some side by side, until all have ended or somebody stops them.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Runs all, `jobs` at a time; `line` says what came of one. Says also whether it was stopped: then
/// those that had not begun are left out.
pub async fn side_by_side<C, E, F>(
    cases: Vec<C>,
    jobs: u32,
    run: impl Fn(C, watch::Receiver<bool>) -> F,
    line: impl Fn(&E, usize, usize) -> String,
) -> Result<(Vec<E>, bool)>
where
    E: Send + 'static,
    F: Future<Output = E> + Send + 'static,
{
    // Once asked for, a signal no longer ends this process.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (stop, stopping) = watch::channel(false);
    let slots = Arc::new(Semaphore::new(jobs as usize));
    let total = cases.len();
    let mut runs = JoinSet::new();
    for case in cases {
        let slots = Arc::clone(&slots);
        let run = run(case, stopping.clone());
        runs.spawn(async move {
            // Closed: it was stopped before this one's turn.
            let Ok(_slot) = slots.acquire().await else {
                return None;
            };
            Some(run.await)
        });
    }
    let (mut ended, mut stopped) = (Vec::new(), false);
    loop {
        tokio::select! {
            done = runs.join_next() => match done {
                None => break,
                Some(done) => {
                    if let Some(one) = done.context("a case's own task failed")? {
                        eprintln!("{}", line(&one, ended.len() + 1, total));
                        ended.push(one);
                    }
                }
            },
            // A Ctrl-C reaches the runs themselves, a SIGTERM has to be passed on.
            _ = interrupt.recv() => {
                stopped = true;
                slots.close();
            }
            _ = terminate.recv() => {
                stopped = true;
                slots.close();
                let _ = stop.send(true);
            }
        }
    }
    Ok((ended, stopped))
}
