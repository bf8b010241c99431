//! Calls of the engine itself, behind a door.

use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderName};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use super::{Answer, failed};

/// As much as a list of the engine's may have.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;
/// A registry's login.
pub const CREDENTIALS: HeaderName = HeaderName::from_static("x-registry-auth");

/// Sends a request on as it is; its answer as a whole.
pub async fn forward(engine: &Path, request: Request<Bytes>) -> Answer {
    match whole(engine, request).await {
        Ok(answer) => answer,
        Err(error) => failed(
            StatusCode::BAD_GATEWAY,
            &format!("the engine behind cc-ci's door: {error}"),
        ),
    }
}

/// What the engine has at a path; none: nothing, or no JSON.
pub async fn look(engine: &Path, path: &str) -> Option<Value> {
    let request = Request::builder()
        .method(Method::GET)
        .uri(path)
        .header("Host", "docker")
        .body(Bytes::new())
        .ok()?;
    let answer = whole(engine, request).await.ok()?;
    if !answer.status().is_success() {
        return None;
    }
    let body = answer.into_body().collect().await.ok()?.to_bytes();
    serde_json::from_slice(&body).ok()
}

/// Sends a request on; the answer's body is still to be read.
pub async fn send(engine: &Path, request: Request<Bytes>) -> std::io::Result<Response<Incoming>> {
    let stream = UnixStream::connect(engine).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(std::io::Error::other)?;
    // It ends with the answer, or with the stream that an answer turns into.
    tokio::spawn(connection.with_upgrades());
    sender
        .send_request(request.map(Full::new))
        .await
        .map_err(std::io::Error::other)
}

async fn whole(engine: &Path, mut request: Request<Bytes>) -> std::io::Result<Answer> {
    // One connection a call: the next one may be another client's.
    request
        .headers_mut()
        .insert(CONNECTION, "close".parse().expect("a plain word"));
    let (mut parts, body) = send(engine, request).await?.into_parts();
    let body = Limited::new(body, LARGEST_ANSWER)
        .collect()
        .await
        .map_err(std::io::Error::other)?
        .to_bytes();
    // The body is sent on as a whole.
    parts.headers.remove(hyper::header::TRANSFER_ENCODING);
    parts.headers.remove(CONNECTION);
    Ok(Response::from_parts(parts, Full::new(body)))
}
