//! What an engine costs over the bare commands: its own work in one app's life.

use std::path::Path;
use std::time::{Duration, Instant};

use harness::fault::Fault;
use harness::site::Site;

use crate::subject::{App, DEADLINE, Subject};

/// The calls of one app's life, waits for the swarm not counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// In the engine, from the making of the app to its last restore.
    pub engine: Duration,
    /// Of it in the program that the engine drives.
    pub program: Duration,
    /// The same of the removal, which waits until containers are gone.
    pub removal: Duration,
    pub removal_program: Duration,
}

/// Makes an app, deploys a version and head over it, backs up, restores, removes. `dir` is the
/// measurement's own.
pub async fn cost(site: &Site, dir: &Path) -> Result<Cost, Fault> {
    let subject = Subject::new(site.engine, site, dir).await?;
    let mut app = App::new(&subject, "cost").await?;
    let spent = || {
        let program = subject.program.as_ref();
        program.map_or(Duration::ZERO, |program| program.spent())
    };
    let mut cost = Cost::default();
    let (first, head) = (&subject.recipe.first, &subject.recipe.head);
    let before = spent();
    let started = Instant::now();
    app.install(first).await?;
    cost.engine += started.elapsed();
    app.converge(first).await?;
    app.set("SECRET_TOKEN_VERSION", "v2")?;
    let started = Instant::now();
    app.insert(head, &app.token("v2", b"word")).await?;
    app.deploy(head).await?;
    cost.engine += started.elapsed();
    app.converge(head).await?;
    // What the recipe's backup hook wants to be there.
    app.printed("mkdir -p /data/files && echo x > /data/files/changed")
        .await?;
    let what = app.deployment(head)?;
    let started = Instant::now();
    let made = app.engine.backup(&app.spec, &what).await?;
    let restore = app.engine.restore(&app.spec, &what, &made.snapshot);
    restore.await?;
    cost.engine += started.elapsed();
    cost.program = spent() - before;
    let before = spent();
    let started = Instant::now();
    app.engine.remove(&app.spec, DEADLINE).await?;
    cost.removal = started.elapsed();
    cost.removal_program = spent() - before;
    app.end().await?;
    Ok(cost)
}
