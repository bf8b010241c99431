//! What the bridge answers over HTTP: the page, `/healthz`, `/readyz`, `/metrics` and `/hook`.
//!
//! Invariants: a connection is one request and is over after [`CONNECTION`], whatever the other
//! side does; a hook is never more than a hint where to look; nothing here changes a decision.

mod hook;
mod page;
mod view;

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::future::BoxFuture;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

pub use view::{Decision, Mention, PageView, Repository, Run};

use crate::metrics::Metrics;
use crate::names::{PullNumber, Repo};
use crate::secret::Secret;

/// From the first byte of a request to the last of its answer.
pub const CONNECTION: Duration = Duration::from_secs(10);
/// For the page, whose facts come from the store. Less than a connection lasts.
const PAGE: Duration = Duration::from_secs(5);
/// What a forge sends is some kilobytes; a comment may have 64 KB, and comes twice.
const LARGEST_HOOK: usize = 1024 * 1024;
const CONNECTIONS: usize = 128;

/// A pull request to look at soon. It may name anything: whoever looks asks the forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nudge {
    pub repo: Repo,
    pub number: PullNumber,
}

/// Whether the bridge does its work; if not, why.
pub type Ready = Arc<dyn Fn() -> Result<(), Vec<String>> + Send + Sync>;
/// What the page shows now.
pub type Page = Arc<dyn Fn() -> BoxFuture<'static, PageView> + Send + Sync>;

/// What the answers are made from.
pub struct Shared {
    /// None: there is no webhook.
    pub webhook: Option<Secret>,
    /// A full one drops the nudge, for polling finds the comment all the same.
    pub nudges: mpsc::Sender<Nudge>,
    pub ready: Ready,
    pub page: Page,
    pub metrics: Arc<Metrics>,
}

pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(show_page))
        .route("/hook", post(hook::receive))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .layer(DefaultBodyLimit::max(LARGEST_HOOK))
        .layer(map_response(secured))
        .with_state(shared)
}

/// Answers until `until` is over, and then those who already asked.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>, until: impl Future) {
    let router = router(shared);
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut until = pin!(until);
    loop {
        let next = async {
            let permit = Arc::clone(&connections).acquire_owned().await;
            let permit = permit.expect("nobody closes the semaphore");
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            _ = &mut until => break,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => answer(stream, router.clone(), &graceful, permit),
            Err(error) => {
                tracing::warn!(%error, "a connection was not taken");
                // tidy: sleep: out of file descriptors, say, which others have to give back.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    if timeout(CONNECTION, graceful.shutdown()).await.is_err() {
        tracing::warn!("some connections were cut off");
    }
}

fn answer(
    stream: TcpStream,
    router: Router,
    graceful: &GracefulShutdown,
    permit: OwnedSemaphorePermit,
) {
    let connection = http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        match timeout(CONNECTION, connection).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a connection broke"),
            Err(_) => tracing::debug!("a connection was too slow and was cut off"),
        }
        drop(permit);
    });
}

async fn show_page(State(shared): State<Arc<Shared>>) -> Response {
    match timeout(PAGE, (shared.page)()).await {
        Ok(view) => Html(page::render(&view)).into_response(),
        Err(_) => {
            let said = "the page could not be made in time; try again\n";
            (StatusCode::SERVICE_UNAVAILABLE, said).into_response()
        }
    }
}

async fn readyz(State(shared): State<Arc<Shared>>) -> (StatusCode, String) {
    match (shared.ready)() {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(reasons) => {
            let text = reasons.iter().map(|reason| format!("{reason}\n")).collect();
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shared.metrics.text())
}

/// Should any text from outside slip through as markup, the browser still runs and loads nothing.
async fn secured(mut response: Response) -> Result<Response, Infallible> {
    let set: [(HeaderName, HeaderValue); 5] = [
        (header::CONTENT_SECURITY_POLICY, page::policy()),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    response.headers_mut().extend(set);
    Ok(response)
}
