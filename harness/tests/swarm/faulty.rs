//! What runs in the test stacks: a static program whose fault is its first argument.

use std::time::Duration;

fn main() {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("crash") => {
            eprintln!("starting");
            eprintln!("{}", args.next().unwrap_or_default());
            std::process::exit(3);
        }
        Some("echo") => {
            println!("{}", args.collect::<Vec<_>>().join(" "));
            eprintln!("said");
            std::process::exit(4);
        }
        Some("flood") => {
            for _ in 0..40_000 {
                println!("{}", "x".repeat(60));
            }
        }
        Some("pour") => pour(),
        _ => {
            println!("serving \u{1b}[31msecret-word\u{1b}[0m");
            loop {
                std::thread::park_timeout(Duration::from_secs(3600));
            }
        }
    }
}

/// A line of 10 MB with a secret again and again, then 90 MB of lines that are no text; then it
/// fails, and says why.
fn pour() -> ! {
    use std::io::Write;

    let mut out = std::io::stdout().lock();
    let word = b"x secret-word \x1b[31m\xff ";
    for _ in 0..10_000_000 / word.len() {
        let _ = out.write_all(word);
    }
    let line = [b"\n\x07\xfe", "y".repeat(1000).as_bytes()].concat();
    for _ in 0..90_000 {
        let _ = out.write_all(&line);
    }
    let _ = out.write_all(b"\nthe disk of the app is on fire\n");
    let _ = out.flush();
    std::process::exit(1)
}
