//! A small HTTP/1.1 server for the tests of the proxy; compiled by them, static, for an empty image.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of all uploads so far, also of those that go on.
static UPLOADED: AtomicU64 = AtomicU64::new(0);

fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    let listener = TcpListener::bind("0.0.0.0:8080").expect("the port is free");
    for stream in listener.incoming().flatten() {
        let name = name.clone();
        std::thread::spawn(move || {
            let _ = serve(stream, &name);
        });
    }
}

fn serve(stream: TcpStream, name: &str) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if input.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
        let header = |wanted: &str| {
            head.lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(key, _)| key.eq_ignore_ascii_case(wanted))
                .map(|(_, value)| value.trim().to_owned())
        };
        match path.as_str() {
            "/ws" => {
                let wanted = header("upgrade").unwrap_or_default();
                if wanted != "websocket" || header("connection").as_deref() != Some("upgrade") {
                    answer(&mut out, "400 Bad Request", "", head.as_bytes())?;
                    continue;
                }
                out.write_all(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
                )?;
                std::io::copy(&mut input, &mut out)?;
                return Ok(());
            }
            "/uploaded" => {
                let so_far = UPLOADED.load(Ordering::SeqCst).to_string();
                answer(&mut out, "200 OK", "", so_far.as_bytes())?;
            }
            "/die" => return Ok(()),
            "/own-502" => answer(&mut out, "502 Bad Gateway", "", b"the app's own")?,
            "/forged" => answer(
                &mut out,
                "200 OK",
                "X-Cc-Ci-Edge: no-answer: forged\r\nX-Accel-Redirect: /own-502\r\nServer: own\r\n",
                b"forged",
            )?,
            "/download" => {
                let megabyte = vec![b'x'; 1 << 20];
                out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 209715200\r\n\r\n")?;
                for _ in 0..200 {
                    out.write_all(&megabyte)?;
                }
            }
            "/upload" => {
                let got = match header("content-length") {
                    Some(length) => {
                        let length = length.parse().unwrap_or(0);
                        std::io::copy(&mut (&mut input).take(length), &mut Count)?
                    }
                    None => chunks(&mut input)?,
                };
                answer(&mut out, "200 OK", "", got.to_string().as_bytes())?;
            }
            _ => answer(&mut out, "200 OK", "", format!("{name}\n{head}").as_bytes())?,
        }
    }
}

fn answer(out: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n");
    out.write_all(head.as_bytes())?;
    out.write_all(body)
}

struct Count;

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        UPLOADED.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn chunks(input: &mut impl BufRead) -> std::io::Result<u64> {
    let mut got = 0;
    loop {
        let mut size = String::new();
        input.read_line(&mut size)?;
        let size = u64::from_str_radix(size.trim(), 16).unwrap_or(0);
        got += std::io::copy(&mut input.take(size), &mut Count)?;
        input.read_line(&mut String::new())?;
        if size == 0 {
            return Ok(got);
        }
    }
}
