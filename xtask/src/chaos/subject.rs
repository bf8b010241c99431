//! A run that is to be hit: started, held at a point, waited for, and looked at.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::point::{POINT, POINT_FILE, Point};
use harness::recipe::AppDomain;
use harness::recipe::names::RunId;
use harness::session::lifetime::ProcessId;
use harness::session::paths::Paths;
use harness::wait::{Probe, Unwatched, wait_until};
use results::event::EventKind;
use results::{Event, Record};

use super::cell::Target;
use super::stage::{RECIPE, Stage};
use super::{look, processes};
use crate::test::leftovers::{Marker, VARIABLE};

/// From its start to a point, beside others and with a cold cache.
const TO_THE_POINT: Duration = Duration::from_secs(240);
const TO_THE_END: Duration = Duration::from_secs(240);
const LOOK: Duration = Duration::from_millis(3);
/// How much of what was said is shown of a run that went wrong.
const LAST_LINES: usize = 6;

/// What one run is started with.
#[derive(Default)]
pub struct Start<'a> {
    /// Another recipe than the usual one, and where it is taken from.
    pub recipe: Option<&'a str>,
    pub source: Option<PathBuf>,
    pub tiers: Option<&'a str>,
    /// Where it is to be held.
    pub point: Option<Point>,
    /// More flags.
    pub flags: &'a [&'a str],
    /// The state directory, where it is not the stage's.
    pub state: Option<PathBuf>,
    /// The site file, where it is not the stage's.
    pub site: Option<PathBuf>,
    pub environment: Vec<(&'static str, String)>,
}

pub struct Subject {
    pub paths: Paths,
    id: RunId,
    marker: Marker,
    child: Child,
    xtask: ProcessId,
    hold: PathBuf,
    /// For temporary files, so that those that stay are seen.
    pub tmp: PathBuf,
    said: PathBuf,
}

impl Subject {
    /// Starts `ci`. `id` and `pr` are nobody else's, unless that is the point.
    pub fn start(stage: &Stage, id: &str, pr: u64, how: Start<'_>) -> Result<Self> {
        let work = stage.work(id)?;
        let tmp = work.join("tmp");
        fs::create_dir_all(&tmp)?;
        let hold = work.join("held");
        let said = work.join("said.txt");
        let out = File::create(&said)?;
        let marker = Marker::new();
        let state = how.state.unwrap_or_else(|| stage.state());
        let pull_request = pr.to_string();
        let fixed = ["ci", "--yes", "--run-id", id, "--pr", &pull_request];
        let mut command = stage.command(&fixed, &state);
        command
            .args(["--recipe", how.recipe.unwrap_or(RECIPE)])
            .arg("--site")
            .arg(how.site.unwrap_or_else(|| stage.site()))
            .args(how.flags)
            .env("TMPDIR", &tmp)
            .env(VARIABLE, marker.as_str())
            .envs(how.environment)
            .stdout(out.try_clone()?)
            .stderr(out);
        if let Some(source) = how.source {
            command.arg("--source").arg(source);
        }
        if let Some(tiers) = how.tiers {
            command.args(["--tiers", tiers]);
        }
        if let Some(point) = how.point {
            command.env(POINT, point.name()).env(POINT_FILE, &hold);
        }
        let child = command.spawn().context("starting a run")?;
        let pid = i32::try_from(child.id())?;
        let id: RunId = id.parse()?;
        Ok(Self {
            paths: Paths::new(&state, &id),
            id,
            marker,
            child,
            xtask: ProcessId::of(pid).context("a child that was not waited for is there")?,
            hold,
            tmp,
            said,
        })
    }

    /// Waits until the run is held at its point.
    pub fn until_held(&mut self) -> Result<()> {
        let hold = self.hold.clone();
        self.until("the run to come to its point", || hold.exists())
    }

    /// Lets the run go on.
    pub fn let_go(&self) -> Result<()> {
        fs::remove_file(&self.hold).context("the run went on before it was hit")
    }

    /// Waits for something of this run while its xtask lives.
    pub fn until(&mut self, what: &str, mut done: impl FnMut() -> bool) -> Result<()> {
        let child = &mut self.child;
        let wait = wait_until(what, TO_THE_POINT, LOOK, &Unwatched, || {
            // The end first: what it did before is seen after.
            let over = child.try_wait();
            let probe = match (done(), over) {
                (true, _) => Probe::Ready(()),
                (_, Ok(None)) => Probe::NotYet("not yet".to_owned()),
                (_, Ok(Some(status))) => Probe::Never(format!("the run ended with {status}")),
                (_, Err(error)) => Probe::Never(error.to_string()),
            };
            async { probe }
        });
        let waited = crate::block_on(wait);
        waited.with_context(|| self.last_words())
    }

    pub fn until_event(&mut self, what: &str, wanted: impl Fn(&EventKind) -> bool) -> Result<()> {
        let path = self.paths.events();
        self.until(what, || {
            let (events, _) = results::read_events(&path).unwrap_or_default();
            events.iter().any(|event| wanted(&event.kind))
        })
    }

    /// Waits until a part of the run is there, and gives it.
    pub fn find(&mut self, target: Target) -> Result<Vec<ProcessId>> {
        let (xtask, marker) = (self.xtask, self.marker.clone());
        let mut found = Vec::new();
        let what = format!("the process {target:?}");
        self.until(&what, || {
            found = processes::of(target, xtask, &marker);
            !found.is_empty()
        })?;
        Ok(found)
    }

    /// Lets the run go on to its deploy, and gives the child that deploys as soon as it is there.
    pub fn let_go_to_deploy(&mut self) -> Result<ProcessId> {
        let keepers = self.find(Target::Keeper)?;
        let keeper = *keepers.first().context("found means one at least")?;
        self.let_go()?;
        let mut child = None;
        self.until("the child that deploys", || {
            child = processes::deploying(keeper);
            child.is_some()
        })?;
        child.context("the wait has seen it")
    }

    /// Waits for xtask's end and that of all that it started.
    pub fn until_quiet(&mut self) -> Result<ExitStatus> {
        let (child, marker) = (&mut self.child, &self.marker);
        let mut status = None;
        let wait = wait_until("the run's end", TO_THE_END, LOOK * 10, &Unwatched, || {
            let probe = match child.try_wait() {
                Ok(None) => Probe::NotYet("xtask goes on".to_owned()),
                Err(error) => Probe::Never(error.to_string()),
                Ok(Some(ended)) => {
                    status = Some(ended);
                    match processes::left(marker, None).as_slice() {
                        [] => Probe::Ready(()),
                        [first, ..] => Probe::NotYet(format!("{first} goes on")),
                    }
                }
            };
            async { probe }
        });
        crate::block_on(wait).with_context(|| self.last_words())?;
        status.context("the wait has seen its end")
    }

    pub fn events(&self) -> Vec<Event> {
        let read = results::read_events(&self.paths.events());
        read.map(|(events, _)| events).unwrap_or_default()
    }

    /// The app's domain, once it is known.
    pub fn app(&self) -> Result<AppDomain> {
        let found = self
            .events()
            .into_iter()
            .find_map(|event| match event.kind {
                EventKind::Resolved(found) => Some(found.domain),
                _ => None,
            });
        let domain = found.context("the run never came so far that it had an app")?;
        Ok(domain.parse()?)
    }

    /// The record, which must be there, whole, and this run's.
    pub fn record(&self) -> Result<Record> {
        let record = results::read_result(&self.paths.run.join("result.json"))?;
        ensure!(
            record.run_id == self.id.as_str(),
            "the record is of run {}",
            record.run_id
        );
        Ok(record)
    }

    /// What is left of the run but its record, an item a line.
    pub fn left(&self) -> Result<Vec<String>> {
        let app = self.app()?;
        let mut left = processes::left(&self.marker, Some(app.stack().as_str()));
        left.extend(look::objects(&app)?);
        left.extend(look::files(self, &app)?);
        Ok(left)
    }

    /// Removes what a run left whose guards are all dead, as an operator does.
    pub fn reap(&self, stage: &Stage) -> Result<()> {
        stage.xtask(&["reap", self.id.as_str()], &self.paths.state)
    }

    /// What xtask printed, and the end of the run's log.
    pub fn last_words(&self) -> String {
        format!(
            "{}\n{}",
            crate::setup::tail(&self.said, LAST_LINES),
            crate::setup::tail(&self.paths.log(), LAST_LINES)
        )
    }
}

impl Drop for Subject {
    /// Whatever was found: a run that was started here ends here.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.hold);
        if let Ok(None) = self.child.try_wait() {
            self.xtask.signal(rustix::process::Signal::TERM);
            let _ = self.until_quiet();
        }
    }
}
