//! The last word of a test that its runner tells to end.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::fault::Fault;
use crate::recipe::RecipeName;
use crate::session::client::Client;
use crate::session::lifetime::NEXTEST_RUN_ID;
use crate::session::paths::Paths;
use crate::session::request::Request;
use crate::site;

/// A runner's patience with a test that it told to end is a few seconds.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Returns when the runner tells this test to end, with its last word said to the keeper, which
/// would take a test that is gone without one for an abort. Where all tests share one process, a
/// signal ends it, as ever.
pub async fn told_to_end(recipe: &RecipeName) -> Fault {
    let listen = || {
        std::env::var_os(NEXTEST_RUN_ID)?;
        let signals = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
        let [Ok(interrupt), Ok(terminate)] = signals else {
            return None;
        };
        Some((interrupt, terminate))
    };
    let Some((mut interrupt, mut terminate)) = listen() else {
        return std::future::pending().await;
    };
    let name = tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    };
    let last_word = async {
        let request = Request::from_environment(recipe)?;
        let paths = Paths::new(&site::state_dir()?, &request.run_id);
        if let Some(mut keeper) = Client::connect(&paths).await? {
            keeper.interrupted().await?;
        }
        Ok::<_, Fault>(())
    };
    // A keeper that does not listen is gone, or will take it for an abort.
    let _ = tokio::time::timeout(LAST_WORD, last_word).await;
    Fault::infra(format!("ended by {name}"))
}
