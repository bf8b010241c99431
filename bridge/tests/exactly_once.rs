//! Whatever fails and however it is killed: each `!testme` of somebody who may starts one run.

use std::time::Duration;

use bridge_load::{Settings, exactly_once};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_starts_one_run_wherever_the_bridge_is_killed() {
    let seed = std::env::var("CCCI_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let settings = Settings {
        binary: env!("CARGO_BIN_EXE_cc-ci-bridge").into(),
        comments: 320,
        repositories: 8,
        kills: 24,
        seed: seed.unwrap_or(1),
        commands: 0.4,
        deadline: Duration::from_secs(150),
    };
    // Its state is large for the stack of a test.
    let report = Box::pin(exactly_once(&settings)).await.unwrap();
    println!("{report}");
    assert!(report.is_good(), "{report}");
    assert!(report.comments() >= 300 && report.builds() > 30, "{report}");
}
