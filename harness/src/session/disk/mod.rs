//! Whether the app under test fills the disk: a rule, and who looks.
//!
//! A look is one `statvfs` of Docker's folder. Only where the disk lost so much since the last time
//! that the app may be over its ceiling, or where little is left, is it measured what the app takes.
//!
//! Invariants: a run is ended for what its app takes, and never for what others do; a look that
//! fails ends nothing.

pub mod usage;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::protocol::AppView;
use super::server::Shared;
use crate::fault::Fault;
use crate::recipe::StackName;
use crate::room::Room;
use crate::site::Limits;
use crate::snapshot::Helper;
use crate::swarm::{self, Swarm};
use usage::{Share, usage};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Others may free what the app takes, so that nothing is lost.
const MEASURE_EVERY: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;

/// What an app may take, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    ceiling: u64,
    floor: u64,
}

/// What was free, and what the app took then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    free: u64,
    taken: u64,
}

impl Rule {
    pub fn of(limits: &Limits) -> Self {
        Self {
            ceiling: limits.app_disk_mib.saturating_mul(MIB),
            floor: limits.disk_floor_mib.saturating_mul(MIB),
        }
    }

    /// Whether the app may be over a limit by now, as far as what is free tells.
    fn is_due(self, last: Seen, free: u64, ago: Duration) -> bool {
        let lost = last.free.saturating_sub(free);
        let to_go = self.ceiling.saturating_sub(last.taken);
        free < self.floor || ago >= MEASURE_EVERY || lost > to_go / 4
    }

    /// Why the run has to end; `lost` is what the disk lost since it began.
    fn reason(self, free: u64, lost: u64, shares: &[Share]) -> Option<String> {
        let taken: u64 = shares.iter().map(|share| share.bytes).sum();
        let most = shares.iter().max_by_key(|share| share.bytes)?;
        let most = format!("{} ({})", most.what, Mib(most.bytes));
        if taken > self.ceiling {
            return Some(format!(
                "the app takes {} of the disk, and this site gives it {} (limits.app_disk_mib); the most is {most}",
                Mib(taken),
                Mib(self.ceiling)
            ));
        }
        if free < self.floor && taken > lost / 2 {
            return Some(format!(
                "the disk has {} left, less than {} (limits.disk_floor_mib), and the app takes {} of it; the most is {most}",
                Mib(free),
                Mib(self.floor),
                Mib(taken)
            ));
        }
        None
    }
}

/// Who looks while an app is live.
struct Watch {
    rule: Rule,
    swarm: Swarm,
    stack: StackName,
    helper: Helper,
    root: PathBuf,
    /// What was free when the app was made.
    at_first: u64,
    last: Seen,
    measured: Instant,
}

impl Watch {
    /// None: Docker's folder is not one that can be looked at here.
    async fn start(rule: Rule, swarm: Swarm, app: &AppView) -> Result<Option<Self>, Fault> {
        let root = swarm::root_dir(&swarm).await?.map(PathBuf::from);
        let Some((root, free)) = root.and_then(|root| Some((root.clone(), free(&root)?))) else {
            return Ok(None);
        };
        Ok(Some(Self {
            rule,
            stack: app.stack.clone(),
            helper: Helper::of_app(&app.domain, &app.helper_image),
            swarm,
            root,
            at_first: free,
            last: Seen { free, taken: 0 },
            measured: Instant::now(),
        }))
    }

    async fn look(&mut self) -> Result<Option<String>, Fault> {
        let Some(free) = free(&self.root) else {
            return Ok(None);
        };
        if !self.rule.is_due(self.last, free, self.measured.elapsed()) {
            return Ok(None);
        }
        let shares = usage(&self.swarm, &self.stack, &self.helper).await?;
        self.measured = Instant::now();
        let taken = shares.iter().map(|share| share.bytes).sum();
        self.last = Seen { free, taken };
        let lost = self.at_first.saturating_sub(free);
        Ok(self.rule.reason(free, lost, &shares))
    }
}

fn free(root: &Path) -> Option<u64> {
    Room::free(root).ok().map(|room| room.bytes)
}

/// Returns when the app of this session fills the disk, with the reason.
pub async fn filled(rule: Rule, shared: &Shared) -> String {
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut watch = None;
    let mut told = false;
    loop {
        look.tick().await;
        let app = shared.view.borrow().clone();
        let swarm = shared.swarm.borrow().clone();
        let (Some(app), Some(swarm)) = (app, swarm) else {
            continue;
        };
        let looked = async {
            if watch.is_none() {
                watch = Some(Watch::start(rule, swarm, &app).await?);
            }
            match watch.as_mut().and_then(Option::as_mut) {
                Some(watch) => watch.look().await,
                None => Ok(None),
            }
        };
        match looked.await {
            Ok(Some(reason)) => return reason,
            Ok(None) => {}
            Err(fault) if !told => {
                told = true;
                shared
                    .journal
                    .note(None, format!("what the app takes of the disk: {fault}"));
            }
            Err(_) => {}
        }
    }
}

/// A size as people say it.
struct Mib(u64);

impl std::fmt::Display for Mib {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} MiB", self.0.div_ceil(MIB))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule {
        ceiling: 1000 * MIB,
        floor: 100 * MIB,
    };

    #[rstest::rstest]
    #[case::nothing_happened(0, 5000, 5000, 0, false)]
    #[case::far_from_the_ceiling(0, 5000, 4800, 0, false)]
    #[case::a_quarter_of_it(0, 5000, 4700, 0, true)]
    #[case::near_it_already(900, 5000, 4970, 0, true)]
    #[case::over_it_and_more_is_free(1100, 5000, 5100, 0, false)]
    #[case::below_the_floor(0, 99, 99, 0, true)]
    #[case::a_long_time_ago(0, 5000, 5000, 61, true)]
    fn it_is_measured_when_it_may_be_too_much(
        #[case] taken: u64,
        #[case] then: u64,
        #[case] now: u64,
        #[case] seconds: u64,
        #[case] due: bool,
    ) {
        let last = Seen {
            free: then * MIB,
            taken: taken * MIB,
        };
        let ago = Duration::from_secs(seconds);
        assert_eq!(RULE.is_due(last, now * MIB, ago), due);
    }

    fn reason(free: u64, lost: u64, shares: &[(&str, u64)]) -> Option<String> {
        let shares = shares.iter().map(|(what, mib)| Share {
            what: (*what).to_owned(),
            bytes: mib * MIB,
        });
        RULE.reason(free * MIB, lost * MIB, &shares.collect::<Vec<_>>())
    }

    #[test]
    fn what_is_too_much_is_named() {
        let shares = [
            ("the log of container x_app.1", 300),
            ("volume x_data", 701),
        ];
        insta::assert_snapshot!(reason(5000, 0, &shares).unwrap(), @"the app takes 1001 MiB of the disk, and this site gives it 1000 MiB (limits.app_disk_mib); the most is volume x_data (701 MiB)");
        insta::assert_snapshot!(reason(99, 500, &[("volume x_data", 251)]).unwrap(), @"the disk has 99 MiB left, less than 100 MiB (limits.disk_floor_mib), and the app takes 251 MiB of it; the most is volume x_data (251 MiB)");
    }

    #[rstest::rstest]
    #[case::just_the_ceiling(5000, 1000, &[("volume x", 1000)])]
    #[case::others_filled_the_disk(99, 4000, &[("volume x", 500)])]
    #[case::it_was_full_before(50, 0, &[])]
    #[case::enough_is_left(100, 100, &[("volume x", 100)])]
    fn an_app_is_not_blamed_for_less(
        #[case] free: u64,
        #[case] lost: u64,
        #[case] shares: &[(&str, u64)],
    ) {
        assert_eq!(reason(free, lost, shares), None);
    }
}
