//! The program itself: found once, its version read once, every call of it kept.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::process::Command;

use super::call::Call;
use super::said;
use super::terminal;
use super::version::{OLDEST, Version};
use crate::engine::child::{self, on_path};
use crate::engine::confine::Confined;
use crate::fault::Fault;
use crate::site::AbraSite;

const VERSION_WITHIN: Duration = Duration::from_secs(20);
/// How often abra may say that it does not know a flag.
const MOST_UNKNOWN_FLAGS: usize = 4;

/// An abra that answers.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    version: Option<Version>,
    /// What it said of its version.
    said: String,
    /// In calls so far, of this program and its clones.
    spent: Arc<Mutex<Duration>>,
}

/// Where a call takes place.
pub struct Place<'a> {
    /// For `ABRA_DIR`.
    pub home: &'a Path,
    /// The folder that it runs in: what it writes there is looked for.
    pub folder: &'a Path,
    /// Every call is kept here, with what abra said.
    pub log: &'a Path,
    pub lock: Option<&'a OwnedFd>,
    /// For what reads a stranger's files and changes the swarm by them.
    pub through: Option<Through<'a>>,
}

/// A door in the engine's place, and what abra sees of the host beside it.
pub struct Through<'a> {
    pub socket: &'a Path,
    pub confined: Confined,
    /// The folder of Docker's contexts, where the server is not this machine.
    pub servers: Option<PathBuf>,
}

/// What abra, and Docker's client in it, needs of our environment to find its engine.
const PASSED_ON: [&str; 6] = [
    "PATH",
    "HOME",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "SSH_AUTH_SOCK",
];

fn passed_on() -> impl Iterator<Item = (&'static str, OsString)> {
    let ours = |key: &&'static str| Some((*key, std::env::var_os(key)?));
    PASSED_ON.iter().filter_map(ours)
}

impl Program {
    /// The abra of this site.
    pub async fn find(site: &AbraSite) -> Result<Self, Fault> {
        let path = on_path(&site.program).ok_or_else(|| {
            Fault::infra(format!(
                "there is no `{}` on the path: this site deploys with abra; install it, or name it in the site file ([abra] program)",
                site.program.display()
            ))
        })?;
        let mut command = Command::new(&path);
        command.arg("--version").env_clear().envs(passed_on());
        let ended = child::run(command, None, None, "abra --version", VERSION_WITHIN).await?;
        let said = String::from_utf8_lossy(&ended.stdout);
        let said = said.trim();
        if !ended.status.success() {
            let stderr = String::from_utf8_lossy(&ended.stderr);
            return Err(said::failure(
                "asking abra for its version",
                "abra --version",
                &ended.status.to_string(),
                &stderr,
            ));
        }
        let version = Version::read(said);
        if let Some(old) = version.filter(|version| *version < OLDEST) {
            return Err(Fault::infra(format!(
                "abra {old} at {} is too old: backups go through the backup bot since {OLDEST}",
                path.display()
            )));
        }
        Ok(Self {
            path,
            version,
            said: said.lines().next().unwrap_or_default().to_owned(),
            spent: Arc::default(),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How long abra itself has worked, in all calls together.
    pub fn spent(&self) -> Duration {
        *self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the record: its version, or what it said in place of one.
    pub fn version(&self) -> String {
        match self.version {
            Some(version) => version.to_string(),
            None => format!("`{}`", self.said),
        }
    }

    /// What a reader of the record should know: nothing was read of what this version does.
    pub fn warning(&self) -> Option<String> {
        let known = self.version.is_some_and(Version::is_known);
        (!known).then(|| {
            format!(
                "abra {} is not a version whose behaviour cc-ci knows; it is driven as the newest that is known. `cargo xtask doctor --engine abra` says what differs",
                self.version()
            )
        })
    }

    /// Makes a call; what abra said if it did what it was asked for.
    pub async fn call(&self, call: &Call, at: &Place<'_>, doing: &str) -> Result<String, Fault> {
        let mut call = call.clone();
        let shown = call.shown();
        for _ in 0..=MOST_UNKNOWN_FLAGS {
            let (status, said) = self.once(&call, at).await?;
            // It may say FATA and end with 0, and it may fail without the word.
            if status.success() && said::fatal(&said).is_none() {
                return Ok(said);
            }
            // It refuses a flag before it does anything, so the same call without it is the first.
            match said::unknown_flag(&said).and_then(|flag| call.without(&flag)) {
                Some(without) => call = without,
                None => return Err(said::failure(doing, &shown, &status.to_string(), &said)),
            }
        }
        Err(Fault::infra(format!(
            "{doing}: `{shown}` knows none of the flags that it is given"
        )))
    }

    async fn once(&self, call: &Call, at: &Place<'_>) -> Result<(ExitStatus, String), Fault> {
        let arguments = call.arguments(self.version);
        let mut command = Command::new(&self.path);
        command
            .args(&arguments)
            .current_dir(at.folder)
            .env_clear()
            .envs(passed_on())
            .env("ABRA_DIR", at.home)
            .env("LC_ALL", "C.UTF-8")
            .env("NO_COLOR", "1")
            .env("TERM", "dumb");
        if let Some(through) = &at.through {
            let engine = format!("unix://{}", through.socket.display());
            command.env("DOCKER_HOST", engine).env("TMPDIR", at.folder);
            // What is in the account's own home can't be read.
            command.env("HOME", at.folder).env_remove("DOCKER_CONFIG");
            if let Some(servers) = &through.servers {
                command.env("DOCKER_CONFIG", servers);
            }
        }
        let shown = call.shown();
        let started = Instant::now();
        let ran = if call.terminal {
            terminal::run(command, at.lock, &shown, call.deadline).await
        } else {
            let confined = at.through.as_ref().map(|through| through.confined.clone());
            let ended = child::run(command, at.lock, confined, &shown, call.deadline).await;
            ended.map(|ended| {
                let mut said = String::from_utf8_lossy(&ended.stdout).into_owned();
                said.push_str(&String::from_utf8_lossy(&ended.stderr));
                (ended.status, said)
            })
        };
        let took = started.elapsed();
        *self.spent.lock().unwrap_or_else(PoisonError::into_inner) += took;
        keep(at.log, &arguments, &ran, took);
        ran
    }
}

/// Writes down a call. That it can't be written is no reason not to make it.
fn keep(
    log: &Path,
    arguments: &[OsString],
    ran: &Result<(ExitStatus, String), Fault>,
    took: Duration,
) {
    let words = arguments.iter().map(|word| word.to_string_lossy());
    let mut text = format!("$ abra {}\n", words.collect::<Vec<_>>().join(" "));
    let _ = match ran {
        Ok((status, said)) => writeln!(text, "{}\n({status}, {took:.1?})", said.trim_end()),
        Err(fault) => writeln!(text, "({fault}, {took:.1?})"),
    };
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(log);
    let _ = file.and_then(|mut file| file.write_all(text.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    use super::super::call;

    /// A program that is a script.
    fn program(dir: &Path, script: &str) -> AbraSite {
        let path = dir.join("abra");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        AbraSite {
            program: path,
            ..AbraSite::default()
        }
    }

    async fn found(script: &str) -> Result<Program, Fault> {
        let dir = tempfile::tempdir().unwrap();
        Program::find(&program(dir.path(), script)).await
    }

    #[tokio::test]
    async fn a_version_that_is_not_known_is_driven_with_a_warning() {
        let known = found("echo abra version 0.10.1-beta-1a2b3c4d")
            .await
            .unwrap();
        assert_eq!(
            (known.version().as_str(), known.warning()),
            ("0.10.1", None)
        );
        for (said, version) in [
            ("0.99.0-beta", "0.99.0"),
            ("dev-1a2b3c4d", "`dev-1a2b3c4d`"),
        ] {
            let unknown = found(&format!("echo {said}")).await.unwrap();
            assert_eq!(unknown.version(), version);
            let warning = unknown.warning().unwrap_or_default();
            assert!(
                warning.contains(version) && warning.contains("doctor --engine abra"),
                "{warning}"
            );
        }
    }

    #[rstest::rstest]
    #[case::old("echo 0.8.1-beta", "is too old")]
    #[case::broken(
        "echo 'FATA no home' >&2; exit 1",
        "asking abra for its version: no home"
    )]
    #[tokio::test]
    async fn an_abra_that_will_not_do_is_named(#[case] script: &str, #[case] said: &str) {
        let fault = found(script).await.unwrap_err();
        assert!(matches!(fault, Fault::Infra(_)), "{fault:?}");
        assert!(fault.to_string().contains(said), "{fault}");
    }

    #[tokio::test]
    async fn no_abra_at_all_says_what_to_do() {
        let site = AbraSite {
            program: "no-such-abra".into(),
            ..AbraSite::default()
        };
        let fault = Program::find(&site).await.unwrap_err();
        insta::assert_snapshot!(fault, @"there is no `no-such-abra` on the path: this site deploys with abra; install it, or name it in the site file ([abra] program)");
    }

    /// The calls that a program of this kind was made, a line each, and what came of the last.
    async fn calls(script: &str, call: &Call) -> (Vec<String>, Result<String, Fault>) {
        let dir = tempfile::tempdir().unwrap();
        let calls = dir.path().join("calls");
        let script = format!(
            "[ \"$1\" = --version ] && echo 0.10.1 && exit\necho \"$@\" >> {}\n{script}",
            calls.display()
        );
        let program = Program::find(&program(dir.path(), &script)).await.unwrap();
        let log = dir.path().join("log");
        let at = Place {
            home: dir.path(),
            folder: dir.path(),
            log: &log,
            lock: None,
            through: None,
        };
        let came = program.call(call, &at, "testing").await;
        let text = std::fs::read_to_string(&calls).unwrap();
        let kept = std::fs::read_to_string(&log).unwrap();
        let mode = log.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            kept.matches("$ abra ").count(),
            text.lines().count(),
            "{kept}"
        );
        (text.lines().map(str::to_owned).collect(), came)
    }

    #[tokio::test]
    async fn a_guard_that_is_not_known_is_left_out_and_nothing_else() {
        let refuses = "case \"$*\" in *--chaos*) echo 'Error: unknown flag: --chaos' >&2; exit 1;; esac; echo done";
        let domain = "a.ci.test".parse().unwrap();
        let insert = call::secret_insert(&domain, "pw", "v1", Path::new("/f"));
        let (made, came) = calls(refuses, &insert).await;
        assert_eq!(came, Ok("done\n".to_owned()));
        assert_eq!(
            made,
            [
                "app secret insert --no-input --offline --chaos -f a.ci.test pw v1 /f",
                "app secret insert --no-input --offline -f a.ci.test pw v1 /f",
            ]
        );
        let (made, came) = calls(refuses, &call::deploy(&domain, None, false)).await;
        assert_eq!(made.len(), 1, "{made:?}");
        assert!(matches!(came, Err(Fault::Infra(_))), "{came:?}");
    }

    #[tokio::test]
    async fn the_word_fata_is_a_failure_whatever_the_exit_code() {
        let domain = "a.ci.test".parse().unwrap();
        let deploy = call::deploy(&domain, None, false);
        let (made, came) = calls("echo 'FATA lint errors: R011' >&2", &deploy).await;
        assert_eq!(made.len(), 1);
        assert_eq!(came, Err(Fault::recipe("testing: lint errors: R011")));
    }
}
