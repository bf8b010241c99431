//! The suite over the engines that there are.

#![expect(clippy::unwrap_used, reason = "a test's own helpers panic like a test")]

use std::path::Path;

use conformance::{Outcome, Part, Row, Spec};
use harness::site::{EngineKind, Site};

async fn rows(engine: EngineKind, site: &Site, dir: &Path, part: Part) -> Vec<Row> {
    let spec = Spec {
        engine,
        site,
        dir,
        part,
        told: &|row| println!("{:>6.1?}  {}: {:?}", row.took, row.area, row.outcome),
    };
    conformance::run(&spec).await.unwrap()
}

/// The areas that do not hold.
fn missed(rows: &[Row]) -> Vec<&str> {
    let missed = rows.iter().filter(|row| row.outcome != Outcome::Holds);
    missed.map(|row| row.area).collect()
}

#[tokio::test]
async fn docker_the_stack_engine_does_what_an_engine_owes() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::default();
    let rows = rows(EngineKind::Stack, &site, dir.path(), Part::Whole).await;
    assert!(rows.len() > 25, "{}", rows.len());
    let missed = missed(&rows);
    assert!(missed.is_empty(), "{}", conformance::table("stack", &rows));
}
