//! Another user of the machine at the keeper's socket.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::fs::{Mode, OFlags};

use crate::live::Live;

/// With this variable the binary is the stranger: it connects and says what came of it.
pub const SOCKET: &str = "CCCI_TEST_SOCKET";

const NOBODY: u32 = 65534;

#[expect(clippy::print_stdout, reason = "that is its answer")]
pub fn connect(socket: &str) -> ExitCode {
    let talk = || {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        // Refused before it was read: then the other end is gone already.
        let _ = stream.write_all(b"{\"ask\":\"look\"}\n");
        let mut line = String::new();
        match BufReader::new(stream).read_line(&mut line) {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(String::new()),
            read => read.map(|_| line),
        }
    };
    match talk() {
        Ok(line) => println!("heard: {}", line.trim()),
        Err(error) => println!("{error:?}: {:?}", error.kind()),
    }
    ExitCode::SUCCESS
}

/// What this binary is told at the socket, as another user.
fn heard(binary: &Path, socket: &Path, uid: u32) -> anyhow::Result<String> {
    let output = Command::new(binary)
        .env(SOCKET, socket)
        .uid(uid)
        .gid(uid)
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .context("starting the stranger")?;
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

fn mode(path: &Path) -> anyhow::Result<u32> {
    Ok(fs::symlink_metadata(path)?.permissions().mode() & 0o777)
}

/// The socket is its user's by folder and by mode, and the keeper asks who is there besides.
pub fn is_refused() -> anyhow::Result<()> {
    let live = Live::new("plain")?;
    live.passes("5_custom::looks")?;
    let socket = live.paths().socket;
    let folder = socket.parent().context("a socket in no folder")?.to_owned();
    ensure!(mode(&socket)? == 0o600, "{:o}", mode(&socket)?);
    ensure!(mode(&folder)? == 0o700, "{:o}", mode(&folder)?);
    let private = live.paths().private;
    ensure!(mode(&private)? == 0o700, "{:o}", mode(&private)?);
    if rustix::process::getuid().is_root() {
        // A copy that anybody may run, wherever this one is.
        let dir = tempfile::tempdir()?;
        let binary = dir.path().join("stranger");
        fs::copy(std::env::current_exe()?, &binary)?;
        for path in [dir.path(), &binary] {
            fs::set_permissions(path, Permissions::from_mode(0o755))?;
        }
        let ours = heard(&binary, &socket, 0)?;
        ensure!(
            ours.contains("heard: {\"version\""),
            "we are refused: {ours}"
        );
        let theirs = heard(&binary, &socket, NOBODY)?;
        ensure!(theirs.contains("PermissionDenied"), "{theirs}");
        // With the way opened for him: a descriptor of the socket is no question of its folder.
        fs::set_permissions(&socket, Permissions::from_mode(0o666))?;
        let open = rustix::fs::open(&socket, OFlags::PATH, Mode::empty())?;
        let way = format!("/proc/self/fd/{}", open.as_raw_fd());
        let ours = heard(&binary, Path::new(&way), 0)?;
        ensure!(
            ours.contains("heard: {\"version\""),
            "we are refused: {ours}"
        );
        let theirs = heard(&binary, Path::new(&way), NOBODY)?;
        ensure!(theirs == "heard: \n", "{theirs}");
    }
    live.passes("7_teardown::leaves_nothing")?;
    live.left_nothing()
}
