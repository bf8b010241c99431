//! What operators keep in Keycloak survives an upgrade, and a restore brings it back.

use std::time::Duration;

use anyhow::{Context, ensure};
use harness::http::retry_server_errors;
use harness::suite::{App, TestResult, skip};
use harness::swarm;
use serde::{Deserialize, Serialize};

use crate::account::{Account, random_client, random_secret, random_user};
use crate::admin::{Admin, User};
use crate::database::{Migration, expect_dump_with};

/// How long a server may go on with 5xx after its database was replaced under it.
const RECOVERY: Duration = Duration::from_secs(60);

const BASE: &str = "base";
const BACKED_UP: &str = "backed_up";
const CHANGED: &str = "changed_after_the_backup";

/// The base, before head took its place.
#[derive(Serialize, Deserialize)]
struct Base {
    account: Account,
    version: String,
    image: String,
    migration: Migration,
}

/// What the restore has to undo.
#[derive(Serialize, Deserialize)]
struct Changed {
    secret: String,
    user: User,
}

pub async fn seed_before_upgrade(app: &App) -> TestResult {
    let admin = Admin::sign_in(app).await?;
    let base = Base {
        account: Account::create(app, &admin).await?,
        version: admin.server_version().await?,
        image: image(app).await?,
        migration: Migration::of(app).await?,
    };
    base.account.tokens(app).await?;
    app.remember(BASE, &base).await?;
    Ok(())
}

/// The image that Keycloak runs from, as the swarm has it.
async fn image(app: &App) -> anyhow::Result<String> {
    let live = swarm::live(app.swarm().await?, &app.view().stack).await?;
    let service = live.into_iter().find(|service| service.name == "app");
    Ok(service.context("no service `app` is live")?.image)
}

pub async fn realm_client_and_user_survive(app: &App) -> TestResult {
    let base: Base = app.recall(BASE)?;
    read_from_database(app, &base.account).await?;
    expect_complete(app, &base.account, "before the upgrade").await
}

pub async fn signing_keys_are_the_same(app: &App) -> TestResult {
    let base: Base = app.recall(BASE)?;
    read_from_database(app, &base.account).await?;
    expect_keys(app, &base.account, "before the upgrade").await
}

/// Head's Keycloak runs, and not base's behind head's labels.
pub async fn server_version_changed(app: &App) -> TestResult {
    let base: Base = app.recall(BASE)?;
    if image(app).await? == base.image {
        let version = base.version;
        return Err(skip(format!(
            "base and head run one image, Keycloak {version}"
        )));
    }
    let now = Admin::sign_in(app).await?.server_version().await?;
    ensure!(
        now != base.version,
        "head has another image than its base, and the server still says that it is Keycloak {now}"
    );
    Ok(())
}

/// The database is where the running server needs it.
pub async fn database_was_migrated(app: &App) -> TestResult {
    let base: Base = app.recall(BASE)?;
    let server = Admin::sign_in(app).await?.server_version().await?;
    if server == base.version {
        return Err(skip(format!("base and head are both Keycloak {server}")));
    }
    let now = Migration::of(app).await?;
    ensure!(
        now.version == server,
        "the server is Keycloak {server}, and its database was last migrated by {}",
        now.version
    );
    ensure!(
        now.steps > base.migration.steps,
        "the server went from {} to {server}, and its database still counts {} migrations",
        base.version,
        now.steps
    );
    ensure!(
        now.schema_changes >= base.migration.schema_changes,
        "the database counts {} changes of its schema, and {} before the upgrade",
        now.schema_changes,
        base.migration.schema_changes
    );
    Ok(())
}

pub async fn seed_before_backup(app: &App) -> TestResult {
    let admin = Admin::sign_in(app).await?;
    let account = Account::create(app, &admin).await?;
    account.tokens(app).await?;
    app.remember(BACKED_UP, &account).await?;
    Ok(())
}

pub async fn verify_dump(app: &App) -> TestResult {
    let account: Account = app.recall(BACKED_UP)?;
    expect_dump_with(app, &account.realm).await
}

/// Deletes the user, changes the client, makes another user; and sees that each is so.
pub async fn change_before_restore(app: &App) -> TestResult {
    let account: Account = app.recall(BACKED_UP)?;
    let realm = &account.realm;
    let admin = Admin::sign_in(app).await?;
    let changed = Changed {
        secret: random_secret(),
        user: random_user(),
    };
    admin.delete_user(realm, &account.user_id).await?;
    admin
        .set_client_secret(realm, &account.client.client_id, &changed.secret)
        .await?;
    admin.create_user(realm, &changed.user).await?;

    let username = &account.user.username;
    ensure!(
        admin.find_user(realm, username).await?.is_none(),
        "user {username} was deleted and is still there"
    );
    let oidc = account.oidc(app);
    oidc.client_credentials(&account.client)
        .await?
        .expect_status(401)
        .context("the client's secret was changed, and the old one still opens")?;
    app.remember(CHANGED, &changed).await?;
    Ok(())
}

pub async fn realm_client_and_user_are_back(app: &App) -> TestResult {
    let account: Account = app.recall(BACKED_UP)?;
    recovering(async || {
        read_from_database(app, &account).await?;
        expect_complete(app, &account, "before the backup").await?;
        expect_keys(app, &account, "before the backup").await
    })
    .await
}

pub async fn later_changes_are_gone(app: &App) -> TestResult {
    let account: Account = app.recall(BACKED_UP)?;
    let changed: Changed = app.recall(CHANGED)?;
    let username = &changed.user.username;
    let mut client = account.client.clone();
    client.secret = changed.secret;
    recovering(async || {
        let admin = read_from_database(app, &account).await?;
        ensure!(
            admin.find_user(&account.realm, username).await?.is_none(),
            "user {username}, made after the backup, is still there after the restore"
        );
        account
            .oidc(app)
            .client_credentials(&client)
            .await?
            .expect_status(401)
            .context("the client's secret that was set after the backup still opens")?;
        Ok(())
    })
    .await
}

pub async fn restored_server_accepts_writes(app: &App) -> TestResult {
    let restored: Account = app.recall(BACKED_UP)?;
    recovering(async || {
        let admin = Admin::sign_in(app).await?;
        let mut account = restored.clone();
        account.client = random_client(app);
        account.user = random_user();
        admin.create_client(&account.realm, &account.client).await?;
        account.user_id = admin.create_user(&account.realm, &account.user).await?;
        // Not from what the server has in memory.
        read_from_database(app, &account).await?;
        account.tokens(app).await?;
        Ok(())
    })
    .await
}

/// Asks a server whose database was replaced under it: its first requests may meet connections that
/// are gone. 5xx is tried again for a while, and nothing else.
async fn recovering(test: impl AsyncFn() -> TestResult) -> TestResult {
    retry_server_errors("the restored server answers without 5xx", RECOVERY, test).await
}

/// A server that was not started anew still knows what it holds in memory, whatever became of its
/// database; the recipe says so itself. Operators restart it then; the same is had by its own
/// administration.
async fn read_from_database<'a>(app: &'a App, account: &Account) -> anyhow::Result<Admin<'a>> {
    let admin = Admin::sign_in(app).await?;
    admin
        .forget_cached(&account.realm)
        .await
        .with_context(|| format!("realm {} is not there", account.realm))?;
    Ok(admin)
}

/// Realm, client and user are there, and the user signs in with the password that it was given.
async fn expect_complete(app: &App, account: &Account, when: &str) -> anyhow::Result<()> {
    let admin = Admin::sign_in(app).await?;
    let Account { realm, client, .. } = account;
    admin
        .client_id(realm, &client.client_id)
        .await
        .with_context(|| format!("realm and client were made {when}"))?;
    let user = &account.user.username;
    let id = admin.find_user(realm, user).await?;
    ensure!(
        id.as_deref() == Some(account.user_id.as_str()),
        "user {user} of realm {realm} was {} {when} and is {} now",
        account.user_id,
        id.as_deref().unwrap_or("not there")
    );
    account.tokens(app).await?;
    Ok(())
}

async fn expect_keys(app: &App, account: &Account, when: &str) -> anyhow::Result<()> {
    let now = account.oidc(app).key_ids().await?;
    ensure!(
        now == account.key_ids,
        "realm {} had the keys {} {when} and has {} now: tokens from before are void",
        account.realm,
        account.key_ids.join(", "),
        now.join(", ")
    );
    Ok(())
}
