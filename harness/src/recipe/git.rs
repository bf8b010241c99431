//! Running git: a fixed environment, no prompts, no hooks, no configuration but our own, and a
//! deadline after which the whole process group is killed.
//!
//! Invariants: a credential is handed to one command through its environment; it is never in an
//! argument, in a file or in an error. A command that has one follows no redirect.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;
use url::Url;

/// Written once per checkout, and all the configuration that git sees. `safe.directory` is open
/// because the person who names a path means that path, whoever owns it.
const CONFIG: &str = "\
[core]
\thooksPath = /dev/null
\tautocrlf = false
\tfsmonitor = false
[protocol \"ext\"]
\tallow = never
[safe]
\tdirectory = *
[gc]
\tauto = 0
[maintenance]
\tauto = false
[advice]
\tdetachedHead = false
";

/// What of our own environment git may see: how to reach the network.
const PASSED_ON: [&str; 12] = [
    "PATH",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "SSH_AUTH_SOCK",
];

#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("git can't be started; install it (apt-get install git)")]
    NotStarted(#[source] std::io::Error),
    #[error("`{command}` was not done within {} s and was killed", deadline.as_secs())]
    TimedOut { command: String, deadline: Duration },
    #[error("`{command}` failed ({status}): {stderr}")]
    Failed {
        command: String,
        status: std::process::ExitStatus,
        stderr: String,
    },
}

/// What a private repository is read with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    secret: String,
}

impl Credentials {
    pub fn new(user: impl Into<String>, secret: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            secret: secret.into(),
        }
    }

    /// A forge's access token, which stands in for a password.
    pub fn token(token: impl Into<String>) -> Self {
        Self::new("token", token)
    }

    fn header(&self) -> String {
        let pair = format!("{}:{}", self.user, self.secret);
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        format!("Authorization: Basic {encoded}")
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(redacted)")
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Git {
    /// An empty home, with our configuration in it.
    home: PathBuf,
}

/// One command.
pub(crate) struct Call<'a> {
    args: Vec<OsString>,
    envs: Vec<(String, OsString)>,
    deadline: Duration,
    git: &'a Git,
}

impl Git {
    /// `home` is made, and belongs to git alone.
    pub fn new(home: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(home)?;
        std::fs::write(home.join("gitconfig"), CONFIG)?;
        Ok(Self {
            home: home.to_owned(),
        })
    }

    pub fn call(&self, deadline: Duration) -> Call<'_> {
        Call {
            args: Vec::new(),
            envs: Vec::new(),
            deadline,
            git: self,
        }
    }
}

impl Call<'_> {
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub fn args<const N: usize>(mut self, args: [&str; N]) -> Self {
        self.args.extend(args.map(OsString::from));
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.envs.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sends the credentials to the host of `url`, and to no other: git would take the header along
    /// to wherever a redirect leads, or a repository's list of alternates, which it reads where it
    /// may follow redirects.
    pub fn credentials(self, url: Option<&Url>, credentials: Option<&Credentials>) -> Self {
        let (Some(url), Some(credentials)) = (url, credentials) else {
            return self;
        };
        let origin = url.origin().ascii_serialization();
        self.env("GIT_CONFIG_COUNT", "2")
            .env("GIT_CONFIG_KEY_0", format!("http.{origin}/.extraHeader"))
            .env("GIT_CONFIG_VALUE_0", credentials.header())
            .env("GIT_CONFIG_KEY_1", "http.followRedirects")
            .env("GIT_CONFIG_VALUE_1", "false")
    }

    /// Where the repository at `url` was moved to, as the server says: git itself does not tell.
    pub async fn leads_to(self, url: &Url) -> Option<Url> {
        let listed = self
            .args(["ls-remote", "--"])
            .arg(url.as_str())
            .env("GIT_TRACE_CURL", "1")
            .env("GIT_TRACE_CURL_NO_DATA", "1")
            .run()
            .await;
        match listed {
            Err(GitError::Failed { stderr, .. }) => location(url, &stderr),
            _ => None,
        }
    }

    /// Runs it; what it wrote to standard output if it succeeded.
    pub async fn run(self) -> Result<String, GitError> {
        let words = self.args.iter().map(|arg| arg.to_string_lossy());
        let shown = format!("git {}", words.collect::<Vec<_>>().join(" "));
        let child = self.command().spawn().map_err(GitError::NotStarted)?;
        let mut group = Group::of(&child);
        let output = tokio::time::timeout(self.deadline, child.wait_with_output()).await;
        let output = match output {
            Ok(output) => output.map_err(GitError::NotStarted)?,
            Err(_) => {
                return Err(GitError::TimedOut {
                    command: shown,
                    deadline: self.deadline,
                });
            }
        };
        group.over();
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(GitError::Failed {
                command: shown,
                status: output.status,
                stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            })
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new("git");
        command
            .args(&self.args)
            .env_clear()
            .envs(
                PASSED_ON
                    .iter()
                    .filter_map(|name| Some((name, std::env::var_os(name)?))),
            )
            .env("HOME", &self.git.home)
            .env("LC_ALL", "C.UTF-8")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.git.home.join("gitconfig"))
            .env("GIT_ATTR_NOSYSTEM", "1")
            // A ref of the source must not put another commit in the place of one that is named.
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", "file:git:http:https:ssh")
            .env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
            .envs(self.envs.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.git.home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

/// The repository that the last `Location` in a trace is of. Nothing else of a trace is kept, for
/// some versions of git write credentials into it.
fn location(asked: &Url, trace: &str) -> Option<Url> {
    let headers = trace
        .lines()
        .filter_map(|line| line.split_once("<= Recv header: "));
    let place = headers
        .filter_map(|(_, header)| header.split_once(':'))
        .rfind(|(name, _)| name.eq_ignore_ascii_case("location"))?
        .1;
    let mut place = asked.join(place.trim()).ok()?;
    place.set_query(None);
    place.set_fragment(None);
    // What can't have them has none.
    let _ = place.set_username("");
    let _ = place.set_password(None);
    let repository = ["/info/refs", "/git-upload-pack"]
        .iter()
        .find_map(|end| place.path().strip_suffix(end));
    if let Some(path) = repository.map(str::to_owned) {
        place.set_path(&path);
    }
    Some(place)
}

/// Kills the process group when it is dropped before the command was over: git has children.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &tokio::process::Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    fn over(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may be gone by itself in this moment.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_that_hangs_is_killed_with_its_children_at_the_deadline() {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::new(dir.path()).unwrap();
        let pid_file = dir.path().join("pid");
        let script = format!("!echo $$ > '{}'; exec sleep 60", pid_file.display());
        let error = git
            .call(Duration::from_millis(500))
            .arg("-c")
            .arg(format!("alias.hang={script}"))
            .args(["hang"])
            .run()
            .await
            .unwrap_err();
        assert!(matches!(error, GitError::TimedOut { .. }), "{error}");
        let pid = std::fs::read_to_string(&pid_file).unwrap();
        let stat = format!("/proc/{}/cmdline", pid.trim());
        let gone = || std::fs::read(&stat).map_or(true, |line| line.is_empty());
        crate::wait::wait_until(
            "the child of git to be gone",
            Duration::from_secs(10),
            Duration::from_millis(10),
            &crate::wait::Unwatched,
            || async {
                if gone() {
                    crate::wait::Probe::Ready(())
                } else {
                    crate::wait::Probe::NotYet("still there".to_owned())
                }
            },
        )
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn credentials_reach_git_and_no_text() {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::new(dir.path()).unwrap();
        let url = Url::parse("https://forge.test/a/b.git").unwrap();
        let credentials = Credentials::token("s3cret");
        let call = || {
            git.call(Duration::from_secs(20))
                .credentials(Some(&url), Some(&credentials))
        };
        let there = |asked: &'static str| {
            call()
                .args(["config", "--get-urlmatch", "http.extraHeader", asked])
                .run()
        };
        let sent = there("https://forge.test/a/b.git").await.unwrap();
        assert!(sent.contains(&credentials.header()));
        assert!(there("https://elsewhere.test/a/b.git").await.is_err());
        let error = call().args(["no-such-command"]).run().await.unwrap_err();
        assert!(!format!("{error} {error:?} {credentials:?}").contains("s3cret"));
        assert!(!format!("{error:?}").contains(&credentials.header()));
    }
}
