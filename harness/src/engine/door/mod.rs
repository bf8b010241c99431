//! What stands between a client that reads a stranger's files and Docker's engine.
//!
//! The client is given a socket of ours for the engine's. A door that only **reads** answers as an
//! empty engine would, and keeps what the client would have made: Docker's own reading of a recipe,
//! with no object in the swarm. A door that **passes** judges each body that would change the
//! swarm, puts the site's ceilings into it, and hands it to the engine; one that a wall refuses
//! never gets there. So what is judged is what Docker made, byte for byte, and no task of it can
//! have started before.
//!
//! Invariants: a call that is not on the list of those that a deploy makes is refused; no
//! credential passes; what was refused is kept, whatever the client makes of the answer.
//!
//! Must not know: compose files, tests, verdicts.

mod call;
mod ceilings;
mod empty;
mod engine;
mod pass;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

use self::call::{Call, Kind};
pub use self::ceilings::Ceilings;
use crate::fault::Fault;
use crate::recipe::policy::{Finding, Made};

/// As much as a body may have: a config has 1000 KiB at most.
const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// A socket that stands in for the engine's, for as long as this value lives.
pub struct Door {
    socket: PathBuf,
    seen: Arc<Mutex<Seen>>,
    serving: JoinHandle<()>,
}

/// What came through a door, or did not.
#[derive(Debug, Default)]
pub struct Seen {
    /// Bodies as the client made them.
    pub made: Made,
    /// What walls refused.
    pub refused: Vec<Finding>,
    /// What the ceilings changed.
    pub notes: Vec<String>,
}

/// What a door does with a call.
#[derive(Clone)]
pub enum Way {
    /// Answers as an engine without any object would.
    Read,
    Pass(Arc<Passage>),
}

pub use self::pass::Passage;

impl Door {
    /// Opens a door as `folder/engine.sock`, in front of the engine at `engine`.
    pub fn open(folder: &Path, engine: &Path, way: Way) -> Result<Self, Fault> {
        let socket = folder.join("engine.sock");
        let fault = |error: std::io::Error| Fault::infra(format!("{}: {error}", socket.display()));
        match std::fs::remove_file(&socket) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fault(error)),
            _ => {}
        }
        let listener = bind(folder, &socket).map_err(fault)?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let room = Arc::new(Room {
            engine: engine.to_owned(),
            way,
            seen: Arc::clone(&seen),
        });
        Ok(Self {
            serving: tokio::spawn(serve(listener, room)),
            socket,
            seen,
        })
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.serving.abort();
        // Its folder goes with the app.
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Binds a path that may be longer than the 107 bytes that a socket's address has.
fn bind(folder: &Path, socket: &Path) -> std::io::Result<UnixListener> {
    use std::os::fd::AsRawFd;
    let folder = std::fs::File::open(folder)?;
    let name = socket.file_name().unwrap_or_default();
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string());
    UnixListener::bind(short.join(name))
}

struct Room {
    engine: PathBuf,
    way: Way,
    seen: Arc<Mutex<Seen>>,
}

/// Serves until it is dropped; connections that go on then end with it.
async fn serve(listener: UnixListener, room: Arc<Room>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, Arc::clone(&room)));
                }
                // Nobody answers from here on, which is what the client says then.
                Err(_) => return,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(stream: UnixStream, room: Arc<Room>) {
    let service = service_fn(|request| {
        let room = Arc::clone(&room);
        async move { Ok::<_, std::convert::Infallible>(room.answer(request).await) }
    });
    // A client that goes away in the middle has got what it wanted, or was ended.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

type Answer = Response<Full<Bytes>>;

impl Room {
    async fn answer(&self, mut request: Request<Incoming>) -> Answer {
        // Whoever reads a stranger's files has no login to pass on.
        request.headers_mut().remove(engine::CREDENTIALS);
        let call = match Call::read(request.method(), request.uri()) {
            Some(call) => call,
            None => {
                let (method, path) = (request.method(), request.uri().path());
                return refuse(&format!("a deploy makes no call `{method} {path}`"));
            }
        };
        let (parts, body) = request.into_parts();
        if call.is_stream() {
            return match &self.way {
                Way::Read => refuse("nothing is run for a look"),
                Way::Pass(passage) => {
                    let request = Request::from_parts(parts, body);
                    pass::stream(passage, &self.engine, &call, request).await
                }
            };
        }
        let body = match Limited::new(body, LARGEST_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return failed(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        let request = Request::from_parts(parts, body);
        match &self.way {
            Way::Read => empty::answer(&self.engine, &call, request, &self.seen).await,
            Way::Pass(passage) => {
                pass::answer(passage, &self.engine, &call, request, &self.seen).await
            }
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a body as the client made it.
fn keep(seen: &mut Seen, kind: Kind, body: Value) {
    match kind {
        Kind::Service => seen.made.services.push(body),
        Kind::Network => seen.made.networks.push(body),
        Kind::Config => seen.made.configs.push(body),
        Kind::Secret => seen.made.secrets.push(body),
        _ => {}
    }
}

fn refuse(why: &str) -> Answer {
    failed(StatusCode::FORBIDDEN, &format!("refused by cc-ci: {why}"))
}

/// An error as the engine's API says it.
fn failed(status: StatusCode, why: &str) -> Answer {
    answer(status, &json!({ "message": why }))
}

fn answer(status: StatusCode, body: &Value) -> Answer {
    Response::builder()
        .status(status)
        .header("Content-Type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .expect("a status and a JSON body make an answer")
}
