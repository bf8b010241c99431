//! An app's data: backup, restore, and a life on empty volumes.

use harness::engine::Backup;

use crate::Part;
use crate::life::{TOKEN_AFTER, secret_is};
use crate::row::{Rows, Seen, holds, same};
use crate::subject::{App, DEADLINE, Subject};

/// Backup, change, restore. Gives the snapshot.
pub async fn backup(
    subject: &Subject<'_>,
    app: &App<'_>,
    part: Part,
    rows: &mut Rows<'_>,
) -> Option<String> {
    let mut made = None;
    rows.row(
        "backup",
        &["head"],
        "A backup runs its hook first, and yields a snapshot with content.",
        async {
            subject.can_back_up().await?;
            let seed = "cd /data/files && printf before > changed && printf gone > deleted \
                && printf before > /cache/changed";
            app.printed(seed).await?;
            let what = app.deployment(&subject.recipe.head)?;
            let backup = app.engine.backup(&app.spec, &what).await?;
            let seen = format!("{backup:#?}");
            holds(backup.files > 0 && backup.bytes > 0, || {
                format!("it is empty: {seen}")
            })?;
            made = Some(backup);
            Ok(seen)
        },
    )
    .await;
    let holds_what = made.as_ref();
    rows.row(
        "backup-paths",
        &["backup"],
        "The snapshot holds the paths that the labels name, and no others.",
        async { paths(holds_what) },
    )
    .await;
    let snapshot = made.map(|made| made.snapshot);
    let id = snapshot.clone().unwrap_or_default();
    rows.row(
        "restore",
        &["backup"],
        "A restore brings back what was changed and deleted, removes nothing, and runs its hook.",
        restored(subject, app, &id),
    )
    .await;
    if part == Part::Whole {
        rows.row(
            "restore-again",
            &["restore"],
            "The same snapshot can be restored again.",
            restored(subject, app, &id),
        )
        .await;
    }
    snapshot
}

fn paths(made: Option<&Backup>) -> Seen {
    let mut got: Vec<_> = made.map_or(&[][..], |made| &made.paths).iter().collect();
    got.sort_by(|one, two| one.path.cmp(&two.path));
    let shown = got.iter();
    let shown = shown.map(|path| {
        (
            path.key.as_str(),
            path.path.as_str(),
            path.present,
            path.bytes > 0,
        )
    });
    let wanted = [("data", "dump", true, true), ("data", "files", true, true)];
    same("paths", wanted.to_vec(), shown.collect())?;
    Ok(format!("{got:#?}"))
}

async fn restored(subject: &Subject<'_>, app: &App<'_>, snapshot: &str) -> Seen {
    let change = "cd /data/files && printf after > changed && rm deleted && printf more > added \
        && printf after > /cache/changed && rm -f /data/restored";
    app.printed(change).await?;
    let what = app.deployment(&subject.recipe.head)?;
    app.engine.restore(&app.spec, &what, snapshot).await?;
    app.converge(&subject.recipe.head).await?;
    let look = "cd /data/files && for file in changed deleted added kept /cache/changed \
        /data/restored; do printf '%s=%s\\n' $file \"$(cat $file 2>&1)\"; done";
    let got = app.printed(look).await?;
    let wanted = "changed=before\ndeleted=gone\nadded=more\nkept=kept\n/cache/changed=after\n\
        /data/restored=before\n";
    same("files", wanted, got.as_str())?;
    Ok(got)
}

/// Removed but for its secrets, and deployed again.
pub async fn again(
    subject: &Subject<'_>,
    app: &App<'_>,
    snapshot: Option<&str>,
    rows: &mut Rows<'_>,
) {
    rows.row(
        "remove-stack",
        &["head"],
        "The stack goes with its volumes and configs; the secrets stay.",
        async {
            app.engine.remove_stack(&app.spec, DEADLINE).await?;
            let left = app.residue().await?;
            let secrets = ["v1", "v2"].map(|version| app.token(version, b"").name);
            let wanted = secrets.map(|name| format!("secret {name}"));
            same("what is left", wanted.to_vec(), left)?;
            Ok(wanted.join(", "))
        },
    )
    .await;
    rows.row(
        "empty",
        &["remove-stack"],
        "It is deployed again on empty volumes, with the same environment and secrets.",
        async {
            app.deploy(&subject.recipe.head).await?;
            app.converge(&subject.recipe.head).await?;
            let files = app.printed("find /data/files /cache -type f").await?;
            same("files", "", files.as_str())?;
            same(
                "differences",
                Vec::new(),
                app.differences(&subject.recipe.head).await?,
            )?;
            secret_is(app, TOKEN_AFTER).await
        },
    )
    .await;
    rows.row(
        "restore-empty",
        &["empty", "backup"],
        "A snapshot is restored into empty volumes.",
        async {
            let what = app.deployment(&subject.recipe.head)?;
            let id = snapshot.unwrap_or_default();
            app.engine.restore(&app.spec, &what, id).await?;
            let got = app.printed("cat /data/files/changed").await?;
            same("the file", "before", got.as_str())?;
            Ok(got)
        },
    )
    .await;
}
