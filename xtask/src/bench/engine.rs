//! What the engine abra adds to abra: its own work in one app's life, beside the program's.
//!
//! The program is the stand-in for abra, so its own time is no figure of a real one's; what the
//! engine does besides is.

use std::time::Duration;

use anyhow::Result;
use fixtures::abra::{Bot, stand_in};
use harness::site::{EngineKind, Site};

use super::figure::{Aim, Figure};
use super::{Scratch, say};

pub fn measure(lives: u32, scratch: &Scratch) -> Result<Vec<Figure>> {
    say("lives of an app by the engine abra, with the stand-in for that program");
    let folder = scratch.folder("abra")?;
    let mut site = Site {
        engine: EngineKind::Abra,
        ..Site::default()
    };
    site.abra.program = stand_in(&folder, &[])?;
    site.abra.dir = Some(folder.join("operator"));
    let _bot = Bot::start(&format!("cc-ci-bench-bot-{}", std::process::id()))?;
    let mut costs = Vec::new();
    for life in 0..=lives {
        let dir = folder.join(life.to_string());
        let cost = crate::block_on(conformance::cost(&site, &dir))?;
        // The first one warms up.
        if life > 0 {
            costs.push(cost);
        }
    }
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let figure = |name: &str, of: &dyn Fn(&conformance::Cost) -> f64, unit, how| {
        let raw = costs.iter().map(of).collect();
        Figure::median(format!("abra: {name}"), unit, raw, how)
    };
    let own = |cost: &conformance::Cost| ms(cost.engine - cost.program);
    let ratio = |cost: &conformance::Cost| cost.engine.as_secs_f64() / cost.program.as_secs_f64();
    let removal = |cost: &conformance::Cost| ms(cost.removal - cost.removal_program);
    Ok(vec![
        figure(
            "bare commands",
            &|cost| ms(cost.program),
            "ms",
            "app new to the last restore",
        ),
        figure("the engine's own work", &own, "ms", "beside these commands"),
        figure("engine over commands", &ratio, "x", "1 is nothing added").aim(Aim::AtMost(1.25)),
        figure(
            "removal, bare commands",
            &|cost| ms(cost.removal_program),
            "ms",
            "undeploy and remove",
        ),
        figure(
            "removal, own work",
            &removal,
            "ms",
            "until nothing is left; snapshots forgotten",
        ),
    ])
}
