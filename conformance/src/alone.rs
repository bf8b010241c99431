//! What needs an app of its own: a long name, two apps at once, and a deploy that is cut off.

use std::time::{Duration, Instant};

use harness::fault::Fault;
use harness::wait::{Probe, Unwatched, wait_until};

use crate::row::{Miss, Rows, Seen, holds, same};
use crate::subject::{App, DEADLINE, Subject};

/// How long nothing may come back after a removal.
const QUIET: Duration = Duration::from_secs(6);
const LONGEST: usize = 45;

pub async fn try_all(subject: &Subject<'_>, rows: &mut Rows<'_>) -> Result<(), Fault> {
    let app = App::new(subject, "of-an-app-that-has-a-name-of-more-than-45-signs").await?;
    rows.follow(&app.dir.join(harness::engine::abra::LOG));
    rows.row(
        "long-name",
        &[],
        "An app whose name is over 45 characters has the stack that cc-ci expects.",
        long(subject, &app),
    )
    .await;
    app.end().await?;

    let (one, two) = (
        App::new(subject, "one").await?,
        App::new(subject, "two").await?,
    );
    rows.follow(&one.dir.join(harness::engine::abra::LOG));
    rows.follow(&two.dir.join(harness::engine::abra::LOG));
    rows.row(
        "two-at-once",
        &[],
        "Two apps of one recipe are deployed at once, each at its own commit.",
        both(subject, &one, &two),
    )
    .await;
    let (one, two) = tokio::join!(one.end(), two.end());
    one.and(two)?;

    let app = App::new(subject, "cut-off").await?;
    rows.follow(&app.dir.join(harness::engine::abra::LOG));
    rows.row(
        "cut-off",
        &[],
        "A deploy that is killed in the middle is removed whole, and nothing comes back.",
        cut_off(subject, &app),
    )
    .await;
    app.end().await
}

async fn long(subject: &Subject<'_>, app: &App<'_>) -> Seen {
    same(
        "length of the stack's name",
        LONGEST,
        app.stack().as_str().len(),
    )?;
    app.install(&subject.recipe.head).await?;
    app.converge(&subject.recipe.head).await?;
    same(
        "differences",
        Vec::new(),
        app.differences(&subject.recipe.head).await?,
    )?;
    app.engine.remove(&app.spec, DEADLINE).await?;
    same("what is left", Vec::new(), app.residue().await?)?;
    Ok(app.stack().to_string())
}

async fn both(subject: &Subject<'_>, one: &App<'_>, two: &App<'_>) -> Seen {
    let (second, head) = (&subject.recipe.second, &subject.recipe.head);
    let (done, also) = tokio::join!(one.install(second), two.install(head));
    done?;
    also?;
    let (done, also) = tokio::join!(one.converge(second), two.converge(head));
    done?;
    also?;
    let (of_one, of_two) = tokio::try_join!(one.differences(second), two.differences(head))?;
    same("differences of the published one", Vec::new(), of_one)?;
    same("differences of head", Vec::new(), of_two)?;
    let (done, also) = tokio::join!(
        one.engine.remove(&one.spec, DEADLINE),
        two.engine.remove(&two.spec, DEADLINE)
    );
    done?;
    also?;
    let (left, more) = tokio::try_join!(one.residue(), two.residue())?;
    same("what is left", Vec::new(), [left, more].concat())?;
    Ok(format!("{} and {}", one.stack(), two.stack()))
}

async fn cut_off(subject: &Subject<'_>, app: &App<'_>) -> Seen {
    let head = &subject.recipe.head;
    app.engine.create(&app.spec, &head.sha).await?;
    app.insert(head, &app.token("v1", b"word")).await?;
    let before = app.residue().await?.len();
    let begun = wait_until(
        "the first object of the stack",
        DEADLINE,
        Duration::from_millis(2),
        &Unwatched,
        || async {
            match app.residue().await {
                Ok(there) if there.len() > before => Probe::Ready(there),
                Ok(_) => Probe::NotYet("none yet".to_owned()),
                Err(fault) => Probe::Never(fault.to_string()),
            }
        },
    );
    // Whoever is dropped here is killed, with all that it started.
    let there = tokio::select! {
        done = app.deploy(head) => {
            done?;
            return Err(Miss::NotRun("the deploy was over before it could be cut off".to_owned()));
        }
        there = begun => there.map_err(|error| Miss::Differs(error.to_string()))?,
    };
    app.engine.remove(&app.spec, DEADLINE).await?;
    let removed = Instant::now();
    let quiet = wait_until(
        "nothing to come back",
        DEADLINE,
        Duration::from_millis(200),
        &Unwatched,
        || async {
            match app.residue().await {
                Ok(left) if !left.is_empty() => Probe::Never(format!("{left:?} came back")),
                Ok(_) if removed.elapsed() > QUIET => Probe::Ready(()),
                Ok(_) => Probe::NotYet("clean so far".to_owned()),
                Err(fault) => Probe::Never(fault.to_string()),
            }
        },
    );
    let quiet = quiet.await;
    holds(quiet.is_ok(), || format!("{quiet:?}"))?;
    Ok(format!("cut off when there was {there:?}"))
}
