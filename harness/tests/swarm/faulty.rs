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
        _ => {
            println!("serving \u{1b}[31msecret-word\u{1b}[0m");
            loop {
                std::thread::park_timeout(Duration::from_secs(3600));
            }
        }
    }
}
