//! What an engine owes, tried on the real swarm: the same expectations for every engine.
//!
//! An engine is believed nothing: what is live is looked at by `harness::swarm`. Beside it, for
//! abra alone, what cc-ci assumes of that program and could not read anywhere.
//!
//! This crate must not know: sessions of runs, tests of recipes, verdicts.

mod alone;
mod assumed;
mod cost;
mod data;
mod git;
mod life;
mod report;
mod row;
mod rules;
mod subject;

use std::path::Path;

use harness::fault::Fault;
use harness::site::{EngineKind, Site};

pub use cost::{Cost, cost};
pub use report::{table, write};
pub use row::{Outcome, Row};

use row::Rows;
use subject::Subject;

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Whole,
    /// One app's life, and lint.
    Quick,
}

/// What to try, and where.
pub struct Spec<'a> {
    pub engine: EngineKind,
    /// Its abra and its zone.
    pub site: &'a Site,
    /// A folder of the suite's own.
    pub dir: &'a Path,
    pub part: Part,
    /// Told of each row as it is done.
    pub told: &'a dyn Fn(&Row),
}

/// Tries what every engine owes. A fault: nothing could be tried.
pub async fn run(spec: &Spec<'_>) -> Result<Vec<Row>, Fault> {
    let dir = spec.dir.join("owed");
    let subject = Subject::new(spec.engine, spec.site, &dir).await?;
    let mut rows = Rows::new(spec.told);
    rules::try_all(&subject, &mut rows).await?;
    life::try_all(&subject, spec.part, &mut rows).await?;
    if spec.part == Part::Whole {
        alone::try_all(&subject, &mut rows).await?;
        let plain = spec.dir.join("plain");
        let plain = Subject::new(spec.engine, spec.site, &plain).await?;
        life::without_overlay(&plain.without_overlay(), &mut rows).await?;
    }
    Ok(rows.into_rows())
}

/// Tries what is assumed of abra; of the stack engine nothing is.
pub async fn assumptions(spec: &Spec<'_>) -> Result<Vec<Row>, Fault> {
    let dir = spec.dir.join("assumed");
    let subject = Subject::new(spec.engine, spec.site, &dir).await?;
    let mut rows = Rows::new(spec.told);
    assumed::try_all(&subject, &mut rows).await?;
    Ok(rows.into_rows())
}
