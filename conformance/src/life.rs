//! One app from its making to its removal.

use harness::fault::Fault;
use harness::recipe::compose::Object;
use harness::swarm::{self, LiveService};

use crate::Part;
use crate::data::{again, backup};
use crate::row::{Miss, Rows, Seen, holds, same};
use crate::subject::{App, DEADLINE, FIRST, RECIPE, Subject};

/// What no shell, no file and no reader of it may change.
const TOKEN: &[u8] = "a$b \"c\" 'd' \\ ä\n".as_bytes();
pub const TOKEN_AFTER: &[u8] = b"another";
const ODD: &str = "5$ of \"it\" # all";

pub async fn try_all(subject: &Subject<'_>, part: Part, rows: &mut Rows<'_>) -> Result<(), Fault> {
    let mut app = App::new(subject, "life").await?;
    app.set("WORDS", "two words")?;
    app.set("ODD", ODD)?;
    rows.follow(&app.dir.join(harness::engine::abra::LOG));
    first(subject, &app, rows).await;
    if part == Part::Whole {
        rows.row(
            "restart",
            &["converge"],
            "A restart replaces the tasks of one service by others of the same spec.",
            restart(subject, &app),
        )
        .await;
    }
    app.set("SECRET_TOKEN_VERSION", "v2")?;
    head(subject, &app, rows).await;
    let snapshot = backup(subject, &app, part, rows).await;
    if part == Part::Whole {
        again(subject, &app, snapshot.as_deref(), rows).await;
    }
    rows.row(
        "remove",
        &["create"],
        "A removal leaves nothing in the swarm.",
        async {
            app.engine.remove(&app.spec, DEADLINE).await?;
            same("what is left", Vec::new(), app.residue().await?)?;
            Ok("nothing is left".to_owned())
        },
    )
    .await;
    rows.row(
        "remove-again",
        &["remove"],
        "A removal of what is gone is no fault.",
        async {
            app.engine.remove(&app.spec, DEADLINE).await?;
            Ok("nothing to do".to_owned())
        },
    )
    .await;
    app.end().await
}

/// A server's own way: no overlay, so a published version is deployed by its name.
pub async fn without_overlay(subject: &Subject<'_>, rows: &mut Rows<'_>) -> Result<(), Fault> {
    let app = App::new(subject, "plain").await?;
    rows.follow(&app.dir.join(harness::engine::abra::LOG));
    rows.row(
        "outside",
        &[],
        "A file outside the recipe, which anybody could name in it, is not deployed.",
        outside(subject, &app),
    )
    .await;
    rows.row(
        "plain",
        &[],
        "Where nothing is added to the recipe's files, a version is labelled as such, and head \
         with its commit.",
        plain(subject, &app),
    )
    .await;
    app.end().await
}

async fn outside(subject: &Subject<'_>, app: &App<'_>) -> Seen {
    let mut what = app.deployment(&subject.recipe.head)?;
    let leak = Object {
        file: Some("/etc/hostname".to_owned()),
        ..Object::default()
    };
    what.compose.configs.insert("leak".to_owned(), leak);
    match app.engine.deploy(&app.spec, &what).await {
        Err(Fault::Recipe(said)) => Ok(said),
        other => Err(Miss::Differs(format!("{other:?}"))),
    }
}

async fn plain(subject: &Subject<'_>, app: &App<'_>) -> Seen {
    let (first, head) = (&subject.recipe.first, &subject.recipe.head);
    app.install(first).await?;
    app.converge(first).await?;
    labels(subject, app).await?;
    same("differences", Vec::new(), app.differences(first).await?)?;
    app.deploy(head).await?;
    app.converge(head).await?;
    let live = live_app(subject, app).await?;
    let short = Some(head.sha.short());
    same("chaos-version", short, label(&live, app, "chaos-version"))?;
    same("differences", Vec::new(), app.differences(head).await?)?;
    Ok(format!("{:#?}", live.labels))
}

async fn first(subject: &Subject<'_>, app: &App<'_>, rows: &mut Rows<'_>) {
    let commit = &subject.recipe.first;
    rows.row(
        "create",
        &[],
        "An app is made, and the swarm has nothing of it yet.",
        async {
            app.engine.create(&app.spec, &commit.sha).await?;
            same("what the swarm has", Vec::new(), app.residue().await?)?;
            Ok("made".to_owned())
        },
    )
    .await;
    let token = app.token("v1", TOKEN);
    rows.row(
        "secret",
        &["create"],
        "A secret is inserted under its full name.",
        async {
            app.insert(commit, &token).await?;
            let names = swarm::secret_names(&subject.swarm, app.stack()).await?;
            same("secrets", [token.name.clone()].into(), names)?;
            Ok(token.name.clone())
        },
    )
    .await;
    rows.row(
        "secret-again",
        &["secret"],
        "A second insert of the same version is refused.",
        async {
            match app.insert(commit, &token).await {
                Err(fault) => Ok(fault.to_string()),
                Ok(()) => Err(Miss::Differs("it was taken".to_owned())),
            }
        },
    )
    .await;
    rows.row(
        "deploy",
        &["secret"],
        "A published version is deployed: the swarm has its services.",
        async {
            app.deploy(commit).await?;
            let mut names = swarm::service_names(&subject.swarm, app.stack()).await?;
            names.sort();
            same(
                "services",
                ["app", "extra", "old", "side"].map(str::to_owned).into(),
                names,
            )?;
            Ok("handed over".to_owned())
        },
    )
    .await;
    rows.row(
        "converge",
        &["deploy"],
        "What was deployed runs, and is what the version's compose files ask for.",
        async {
            let converged = app.converge(commit).await?;
            same("differences", Vec::new(), app.differences(commit).await?)?;
            Ok(format!("{converged:#?}"))
        },
    )
    .await;
    rows.row(
        "labels",
        &["deploy"],
        "The service `app` says recipe, version and that it is no chaos (or, where the checkout has an overlay, of which commit).",
        labels(subject, app),
    )
    .await;
    rows.row(
        "environment",
        &["deploy"],
        "Every variable of the app's file reaches the service `app` as it is, odd characters too.",
        environment(subject, app),
    )
    .await;
    rows.row(
        "files",
        &["converge"],
        "All files of COMPOSE_FILE are merged: a service and a variable of the second are there.",
        async {
            let extra = app.printed("printf %s \"$EXTRA\"").await?;
            same("EXTRA", "of the second file".to_owned(), extra)?;
            Ok("EXTRA and the service `extra` are there".to_owned())
        },
    )
    .await;
    rows.row(
        "secret-bytes",
        &["converge"],
        "The container reads the secret's very bytes.",
        secret_is(app, TOKEN),
    )
    .await;
    rows.row(
        "commands",
        &["converge"],
        "A command's exit code, its output and its errors come back, each for itself.",
        async {
            let said = app.sh("printf out; printf err >&2; exit 3").await?;
            let got = (said.code, said.stdout, said.stderr);
            same("it gave", (3, "out".to_owned(), "err".to_owned()), got)?;
            Ok("3, out, err".to_owned())
        },
    )
    .await;
}

async fn live_app(subject: &Subject<'_>, app: &App<'_>) -> Result<LiveService, Miss> {
    let live = swarm::live(&subject.swarm, app.stack()).await?;
    let found = live.into_iter().find(|service| service.name == "app");
    found.ok_or_else(|| Miss::Differs("there is no service `app`".to_owned()))
}

/// A label that abra puts on the service `app`.
fn label<'a>(live: &'a LiveService, app: &App<'_>, name: &str) -> Option<&'a str> {
    let key = format!("coop-cloud.{}.{name}", app.stack());
    live.labels.get(&key).map(String::as_str)
}

async fn labels(subject: &Subject<'_>, app: &App<'_>) -> Seen {
    let live = live_app(subject, app).await?;
    same("recipe", Some(RECIPE), label(&live, app, "recipe"))?;
    same("version", Some(FIRST), label(&live, app, "version"))?;
    let chaos = label(&live, app, "chaos");
    if subject.is_overlaid() {
        same("chaos (overlaid)", Some("true"), chaos)?;
        is_chaos_of(&live, app, subject.recipe.first.sha.short())?;
    } else {
        same("chaos", Some("false"), chaos)?;
    }
    Ok(format!("{:#?}", live.labels))
}

fn is_chaos_of(live: &LiveService, app: &App<'_>, short: &str) -> Result<(), Miss> {
    let version = label(live, app, "chaos-version").unwrap_or_default();
    let commit = version.strip_suffix("+U").unwrap_or(version);
    same("chaos-version", short, commit)
}

async fn environment(subject: &Subject<'_>, app: &App<'_>) -> Seen {
    let live = live_app(subject, app).await?;
    for (key, wanted) in app.env.variables() {
        let got = live.env.get(key).cloned().flatten();
        let other = match key.as_str() {
            // The recipe's own name may have got its version.
            "TYPE" | "RECIPE" => true,
            // An overlay is one file more.
            "COMPOSE_FILE" => subject.is_overlaid(),
            _ => false,
        };
        if !other {
            same(key, Some(wanted.clone()), got)?;
        }
    }
    Ok(format!("{:#?}", live.env))
}

pub async fn secret_is(app: &App<'_>, wanted: &[u8]) -> Seen {
    let hex = app.printed("od -An -v -tx1 /run/secrets/token").await?;
    let got: String = hex.split_whitespace().collect();
    let wanted: String = wanted.iter().map(|byte| format!("{byte:02x}")).collect();
    same("bytes", &wanted, &got)?;
    Ok(got)
}

async fn restart(subject: &Subject<'_>, app: &App<'_>) -> Seen {
    let commit = &subject.recipe.first;
    let before = app.converge(commit).await?;
    app.engine.restart(&app.spec, "side").await?;
    let after = app.converge(commit).await?;
    let tasks = |converged: &swarm::Converged, service: &str| {
        let service = converged.services.get(service);
        service.map(|service| service.tasks.clone())
    };
    same("tasks of app", tasks(&before, "app"), tasks(&after, "app"))?;
    let replaced = tasks(&before, "side") != tasks(&after, "side");
    holds(replaced, || "the task of side is the same".to_owned())?;
    same("differences", Vec::new(), app.differences(commit).await?)?;
    Ok(format!("{after:#?}"))
}

/// Head over the first version, with another version of the secret.
async fn head(subject: &Subject<'_>, app: &App<'_>, rows: &mut Rows<'_>) {
    let commit = &subject.recipe.head;
    rows.row(
        "secret-version",
        &["converge"],
        "A new version of a secret is inserted beside the old one.",
        async {
            app.printed("printf kept > /data/files/kept").await?;
            app.insert(commit, &app.token("v2", TOKEN_AFTER)).await?;
            let names = swarm::secret_names(&subject.swarm, app.stack()).await?;
            same("secrets", 2, names.len())?;
            Ok(format!("{names:?}"))
        },
    )
    .await;
    rows.row(
        "head",
        &["secret-version"],
        "Head is deployed over a live version, and is what runs.",
        async {
            app.deploy(commit).await?;
            let converged = app.converge(commit).await?;
            same("differences", Vec::new(), app.differences(commit).await?)?;
            Ok(format!("{converged:#?}"))
        },
    )
    .await;
    rows.row(
        "head-labels",
        &["head"],
        "Head is labelled as chaos of its commit.",
        async {
            let live = live_app(subject, app).await?;
            same("chaos", Some("true"), label(&live, app, "chaos"))?;
            is_chaos_of(&live, app, commit.sha.short())?;
            Ok(format!("{:#?}", live.labels))
        },
    )
    .await;
    rows.row(
        "dropped",
        &["head"],
        "A service that head dropped is gone.",
        async {
            let names = swarm::service_names(&subject.swarm, app.stack()).await?;
            holds(!names.contains(&"old".to_owned()), || {
                "`old` is there".to_owned()
            })?;
            Ok(format!("{names:?}"))
        },
    )
    .await;
    rows.row(
        "config",
        &["head"],
        "A config whose version head raised has head's content.",
        async {
            let text = app.printed("cat /etc/greeting").await?;
            same("the config", "hello from head\n", text.as_str())?;
            Ok(text)
        },
    )
    .await;
    rows.row(
        "secret-new",
        &["head"],
        "The secret's new version is the one that is used.",
        secret_is(app, TOKEN_AFTER),
    )
    .await;
    rows.row(
        "data",
        &["head"],
        "Volumes keep their files over a redeploy.",
        async {
            let text = app.printed("cat /data/files/kept").await?;
            same("the file", "kept", text.as_str())?;
            Ok(text)
        },
    )
    .await;
}
