//! Suites of custom-html that misbehave.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use harness::suite::{App, Approved, Assertion, Generic, Suite, TestResult};
use harness::wait::{Probe, Unwatched, wait_until};

/// The name of a file in the run's folder that ends a hanging test.
pub const END: &str = "end-of-test";

/// The name of a file in the run's folder: the hook has said the secret.
pub const LEAKED: &str = "leaked";

/// A secret of the canary.
const SECRET: &str = "api_token";

/// Values that a hook gives: a secret, and a variable.
pub const GIVEN: [&str; 2] = ["given-by-a-hook-0123", "also-given-by-a-hook-4567"];

/// No generic assertions: these suites are about sessions.
struct Nothing;

impl Generic for Nothing {
    fn assertions() -> Vec<Assertion> {
        Vec::new()
    }
}

pub fn of(kind: &str) -> ExitCode {
    if kind == "leaks" {
        return Suite::<Nothing>::new("canary")
            .before_install(gives)
            .before_custom(leaks)
            .custom("looks", leaks)
            .main();
    }
    if kind == "hook-leaks-and-hangs" {
        return Suite::<Nothing>::new("canary")
            .before_custom(leaks_and_hangs)
            .custom("looks", looks)
            .main();
    }
    let suite = Suite::<Nothing>::new("custom-html");
    match kind {
        "approves-own-tests" => suite
            .approved_for_test(Approved::parse("custom-html"))
            .install("is_replaced", aborts)
            .custom("looks", looks),
        "fails" => suite.custom("fails", fails).custom("fails_too", fails),
        "impatient" => suite
            .settings(|settings| settings.http_timeout = Duration::from_secs(15))
            .custom("looks", looks),
        "plain" => suite.custom("looks", looks),
        "hook-aborts" => suite.before_custom(aborts).custom("looks", looks),
        "hook-exits" => suite.before_custom(exits).custom("looks", looks),
        "hook-overflows" => suite.before_custom(overflows).custom("looks", looks),
        "hook-hangs" => suite.before_custom(hangs).custom("looks", looks),
        "test-aborts" => suite.custom("looks", aborts),
        "test-takes-all-memory" => suite.custom("looks", takes_all_memory),
        "test-hangs" => suite.custom("looks", hangs),
        "test-fills" => suite.custom("looks", fills),
        "cut-dump" => suite.backup_verify(cut_at_first).backup("looks", looks),
        "flaky" => suite
            .custom("aborts_once", aborts_once)
            .custom("fails_once", fails_once),
        other => panic!("no suite `{other}`"),
    }
    .main()
}

async fn looks(app: &App) -> TestResult {
    app.http().get(&app.url("/")).await?.expect_status(200)?;
    Ok(())
}

async fn fails(app: &App) -> TestResult {
    app.http().get(&app.url("/")).await?.expect_status(418)?;
    Ok(())
}

/// Inserts the app's secret and puts another one into the environment, and says both.
#[expect(clippy::print_stdout, reason = "that is the leak")]
async fn gives(app: &App) -> TestResult {
    app.insert_secret(SECRET, "v1", GIVEN[0]).await?;
    let file = std::env::var("CCCI_APP_ENV")?;
    let env = std::fs::read_to_string(&file)?;
    std::fs::write(&file, format!("{env}SMTP_PASSWORD={}\n", GIVEN[1]))?;
    println!("given: {}", GIVEN.join(" and "));
    Ok(())
}

/// Says the app's secret by every way that a hook or a test has.
#[expect(clippy::print_stdout, reason = "that is the leak")]
async fn leaks(app: &App) -> TestResult {
    let secret = app.secret(SECRET)?;
    println!("the secret is {secret}");
    app.remember("leak", &secret).await?;
    anyhow::bail!("{secret} was not accepted")
}

async fn aborts(_: &App) -> TestResult {
    std::process::abort();
}

/// Whether this is the first try of a test.
fn is_first_try(app: &App, test: &str) -> std::io::Result<bool> {
    let mark = app.view().run_dir.join(format!("tried-{test}"));
    let first = !mark.exists();
    std::fs::write(mark, "")?;
    Ok(first)
}

async fn cut_at_first(app: &App) -> TestResult {
    anyhow::ensure!(!is_first_try(app, "dump")?, "the dump is cut");
    Ok(())
}

async fn aborts_once(app: &App) -> TestResult {
    if is_first_try(app, "aborts_once")? {
        std::process::abort();
    }
    looks(app).await
}

async fn fails_once(app: &App) -> TestResult {
    anyhow::ensure!(!is_first_try(app, "fails_once")?, "the first try");
    looks(app).await
}

async fn exits(_: &App) -> TestResult {
    std::process::exit(0);
}

async fn overflows(_: &App) -> TestResult {
    fn deeper(depth: u64) -> u64 {
        let here = std::hint::black_box([depth; 128]);
        if depth == u64::MAX {
            return 0;
        }
        deeper(depth + 1) + here[1]
    }
    anyhow::bail!("{} deep", deeper(0))
}

async fn takes_all_memory(_: &App) -> TestResult {
    let most = rustix::process::Rlimit {
        current: Some(1 << 30),
        maximum: Some(1 << 30),
    };
    rustix::process::setrlimit(rustix::process::Resource::As, most)?;
    let mut taken = Vec::new();
    loop {
        taken.push(vec![1u8; 1 << 26]);
    }
}

/// Says the secret, tells the test that it did, and never ends.
#[expect(clippy::print_stdout, reason = "that is the leak")]
async fn leaks_and_hangs(app: &App) -> TestResult {
    let secret = app.secret(SECRET)?;
    println!("the secret is {secret}");
    std::fs::write(app.view().run_dir.join(LEAKED), "")?;
    hangs(app).await
}

/// The app fills its volume; the test waits for what comes of it.
async fn fills(app: &App) -> TestResult {
    let script = "head -c 100M /dev/zero > /usr/share/nginx/html/filled";
    app.exec("app", &["sh", "-c", script]).await?;
    hangs(app).await
}

async fn hangs(app: &App) -> TestResult {
    let end: &Path = &app.view().run_dir.join(END);
    let ended = wait_until(
        "the end of this test",
        Duration::from_secs(120),
        Duration::from_millis(20),
        &Unwatched,
        || async {
            if end.exists() {
                Probe::Ready(())
            } else {
                Probe::NotYet("hanging".into())
            }
        },
    );
    Ok(ended.await?)
}
