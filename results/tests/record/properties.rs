//! What holds for any list of events, however odd.

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use results::event::{Event, EventKind, Leftover};
use results::{Cause, Outcome, Record, Source, Tier, Verdict};
use serde_json::{Map, Value};

use crate::sample;

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Pass),
        1 => "[a-z]{1,4}".prop_map(Outcome::skip),
        1 => (select(vec![Cause::Base, Cause::Absent, Cause::Deselected]), "[a-z]{1,4}")
            .prop_map(|(cause, reason)| Outcome::unverified(cause, reason)),
        1 => red(),
    ]
}

fn red() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        any::<String>().prop_map(Outcome::fail),
        any::<String>().prop_map(Outcome::error),
        (select(vec![Cause::Fail, Cause::Error]), any::<String>())
            .prop_map(|(cause, reason)| Outcome::unverified(cause, reason)),
    ]
}

fn tier() -> impl Strategy<Value = Tier> {
    select(Tier::ALL.to_vec())
}

fn source() -> impl Strategy<Value = Source> {
    select(vec![
        Source::Generic,
        Source::Overlay,
        Source::RepoLocal,
        Source::Custom,
    ])
}

fn operation_ended(tier: Tier, outcome: Outcome) -> EventKind {
    operation_of(tier, outcome, Map::new())
}

fn operation_of(tier: Tier, outcome: Outcome, facts: Map<String, Value>) -> EventKind {
    EventKind::OperationEnded {
        tier,
        outcome,
        duration_ms: 5,
        facts,
        evidence: vec!["evidence/a.log".to_owned()],
    }
}

/// The commit that was live after an operation.
fn commit() -> impl Strategy<Value = Map<String, Value>> {
    select(vec![
        sample::facts(sample::HEAD),
        sample::facts(sample::BASE),
        Map::new(),
    ])
}

fn name() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "0_deploy"])
}

fn kind() -> impl Strategy<Value = EventKind> {
    prop_oneof![
        1 => tier().prop_map(|tier| EventKind::OperationStarted { tier }),
        4 => (tier(), outcome(), commit()).prop_map(|(tier, outcome, facts)| operation_of(tier, outcome, facts)),
        1 => (tier(), source(), name()).prop_map(|(t, s, n)| sample::trial_started(t, s, n)),
        6 => (tier(), source(), name(), outcome())
            .prop_map(|(t, s, n, outcome)| sample::trial_ended(t, s, n, outcome)),
        1 => outcome().prop_map(|outcome| EventKind::Lint {
            by: "native".to_owned(),
            outcome,
            findings: Vec::new(),
        }),
        1 => Just(EventKind::TeardownEnded { duration_ms: 1, residue: vec![], errors: vec![] }),
        1 => any::<bool>().prop_map(|success| EventKind::RunnerEnded { success, status: "0".to_owned() }),
    ]
}

/// An event that makes a run red.
fn red_event() -> impl Strategy<Value = EventKind> {
    prop_oneof![
        (tier(), red()).prop_map(|(tier, outcome)| operation_ended(tier, outcome)),
        (tier(), source(), name(), red())
            .prop_map(|(t, s, n, outcome)| sample::trial_ended(t, s, n, outcome)),
        Just(EventKind::SessionLost {
            reason: "killed".to_owned()
        }),
        Just(EventKind::TeardownEnded {
            duration_ms: 1,
            residue: vec![Leftover {
                kind: "volume".to_owned(),
                name: "v".to_owned()
            }],
            errors: vec![],
        }),
    ]
}

fn asked() -> impl Strategy<Value = Vec<Tier>> {
    prop_oneof![
        Just(Tier::NAMED.to_vec()),
        proptest::sample::subsequence(Tier::NAMED.to_vec(), 1..=5),
    ]
}

fn at(kinds: Vec<EventKind>) -> Vec<Event> {
    (0..)
        .zip(kinds)
        .map(|(ms, kind)| Event {
            at: Timestamp::from_millisecond(1_700_000_000_000 + ms * 37).unwrap(),
            kind,
        })
        .collect()
}

/// How a list of events ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ending {
    Cut,
    Finished,
    Kept,
    KeptThenRemoved,
}

impl Ending {
    fn events(self) -> Vec<EventKind> {
        let kept = EventKind::Kept {
            reason: "kept".to_owned(),
        };
        let removed = EventKind::TeardownEnded {
            duration_ms: 1,
            residue: vec![],
            errors: vec![],
        };
        match self {
            Self::Cut => vec![],
            Self::Finished => vec![EventKind::RunFinished],
            Self::Kept => vec![kept],
            Self::KeptThenRemoved => vec![
                kept,
                EventKind::TeardownStarted,
                removed,
                EventKind::RunFinished,
            ],
        }
    }
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        1 => Just(Ending::Cut),
        7 => Just(Ending::Finished),
        1 => Just(Ending::Kept),
        1 => Just(Ending::KeptThenRemoved),
    ]
}

fn asks_install(events: &[Event]) -> bool {
    matches!(
        events.first().map(|event| &event.kind),
        Some(EventKind::RunStarted(run)) if run.tiers.contains(&Tier::Install)
    )
}

/// Runs that are green to begin with, with anything mixed in; most of them finish.
pub fn events() -> impl Strategy<Value = Vec<Event>> {
    (body(), ending()).prop_map(|(mut kinds, ending)| {
        kinds.extend(ending.events());
        at(kinds)
    })
}

/// All but the end.
fn body() -> impl Strategy<Value = Vec<EventKind>> {
    let mixed = proptest::collection::vec((kind(), any::<Index>()), 0..6);
    let green = any::<bool>();
    (asked(), green, mixed).prop_map(|(asked, green, mixed)| {
        let mut kinds = vec![sample::started(&asked, Vec::new())];
        if green {
            let run = sample::all_pass();
            let good = run.events.into_iter().skip(1).map(|event| event.kind);
            kinds.extend(good.filter(|kind| *kind != EventKind::RunFinished));
        }
        for (kind, index) in mixed {
            let place = 1 + index.index(kinds.len());
            kinds.insert(place, kind);
        }
        kinds
    })
}

fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Pass => 0,
        Verdict::Error => 1,
        Verdict::Fail => 2,
        Verdict::Cancelled => 3,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn without_an_assertion_in_install_no_run_passes(events in events()) {
        let is_install_assertion = |event: &Event| matches!(
            &event.kind,
            EventKind::TrialEnded { tier: Tier::Install, name, outcome: Outcome::Pass, .. } if name != "0_deploy"
        );
        if !asks_install(&events) {
            return Ok(());
        }
        let events: Vec<_> = events.into_iter().filter(|event| !is_install_assertion(event)).collect();
        prop_assert_ne!(Record::from_events(&events).verdict, Verdict::Pass);
    }

    #[test]
    fn without_any_assertion_no_run_passes(events in events()) {
        let is_assertion = |event: &Event| matches!(
            &event.kind,
            EventKind::TrialEnded { name, outcome: Outcome::Pass, .. } if name != "0_deploy"
        );
        let events: Vec<_> = events.into_iter().filter(|event| !is_assertion(event)).collect();
        prop_assert_ne!(Record::from_events(&events).verdict, Verdict::Pass);
    }

    #[test]
    fn without_install_a_pass_needs_every_tier_that_was_asked_for(events in events()) {
        if asks_install(&events) {
            return Ok(());
        }
        let record = Record::from_events(&events);
        prop_assert_eq!(record.level, None);
        if record.verdict == Verdict::Pass {
            let asked = record.tiers.iter().filter(|tier| record.tiers_asked.contains(&tier.name));
            for tier in asked {
                let stands = matches!(tier.outcome, Outcome::Pass | Outcome::Skip { .. });
                prop_assert!(stands, "{} {}", tier.name, tier.outcome.word());
            }
        }
    }

    #[test]
    fn a_kept_run_has_the_verdict_that_a_clean_removal_leaves(body in body()) {
        let verdict = |ending: Ending| {
            let kinds = [body.clone(), ending.events()].concat();
            Record::from_events(&at(kinds)).verdict
        };
        prop_assert_eq!(verdict(Ending::Kept), verdict(Ending::KeptThenRemoved));
    }

    #[test]
    fn one_more_red_outcome_never_makes_it_better(
        events in events(),
        more in red_event(),
        place in any::<Index>(),
    ) {
        let before = Record::from_events(&events);
        let mut kinds: Vec<_> = events.into_iter().map(|event| event.kind).collect();
        // A red try that is followed by a green one of the same test makes it flaky, no better.
        kinds.insert(1 + place.index(kinds.len()), more);
        let after = Record::from_events(&at(kinds));
        prop_assert!(rank(after.verdict) >= rank(before.verdict), "{} -> {}", before.verdict_reason, after.verdict_reason);
        prop_assert!(after.level <= before.level, "{:?} -> {:?}", before.level_reason, after.level_reason);
    }

    #[test]
    fn the_level_stays_below_a_rung_that_is_blocked(events in events()) {
        let record = Record::from_events(&events);
        let Some(level) = record.level else { return Ok(()) };
        let rungs = [
            (1, Tier::Install), (1, Tier::Fresh), (2, Tier::Upgrade),
            (3, Tier::Backup), (3, Tier::Restore), (4, Tier::Custom),
        ];
        for (rung, tier) in rungs {
            if let Some(tier) = record.tier(tier)
                && !matches!(tier.outcome, Outcome::Pass | Outcome::Skip { .. })
            {
                prop_assert!(level < rung, "level {} with {} {}", level, tier.name, tier.outcome.word());
            }
        }
        if level == 5 {
            prop_assert_eq!(&record.lint.outcome, &Outcome::Pass);
        }
    }

    #[test]
    fn a_part_of_a_list_is_neither_a_pass_nor_a_failure(events in events(), length in any::<Index>()) {
        let part = &events[..length.index(events.len())];
        // A kept run is a whole one whose removal is still to come.
        let kept = part.last().is_some_and(|event| matches!(event.kind, EventKind::Kept { .. }));
        prop_assume!(!kept);
        let record = Record::from_events(part);
        prop_assert_eq!(record.verdict, Verdict::Error);
    }

    #[test]
    fn a_record_and_its_events_survive_json(events in events()) {
        let record = Record::from_events(&events);
        let text = serde_json::to_string(&record).unwrap();
        prop_assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
        for event in events {
            let line = serde_json::to_string(&event).unwrap();
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
        }
    }

    #[test]
    fn a_record_is_never_green_and_red_at_once(events in events()) {
        let record = Record::from_events(&events);
        if record.verdict == Verdict::Pass {
            prop_assert!(results::verdict::all_green(&record));
        }
    }
}
