//! Evidence of an operation or a tier that did not pass, the piece that says most in front.

use std::collections::BTreeSet;

use results::event::EventKind;
use results::{Event, Outcome, Tier};

use super::Run;
use crate::engine::abra;
use crate::evidence::{Folder, Piece};
use crate::suite::Generic;
use crate::swarm::{self, log_file};

/// A phase of the run's events that is shown.
const MOST_EVENTS: usize = 500;

impl<G: Generic> Run<'_, G> {
    /// Writes what is known where something of this tier was not a pass. Once for each tier: what a
    /// second failure would see is what the first saw. Never fails: it says what it could not.
    pub async fn collect_evidence(&mut self, tier: Tier, outcome: &Outcome) -> Vec<String> {
        if !self.collected.insert(tier) {
            return Vec::new();
        }
        let mut pieces = vec![Piece::new("events.txt", self.events_of(tier))];
        let mut services = BTreeSet::new();
        if let Some(prepared) = &self.prepared {
            pieces.extend(swarm::collect(&prepared.swarm, &prepared.app.stack).await);
            if let Ok(live) = swarm::live(&prepared.swarm, &prepared.app.stack).await {
                services.extend(live.into_iter().map(|service| service.name));
            }
            pieces.push(Piece::new("app.env", prepared.env.to_string()));
            if let Ok(said) = std::fs::read(self.paths.abra().join(abra::LOG)) {
                pieces.push(Piece::new(abra::LOG, String::from_utf8_lossy(&said)));
            }
            let exchanges = prepared.http.exchanges();
            if !exchanges.is_empty() {
                pieces.push(Piece::new("http.txt", newest_first(exchanges)));
            }
            if let Some(edge) = &prepared.edge {
                pieces.push(Piece::new("edge.log", edge.log().await));
            }
        }
        let first = leading(outcome.reason().unwrap_or_default(), &services);
        pieces.sort_by_key(|piece| rank(&piece.name, &first));
        self.evidence().write(tier.as_str(), pieces)
    }

    pub(super) fn evidence(&self) -> Folder {
        Folder::new(self.paths.evidence(), self.journal().redactor().now())
    }

    /// What the run's events say of the tier, from its operation's start on.
    fn events_of(&self, tier: Tier) -> String {
        match results::log::read_events(&self.paths.events()) {
            Ok((events, _)) => told(&events, tier),
            Err(error) => format!("{error}\n"),
        }
    }
}

/// The last exchange says most.
fn newest_first(exchanges: Vec<String>) -> String {
    let exchanges: Vec<String> = exchanges.into_iter().rev().collect();
    exchanges.join("\n\n----\n\n")
}

/// The file that says most about this reason.
fn leading(reason: &str, services: &BTreeSet<String>) -> String {
    let named = |service: &&String| {
        // `app: task failed …`, also behind another text: `the base 1.0.0 can't be deployed: app: …`.
        reason.match_indices(service.as_str()).any(|(at, _)| {
            let before = reason[..at].chars().next_back();
            reason[at + service.len()..].starts_with(": ")
                && before.is_none_or(|c| c == ' ' || c == '(')
        })
    };
    let log_of = services
        .iter()
        .filter(named)
        .min_by_key(|service| reason.find(&format!("{service}: ")));
    if let Some(service) = log_of {
        return log_file(service);
    }
    if reason.contains("http://") || reason.contains("https://") {
        return "http.txt".to_owned();
    }
    "events.txt".to_owned()
}

/// Where a file comes in the list.
fn rank(name: &str, first: &str) -> usize {
    const ORDER: [&str; 9] = [
        "tasks.txt",
        "http.txt",
        "events.txt",
        abra::LOG,
        "health.txt",
        "services.txt",
        "edge.log",
        "log-",
        "app.env",
    ];
    if name == first {
        return 0;
    }
    let place = ORDER.iter().position(|begin| name.starts_with(begin));
    place.map_or(ORDER.len(), |at| at + 1)
}

/// The events since the tier's operation began, a line each.
fn told(events: &[Event], tier: Tier) -> String {
    let begin = events.iter().rposition(
        |event| matches!(event.kind, EventKind::OperationStarted { tier: of } if of == tier),
    );
    let events = &events[begin.unwrap_or(0)..];
    let events = &events[events.len().saturating_sub(MOST_EVENTS)..];
    let Some(first) = events.first() else {
        return "(no events)\n".to_owned();
    };
    let mut text = format!("from {}\n", first.at);
    let mut last_wait = String::new();
    for event in events {
        let since = event.at.duration_since(first.at).as_secs_f64();
        let said = match &event.kind {
            EventKind::PhaseStarted { phase } => format!("phase {phase} begins"),
            EventKind::PhaseEnded { phase, .. } => format!("phase {phase} ends"),
            EventKind::Waiting {
                subject, status, ..
            } => {
                let said = format!("waiting for {subject}: {status}");
                // Told each second.
                if said == last_wait {
                    continue;
                }
                last_wait.clone_from(&said);
                said
            }
            EventKind::OperationStarted { tier } => format!("{tier}: the operation begins"),
            EventKind::OperationEnded { tier, outcome, .. } => {
                format!("{tier}: the operation ends: {}", in_words(outcome))
            }
            EventKind::TrialStarted { name, .. } => format!("test {name} begins"),
            EventKind::TrialEnded { name, outcome, .. } => {
                format!("test {name} ends: {}", in_words(outcome))
            }
            EventKind::Note { text, .. } => format!("note: {text}"),
            EventKind::Retry { what, why, .. } => format!("second try of {what}: {why}"),
            _ => continue,
        };
        text.push_str(&format!("{since:>8.1} s  {said}\n"));
    }
    text
}

fn in_words(outcome: &Outcome) -> String {
    match outcome.reason() {
        Some(reason) => format!("{}, {reason}", outcome.word()),
        None => outcome.word().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::a_crash_loop("app: task failed three times: exit 1: `no database`", "log-app.txt")]
    #[case::behind_a_text("the base 1.0.0 can't be deployed: db: exit 1", "log-db.txt")]
    #[case::the_first_of_several(
        "db: 0 of 1 running; app: 0 of 1 running (not within 60 s)",
        "log-db.txt"
    )]
    #[case::no_longer_name("webapp: exit 1", "events.txt")]
    #[case::a_refused_answer(
        "gave up waiting for https://a.ci.test/ answers: 404 Not Found",
        "http.txt"
    )]
    #[case::an_image("pulling x:1: manifest unknown", "events.txt")]
    fn what_says_most_comes_first(#[case] reason: &str, #[case] expected: &str) {
        let services = ["app", "db"].map(str::to_owned).into();
        let first = leading(reason, &services);
        assert_eq!(first, expected);
        let mut names = [
            "services.txt",
            "log-app.txt",
            "http.txt",
            "events.txt",
            "log-db.txt",
            "tasks.txt",
        ];
        names.sort_by_key(|name| rank(name, &first));
        assert_eq!(names[0], expected);
    }

    #[test]
    fn events_of_an_operation_are_told_from_its_beginning() {
        let at = |second: i64, kind| Event {
            at: jiff::Timestamp::from_second(1_000 + second).unwrap(),
            kind,
        };
        let wait = |status: &str| EventKind::Waiting {
            subject: "the services of x".to_owned(),
            status: status.to_owned(),
            elapsed_ms: 0,
            deadline_ms: 0,
        };
        let note = |text: &str| EventKind::Note {
            tier: None,
            text: text.to_owned(),
        };
        let start = |tier| EventKind::OperationStarted { tier };
        let events = [
            at(0, note("before")),
            at(1, start(Tier::Upgrade)),
            at(2, wait("app: 0 of 1 running")),
            at(3, wait("app: 0 of 1 running")),
            at(4, wait("app: 1 of 1 running")),
            at(5, note("head changes no service")),
        ];
        insta::assert_snapshot!(told(&events, Tier::Upgrade), @r"
        from 1970-01-01T00:16:41Z
             0.0 s  upgrade: the operation begins
             1.0 s  waiting for the services of x: app: 0 of 1 running
             3.0 s  waiting for the services of x: app: 1 of 1 running
             4.0 s  note: head changes no service
        ");
    }
}
