use std::time::Duration;

use results::outcome::Tier;
use rstest::rstest;

use super::sample::{HEAD, Held, LOG, OTHER, cancelled, done, error, failed, passed};
use super::*;
use crate::command::Asked;

const MINUTE: Duration = Duration::from_secs(60);

fn said(phase: Phase<'_>) -> String {
    let held = Held::new();
    let text = status_comment(&held.view(phase));
    let marker = format!("<!-- cc-ci:coop-cloud/custom-html status 7 {HEAD} -->\n\n");
    text.strip_prefix(&marker).unwrap().to_owned()
}

fn status(phase: Phase<'_>) -> String {
    let (state, text) = commit_status(&Held::new().view(phase));
    format!("{}: {text}", state.as_str())
}

#[rstest]
#[case(Some(3), Some(4 * MINUTE), " waits for its turn.\n\nIt is number 3 in the queue. It should begin in about 4 minutes.\n")]
#[case(
    Some(1),
    Some(Duration::ZERO),
    " waits for its turn.\n\nIt is the next. It should begin in about 1 minute.\n"
)]
#[case(None, Some(100 * Duration::from_secs(1)), " waits for its turn.\n\nIt should begin in about 2 minutes.\n")]
#[case(None, None, " waits for its turn.\n")]
fn a_run_that_waits_says_how_long(
    #[case] position: Option<u32>,
    #[case] expected: Option<Duration>,
    #[case] rest: &str,
) {
    let queued = Phase::Queued { position, expected };
    assert_eq!(
        said(queued),
        format!("**Queued**: `custom-html` at `4be1c2d9a077`{rest}")
    );
    assert_eq!(status(queued), "pending: waits for its turn");
}

#[test]
fn a_run_that_starts() {
    assert_eq!(
        said(Phase::Starting),
        "**Starting**: `custom-html` at `4be1c2d9a077`.\n"
    );
    assert_eq!(status(Phase::Starting), "pending: starts");
}

#[test]
fn a_run_that_goes_on_changes_once_a_minute() {
    let at = |seconds| Phase::Running {
        tier: Some(Tier::Upgrade),
        elapsed: Duration::from_secs(seconds),
        link: Some(LOG),
    };
    insta::assert_snapshot!(said(at(245)), @"
    **Running** for 4 minutes, now upgrade: `custom-html` at `4be1c2d9a077`.

    [log](<https://drone.test/coop/cc-ci/12>)
    ");
    assert_eq!(said(at(240)), said(at(299)));
    assert_ne!(said(at(240)), said(at(300)));
    assert_eq!(status(at(240)), "pending: runs: upgrade");
    assert_eq!(status(at(240)), status(at(900)));
    let unknown = Phase::Running {
        tier: None,
        elapsed: Duration::ZERO,
        link: None,
    };
    assert_eq!(
        said(unknown),
        "**Running** for less than a minute: `custom-html` at `4be1c2d9a077`.\n"
    );
    assert_eq!(status(unknown), "pending: runs");
}

#[test]
fn a_run_that_passed() {
    let summary = passed();
    insta::assert_snapshot!(said(done(&summary)), @"
    **PASS**, level 5 of 5: `custom-html` at `4be1c2d9a077`, in 1 min 23 s.

    `install, upgrade, backup, restore, custom, fresh passed, 26 assertions`

    | tier | status | time |
    | --- | --- | ---: |
    | install | pass | 5.4 s |
    | upgrade | pass | 5.4 s |
    | backup | pass | 5.4 s |
    | restore | pass | 5.4 s |
    | custom | pass | 5.4 s |
    | fresh | pass | 5.4 s |
    | lint | pass |  |
    | teardown | pass | 638 ms |

    What differs from `main`:

    - `compared with run m-1 of main (0a1b2c3d4e5f, pass)`
    - `nothing is newly red, newly green or slower`

    [report](<https://ci.test/runs/r-1/report.html>) · [log](<https://drone.test/coop/cc-ci/12>) · [![level](<https://ci.test/badge/r-1.svg>)](<https://ci.test/runs/r-1/report.html>)
    ");
    assert_eq!(
        status(done(&summary)),
        "success: pass, level 5 of 5, in 1 min 23 s"
    );
}

#[test]
fn a_run_that_failed() {
    let summary = failed();
    insta::assert_snapshot!(said(done(&summary)), @"
    **FAIL**, level 4 of 5: `custom-html` at `4be1c2d9a077`, in 1 min 23 s.

    `custom login failed: /login answers 502, and not 200`

    | tier | status | time |
    | --- | --- | ---: |
    | install | pass | 5.4 s |
    | upgrade | pass | 5.4 s |
    | backup | pass | 5.4 s |
    | restore | pass | 5.4 s |
    | custom | fail | 5.4 s |
    | fresh | pass | 5.4 s |
    | lint | pass |  |
    | teardown | pass | 638 ms |

    Why the level is not higher: `functional tests failed`

    First to fail: the test `login` of custom (see `evidence/custom/log-app.txt`): `/login answers 502, and not 200`

    <details>
    <summary>The lines that say most</summary>

    ```text
    connecting to db:5432
    panic: no such host

    goroutine 1 [running]
    ```

    </details>

    What differs from `main`:

    - `compared with run m-1 of main (0a1b2c3d4e5f, pass)`
    - `newly red: custom::login (pass there, fail here)`

    [report](<https://ci.test/runs/r-1/report.html>) · [log](<https://drone.test/coop/cc-ci/12>) · [![level](<https://ci.test/badge/r-1.svg>)](<https://ci.test/runs/r-1/report.html>)
    ");
    assert_eq!(
        status(done(&summary)),
        "failure: fail, level 4 of 5: custom login failed: /login answers 502, and not 200"
    );
}

#[test]
fn an_error_is_nobodys_fault() {
    let summary = error();
    insta::assert_snapshot!(said(done(&summary)), @"
    **ERROR**, and not your fault: `custom-html` at `4be1c2d9a077`, in 1 min 23 s.

    `install met an error: docker.io says 429, too many requests`

    | tier | status | time |
    | --- | --- | ---: |
    | install | error | 5.4 s |
    | upgrade | pass | 5.4 s |
    | backup | pass | 5.4 s |
    | restore | pass | 5.4 s |
    | custom | pass | 5.4 s |
    | fresh | pass | 5.4 s |
    | lint | pass |  |
    | teardown | pass | 638 ms |

    Why the level is not higher: `install met an error`

    Nothing more happens by itself. To try again, write `!testme` in a new comment; if it ends like this again, tell an operator.

    [report](<https://ci.test/runs/r-1/report.html>) · [log](<https://drone.test/coop/cc-ci/12>) · [![level](<https://ci.test/badge/r-1.svg>)](<https://ci.test/runs/r-1/report.html>)
    ");
    assert_eq!(
        status(done(&summary)),
        "error: error, and not the recipe's fault: install met an error: docker.io says 429, too many requests"
    );
}

#[test]
fn a_run_that_was_cancelled() {
    let summary = cancelled();
    insta::assert_snapshot!(said(done(&summary)), @"
    **CANCELLED** by `ada`: `custom-html` at `4be1c2d9a077`, in 1 min 23 s.

    `cancelled by ada`

    | tier | status | time |
    | --- | --- | ---: |
    | install | pass | 5.4 s |
    | upgrade | unverified | 5.4 s |
    | backup | pass | 5.4 s |
    | restore | pass | 5.4 s |
    | custom | pass | 5.4 s |
    | fresh | pass | 5.4 s |
    | lint | pass |  |
    | teardown | pass | 638 ms |

    Why there is no level: `the run was cancelled`

    [report](<https://ci.test/runs/r-1/report.html>) · [log](<https://drone.test/coop/cc-ci/12>) · [![level](<https://ci.test/badge/r-1.svg>)](<https://ci.test/runs/r-1/report.html>)
    ");
    assert_eq!(status(done(&summary)), "error: cancelled: cancelled by ada");
}

#[test]
fn a_run_that_was_cancelled_before_it_began() {
    let phase = Phase::Cancelled {
        by: "ada",
        summary: None,
    };
    assert_eq!(
        said(phase),
        "**CANCELLED** by `ada`: `custom-html` at `4be1c2d9a077`.\n"
    );
    assert_eq!(status(phase), "error: cancelled by ada");
    let summary = cancelled();
    let phase = Phase::Cancelled {
        by: "ada",
        summary: Some(&summary),
    };
    assert!(said(phase).contains("| upgrade | unverified | 5.4 s |"));
}

#[test]
fn a_run_whose_head_is_old() {
    let head: CommitSha = OTHER.parse().unwrap();
    let phase = Phase::Superseded { head: &head };
    insta::assert_snapshot!(said(phase), @"
    **Superseded**: `custom-html` at `4be1c2d9a077` is not tested.

    The pull request moved on to `0a1b2c3d4e5f` before this run began; that commit is tested in its place.
    ");
    assert_eq!(
        status(phase),
        "error: a newer commit is tested in its place: 0a1b2c3d4e5f"
    );
}

#[test]
fn a_run_without_a_record() {
    let phase = Phase::Infra {
        why: "build 12 ended, and its log has no summary",
        link: Some(LOG),
    };
    insta::assert_snapshot!(said(phase), @"
    **ERROR**, and not your fault: `custom-html` at `4be1c2d9a077` could not be tested.

    `build 12 ended, and its log has no summary`

    Nothing more happens by itself. To try again, write `!testme` in a new comment; if it ends like this again, tell an operator.

    [log](<https://drone.test/coop/cc-ci/12>)
    ");
    assert_eq!(
        status(phase),
        "error: error, and not the recipe's fault: build 12 ended, and its log has no summary"
    );
}

#[test]
fn what_was_asked_for_and_notes_are_said() {
    let mut held = Held::new();
    held.asked = Asked {
        tiers: vec![Tier::Upgrade, Tier::Custom],
        quick: true,
        from: Some("1.0.0+1.22".to_owned()),
        commit: None,
    };
    held.notes = vec![
        Note::FirstOfSeveral(1),
        Note::FirstOfSeveral(4),
        Note::Supersedes(OTHER.parse().unwrap()),
    ];
    let mut summary = passed();
    (summary.partial, summary.level) = (true, None);
    summary.level_reason = "not all tiers were asked for".to_owned();
    summary.news = Vec::new();
    insta::assert_snapshot!(status_comment(&held.view(done(&summary))), @"
    <!-- cc-ci:coop-cloud/custom-html status 7 4be1c2d9a07735f0c1d2e3f4a5b6c7d8e9f00112 -->

    **PASS**, a part of the tests: `custom-html` at `4be1c2d9a077`, in 1 min 23 s.

    `install, upgrade, backup, restore, custom, fresh passed, 26 assertions`

    | tier | status | time |
    | --- | --- | ---: |
    | install | pass | 5.4 s |
    | upgrade | pass | 5.4 s |
    | backup | pass | 5.4 s |
    | restore | pass | 5.4 s |
    | custom | pass | 5.4 s |
    | fresh | pass | 5.4 s |
    | lint | pass |  |
    | teardown | pass | 638 ms |

    Why there is no level: `not all tiers were asked for`

    Asked for: upgrade, custom, quick, from `1.0.0+1.22`.

    The comment has one more command; only the first one counts.

    The comment has 4 more commands; only the first one counts.

    It takes the place of the run of `0a1b2c3d4e5f`, which still waited.

    [report](<https://ci.test/runs/r-1/report.html>) · [log](<https://drone.test/coop/cc-ci/12>) · [![level](<https://ci.test/badge/r-1.svg>)](<https://ci.test/runs/r-1/report.html>)
    ");
}

#[test]
fn a_description_is_short_whatever_it_holds() {
    for text in ["x", "😀", "\u{202e}\n"] {
        let text = text.repeat(10_000);
        let phase = Phase::Infra {
            why: &text,
            link: None,
        };
        let (_, said) = commit_status(&Held::new().view(phase));
        assert!(
            said.len() <= 255 && !said.contains(['\n', '\u{202e}']),
            "{said}"
        );
    }
}
