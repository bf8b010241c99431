//! Listeners on the host's own addresses: on loopback, and on the bridge over which containers reach
//! the host.
//!
//! Nobody has any business at a [`Trap`]. It passes for a registry that wants a login, so that
//! whoever would give one away does. To a [`Drop`] an attack's payload tells what it has reached.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

const LOOPBACK: &str = "127.0.0.1";
const TRIES: usize = 50;
/// Of what one caller says.
const KEPT: u64 = 16 * 1024;
const SLOWEST: Duration = Duration::from_secs(3);
const WANTS_LOGIN: &[u8] = b"HTTP/1.1 401 Unauthorized\r\n\
    WWW-Authenticate: Basic realm=\"witness\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

type Heard = Arc<Mutex<Vec<String>>>;

pub struct Trap {
    pub port: u16,
    heard: Heard,
    _tasks: JoinSet<()>,
}

pub struct Drop {
    pub port: u16,
    heard: Heard,
    _tasks: JoinSet<()>,
}

impl Trap {
    pub async fn open(gateway: &str) -> Result<Self> {
        let (port, listeners) = both(gateway).await?;
        let (heard, mut tasks) = (Heard::default(), JoinSet::new());
        for listener in listeners {
            let heard = Arc::clone(&heard);
            tasks.spawn(serve(listener, heard, WANTS_LOGIN));
        }
        for address in [gateway, LOOPBACK] {
            let socket = UdpSocket::bind((address, port)).await;
            let socket = socket.with_context(|| format!("UDP on {address}:{port}"))?;
            tasks.spawn(listen(socket, Arc::clone(&heard)));
        }
        Ok(Self {
            port,
            heard,
            _tasks: tasks,
        })
    }

    pub fn heard(&self) -> Vec<String> {
        taken(&self.heard)
    }
}

impl Drop {
    pub async fn open(gateway: &str) -> Result<Self> {
        let (port, listeners) = both(gateway).await?;
        let (heard, mut tasks) = (Heard::default(), JoinSet::new());
        for listener in listeners {
            tasks.spawn(serve(listener, Arc::clone(&heard), b""));
        }
        Ok(Self {
            port,
            heard,
            _tasks: tasks,
        })
    }

    pub fn heard(&self) -> Vec<String> {
        taken(&self.heard)
    }
}

fn taken(heard: &Heard) -> Vec<String> {
    heard.lock().expect("nobody panics with it").clone()
}

fn add(heard: &Heard, text: String) {
    heard.lock().expect("nobody panics with it").push(text);
}

/// Listeners on both addresses, on one port.
async fn both(gateway: &str) -> Result<(u16, Vec<TcpListener>)> {
    let mut last = None;
    for _ in 0..TRIES {
        let one = TcpListener::bind((gateway, 0)).await;
        let one = one.with_context(|| format!("listening on {gateway}"))?;
        let port = one.local_addr()?.port();
        // Another may have it there.
        match TcpListener::bind((LOOPBACK, port)).await {
            Ok(other) => return Ok((port, vec![one, other])),
            Err(error) => last = Some(error),
        }
    }
    Err(last.context("no try was made")?).context("no port is free on both addresses")
}

async fn serve(listener: TcpListener, heard: Heard, answer: &'static [u8]) {
    while let Ok((stream, peer)) = listener.accept().await {
        tokio::spawn(hear(stream, peer, Arc::clone(&heard), answer));
    }
}

/// A connection counts from its beginning, though nothing be said.
async fn hear(mut stream: TcpStream, peer: SocketAddr, heard: Heard, answer: &'static [u8]) {
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    while said.len() < KEPT as usize {
        match tokio::time::timeout(SLOWEST, stream.read(&mut buffer)).await {
            Ok(Ok(count)) if count > 0 => said.extend_from_slice(&buffer[..count]),
            _ => break,
        }
        if !answer.is_empty() && said.windows(4).any(|end| end == b"\r\n\r\n") {
            // It may have gone already.
            let _ = stream.write_all(answer).await;
            break;
        }
    }
    add(
        &heard,
        format!("tcp {peer}: {}", String::from_utf8_lossy(&said)),
    );
}

async fn listen(socket: UdpSocket, heard: Heard) {
    let mut buffer = vec![0; 65536];
    while let Ok((count, peer)) = socket.recv_from(&mut buffer).await {
        let said = String::from_utf8_lossy(&buffer[..count]);
        add(&heard, format!("udp {peer}: {said}"));
    }
}

#[cfg(test)]
mod tests {
    use harness::wait::{Probe, Unwatched, wait_until};

    use super::*;

    async fn heard(of: &Heard, text: &str) {
        let seen = wait_until(
            "a word",
            Duration::from_secs(10),
            Duration::from_millis(20),
            &Unwatched,
            || async {
                let all = taken(of);
                match all.iter().any(|one| one.contains(text)) {
                    true => Probe::Ready(()),
                    false => Probe::NotYet(all.join("\n")),
                }
            },
        );
        seen.await.unwrap();
    }

    #[tokio::test]
    async fn a_trap_hears_a_login_a_datagram_and_a_silent_caller() {
        let trap = Trap::open("127.0.0.2").await.unwrap();
        assert!(trap.heard().is_empty());
        let mut stream = TcpStream::connect((LOOPBACK, trap.port)).await.unwrap();
        stream
            .write_all(b"GET /v2/ HTTP/1.1\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 "));
        heard(&trap.heard, "GET /v2/").await;
        let socket = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
        socket
            .send_to(b"a line", ("127.0.0.2", trap.port))
            .await
            .unwrap();
        heard(&trap.heard, "a line").await;
        drop(TcpStream::connect(("127.0.0.2", trap.port)).await.unwrap());
        heard(&trap.heard, "tcp 127.0.0.1").await;
    }
}
