//! One session under test: a state directory of its own, a runner that can be killed, and trials
//! as child processes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use harness::fault::Fault;
use harness::recipe::{AppDomain, RunId};
use harness::session::janitor;
use harness::session::lifetime::ProcessId;
use harness::session::locks::Registry;
use harness::session::paths::Paths;
use harness::swarm::{self, Before, Swarm};
use harness::wait::{Probe, Unwatched, wait_until};
use results::event::EventKind;
use results::{Record, Tier};
use rustix::fs::{FlockOperation, flock};

/// The variable that makes this binary a suite.
pub const SUITE: &str = "CCCI_TEST_SUITE";

/// The site file of a session, in its folder.
const SITE: &str = "site.toml";

const TRIAL: Duration = Duration::from_secs(120);

pub struct Live {
    dir: tempfile::TempDir,
    kind: &'static str,
    run_id: RunId,
    /// Stands for nextest: the session is over when it ends.
    runner: Child,
    /// Variables beside those that every session here has.
    more: Vec<(&'static str, String)>,
}

impl Live {
    pub fn new(kind: &'static str) -> anyhow::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let runner = Command::new("sleep")
            .arg("600")
            .stdin(Stdio::null())
            .spawn()?;
        let dir = tempfile::tempdir()?;
        // Room beside other runs, and a hook that hangs is not waited for long.
        let site = "[limits]\nmax_tests = 8\nhook_seconds = 5\n";
        fs::write(dir.path().join(SITE), site)?;
        let run_id = format!("custom-html-session-{}-{count}", std::process::id()).parse()?;
        Ok(Self {
            dir,
            kind,
            run_id,
            runner,
            more: Vec::new(),
        })
    }

    /// One more of the site's limits.
    pub fn limit(&self, line: &str) -> anyhow::Result<()> {
        let path = self.dir.path().join(SITE);
        let site = fs::read_to_string(&path)?;
        Ok(fs::write(path, format!("{site}{line}\n"))?)
    }

    pub fn with(mut self, name: &'static str, value: String) -> Self {
        self.more.push((name, value));
        self
    }

    /// The same with a recipe that `make` puts below a folder.
    pub fn from(
        kind: &'static str,
        make: impl FnOnce(&Path) -> anyhow::Result<PathBuf>,
    ) -> anyhow::Result<Self> {
        let live = Self::new(kind)?;
        let source = make(live.dir.path())?;
        Ok(live.with("CCCI_SOURCE", source.display().to_string()))
    }

    pub fn run_id(&self) -> &RunId {
        &self.run_id
    }

    pub fn paths(&self) -> Paths {
        Paths::new(self.dir.path(), &self.run_id)
    }

    /// Starts one trial, as a runner does.
    pub fn spawn(&self, trial: &str) -> anyhow::Result<Child> {
        Ok(self.trial(trial)?.spawn()?)
    }

    /// Starts one trial, as nextest does: it has a process of its own.
    pub fn spawn_by_nextest(&self, trial: &str) -> anyhow::Result<Child> {
        let mut trial = self.trial(trial)?;
        Ok(trial.env("NEXTEST_RUN_ID", self.run_id.as_str()).spawn()?)
    }

    fn trial(&self, trial: &str) -> anyhow::Result<Command> {
        let runner = i32::try_from(self.runner.id())?;
        let runner = ProcessId::of(runner).map_or_else(|| "1:0".to_owned(), |id| id.to_string());
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["--exact", trial, "--nocapture"])
            .env(SUITE, self.kind)
            .env("CCCI_STATE_DIR", self.dir.path())
            .env("CCCI_SITE", self.dir.path().join(SITE))
            .env("CCCI_RUN_ID", self.run_id.as_str())
            .env("CCCI_RUNNER", runner)
            // An app of our own, whatever else runs on this engine.
            .env("CCCI_PR", "990001")
            .envs(self.more.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(command)
    }

    fn run(&self, trial: &str) -> anyhow::Result<(bool, String)> {
        let output = self.spawn(trial)?.wait_with_output()?;
        let text = [output.stdout, output.stderr].concat();
        Ok((
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        ))
    }

    pub fn passes(&self, trial: &str) -> anyhow::Result<()> {
        let (passed, text) = self.run(trial)?;
        ensure!(passed, "{trial} failed:\n{text}");
        Ok(())
    }

    pub fn fails(&self, trial: &str) -> anyhow::Result<()> {
        let (passed, text) = self.run(trial)?;
        ensure!(!passed, "{trial} passed:\n{text}");
        Ok(())
    }

    fn events(&self) -> anyhow::Result<Vec<results::Event>> {
        Ok(results::read_events(&self.paths().events())?.0)
    }

    /// How often an operation was started.
    pub fn started(&self, tier: Tier) -> anyhow::Result<usize> {
        let of_tier = |kind: &EventKind| matches!(kind, EventKind::OperationStarted { tier: t } if *t == tier);
        Ok(self
            .events()?
            .iter()
            .filter(|event| of_tier(&event.kind))
            .count())
    }

    pub fn until_event(
        &self,
        subject: &str,
        deadline: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> anyhow::Result<()> {
        self.until(subject, deadline, || {
            fs::read_to_string(self.paths().events()).is_ok_and(|text| text.lines().any(&wanted))
        })
    }

    pub fn until_test_began(&self, name: &str) -> anyhow::Result<()> {
        let name = format!("\"{name}\"");
        self.until_event("the test begins", TRIAL, |line| {
            line.contains("trial_started") && line.contains(&name)
        })
    }

    /// Waits until the keeper, which was there, has ended.
    pub fn until_over(&self) -> anyhow::Result<()> {
        self.until("the session ends", TRIAL, || {
            match File::open(self.paths().keeper_lock()) {
                // The keeper's last act is to remove its folder.
                Err(_) => true,
                Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockShared).is_ok(),
            }
        })
    }

    pub fn until(
        &self,
        subject: &str,
        deadline: Duration,
        done: impl Fn() -> bool,
    ) -> anyhow::Result<()> {
        let wait = wait_until(
            subject,
            deadline,
            Duration::from_millis(20),
            &Unwatched,
            || async {
                if done() {
                    Probe::Ready(())
                } else {
                    Probe::NotYet("not yet".to_owned())
                }
            },
        );
        runtime()?.block_on(wait).with_context(|| {
            fs::read_to_string(self.paths().log()).unwrap_or_else(|error| error.to_string())
        })
    }

    pub fn record(&self) -> anyhow::Result<Record> {
        self.until_over()?;
        Ok(results::read_result(&self.paths().run.join("result.json"))?)
    }

    /// Every file of the run's folder with its text.
    pub fn run_files(&self) -> anyhow::Result<Vec<(PathBuf, String)>> {
        let mut files = Vec::new();
        let mut folders = vec![self.paths().run];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
                    files.push((path, text));
                }
            }
        }
        Ok(files)
    }

    pub fn kill_runner(&mut self) -> anyhow::Result<()> {
        self.runner.kill()?;
        self.runner.wait()?;
        Ok(())
    }

    pub fn kill_keeper(&self) -> anyhow::Result<()> {
        self.keeper()?.kill();
        self.until_over()
    }

    pub fn keeper(&self) -> anyhow::Result<ProcessId> {
        let inode = fs::metadata(self.paths().keeper_lock())?;
        holder(&inode).context("nobody holds the keeper's lock")
    }

    /// The hook that runs: a child of the keeper in the third role of this binary.
    pub fn hook(&self) -> anyhow::Result<ProcessId> {
        let keeper = self.keeper()?.pid();
        let children = fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children"))?;
        let mut children = children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok());
        let found = children.find(|pid: &i32| {
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&arguments).contains("--cc-ci-hook")
        });
        found.and_then(ProcessId::of).context("no hook runs")
    }

    /// Lets a hanging test go on to its end.
    pub fn end_test(&self) -> anyhow::Result<()> {
        Ok(fs::write(self.paths().run.join(crate::suites::END), "")?)
    }

    /// Whether this host's services have addresses that outlive their tasks.
    pub fn has_virtual_addresses(&self) -> anyhow::Result<bool> {
        let swarm = runtime()?.block_on(Swarm::connect())?;
        Ok(!swarm.needs_dnsrr())
    }

    fn domain(&self) -> anyhow::Result<AppDomain> {
        let domain = self
            .events()?
            .into_iter()
            .find_map(|event| match event.kind {
                EventKind::Resolved(found) => Some(found.domain),
                _ => None,
            });
        Ok(domain
            .context("the app's domain is not in the events")?
            .parse()?)
    }

    /// Runs the janitor, as the next run on this engine would.
    pub fn sweep(&self) -> anyhow::Result<()> {
        runtime()?.block_on(async {
            let swarm = Swarm::connect().await?;
            let registry = Registry::of_engine(&swarm)?;
            let swept = janitor::sweep(&swarm, &registry, janitor::REMOVE_WITHIN).await?;
            for trouble in swept.troubles {
                eprintln!("{trouble}");
            }
            Ok(())
        })
    }

    /// Nothing of the app is in Docker, and nothing but the record in the state directory.
    pub fn left_nothing(&self) -> anyhow::Result<()> {
        let domain = self.domain()?;
        let left = runtime()?.block_on(async {
            let swarm = Swarm::connect().await?;
            let mut left =
                swarm::residue(&swarm, &domain.stack(), &Before::Unknown, &BTreeSet::new()).await?;
            let edge = janitor::edge_name(&domain.stack());
            let inspected = swarm.docker().inspect_container(&edge, None).await;
            if inspected.is_ok() {
                left.push(results::event::Leftover {
                    kind: "container".into(),
                    name: edge,
                });
            }
            Ok::<_, Fault>(left)
        })?;
        ensure!(left.is_empty(), "left in Docker: {left:?}");
        ensure!(
            !self.paths().private.exists(),
            "the private folder is still there"
        );
        ensure!(!self.paths().socket.exists(), "the socket is still there");
        Ok(())
    }
}

impl Drop for Live {
    /// Whatever a test found: the session ends with its runner, and the app with the session.
    fn drop(&mut self) {
        let _ = self.kill_runner();
        let _ = self.until_over();
        if self.paths().private.exists() {
            let _ = self.sweep();
        }
    }
}

pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

/// The process that holds a lock on the file: a line of `/proc/locks` has its id and the inode.
fn holder(file: &fs::Metadata) -> Option<ProcessId> {
    use std::os::unix::fs::MetadataExt;
    let inode = format!(":{}", file.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let line = locks.lines().find(|line| {
        line.contains("FLOCK")
            && line
                .split_whitespace()
                .nth(5)
                .is_some_and(|id| id.ends_with(&inode))
    })?;
    ProcessId::of(line.split_whitespace().nth(4)?.parse().ok()?)
}
