//! `doctor`: what a run needs, how it stands, and the command that mends it.

mod engine;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use harness::site::Site;

use crate::exit;
use crate::setup::{self, Ask, Check, ThisHost, Weight};
use crate::text::{Colour, clean};

/// Say what is missing on this machine, and the command that mends it
#[derive(Debug, Args)]
pub struct Doctor {
    /// Mend what can be mended
    #[arg(long)]
    fix: bool,
    /// Don't ask before each step of --fix
    #[arg(long, requires = "fix")]
    yes: bool,
    /// Try an engine against what cc-ci expects of it
    #[arg(long, conflicts_with = "fix")]
    engine: Option<Engine>,
    /// The site whose abra and proxy are looked at, too
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    Stack,
    Abra,
}

impl Doctor {
    pub fn run(self) -> anyhow::Result<u8> {
        if let Some(engine) = self.engine {
            return engine::run(engine, self.site.as_deref());
        }
        let site = match &self.site {
            Some(file) => Site::read(file)?,
            None => Site::default(),
        };
        if self.fix {
            setup::setup(&site, Ask::from_environment(self.yes))?;
        }
        let mut checks = setup::inspect(&ThisHost, &site);
        checks.extend(crate::block_on(setup::inspect_site(&site)));
        checks.extend(crate::block_on(setup::inspect_registry()));
        println!("{}", table(&checks, Colour::of_stdout()));
        Ok(code(&checks))
    }
}

fn code(checks: &[Check]) -> u8 {
    let fit = checks
        .iter()
        .all(|check| check.is_there() || check.weight == Weight::Wanted);
    if fit { exit::PASS } else { exit::INFRA }
}

/// A line a check, aligned, and the remedy below what is not there.
fn table(checks: &[Check], colour: Colour) -> String {
    let width = checks
        .iter()
        .map(|check| check.what.len())
        .max()
        .unwrap_or(0);
    let mut lines = Vec::new();
    for check in checks {
        let word = colour.status(&format!("{:<7}", check.word()));
        lines.push(format!(
            "{word}  {:<width$}  {}",
            check.what,
            clean(check.fact())
        ));
        if let Some(remedy) = check.remedy().filter(|_| !check.is_there()) {
            lines.push(format!("{:<7}  {:<width$}  mend: {remedy}", "", ""));
        }
    }
    lines.push(String::new());
    lines.push(summary(checks));
    lines.join("\n")
}

fn summary(checks: &[Check]) -> String {
    let wanting = checks
        .iter()
        .filter(|check| !check.is_there() && check.weight == Weight::Required)
        .count();
    let mendable = checks
        .iter()
        .any(|check| !check.is_there() && !check.fix.is_empty());
    match (wanting, mendable) {
        (0, false) => "This machine is fit for a run.".to_owned(),
        (0, true) => {
            "This machine is fit for a run; the rest by: cargo xtask doctor --fix".to_owned()
        }
        (n, true) => format!("{n} to mend; what can be mended here: cargo xtask doctor --fix"),
        (n, false) => format!("{n} to mend by hand."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::Step;

    fn sick() -> Vec<Check> {
        vec![
            Check::there("account", "root"),
            Check::missing("git", "not on the path").fix([
                Step::run(["apt-get", "update"]),
                Step::run(["apt-get", "install", "git"]),
            ]),
            Check::broken("disk space", "nearly full:\u{1b}[2J 1 GiB").advise("docker system df"),
            Check::missing("mmdebstrap", "not on the path").wanted(),
        ]
    }

    #[test]
    fn the_table_lines_up_and_gives_the_command() {
        insta::assert_snapshot!(table(&sick(), Colour::Never), @"
        ok       account     root
        missing  git         not on the path
                             mend: apt-get update && apt-get install git
        broken   disk space  nearly full: [2J 1 GiB
                             mend: docker system df
        missing  mmdebstrap  not on the path

        2 to mend; what can be mended here: cargo xtask doctor --fix
        ");
    }

    #[test]
    fn a_sick_machine_is_an_infrastructure_error() {
        assert_eq!(code(&sick()), exit::INFRA);
    }

    #[test]
    fn what_is_only_wanted_at_times_does_not_make_a_machine_unfit() {
        let checks = [Check::missing("mmdebstrap", "not on the path").wanted()];
        assert_eq!(code(&checks), exit::PASS);
        insta::assert_snapshot!(summary(&checks), @"This machine is fit for a run.");
    }
}
