//! The cells of the matrix: who is hit, by what, when, and what must come of it.
//!
//! Must not know: how a run is started, held or looked at.

use std::fmt;

use harness::point::Point;
use results::Verdict;
use rustix::process::Signal;

use crate::exit;

/// Who is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Xtask,
    Nextest,
    /// The test that runs.
    Trial,
    Keeper,
    /// The child that deploys.
    Docker,
    /// Keeper and xtask: all guards at once.
    Both,
}

/// When.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    SetUp,
    /// 0.2 s after the deploying child began: tasks are being prepared.
    Preparing,
    Deploy,
    Between,
    Redeploy,
    Backup,
    Restore,
    Custom,
    Fresh,
    Teardown,
    /// All events are written, the record is not.
    Record,
    /// The keeper has ended, xtask adds the runner's word.
    Report,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kill {
    pub target: Target,
    pub signal: Signal,
    pub moment: Moment,
}

/// What must come of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub verdicts: &'static [Verdict],
    /// Exit codes of xtask; none: it is killed and has no say.
    pub exits: Option<&'static [u8]>,
    /// Nobody is left who could clean up: the janitor does it.
    pub reaped: bool,
}

const TARGETS: [Target; 6] = [
    Target::Xtask,
    Target::Nextest,
    Target::Trial,
    Target::Keeper,
    Target::Docker,
    Target::Both,
];

const MOMENTS: [Moment; 12] = [
    Moment::SetUp,
    Moment::Preparing,
    Moment::Deploy,
    Moment::Between,
    Moment::Redeploy,
    Moment::Backup,
    Moment::Restore,
    Moment::Custom,
    Moment::Fresh,
    Moment::Teardown,
    Moment::Record,
    Moment::Report,
];

/// Every pair of target and moment that makes sense with SIGKILL, and with SIGTERM or SIGINT in
/// turns; the deploying child with all three.
pub fn all() -> Vec<Kill> {
    let mut cells = Vec::new();
    for (t, target) in TARGETS.into_iter().enumerate() {
        for (m, moment) in MOMENTS.into_iter().enumerate() {
            if !makes_sense(target, moment) {
                continue;
            }
            let polite: &[Signal] = match (target, (t + m) % 2) {
                (Target::Docker, _) => &[Signal::TERM, Signal::INT],
                (_, 0) => &[Signal::TERM],
                _ => &[Signal::INT],
            };
            for signal in [Signal::KILL].iter().chain(polite) {
                cells.push(Kill {
                    target,
                    signal: *signal,
                    moment,
                });
            }
        }
    }
    cells
}

/// A few cells, of each target and each kind of end.
pub fn quick() -> Vec<Kill> {
    [
        (Target::Xtask, Signal::KILL, Moment::Deploy),
        (Target::Xtask, Signal::INT, Moment::Preparing),
        (Target::Nextest, Signal::KILL, Moment::Custom),
        (Target::Trial, Signal::KILL, Moment::Teardown),
        (Target::Keeper, Signal::KILL, Moment::Preparing),
        (Target::Keeper, Signal::TERM, Moment::Backup),
        (Target::Docker, Signal::TERM, Moment::Deploy),
        (Target::Both, Signal::KILL, Moment::Preparing),
        (Target::Both, Signal::KILL, Moment::Record),
    ]
    .into_iter()
    .map(|(target, signal, moment)| Kill {
        target,
        signal,
        moment,
    })
    .collect()
}

fn makes_sense(target: Target, moment: Moment) -> bool {
    match (target, moment) {
        // It lives as long as a deploy takes.
        (Target::Docker, moment) => {
            matches!(moment, Moment::Deploy | Moment::Redeploy | Moment::Fresh)
        }
        // Nobody else is there any more.
        (target, Moment::Report) => target == Target::Xtask,
        _ => true,
    }
}

impl Kill {
    /// Where the run is held.
    pub fn point(self) -> Point {
        let child = self.target == Target::Docker;
        match self.moment {
            Moment::SetUp => Point::SetUp,
            Moment::Preparing => Point::Deploy,
            Moment::Deploy if child => Point::Deploy,
            Moment::Deploy => Point::Deployed,
            Moment::Between => Point::Between,
            Moment::Redeploy if child => Point::Redeploy,
            Moment::Redeploy => Point::Redeployed,
            Moment::Backup => Point::Backup,
            Moment::Restore => Point::Restore,
            Moment::Custom => Point::Custom,
            Moment::Fresh if child => Point::Fresh,
            Moment::Fresh => Point::Freshed,
            Moment::Teardown => Point::Teardown,
            Moment::Record => Point::Record,
            Moment::Report => Point::Report,
        }
    }

    /// The tiers that lead there; none: a whole run.
    pub fn tiers(self) -> Option<&'static str> {
        match self.moment {
            Moment::SetUp | Moment::Preparing | Moment::Deploy => Some("install"),
            Moment::Between | Moment::Redeploy => Some("install,upgrade"),
            Moment::Backup => Some("install,backup"),
            Moment::Restore => Some("install,backup,restore"),
            Moment::Custom => Some("install,custom"),
            Moment::Fresh => None,
            Moment::Teardown | Moment::Record | Moment::Report => Some("install"),
        }
    }

    pub fn expected(self) -> Expected {
        const CANCELLED: &[Verdict] = &[Verdict::Cancelled];
        const ERROR: &[Verdict] = &[Verdict::Error];
        // The keeper may have seen xtask go before it went itself.
        const LOST: &[Verdict] = &[Verdict::Error, Verdict::Cancelled];
        const PASS: &[Verdict] = &[Verdict::Pass];
        let expect = |verdicts, exits| Expected {
            verdicts,
            exits,
            reaped: false,
        };
        let killed = self.signal == Signal::KILL;
        // All tests are done, and their outcomes are written.
        let over = matches!(
            self.moment,
            Moment::Teardown | Moment::Record | Moment::Report
        );
        let recorded = matches!(self.moment, Moment::Record | Moment::Report);
        match self.target {
            Target::Xtask if killed && recorded => expect(PASS, None),
            Target::Xtask if killed => expect(CANCELLED, None),
            Target::Both if killed => Expected {
                reaped: true,
                ..expect(if recorded { PASS } else { LOST }, None)
            },
            Target::Keeper if killed => expect(ERROR, Some(&[exit::INFRA])),
            // A wish to stop that comes after the last test changes nothing.
            Target::Xtask | Target::Keeper | Target::Both if over => {
                expect(PASS, Some(&[exit::PASS]))
            }
            Target::Xtask | Target::Keeper | Target::Both => {
                expect(CANCELLED, Some(&[exit::CANCELLED]))
            }
            Target::Nextest if over => expect(ERROR, Some(&[exit::INFRA])),
            Target::Nextest => expect(CANCELLED, Some(&[exit::CANCELLED])),
            Target::Trial | Target::Docker => expect(ERROR, Some(&[exit::INFRA])),
        }
    }
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = match self.target {
            Target::Xtask => "xtask",
            Target::Nextest => "nextest",
            Target::Trial => "trial",
            Target::Keeper => "keeper",
            Target::Docker => "docker",
            Target::Both => "keeper+xtask",
        };
        let signal = match self.signal {
            Signal::KILL => "kill",
            Signal::TERM => "term",
            Signal::INT => "int",
            _ => "signal",
        };
        let moment = match self.moment {
            Moment::SetUp => "set-up",
            Moment::Preparing => "preparing",
            Moment::Deploy => "deploy",
            Moment::Between => "between",
            Moment::Redeploy => "redeploy",
            Moment::Backup => "backup",
            Moment::Restore => "restore",
            Moment::Custom => "custom",
            Moment::Fresh => "fresh",
            Moment::Teardown => "teardown",
            Moment::Record => "record",
            Moment::Report => "report",
        };
        f.pad(&format!("{target}/{signal}/{moment}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_is_wide_enough_and_names_each_cell_once() {
        let mut names: Vec<_> = all().iter().map(ToString::to_string).collect();
        assert!(names.len() >= 60, "{} cells", names.len());
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn each_target_is_hit_by_each_signal_and_each_moment_is_hit() {
        for target in TARGETS {
            for signal in [Signal::KILL, Signal::TERM, Signal::INT] {
                assert!(
                    all()
                        .iter()
                        .any(|cell| cell.target == target && cell.signal == signal),
                    "{target:?} {signal:?}"
                );
            }
        }
        for moment in MOMENTS {
            assert!(all().iter().any(|cell| cell.moment == moment), "{moment:?}");
        }
    }

    #[test]
    fn the_quick_cells_are_cells_of_the_whole_or_could_be() {
        let known = |cell: &Kill| makes_sense(cell.target, cell.moment);
        assert!(quick().iter().all(known));
        assert!((8..=10).contains(&quick().len()));
    }

    #[test]
    fn only_what_was_recorded_before_may_pass() {
        for cell in all() {
            let may_pass = cell.expected().verdicts.contains(&Verdict::Pass);
            let over = matches!(
                cell.moment,
                Moment::Teardown | Moment::Record | Moment::Report
            );
            assert!(over || !may_pass, "{cell}");
            assert!(!cell.expected().verdicts.contains(&Verdict::Fail), "{cell}");
        }
    }
}
