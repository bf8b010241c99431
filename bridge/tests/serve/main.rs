//! What the bridge answers, over real connections on loopback.

#![expect(clippy::unwrap_used, reason = "what a helper can't do ends the test")]

mod hook;
mod page;
mod plain;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bridge::metrics::Metrics;
use bridge::secret::Secret;
use bridge::serve::{Nudge, PageView, Shared, serve};
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const SECRET: &str = "a shared secret";
const DEADLINE: Duration = Duration::from_secs(30);

/// A bridge that answers until it is dropped.
struct Served {
    at: SocketAddr,
    nudges: mpsc::Receiver<Nudge>,
    metrics: Arc<Metrics>,
    stop: oneshot::Sender<()>,
    done: JoinHandle<()>,
}

/// What a test changes of a bridge that has nothing to say.
struct Setting {
    webhook: Option<Secret>,
    /// Nudges that may wait.
    room: usize,
    ready: Result<(), Vec<String>>,
    view: PageView,
    /// The page is never there.
    page_hangs: bool,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            webhook: Some(Secret::new(SECRET)),
            room: 4,
            ready: Ok(()),
            view: PageView {
                now: Timestamp::UNIX_EPOCH,
                version: "0.1.0".to_owned(),
                last_poll: None,
                troubles: Vec::new(),
                repositories: Vec::new(),
                runs: Vec::new(),
                decisions: Vec::new(),
                mentions: Vec::new(),
            },
            page_hangs: false,
        }
    }
}

impl Setting {
    async fn serve(self) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (sender, nudges) = mpsc::channel(self.room);
        let metrics = Arc::new(Metrics::new());
        let (ready, view, hangs) = (self.ready, self.view, self.page_hangs);
        let shared = Arc::new(Shared {
            webhook: self.webhook,
            nudges: sender,
            ready: Arc::new(move || ready.clone()),
            page: Arc::new(move || {
                let view = view.clone();
                Box::pin(async move {
                    if hangs {
                        std::future::pending::<()>().await;
                    }
                    view
                })
            }),
            metrics: Arc::clone(&metrics),
        });
        let (stop, stopped) = oneshot::channel();
        let done = tokio::spawn(serve(listener, shared, stopped));
        Served {
            at,
            nudges,
            metrics,
            stop,
            done,
        }
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.at).await.unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "", b"").await
    }

    /// `headers` are whole lines, each with its end.
    async fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: bridge\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        let (mut read, mut write) = self.connect().await.into_split();
        let body = body.to_owned();
        let send = tokio::spawn(async move {
            // The answer may come, and the connection end, before all is sent.
            if write.write_all(head.as_bytes()).await.is_ok() {
                let _ = write.write_all(&body).await;
            }
            write
        });
        let answer = read_all(&mut read).await;
        drop(send.await.unwrap());
        parse(&answer)
    }

    /// How often hooks had this result.
    fn hooks(&self, result: &str) -> u64 {
        let line = format!("cc_ci_bridge_hooks_total{{result=\"{result}\"}} ");
        let text = self.metrics.text();
        let count = text.lines().find_map(|it| it.strip_prefix(&line));
        count.map_or(0, |count| count.parse().unwrap())
    }
}

/// All that comes until the other side ends or breaks the connection.
async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    let mut some = [0; 8192];
    loop {
        match timeout(DEADLINE, stream.read(&mut some))
            .await
            .expect("it ends in time")
        {
            Ok(0) | Err(_) => return all,
            Ok(n) => all.extend(&some[..n]),
        }
    }
}

fn parse(answer: &[u8]) -> Answer {
    let text = String::from_utf8(answer.to_vec()).unwrap();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {text:?}"));
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// How long a future takes.
async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    (future.await, start.elapsed())
}
