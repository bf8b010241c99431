//! Tests of custom-html: nginx, and a volume with the pages that it serves.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use generic_tests::Suite;
use harness::snapshot::Volume;
use harness::suite::{App, TestResult};

/// Kept before the upgrade, and before the backup.
const PAGE: &str = "page";

fn main() -> ExitCode {
    Suite::new("custom-html")
        .before_upgrade(seed_page)
        .upgrade("page_survives", page_is_served)
        .before_backup(seed_page)
        .before_restore(change_page)
        .restore("page_is_back", page_is_served)
        .custom("html_is_served_as_html", html_is_served_as_html)
        .custom(
            "new_page_is_served_byte_for_byte",
            new_page_is_served_byte_for_byte,
        )
        .custom("unknown_path_is_404", unknown_path_is_404)
        .main()
}

/// A page with content that nobody can guess.
#[derive(serde::Serialize, serde::Deserialize)]
struct Page {
    name: String,
    content: String,
}

impl Page {
    fn new() -> Self {
        let [name, secret] = [rand::random::<u64>(), rand::random::<u64>()];
        Self {
            name: format!("cc-ci-{name:016x}.html"),
            content: format!("<!doctype html>\n<title>cc-ci</title>\n<p>äöü {secret:016x}\n"),
        }
    }
}

async fn content(app: &App) -> anyhow::Result<Volume> {
    let name = app.view().stack.object("content");
    Ok(app.volumes().await?.open(&name).await?)
}

async fn write(app: &App, name: &str, bytes: &str) -> TestResult {
    let volume = content(app).await?;
    let written = volume.write(&name.parse()?, bytes.as_bytes()).await;
    volume.close().await?;
    Ok(written?)
}

async fn seed_page(app: &App) -> TestResult {
    let page = Page::new();
    write(app, &page.name, &page.content).await?;
    app.remember(PAGE, &page).await?;
    Ok(())
}

async fn change_page(app: &App) -> TestResult {
    let page: Page = app.recall(PAGE)?;
    write(app, &page.name, "changed after the backup").await?;
    let served = app
        .http()
        .get(&app.url(&format!("/{}", page.name)))
        .await?
        .expect_status(200)?;
    ensure!(
        served.text() == "changed after the backup",
        "the change is not served"
    );
    Ok(())
}

/// The page that a hook wrote is served as it was written.
async fn page_is_served(app: &App) -> TestResult {
    let page: Page = app.recall(PAGE)?;
    let url = app.url(&format!("/{}", page.name));
    let served = app.http().get(&url).await?.expect_status(200)?;
    ensure!(
        served.body.as_ref() == page.content.as_bytes(),
        "{url} is not what was written:\n{}",
        served.text()
    );
    Ok(())
}

async fn new_page_is_served_byte_for_byte(app: &App) -> TestResult {
    let page = Page::new();
    write(app, &page.name, &page.content).await?;
    let url = app.url(&format!("/{}", page.name));
    let served = app.http().get(&url).await?.expect_status(200)?;
    ensure!(
        served.body.as_ref() == page.content.as_bytes(),
        "{url}:\n{}",
        served.text()
    );
    Ok(())
}

async fn html_is_served_as_html(app: &App) -> TestResult {
    let served = app.http().get(&app.url("/")).await?.expect_status(200)?;
    let kind = served
        .header("content-type")
        .context("the answer has no Content-Type")?;
    ensure!(
        kind.starts_with("text/html"),
        "the index page is served as {kind}"
    );
    Ok(())
}

/// A real 404: the app's own, and not that of a proxy without a route.
async fn unknown_path_is_404(app: &App) -> TestResult {
    let url = app.url(&format!("/no-such-page-{:x}", rand::random::<u64>()));
    let answer = app.http().get(&url).await?;
    ensure!(
        answer.edge_page.is_none(),
        "the proxy answered: {:?}",
        answer.edge_page
    );
    let answer = answer.expect_status(404)?;
    ensure!(
        answer.text().contains("nginx"),
        "this is not nginx's page:\n{}",
        answer.text()
    );
    Ok(())
}
