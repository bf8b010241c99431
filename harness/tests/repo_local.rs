//! What an executable of a recipe's `tests/` can do and can't, with a real one for each.
//!
//! A binary without the usual harness, for it plays the process between, too.

#[path = "repo_local/network.rs"]
mod network;

use std::fs;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use harness::session::lifetime::ProcessId;
use harness::suite::repo_local::{CONFINE_ROLE, Ran, Surroundings, confine, run};
use harness::wait::{Probe, Unwatched, wait_until};
use libtest_mimic::{Arguments, Failed, Trial};
use results::Outcome;

type Test = fn() -> anyhow::Result<()>;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let called = std::env::args().next().unwrap_or_default();
    if Path::new(&called).ends_with(network::ATTACKER) {
        network::attack(std::env::args().skip(1)).expect("the attacker is called with its ports");
        return ExitCode::SUCCESS;
    }
    if arguments.next().is_some_and(|role| role == CONFINE_ROLE) {
        return confine(arguments);
    }
    let tests: [(&str, Test); 14] = [
        ("exit_status_is_the_outcome", exit_status_is_the_outcome),
        ("its_environment_is_its_own", its_environment_is_its_own),
        ("no_descriptor_is_inherited", no_descriptor_is_inherited),
        ("it_is_nobody_where_we_are_root", it_is_nobody),
        ("it_writes_in_its_folder_only", it_writes_in_its_folder_only),
        (
            "it_reads_no_folder_of_the_session",
            it_reads_no_folder_of_the_session,
        ),
        ("it_can_gain_no_rights", it_can_gain_no_rights),
        (
            "it_reaches_the_proxys_port_only_and_binds_none",
            network::it_reaches_the_proxys_port_only,
        ),
        (
            "without_a_proxy_it_reaches_no_port",
            network::without_a_proxy_it_reaches_no_port,
        ),
        (
            "what_it_left_running_ends_with_it",
            what_it_left_running_ends_with_it,
        ),
        (
            "at_its_deadline_all_of_it_ends",
            at_its_deadline_all_of_it_ends,
        ),
        ("nobody_waits_for_it_any_more_and_it_ends", dropped_it_ends),
        (
            "its_output_is_bounded_and_begins_with_a_whole_line",
            its_output_is_bounded,
        ),
        (
            "what_it_writes_to_its_env_is_given_back",
            its_env_is_given_back,
        ),
    ];
    let trials = tests
        .into_iter()
        .map(|(name, test)| {
            Trial::test(name, move || {
                test().map_err(|error| Failed::from(format!("{error:#}")))
            })
        })
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A session's folders, with a recipe that ships one test.
struct Session {
    dir: tempfile::TempDir,
    proxy: Option<u16>,
}

impl Session {
    fn new(script: &str) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        // As a state directory is: everyone may enter it.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        let session = Self { dir, proxy: None };
        for folder in ["tree/tests/custom", "runs/r", "sessions/r"] {
            fs::create_dir_all(session.path(folder))?;
        }
        fs::set_permissions(
            session.path("sessions/r"),
            fs::Permissions::from_mode(0o700),
        )?;
        fs::write(session.path("sessions/r/app.env"), "A=b\n")?;
        fs::write(session.path("sessions/r/state.json"), "{}")?;
        let test = session.path("tree/tests/custom/t");
        fs::write(&test, script)?;
        fs::set_permissions(&test, fs::Permissions::from_mode(0o755))?;
        Ok(session)
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    async fn start(&self, deadline: Duration) -> anyhow::Result<Ran> {
        let recipe = "custom-html".parse()?;
        let around = Surroundings {
            tree: &self.path("tree"),
            recipe: &recipe,
            domain: "x.ci.test",
            env_file: &self.path("sessions/r/app.env"),
            state: &self.path("sessions/r/state.json"),
            authority: None,
            proxy: self.proxy,
        };
        Ok(run(Path::new("custom/t"), &around, deadline).await?)
    }

    fn run(&self, deadline: Duration) -> anyhow::Result<Ran> {
        runtime()?.block_on(self.start(deadline))
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

fn sh(script: &str) -> anyhow::Result<Ran> {
    Session::new(&format!("#!/bin/sh\n{script}\n"))?.run(Duration::from_secs(20))
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// Whether this kernel can keep a process to a folder.
fn has_landlock(ran: &Ran) -> bool {
    !ran.output.contains("no Landlock")
}

fn exit_status_is_the_outcome() -> anyhow::Result<()> {
    let cases = [
        ("exit 0", Outcome::Pass),
        ("echo no mail here; exit 77", Outcome::skip("no mail here")),
        ("echo broken >&2; exit 3", Outcome::fail("exit 3: broken")),
        (
            "echo broken >/dev/stderr; exit 3",
            Outcome::fail("exit 3: broken"),
        ),
        ("exit 1", Outcome::fail("exit 1: no output")),
        ("kill -9 $$", Outcome::fail("ended by signal 9: no output")),
    ];
    for (script, expected) in cases {
        let ran = sh(script)?;
        ensure!(ran.outcome == expected, "{script}: {ran:?}");
    }
    let ran = Session::new("#!/no/such/program\n")?.run(Duration::from_secs(20))?;
    let expected = "tests/custom/t can't be started: No such file or directory (os error 2)";
    ensure!(ran.outcome == Outcome::fail(expected), "{ran:?}");
    Ok(())
}

fn its_environment_is_its_own() -> anyhow::Result<()> {
    let ran = sh(r#"
        env | cut -d= -f1 | grep -v -e '^_$' -e PWD -e SHLVL | sort | tr '\n' ' '
        [ "$CCCI_APP_DOMAIN" = x.ci.test ] && grep -q A=b "$CCCI_APP_ENV" || exit 1
        [ "$(cat "$CCCI_STATE")" = "{}" ] && [ "$HOME" = "$PWD" ] && [ "$TMPDIR" = "$PWD" ]"#)?;
    ensure!(ran.outcome == Outcome::Pass, "{ran:?}");
    let said = ran.output.lines().last().unwrap_or_default().trim();
    let expected = "CCCI_APP_DOMAIN CCCI_APP_ENV CCCI_RECIPE CCCI_STATE HOME PATH TMPDIR";
    ensure!(said == expected, "{said}");
    Ok(())
}

fn no_descriptor_is_inherited() -> anyhow::Result<()> {
    // One that every child gets, as a careless runner leaves it.
    let left = fs::File::open("/etc/passwd")?;
    rustix::io::fcntl_setfd(left.as_fd(), rustix::io::FdFlags::empty())?;
    // 10 is where the shell keeps its script.
    let ran = sh(r#"
        for fd in $(seq 3 9) $(seq 11 99); do
            [ -e /proc/$$/fd/$fd ] && echo "$fd is $(readlink /proc/$$/fd/$fd)"
        done
        readlink /proc/$$/fd/0"#)?;
    ensure!(ran.output == "/dev/null\n", "{ran:?}");
    ensure!(
        (3..99).contains(&left.as_raw_fd()),
        "{left:?} was not looked for"
    );
    Ok(())
}

fn it_is_nobody() -> anyhow::Result<()> {
    if !is_root() {
        return Ok(());
    }
    let ran = sh("id -u; id -g; id -G")?;
    ensure!(ran.output == "65534\n65534\n65534\n", "{ran:?}");
    Ok(())
}

/// Each place is one that a test of another kind could write to; its own folder works.
fn it_writes_in_its_folder_only() -> anyhow::Result<()> {
    let outside = tempfile::tempdir()?;
    fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o777))?;
    let session = Session::new("")?;
    // As a careless operator may have left it.
    fs::set_permissions(session.path("runs/r"), fs::Permissions::from_mode(0o777))?;
    let script = format!(
        "#!/bin/sh
for dir in {} {} /tmp /var/tmp /dev/shm \"$HOME/..\" \"$(dirname \"$0\")\" /proc/1/root/tmp; do
    (: > \"$dir/written\") 2>/dev/null && echo wrote \"$dir\"
    mkdir \"$dir/made\" 2>/dev/null && echo made \"$dir\"
done
(: >> \"$0\") 2>/dev/null && echo changed itself
ln -s /etc/passwd link && (: >> link) 2>/dev/null && echo followed a link
mkdir a && echo x > a/b && mv a c && cat c/b",
        outside.path().display(),
        session.path("runs/r").display()
    );
    fs::write(session.path("tree/tests/custom/t"), script)?;
    let ran = session.run(Duration::from_secs(20))?;
    if has_landlock(&ran) {
        ensure!(ran.output == "x\n", "{ran:?}");
        ensure!(fs::read_dir(outside.path())?.next().is_none());
    } else {
        // Its user keeps it from what is not open to all.
        ensure!(!ran.output.contains(".."), "{ran:?}");
    }
    Ok(())
}

fn it_reads_no_folder_of_the_session() -> anyhow::Result<()> {
    let session = Session::new("")?;
    let private = session.path("sessions/r");
    let script = format!(
        "#!/bin/sh\nls {0} 2>&1\ncat {0}/app.env 2>&1\ncat /etc/shadow 2>&1\ncat /proc/{1}/environ 2>&1\nexit 0",
        private.display(),
        std::process::id()
    );
    fs::write(session.path("tree/tests/custom/t"), script)?;
    let ran = session.run(Duration::from_secs(20))?;
    if is_root() || has_landlock(&ran) {
        let denied = ran
            .output
            .lines()
            .filter(|line| line.contains("ermission denied"));
        ensure!(denied.count() == 4, "{ran:?}");
        ensure!(ran.output.lines().count() == 4, "{ran:?}");
    }
    Ok(())
}

fn it_can_gain_no_rights() -> anyhow::Result<()> {
    let ran = sh(
        "grep -e NoNewPrivs -e CapEff -e CapPrm -e CapInh /proc/self/status | tr -s '\\t\\n' '  '; ulimit -c; kill -0 1 2>&1; exit 0",
    )?;
    ensure!(
        ran.output.contains("CapInh: 0000000000000000 CapPrm: 0000000000000000 CapEff: 0000000000000000 NoNewPrivs: 1"),
        "{ran:?}"
    );
    Ok(())
}

/// The process ids that the test wrote into its output.
fn pids(ran: &Ran) -> Vec<i32> {
    ran.output
        .lines()
        .filter_map(|line| line.trim().parse().ok())
        .collect()
}

/// In its group, in a group and session of its own, and with a parent that is gone.
const LEAVES_BEHIND: &str = r#"
sleep 300 & echo $!
setsid sh -c 'echo $$; sleep 300' &
(setsid sh -c 'trap "" TERM HUP INT; echo $$; setsid sleep 300; sleep 300' &)
sleep 0.3
"#;

fn what_it_left_running_ends_with_it() -> anyhow::Result<()> {
    let started = Instant::now();
    let ran = sh(&format!("{LEAVES_BEHIND}exit 0"))?;
    ensure!(ran.outcome == Outcome::Pass, "{ran:?}");
    gone(&ran)?;
    ensure!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    Ok(())
}

fn at_its_deadline_all_of_it_ends() -> anyhow::Result<()> {
    let session = Session::new(&format!("#!/bin/sh\n{LEAVES_BEHIND}sleep 300"))?;
    let ran = session.run(Duration::from_millis(1500))?;
    ensure!(
        ran.outcome == Outcome::fail("tests/custom/t: no end within 1.5 s"),
        "{ran:?}"
    );
    gone(&ran)
}

fn gone(ran: &Ran) -> anyhow::Result<()> {
    let pids = pids(ran);
    ensure!(pids.len() == 3, "{ran:?}");
    for pid in pids {
        ensure!(ProcessId::of(pid).is_none(), "{pid} lives on");
    }
    Ok(())
}

/// A run that is cancelled drops the wait; a killed one closes its descriptors.
fn dropped_it_ends() -> anyhow::Result<()> {
    let mark = format!("3{}", std::process::id());
    let session = Session::new(&format!("#!/bin/sh\nsetsid sleep {mark} & sleep {mark}"))?;
    let sleeping = || -> anyhow::Result<usize> {
        let wanted = format!("sleep\0{mark}\0").into_bytes();
        let found = fs::read_dir("/proc")?.filter_map(|entry| {
            let read = fs::read(entry.ok()?.path().join("cmdline"));
            (read.ok()? == wanted).then_some(())
        });
        Ok(found.count())
    };
    let until = |subject: &'static str, count: usize| async move {
        let probe = || async {
            match sleeping() {
                Ok(found) if found == count => Probe::Ready(()),
                Ok(found) => Probe::NotYet(format!("{found}")),
                Err(error) => Probe::Never(error.to_string()),
            }
        };
        wait_until(
            subject,
            Duration::from_secs(10),
            Duration::from_millis(10),
            &Unwatched,
            probe,
        )
        .await
    };
    runtime()?.block_on(async {
        tokio::select! {
            ran = session.start(Duration::from_secs(60)) => anyhow::bail!("it ended: {ran:?}"),
            begun = until("both sleep", 2) => begun?,
        }
        Ok(until("none sleeps", 0).await?)
    })
}

fn its_output_is_bounded() -> anyhow::Result<()> {
    let ran = sh("yes 'a line of some length' | head -c 30000000; echo; echo the end")?;
    ensure!(ran.outcome == Outcome::Pass, "{:?}", ran.outcome);
    ensure!(ran.output.len() <= 64 * 1024, "{}", ran.output.len());
    ensure!(
        ran.output.starts_with("a line of some length\n"),
        "{}",
        &ran.output[..40]
    );
    ensure!(ran.output.ends_with("the end\n"));
    let ran = sh("head -c 10000000 /dev/zero | tr '\\0' x; exit 3")?;
    ensure!(
        ran.outcome == Outcome::fail("exit 3: (the end of a line that is too long)"),
        "{:?}",
        ran.outcome
    );
    Ok(())
}

fn its_env_is_given_back() -> anyhow::Result<()> {
    let ran = sh("echo B=c >> \"$CCCI_APP_ENV\"")?;
    ensure!(ran.env == Ok("A=b\nB=c\n".to_owned()), "{ran:?}");
    let ran = sh("ln -sf /etc/passwd \"$CCCI_APP_ENV\"")?;
    let error = ran.env.err().context("a link was followed")?;
    ensure!(error.contains("symbolic links"), "{error}");
    // Its room can't be taken from under us.
    let ran = sh("mv \"$HOME\" \"$HOME.old\" 2>&1; mv \"$HOME/..\" /tmp/elsewhere 2>&1; exit 0")?;
    ensure!(ran.env.is_ok(), "{ran:?}");
    let folder = fs::symlink_metadata("/tmp")?;
    ensure!(
        folder.is_dir() && folder.mode() & 0o1000 != 0,
        "/tmp is not as it should be"
    );
    match fs::symlink_metadata("/tmp/elsewhere") {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => anyhow::bail!("{other:?}"),
    }
}
