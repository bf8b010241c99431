//! The entrypoint of cc-ci: parses, calls one subcommand, turns the outcome into an exit code.

mod bench;
mod chaos;
mod ci;
mod demo;
mod doctor;
mod exit;
mod fuzz;
mod images;
mod lint;
mod new_recipe;
mod place;
mod progress;
mod selftest;
mod setup;
mod test;
mod text;
mod tidy;

use std::future::Future;
use std::process::ExitCode;

use clap::Parser;

/// Tests Co-op Cloud recipes on a real Docker Swarm.
#[derive(Debug, Parser)]
#[command(
    bin_name = "cargo xtask",
    after_help = "Exit codes: 0 pass, 1 the recipe failed, 2 usage or configuration, \
                  3 infrastructure error (no statement about the recipe), 4 cancelled."
)]
enum Command {
    Bench(bench::Bench),
    Chaos(chaos::Chaos),
    Ci(ci::Ci),
    Cancel(ci::Cancel),
    Report(ci::Report),
    Demo(demo::Demo),
    Doctor(doctor::Doctor),
    Fuzz(fuzz::Fuzz),
    Images(images::Images),
    Lint(lint::Lint),
    NewRecipe(new_recipe::NewRecipe),
    Reap(ci::Reap),
    Selftest(selftest::Selftest),
    Test(test::Test),
}

impl Command {
    fn run(self) -> anyhow::Result<u8> {
        match self {
            Self::Bench(bench) => bench.run(),
            Self::Chaos(chaos) => chaos.run(),
            Self::Ci(ci) => ci.run(),
            Self::Cancel(cancel) => cancel.run(),
            Self::Report(report) => report.run(),
            Self::Demo(demo) => demo.run(),
            Self::Doctor(doctor) => doctor.run(),
            Self::Fuzz(fuzz) => fuzz.run(),
            Self::Images(images) => images.run(),
            Self::Lint(lint) => lint.run(),
            Self::NewRecipe(new) => new.run(),
            Self::Reap(reap) => reap.run(),
            Self::Selftest(selftest) => selftest.run(),
            Self::Test(test) => test.run(),
        }
    }
}

fn main() -> ExitCode {
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(error) => {
            let code = if error.use_stderr() {
                exit::USAGE
            } else {
                exit::PASS
            };
            // Nobody is left to be told where the terminal is gone.
            let _ = error.print();
            return code.into();
        }
    };
    match command.run() {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("error: {}", text::clean_block(&format!("{error:#}")));
            exit::of_error(&error).into()
        }
    }
}

/// The one runtime of this process.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the kernel gives an event queue")
        .block_on(future)
}
