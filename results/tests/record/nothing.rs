//! Nothing happened is never a pass. `docs/results.md` lists the ways, and where each is tested.

use results::event::{Event, EventKind};
use results::{Outcome, Record, Source, Tier, Verdict};
use rstest::rstest;

use crate::sample::{self, BASE, HEAD, Run};

fn changed(run: &Run, mut change: impl FnMut(&mut EventKind)) -> Record {
    let mut events = run.events.clone();
    events.iter_mut().for_each(|event| change(&mut event.kind));
    Record::from_events(&events)
}

fn with_base(run: &Run, commit: Option<&str>) -> Record {
    changed(run, |kind| {
        if let EventKind::Resolved(resolved) = kind {
            match (commit, &mut resolved.base) {
                (Some(commit), Some(base)) => base.commit = commit.to_owned(),
                _ => resolved.base = None,
            }
        }
    })
}

#[test]
fn an_upgrade_from_a_version_to_itself_is_an_error() {
    let record = with_base(&sample::all_pass(), Some(HEAD));
    assert_eq!((record.verdict, record.level), (Verdict::Error, Some(1)));
    assert_eq!(
        record.verdict_reason,
        "upgrade met an error: the base 1.10.0+1.28.0 is head itself: an upgrade from a version to itself proves nothing"
    );
}

#[test]
fn an_upgrade_from_nothing_is_an_error() {
    let record = with_base(&sample::all_pass(), None);
    assert_eq!(
        record.verdict_reason,
        "upgrade met an error: there was no base to upgrade from"
    );
}

#[rstest]
#[case(Tier::Upgrade)]
#[case(Tier::Backup)]
#[case(Tier::Restore)]
#[case(Tier::Custom)]
#[case(Tier::Fresh)]
fn a_tier_whose_operation_left_another_commit_live_is_an_error(#[case] tier: Tier) {
    let mut run = sample::all_pass();
    if tier == Tier::Custom {
        run.operation(tier, Outcome::Pass, 1);
    }
    let record = changed(&run, |kind| {
        if let EventKind::OperationEnded {
            tier: of, facts, ..
        } = kind
            && *of == tier
        {
            *facts = sample::facts(BASE);
        }
    });
    assert_eq!(record.verdict, Verdict::Error);
    assert_eq!(
        record.verdict_reason,
        format!("{tier} met an error: 0a1b2c3d4e5f was what was live, and not head (4be1c2d9a077)")
    );
}

/// A runner that filters for install alone: the base was deployed, and head never.
#[test]
fn a_run_in_which_head_was_never_live_is_an_error() {
    let mut run = Run::whole();
    run.good(Tier::Install, 10);
    let tiers = Tier::ALL.into_iter().filter(|tier| *tier != Tier::Install);
    run.push(EventKind::Narrowed {
        tiers: tiers.collect(),
    });
    let record = run.end(&[], true).record();
    assert_eq!(record.verdict, Verdict::Error);
    assert_eq!(
        record.verdict_reason,
        "head (4be1c2d9a077) was never live, so nothing is proven of it; a run of fewer tiers names them (`--tiers`, `CCCI_TIERS`)"
    );
}

#[test]
fn a_run_whose_commit_is_not_known_is_an_error() {
    let is_resolved = |event: &Event| matches!(event.kind, EventKind::Resolved(_));
    let mut run = Run::of(&[Tier::Install]);
    run.good(Tier::Install, 10).end(&[], true);
    assert_eq!(run.record().verdict, Verdict::Pass);
    run.events.retain(|event| !is_resolved(event));
    assert_eq!(
        run.record().verdict_reason,
        "the commit under test is not known, so nothing is proven of it"
    );
}

#[test]
fn a_suite_without_a_single_test_is_an_error() {
    let is_trial = |event: &Event| {
        matches!(
            event.kind,
            EventKind::TrialStarted { .. } | EventKind::TrialEnded { .. }
        )
    };
    let mut run = sample::all_pass();
    run.events.retain(|event| !is_trial(event));
    let record = run.record();
    assert_eq!((record.verdict, record.level), (Verdict::Error, Some(0)));
    assert_eq!(
        record.verdict_reason,
        "install met an error: nothing was asserted"
    );
}

#[rstest]
#[case(Tier::Install)]
#[case(Tier::Upgrade)]
#[case(Tier::Backup)]
#[case(Tier::Restore)]
#[case(Tier::Fresh)]
fn a_tier_with_no_assertion_that_ran_is_an_error(#[case] tier: Tier) {
    let mut run = sample::all_pass();
    run.events.retain(|event| {
        !matches!(&event.kind, EventKind::TrialEnded { tier: of, .. } | EventKind::TrialStarted { tier: of, .. } if *of == tier)
    });
    run.test(tier, Source::Generic, "0_deploy", Outcome::Pass);
    let record = run.record();
    assert_eq!(record.verdict, Verdict::Error);
    assert_eq!(
        record.verdict_reason,
        format!("{tier} met an error: nothing was asserted")
    );
}
