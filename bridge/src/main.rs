//! The bridge as a program: parses, calls, turns the outcome into an exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use bridge::config::Config;
use bridge::{check, daemon};
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Watches pull requests, and starts a run for each authorised `!testme`.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 it was told to end, or all checks are good; 2 usage or configuration; \
                  3 a check is not good, or the bridge can't go on."
)]
struct Arguments {
    /// The settings; the environment wins over them (docs/bridge.toml has all)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch until told to end; so without a command, too
    Serve,
    /// Say what is missing: rights, membership, Drone's time-out, clocks; changes nothing
    Check,
}

const GOOD: u8 = 0;
const USAGE: u8 = 2;
const NOT_GOOD: u8 = 3;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { GOOD };
            // Nobody is left to be told where the terminal is gone.
            let _ = error.print();
            return code.into();
        }
    };
    let environment = |name: &str| std::env::var(name).ok();
    let config = match Config::read(arguments.config.as_deref(), environment) {
        Ok(config) => config,
        Err(error) => return failed(&error, USAGE),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the kernel gives an event queue");
    match arguments.command {
        Some(Command::Check) => match runtime.block_on(check::check(&config)) {
            Ok(findings) => {
                print!("{}", check::table(&findings));
                let good = findings.iter().all(|finding| finding.good);
                if good { GOOD.into() } else { NOT_GOOD.into() }
            }
            Err(error) => failed(&error, USAGE),
        },
        Some(Command::Serve) | None => {
            logs();
            match runtime.block_on(daemon::run(config)) {
                Ok(()) => GOOD.into(),
                Err(error) => {
                    let code = if error.is_usage() { USAGE } else { NOT_GOOD };
                    failed(&error, code)
                }
            }
        }
    }
}

fn failed(error: &dyn std::error::Error, code: u8) -> ExitCode {
    eprintln!("error: {}", bridge::stage::chain(error));
    code.into()
}

/// One line of JSON an event on standard error; `RUST_LOG` says how much.
fn logs() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(std::io::stderr)
        .with_env_filter(filter)
        .init();
}
