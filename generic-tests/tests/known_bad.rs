//! Tests the case of the known-bad catalogue that `CCCI_RECIPE` names, by the generic assertions and
//! by what the case's file switches on. Where no case is named there is nothing to test, and nothing
//! is listed.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use fixtures::catalogue::CatalogueError;
use fixtures::known_bad::{self, Case, Hook, Test};
use generic_tests::Suite;
use harness::fault::Fault;
use harness::http::retry_server_errors;
use harness::recipe::RecipeName;
use harness::session::request::recipe_from_environment;
use harness::suite::{App, TestResult, list_nothing, refuse};

/// What a hook starts that is none of the app's is labelled with the run, and the selftest takes it
/// away; should that be killed, it ends by itself.
const LABEL: &str = "cc-ci.selftest";
const LIFETIME: &str = "CRASH_AFTER=300";
const IMAGE: &str = "cc-ci.local/canary:1";

fn main() -> ExitCode {
    let recipe = match recipe_from_environment() {
        Ok(Some(recipe)) => recipe,
        Ok(None) => return list_nothing(),
        Err(fault) => return refuse(&fault),
    };
    match known_bad::case(recipe.as_str()) {
        Ok(case) => suite(recipe, &case).main(),
        Err(CatalogueError::Unknown { .. }) => list_nothing(),
        Err(error) => refuse(&Fault::usage(error.to_string())),
    }
}

fn suite(recipe: RecipeName, case: &Case) -> Suite {
    let mut suite = Suite::of(recipe).settings(|settings| {
        settings.http_timeout = Duration::from_secs(case.suite.http_seconds);
        settings.ephemeral.clone_from(&case.suite.ephemeral);
        settings
            .renamed_volumes
            .clone_from(&case.suite.renamed_volumes);
    });
    for hook in &case.suite.hooks {
        suite = match hook {
            Hook::HoldVolume => suite.before_install(hold_volume),
            Hook::Neighbour => suite.before_install(neighbour),
            Hook::VerifyDump => suite.backup_verify(verify_dump),
        };
    }
    for test in &case.suite.tests {
        suite = match test {
            Test::OnlyItselfAnswers => suite.custom("only_itself_answers", only_itself_answers),
            Test::WritesAfterRestore => suite.restore("app_accepts_writes", app_accepts_writes),
        };
    }
    suite
}

async fn hold_volume(app: &App) -> TestResult {
    let volume = format!("{}:/held", app.view().stack.object("data"));
    beside(app, &["--volume", &volume]).await
}

async fn neighbour(app: &App) -> TestResult {
    let network = ["--network", "proxy", "--network-alias", "app"];
    beside(app, &[&network[..], &["--env", "ROLE=neighbour"]].concat()).await
}

/// Starts a container that is none of the app's.
async fn beside(app: &App, more: &[&str]) -> TestResult {
    let run = app.view().run_dir.file_name().unwrap_or_default();
    let label = format!("{LABEL}={}", run.to_string_lossy());
    let output = tokio::process::Command::new("docker")
        .args(["run", "--detach", "--rm", "--label", &label])
        .args(["--env", LIFETIME])
        .args(more)
        .args([IMAGE, "serve"])
        .output()
        .await
        .context("starting docker")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        Fault::infra(said.trim().to_owned())
    );
    Ok(())
}

async fn only_itself_answers(app: &App) -> TestResult {
    for _ in 0..20 {
        let answer = app.http().get(&app.url("/")).await?.expect_status(200)?;
        let text = answer.text();
        ensure!(text.contains(" as app on "), "another answered: {text}");
    }
    Ok(())
}

async fn verify_dump(app: &App) -> TestResult {
    let dump = app.exec("db", &["cat", "/db/dump.sql"]).await?;
    ensure!(dump.code == 0, "there is no dump: {}", dump.stderr.trim());
    let last = dump.stdout.lines().last().unwrap_or_default();
    ensure!(
        last == "-- end",
        "the dump is cut: its last line is `{last}`, and not `-- end`"
    );
    Ok(())
}

async fn app_accepts_writes(app: &App) -> TestResult {
    let within = Duration::from_secs(10);
    retry_server_errors("the app takes a file", within, async || {
        let url = app.url("/files/after-restore");
        app.http().put(&url, "new").await?.expect_status(201)?;
        let kept = app.http().get(&url).await?.expect_status(200)?;
        ensure!(kept.text() == "new", "{url} was written and is not there");
        Ok(())
    })
    .await
}
