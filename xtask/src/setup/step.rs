//! A step of the set-up, as data: it can be printed as a command before it is done.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A program with its arguments.
    Run(Vec<String>),
    /// A program that reads this text, which ends with a line end.
    Feed {
        argv: Vec<String>,
        text: String,
    },
    RemoveFile(PathBuf),
    /// A program that goes on after us, in a process session of its own, output to a file.
    Detach {
        argv: Vec<String>,
        log: PathBuf,
    },
    /// Until the Docker engine answers and its swarm, if it has one, is up.
    WaitForDocker {
        deadline: Duration,
        log: Option<PathBuf>,
    },
    /// The first way, or if that fails the second.
    Either(Vec<Step>, Vec<Step>),
}

impl Step {
    pub fn run<const N: usize>(argv: [&str; N]) -> Self {
        Self::Run(argv.map(str::to_owned).to_vec())
    }
}

/// The command that does the same, to be pasted.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(argv) => f.write_str(&quoted(argv)),
            Self::Feed { argv, text } => {
                let lines: Vec<_> = text.lines().map(quote).collect();
                write!(f, "printf '%s\\n' {} | {}", lines.join(" "), quoted(argv))
            }
            Self::RemoveFile(path) => write!(f, "rm -f {}", quote(&path.to_string_lossy())),
            Self::Detach { argv, log } => write!(
                f,
                "setsid --fork {} >>{} 2>&1 </dev/null",
                quoted(argv),
                quote(&log.to_string_lossy())
            ),
            Self::WaitForDocker { deadline, .. } => write!(
                f,
                "timeout {} sh -c 'until docker info >/dev/null 2>&1; do sleep 1; done'",
                deadline.as_secs()
            ),
            Self::Either(first, second) => {
                write!(f, "{{ {}; }} || {{ {}; }}", joined(first), joined(second))
            }
        }
    }
}

/// Steps as one command.
pub fn joined(steps: &[Step]) -> String {
    let steps: Vec<_> = steps.iter().map(Step::to_string).collect();
    steps.join(" && ")
}

fn quoted(argv: &[String]) -> String {
    let words: Vec<_> = argv.iter().map(|word| quote(word)).collect();
    words.join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_prints_as_a_command_that_can_be_pasted() {
        let step = Step::run(["echo", "it's", "", "a b", "x=1"]);
        insta::assert_snapshot!(step, @r"echo 'it'\''s' '' 'a b' x=1");
    }

    /// Pasted, it gives the program the same text.
    #[test]
    fn a_text_for_a_program_prints_with_it() {
        let step = Step::Feed {
            argv: vec!["cat".to_owned(), "-".to_owned()],
            text: "*filter\n:it's - [0:0]\n".to_owned(),
        };
        insta::assert_snapshot!(step, @r"printf '%s\n' '*filter' ':it'\''s - [0:0]' | cat -");
        let pasted = std::process::Command::new("sh")
            .args(["-c", &step.to_string()])
            .output()
            .unwrap();
        assert_eq!(pasted.stdout, b"*filter\n:it's - [0:0]\n");
    }

    #[test]
    fn two_ways_print_as_one_or_the_other() {
        let step = Step::Either(
            vec![Step::run(["a"]), Step::run(["b"])],
            vec![Step::run(["c"])],
        );
        insta::assert_snapshot!(step, @"{ a && b; } || { c; }");
    }
}
