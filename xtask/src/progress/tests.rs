use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Through the door that the real ones come by: a line of JSON.
fn event(kind: Value) -> Event {
    let mut line = json!({"at": "2030-01-02T03:04:05Z"});
    line.as_object_mut()
        .unwrap()
        .extend(kind.as_object().unwrap().clone());
    serde_json::from_value(line).unwrap()
}

fn waiting() -> Event {
    event(json!({
        "event": "waiting", "subject": "the app", "status": "0 of 1 running",
        "elapsed_ms": 2_000, "deadline_ms": 600_000,
    }))
}

fn trial(status: &Value) -> Event {
    event(json!({
        "event": "trial_ended", "tier": "custom", "name": "unknown_path_is_404",
        "source": "custom", "outcome": status, "duration_ms": 420, "evidence": [],
    }))
}

#[test]
fn a_run_reads_as_a_table_that_grows() {
    let mut progress = Progress::new(Colour::Never);
    let mut lines = Vec::new();
    for kind in [
        json!({"event": "run_started", "run_id": "custom-html-1", "recipe": "custom-html",
            "source": "built-in", "requested_ref": "main", "pr": 0, "engine": "stack",
            "site": "local", "tiers": ["install"], "planned": [], "settings": {},
            "skipped_generic": []}),
        json!({"event": "resolved", "ref": "0123456789", "head_version": null,
            "base": {"version": "1.0.0+1.25", "commit": "ab", "reason": "newest tag before head"},
            "no_base": null, "domain": "cust-123456.ci.test", "stack": "cust-123456_ci_test"}),
        json!({"event": "phase_ended", "phase": "fetch", "duration_ms": 310}),
        json!({"event": "operation_started", "tier": "install"}),
        json!({"event": "operation_ended", "tier": "install", "outcome": {"status": "pass"},
            "duration_ms": 3_200, "facts": {}, "evidence": []}),
        json!({"event": "trial_ended", "tier": "upgrade", "name": "page_survives",
            "source": "overlay", "outcome": {"status": "fail", "reason": "the page is gone"},
            "duration_ms": 12_000, "evidence": []}),
        json!({"event": "retry", "tier": "backup", "what": "backup", "why": "the dump is cut",
            "attempt": 2}),
        json!({"event": "teardown_ended", "duration_ms": 600,
            "residue": [{"kind": "volume", "name": "x"}], "errors": ["volume x: in use"]}),
    ] {
        lines.extend(progress.take(&event(kind), seconds(1)));
    }
    insta::assert_snapshot!(lines.join("\n"), @"
    run custom-html-1
    custom-html at main from built-in, engine stack, site local
    tiers install
    head 0123456789, base 1.0.0+1.25 (newest tag before head)
    https://cust-123456.ci.test
    pass        install  deploy                                               3.2 s
    fail        upgrade  page_survives                                         12 s
                the page is gone
    again       backup   backup, attempt 2: the dump is cut
    fail                 teardown                                             0.6 s
                1 left behind
                volume x: in use
    ");
}

#[test]
fn the_live_line_says_what_it_waits_for_how_long_and_how_much_is_left() {
    let mut progress = Progress::new(Colour::Never);
    let start = event(json!({"event": "operation_started", "tier": "upgrade"}));
    progress.take(&start, seconds(5));
    insta::assert_snapshot!(progress.status(seconds(8)), @"upgrade: redeploy (3.0 s)");
    assert!(progress.take(&waiting(), seconds(10)).is_empty());
    insta::assert_snapshot!(progress.status(seconds(40)), @"upgrade: redeploy, waiting for the app [0 of 1 running] (32 s, 9 min 28 s left)");
}

#[test]
fn what_was_waited_for_is_forgotten_when_something_else_begins() {
    let mut progress = Progress::new(Colour::Never);
    progress.take(&waiting(), seconds(10));
    progress.take(&event(json!({"event": "teardown_started"})), seconds(20));
    assert_eq!(progress.status(seconds(21)), "teardown (1.0 s)");
}

#[test]
fn a_log_gets_a_line_every_ten_seconds_and_none_sooner() {
    let mut progress = Progress::new(Colour::Never);
    progress.take(
        &event(json!({"event": "operation_started", "tier": "install"})),
        seconds(0),
    );
    progress.take(&trial(&json!({"status": "pass"})), seconds(5));
    let ticks: Vec<_> = (0..=40)
        .filter(|second| progress.tick(seconds(*second)).is_some())
        .collect();
    assert_eq!(ticks, [15, 25, 35]);
}

#[test]
fn a_run_that_is_over_is_silent() {
    let mut progress = Progress::new(Colour::Never);
    progress.take(&event(json!({"event": "run_finished"})), seconds(1));
    assert_eq!(progress.tick(seconds(100)), None);
}

#[rstest]
#[case(json!({"status": "fail", "reason": "a\u{1b}[2J\u{9b}b\nc"}))]
#[case(json!({"status": "error", "reason": "\u{202e}x\r"}))]
fn text_from_outside_can_not_steer_the_terminal(#[case] outcome: Value) {
    let mut progress = Progress::new(Colour::Never);
    let lines = progress.take(&trial(&outcome), seconds(1)).join("");
    assert!(
        !lines.contains(|c: char| c.is_control() && c != '\n'),
        "{lines:?}"
    );
    assert!(!lines.contains('\u{202e}'));
    assert_eq!(lines.lines().count(), 2);
}

#[test]
fn colour_is_only_where_it_was_asked_for() {
    let passed = trial(&json!({"status": "pass"}));
    let plain = Progress::new(Colour::Never)
        .take(&passed, seconds(1))
        .join("");
    let coloured = Progress::new(Colour::Ansi)
        .take(&passed, seconds(1))
        .join("");
    assert!(!plain.contains('\u{1b}'));
    assert!(coloured.starts_with("\u{1b}[32mpass"));
}

#[test]
fn a_phase_that_is_mostly_nothing_is_shown_where_it_took_long() {
    let shown = |phase: &str, duration_ms: u64| {
        let ended = json!({"event": "phase_ended", "phase": phase, "duration_ms": duration_ms});
        let mut progress = Progress::new(Colour::Never);
        !progress.take(&event(ended), seconds(1)).is_empty()
    };
    assert!(!shown("queue", 999));
    assert!(shown("queue", 1_000));
    assert!(shown("images", 1));
}

#[test]
fn who_is_before_us_in_the_queue_is_said_once() {
    let mut progress = Progress::new(Colour::Never);
    let waiting = json!({
        "event": "waiting", "subject": "a free slot", "status": "behind r-1",
        "elapsed_ms": 0, "deadline_ms": 600_000,
    });
    let queue = json!({"event": "phase_started", "phase": "queue"});
    let mut lines = progress.take(&event(queue), seconds(1));
    for _ in 0..2 {
        lines.extend(progress.take(&event(waiting.clone()), seconds(2)));
    }
    insta::assert_snapshot!(lines.join("\n"), @"queue                waiting for a free slot, behind r-1");
}

#[test]
fn settings_are_shown_that_are_not_the_usual_ones() {
    let mut changed = Settings::default();
    assert_eq!(settings(&changed.describe()), None);
    changed.health_path = "/up".to_owned();
    assert_eq!(
        settings(&changed.describe()).unwrap(),
        "settings health_path=\"/up\""
    );
}
