//! Needs root: a program looks for itself at what it can see and do.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::*;

/// What a script of bash says, which has a folder of the host at `/given`.
async fn said(folder: &Path, access: Access, kept: CapabilitySet, script: &str) -> String {
    let open = File::open(folder).unwrap();
    let jail = Jail::of("bash").unwrap().capabilities(kept);
    let jail = jail.bind(open.as_fd(), "/given", access).unwrap();
    let script = script.to_owned();
    let child = jail.start(move |command| {
        command
            .arg("-c")
            .arg(script)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    });
    let output = child.await.unwrap().wait_with_output().await.unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[tokio::test]
async fn nothing_of_the_host_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let script = "cd /given/../../..; echo * .[!.]* given/* usr/*; echo $$ ${!HO*} ${!CARGO*}";
    let seen = said(
        folder.path(),
        Access::ReadOnly,
        CapabilitySet::empty(),
        script,
    )
    .await;
    let (files, own) = seen.trim_end().split_once('\n').unwrap();
    let ours = ["given", "given/*", "usr", ".[!.]*", "usr/bin", "nix"];
    let libraries = LIBRARIES.map(|path| path.trim_start_matches('/'));
    let strange = files
        .split(' ')
        .filter(|name| !ours.contains(name) && !libraries.contains(name));
    assert_eq!(strange.collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(files.contains("usr"), "{files}");
    assert_eq!(
        own, "1 HOSTNAME HOSTTYPE",
        "the first of its processes, and no environment"
    );
}

#[tokio::test]
async fn a_link_leads_to_a_place_in_the_jail() {
    let host = tempfile::tempdir().unwrap();
    let folder = host.path().join("given");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(host.path().join("secret"), "the host's").unwrap();
    symlink(host.path().join("secret"), folder.join("absolute")).unwrap();
    symlink("../secret", folder.join("relative")).unwrap();
    symlink("/proc/self/root/etc/passwd", folder.join("root")).unwrap();
    let script = "for f in /given/*; do echo $(<$f); echo overwritten > $f; done";
    let said = said(&folder, Access::ReadWrite, CapabilitySet::all(), script).await;
    assert!(
        !said.contains("the host's") && !said.contains("root:x:"),
        "{said}"
    );
    let secret = std::fs::read_to_string(host.path().join("secret")).unwrap();
    assert_eq!(secret, "the host's");
}

#[rstest::rstest]
#[case::read_only(Access::ReadOnly, false)]
#[case::read_write(Access::ReadWrite, true)]
#[tokio::test]
async fn what_is_given_to_be_read_is_not_written(#[case] access: Access, #[case] written: bool) {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo x > /given/new; echo x > /new; echo x > /usr/lib/cc-ci-test";
    said(folder.path(), access, CapabilitySet::all(), script).await;
    assert_eq!(folder.path().join("new").exists(), written);
    assert!(!Path::new("/usr/lib/cc-ci-test").exists());
    assert!(!Path::new("/new").exists());
}

/// Of the same user as this process, which is all that a signal asks for.
#[tokio::test]
async fn no_other_process_and_no_port_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    let mut host = std::process::Command::new("sleep")
        .arg("60")
        .spawn()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!(
        "kill -9 {}; kill -9 -1; exec 3<>/dev/tcp/127.0.0.1/{port} && echo connected",
        host.id()
    );
    let said = said(
        folder.path(),
        Access::ReadOnly,
        CapabilitySet::all(),
        &script,
    )
    .await;
    assert!(said.contains("No such process"), "{said}");
    assert!(!said.contains("connected"), "{said}");
    assert!(listener.accept().is_err());
    assert!(
        host.try_wait().unwrap().is_none(),
        "the host's process was ended"
    );
    host.kill().unwrap();
    host.wait().unwrap();
}

#[tokio::test]
async fn it_has_the_capabilities_it_was_given_and_gains_none() {
    let folder = tempfile::tempdir().unwrap();
    let private = folder.path().join("private");
    std::fs::write(&private, "of another user").unwrap();
    std::os::unix::fs::chown(&private, Some(1234), None).unwrap();
    std::fs::set_permissions(&private, PermissionsExt::from_mode(0o600)).unwrap();
    let script = "echo $(</given/private)";
    let with = CapabilitySet::DAC_OVERRIDE;
    let said_with = said(folder.path(), Access::ReadOnly, with, script).await;
    assert_eq!(said_with, "of another user\n");
    let without = CapabilitySet::all() - with - CapabilitySet::DAC_READ_SEARCH;
    let said_without = said(folder.path(), Access::ReadOnly, without, script).await;
    assert!(said_without.contains("Permission denied"), "{said_without}");
    assert_eq!(std::fs::metadata(&private).unwrap().uid(), 1234);
}

#[tokio::test]
async fn the_rest_of_the_process_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let look = || {
        let links = ["ns/mnt", "ns/net", "root", "cwd"];
        let links = links.map(|link| std::fs::read_link(Path::new("/proc/self").join(link)));
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let rights = rustix::thread::capabilities(None).unwrap();
        (links.map(Result::unwrap), mounts, rights)
    };
    let before = look();
    said(
        folder.path(),
        Access::ReadOnly,
        CapabilitySet::empty(),
        "true",
    )
    .await;
    assert_eq!(look(), before);
}

/// With its children, one of which left its group.
#[tokio::test]
async fn what_it_started_ends_with_its_handle() {
    let folder = tempfile::tempdir().unwrap();
    let open = File::open(folder.path()).unwrap();
    let jail = Jail::of("bash").unwrap();
    let jail = jail
        .bind(open.as_fd(), "/given", Access::ReadWrite)
        .unwrap();
    let script = "set -m; (while :; do echo x > /given/alive; done) & while :; do :; done";
    let child = jail.start(move |command| {
        command.arg("-c").arg(script);
    });
    let child = child.await.unwrap();
    let alive = folder.path().join("alive");
    let wait_for = async |there: bool| {
        let deadline = Instant::now() + Duration::from_secs(10);
        while alive.exists() != there {
            assert!(Instant::now() < deadline, "there: {}", !there);
            tokio::task::yield_now().await;
        }
    };
    wait_for(true).await;
    drop(child);
    // It is written anew as long as anybody is alive.
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut gone_since = Instant::now();
    while gone_since.elapsed() < Duration::from_millis(300) {
        assert!(Instant::now() < deadline, "it goes on");
        if std::fs::remove_file(&alive).is_ok() {
            gone_since = Instant::now();
        }
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let error = Jail::of("no-such-program").unwrap_err().to_string();
    assert!(
        error.starts_with("there is no `no-such-program` in /usr/local/bin"),
        "{error}"
    );
}
