//! Both ends of an attack; compiled by the test, static, for an empty image and for namespaces.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let role = arguments.next().expect("a role");
    match role.as_str() {
        "listen" => arguments.for_each(|at| listen(&at)),
        "attack" => {
            for target in arguments {
                let came = attack(&target).unwrap_or_else(|error| format!("no: {error}"));
                println!("{target} {came}");
            }
            return;
        }
        other => panic!("no role {other}"),
    }
    println!("ready");
    // What is said here comes out after all that was heard before.
    for line in std::io::stdin().lines().map_while(Result::ok) {
        println!("{line}");
    }
    loop {
        std::thread::park();
    }
}

/// Both protocols at one address; says what it hears, and says it back.
fn listen(at: &str) {
    let tcp = TcpListener::bind(at).expect("the address is free");
    let at = tcp.local_addr().expect("it is bound");
    let udp = UdpSocket::bind(at).expect("the address is free");
    println!("at {}", at.port());
    std::thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            let mut bytes = [0; 200];
            if let Ok(length @ 1..) = stream.read(&mut bytes) {
                println!("heard {}", String::from_utf8_lossy(&bytes[..length]));
                let _ = stream.write_all(&bytes[..length]);
            }
        }
    });
    std::thread::spawn(move || {
        let mut bytes = [0; 200];
        while let Ok((length, from)) = udp.recv_from(&mut bytes) {
            println!("heard {}", String::from_utf8_lossy(&bytes[..length]));
            let _ = udp.send_to(&bytes[..length], from);
        }
    });
}

/// `tcp`, `udp`: says the target, and waits to hear it back. `knock`: connects, and says nothing.
/// `dns`: asks for a name that nobody has.
fn attack(target: &str) -> Result<String, Box<dyn std::error::Error>> {
    let (way, address) = target.split_once('/').ok_or("way/address")?;
    let address: SocketAddr = address.parse()?;
    if way == "knock" {
        TcpStream::connect_timeout(&address, PATIENCE)?;
        return Ok("answered".to_owned());
    }
    let mut bytes = [0; 600];
    let length = if way == "tcp" {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(target.as_bytes())?;
        stream.read(&mut bytes)?
    } else {
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(address)?;
        let question = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x05cc-ci\x07invalid\0\0\x01\0\x01";
        socket.send(if way == "dns" { question } else { target.as_bytes() })?;
        socket.recv(&mut bytes)?
    };
    match way {
        // No such name.
        "dns" if length > 4 && bytes[3] & 15 == 3 => Ok("answered".to_owned()),
        "dns" => Err(format!("answer {}", bytes[3] & 15).into()),
        _ if &bytes[..length] == target.as_bytes() => Ok("answered".to_owned()),
        _ => Err("another answer".into()),
    }
}
