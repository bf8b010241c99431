//! Keycloak's database and its dump, as the recipe's own files say where they are.

use anyhow::{Context, bail, ensure};
use harness::snapshot::Kind;
use harness::suite::App;
use harness::swarm;
use serde::{Deserialize, Serialize};

/// The service that the database runs in.
const DB: &str = "db";

/// What pg_dump writes last: a dump without it was cut off.
const TRAILER: &str = "PostgreSQL database dump complete";

/// More than a dump of a test's few realms can have.
const LARGEST_DUMP: u64 = 256 * 1024 * 1024;

/// How far Keycloak has brought its database.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// The version that migrated last.
    pub version: String,
    /// How many versions migrated so far.
    pub steps: u64,
    /// How many changes of the schema were made so far.
    pub schema_changes: u64,
}

impl Migration {
    pub async fn of(app: &App) -> anyhow::Result<Self> {
        let version = "SELECT version FROM migration_model ORDER BY update_time DESC LIMIT 1";
        let count = async |table: &str| -> anyhow::Result<u64> {
            let rows = ask(app, &format!("SELECT count(*) FROM {table}")).await?;
            rows.parse()
                .with_context(|| format!("`{rows}` is no number of rows in {table}"))
        };
        Ok(Self {
            version: ask(app, version).await?,
            steps: count("migration_model").await?,
            schema_changes: count("databasechangelog").await?,
        })
    }
}

/// The one value that a query gives.
async fn ask(app: &App, query: &str) -> anyhow::Result<String> {
    // Names of user and database are in the container's environment.
    let script = r#"exec psql --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" --no-psqlrc --tuples-only --no-align --command="$1""#;
    let command = ["bash", "-c", script, "ask", query];
    let output = app.exec(DB, &command).await?;
    ensure!(
        output.code == 0,
        "`{query}` in {DB}: exit code {}\n{}",
        output.code,
        output.stderr.trim()
    );
    let value = output.stdout.trim();
    ensure!(!value.is_empty(), "`{query}` in {DB} gives nothing");
    Ok(value.to_owned())
}

/// The dump that the backup takes: there, whole, and with `text` in it.
pub async fn expect_dump_with(app: &App, text: &str) -> anyhow::Result<()> {
    let (key, path) = dump_label(app).await?;
    let name = app.view().stack.object(&key);
    let volume = app.volumes().await?.open(&name).await?;
    let inner = path.parse()?;
    let read = match volume.kind(&inner).await {
        Ok(Kind::File) => volume.read(&inner, LARGEST_DUMP).await.map(Some),
        Ok(_) => Ok(None),
        Err(fault) => Err(fault),
    };
    volume.close().await?;
    let what = format!("the dump {path} in the volume `{key}`");
    let Some(dump) = read? else {
        bail!("{what} is not there: the backup's pre-hook wrote none");
    };
    expect_whole(&what, &dump, text)
}

fn expect_whole(what: &str, dump: &[u8], text: &str) -> anyhow::Result<()> {
    ensure!(!dump.is_empty(), "{what} is empty");
    let dump = String::from_utf8_lossy(dump);
    let end: Vec<&str> = dump.lines().rev().take(8).collect();
    ensure!(
        end.iter().any(|line| line.contains(TRAILER)),
        "{what} is cut off: of {} bytes, the last lines do not say `{TRAILER}`",
        dump.len()
    );
    ensure!(
        dump.contains(text),
        "{what} is old: it does not have {text}, which was made just before the backup"
    );
    Ok(())
}

/// The volume's key and the path that the recipe's label says to back up.
async fn dump_label(app: &App) -> anyhow::Result<(String, String)> {
    let live = swarm::live(app.swarm().await?, &app.view().stack).await?;
    let labels = live
        .iter()
        .filter(|service| service.name == DB)
        .flat_map(|service| &service.labels);
    for (label, path) in labels {
        let key = label
            .strip_prefix("backupbot.backup.volumes.")
            .and_then(|rest| rest.strip_suffix(".path"));
        if let Some(key) = key {
            return Ok((key.to_owned(), path.clone()));
        }
    }
    bail!("service {DB} has no label `backupbot.backup.volumes.<volume>.path`");
}
