//! An executable that tries every way to a port of loopback, and what stands at the other end.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use harness::suite::repo_local::Ran;
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, SendFlags, SocketType, ipproto};
use rustix::net::{accept, bind, connect, getsockname, listen, sendto, socket};

use super::Session;

/// The name under which this binary is the attacker.
pub const ATTACKER: &str = "attack";
/// Sends with the handshake, without a call of connect(2).
const FAST_OPEN: SendFlags = SendFlags::from_bits_retain(0x2000_0000);
/// As long as an attacker who could listen waits for somebody.
const LISTENS: Duration = Duration::from_secs(2);

type Way = (&'static str, fn(SocketAddrV4) -> Result<(), Errno>);

const CONNECTS: [Way; 3] = [
    ("tcp", |to| connect(stream(None)?, &to)),
    ("mptcp", |to| connect(stream(Some(ipproto::MPTCP))?, &to)),
    ("fast open", |to| {
        sendto(stream(None)?, b"x", FAST_OPEN, &to).map(drop)
    }),
];

const BINDS: [Way; 3] = [
    ("tcp", |at| stands_at(&stream(None)?, at)),
    ("mptcp", |at| stands_at(&stream(Some(ipproto::MPTCP))?, at)),
    ("unbound", |_| {
        let socket = stream(None)?;
        listen(&socket, 1)?;
        getsockname(&socket).map(drop)
    }),
];

fn stream(protocol: Option<Protocol>) -> Result<OwnedFd, Errno> {
    socket(AddressFamily::INET, SocketType::STREAM, protocol)
}

fn stands_at(socket: &OwnedFd, at: SocketAddrV4) -> Result<(), Errno> {
    bind(socket, &at)?;
    listen(socket, 1)?;
    rustix::net::sockopt::set_socket_timeout(
        socket,
        rustix::net::sockopt::Timeout::Recv,
        Some(LISTENS),
    )?;
    accept(socket).map(drop)
}

/// The attacker: the ports of a listener, of the proxy and a free one are its arguments.
pub fn attack(ports: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let ports = ports
        .map(|port| Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port.parse()?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let [listener, proxy, free] = ports[..] else {
        anyhow::bail!("three ports are needed");
    };
    for (kind, ways, address) in [
        ("connect", CONNECTS, listener),
        ("proxy", CONNECTS, proxy),
        ("bind", BINDS, free),
    ] {
        for (name, way) in ways {
            let came = way(address).err().map_or(0, Errno::raw_os_error);
            println!("{kind} {name}: {came}");
        }
    }
    let asks_names = socket(AddressFamily::INET, SocketType::DGRAM, None);
    println!("udp: {}", asks_names.is_ok());
    let associates = socket(AddressFamily::INET, SocketType::SEQPACKET, None);
    println!("seqpacket: {}", associates.is_ok());
    Ok(())
}

/// A port on which connections are counted.
struct Witness(TcpListener);

impl Witness {
    fn new() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    fn port(&self) -> anyhow::Result<u16> {
        Ok(self.0.local_addr()?.port())
    }

    /// How many connections came.
    fn came(&self) -> anyhow::Result<usize> {
        let mut came = 0;
        loop {
            match self.0.accept() {
                Ok(_) => came += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(came),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

struct Seen {
    ran: Ran,
    at_listener: usize,
    at_proxy: usize,
    /// How often somebody outside reached the port that the attacker wanted to have.
    at_its_own: usize,
}

fn try_all(proxy_is_up: bool) -> anyhow::Result<Seen> {
    let (listener, proxy) = (Witness::new()?, Witness::new()?);
    let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let ports = [listener.port()?, proxy.port()?, free.port()].map(|port| port.to_string());
    let script = format!(
        "#!/bin/sh\nexec \"$(dirname \"$0\")/{ATTACKER}\" {}\n",
        ports.join(" ")
    );
    let mut session = Session::new(&script)?;
    fs::copy(
        std::env::current_exe()?,
        session.path("tree/tests/custom").join(ATTACKER),
    )?;
    session.proxy = proxy_is_up.then_some(proxy.port()?);
    let (over, reached) = (AtomicBool::new(false), AtomicUsize::new(0));
    let ran = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                if TcpStream::connect(free).is_ok() {
                    reached.fetch_add(1, Ordering::Relaxed);
                }
                std::thread::yield_now();
            }
        });
        let ran = session.run(Duration::from_secs(60));
        over.store(true, Ordering::Relaxed);
        ran
    })?;
    Ok(Seen {
        ran,
        at_listener: listener.came()?,
        at_proxy: proxy.came()?,
        at_its_own: reached.into_inner(),
    })
}

/// What a way came to: 0, or the number of its error.
fn said(ran: &Ran, way: &str) -> anyhow::Result<i32> {
    let line = ran.output.lines().find_map(|line| line.strip_prefix(way));
    let number = line.and_then(|rest| rest.strip_prefix(": "));
    let number = number.with_context(|| format!("{way} was not tried: {ran:?}"))?;
    Ok(number.parse()?)
}

fn refused(ran: &Ran, kind: &str, ways: &[Way]) -> anyhow::Result<()> {
    for (name, _) in ways {
        let error = said(ran, &format!("{kind} {name}"))?;
        ensure!(
            error == Errno::ACCESS.raw_os_error(),
            "{kind} {name}: {error}: {ran:?}"
        );
    }
    Ok(())
}

/// A kernel that can't is one that says so.
fn has_wall(ran: &Ran) -> bool {
    !ran.output.contains("no ports")
}

pub fn it_reaches_the_proxys_port_only() -> anyhow::Result<()> {
    let began = Instant::now();
    let seen = try_all(true)?;
    let ran = &seen.ran;
    ensure!(ran.outcome == results::Outcome::Pass, "{ran:?}");
    ensure!(ran.output.contains("udp: true"), "{ran:?}");
    ensure!(ran.output.contains("seqpacket: false"), "{ran:?}");
    if !has_wall(ran) {
        return Ok(());
    }
    ensure!(seen.at_listener == 0, "{} came: {ran:?}", seen.at_listener);
    ensure!(seen.at_its_own == 0, "{} came: {ran:?}", seen.at_its_own);
    refused(ran, "connect", &CONNECTS)?;
    refused(ran, "bind", &BINDS)?;
    // The one way that it has.
    ensure!(
        said(ran, "proxy tcp")? == 0 && seen.at_proxy == 1,
        "{}: {ran:?}",
        seen.at_proxy
    );
    ensure!(began.elapsed() < Duration::from_secs(30));
    Ok(())
}

pub fn without_a_proxy_it_reaches_no_port() -> anyhow::Result<()> {
    let seen = try_all(false)?;
    if has_wall(&seen.ran) {
        ensure!(seen.at_listener + seen.at_proxy + seen.at_its_own == 0);
        refused(&seen.ran, "proxy", &CONNECTS)?;
    }
    Ok(())
}
