//! Plays one cell of the matrix.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use harness::wait::{Probe, Unwatched, wait_until};
use results::Verdict;
use rustix::process::Signal;

use super::cell::{Expected, Kill, Moment, Target};
use super::stage::Stage;
use super::subject::{Start, Subject};
use crate::exit;

/// While tasks are being prepared. The one time that is counted and not announced: the swarm tells
/// nobody when it begins.
const INTO_THE_DEPLOY: Duration = Duration::from_millis(200);
/// For what was hit to die, or to hear.
const HEARD: Duration = Duration::from_millis(400);

/// What came of a cell.
#[derive(Debug, Default)]
pub struct Played {
    pub verdict: Option<Verdict>,
    /// Of xtask; none: it was killed, or there were several.
    pub exit: Option<u8>,
    /// From the hit until nothing was left running, the janitor included where it was needed.
    pub clean_up: Option<Duration>,
    /// What is worth a word.
    pub note: String,
    /// What it needs is not here: neither good nor bad.
    pub not_played: bool,
    /// What is not as it must be; empty: the cell is good.
    pub wrong: Vec<String>,
}

pub fn kill(stage: &Stage, cell: Kill, id: &str) -> Result<Played> {
    let how = Start {
        tiers: cell.tiers(),
        point: Some(cell.point()),
        ..Start::default()
    };
    let mut subject = Subject::start(stage, id, stage.pr(), how)?;
    subject.until_held()?;
    let hit = hit(&mut subject, cell)?;
    let status = subject.until_quiet()?;
    let expected = cell.expected();
    let mut played = Played::default();
    if expected.reaped {
        subject.reap(stage).context("the janitor")?;
        played.note = "both guards died: removed by `xtask reap`".to_owned();
    }
    played.clean_up = Some(hit.elapsed());
    played.exit = expected.exits.map(|_| exit::of_child(status));
    judge(&subject, &expected, &mut played)?;
    Ok(played)
}

/// Hits, lets the run go on, and says when it was hit.
fn hit(subject: &mut Subject, cell: Kill) -> Result<Instant> {
    let by_child = cell.target == Target::Docker || cell.moment == Moment::Preparing;
    let targets = match (cell.target, cell.moment) {
        (Target::Docker, _) => vec![subject.let_go_to_deploy()?],
        (target, Moment::Preparing) => {
            let targets = subject.find(target)?;
            subject.let_go_to_deploy()?;
            std::thread::park_timeout(INTO_THE_DEPLOY);
            targets
        }
        (target, _) => subject.find(target)?,
    };
    let began = Instant::now();
    for target in &targets {
        target.signal(cell.signal);
    }
    if !by_child {
        if cell.signal == Signal::KILL {
            let all_dead = || targets.iter().all(|target| target.pidfd().is_none());
            crate::block_on(within(HEARD * 10, all_dead)).context("it was not killed")?;
        } else {
            // Who is asked politely may go on until the end of what it does.
            let ended = || targets.iter().any(|target| target.pidfd().is_none());
            let _ = crate::block_on(within(HEARD, ended));
        }
        // A killed keeper or trial may have been what was held.
        let _ = subject.let_go();
    }
    Ok(began)
}

async fn within(deadline: Duration, done: impl Fn() -> bool) -> Result<()> {
    let look = Duration::from_millis(5);
    wait_until(
        "the end of what was hit",
        deadline,
        look,
        &Unwatched,
        || async {
            if done() {
                Probe::Ready(())
            } else {
                Probe::NotYet("it lives".to_owned())
            }
        },
    )
    .await?;
    Ok(())
}

/// Compares the run's end with what must come of it.
pub fn judge(subject: &Subject, expected: &Expected, played: &mut Played) -> Result<()> {
    let left = subject.left()?;
    played
        .wrong
        .extend(left.into_iter().map(|item| format!("left: {item}")));
    match subject.record() {
        Err(error) => played.wrong.push(format!("no valid record: {error:#}")),
        Ok(record) => {
            played.verdict = Some(record.verdict);
            if !expected.verdicts.contains(&record.verdict) {
                played.wrong.push(format!(
                    "the verdict is {} ({}), not {}",
                    record.verdict,
                    record.verdict_reason,
                    words(expected.verdicts)
                ));
            }
        }
    }
    if let (Some(exits), Some(code)) = (expected.exits, played.exit)
        && !exits.contains(&code)
    {
        played
            .wrong
            .push(format!("xtask's exit code is {code}, not {exits:?}"));
    }
    Ok(())
}

fn words(verdicts: &[Verdict]) -> String {
    let words: Vec<_> = verdicts.iter().map(ToString::to_string).collect();
    words.join(" or ")
}
