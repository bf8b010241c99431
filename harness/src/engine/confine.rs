//! What a program that reads a stranger's files may see of this host.
//!
//! A recipe names files, and whoever deploys it reads them with its own rights; their content ends
//! up in the app. So the kernel keeps it to a list: Landlock for files and for TCP, and, where we
//! may, a network namespace with nobody else in it. Both hold for one thread and what it starts: a
//! thread of its own takes them on, starts the program and ends.
//!
//! Invariants: what is not listed can't be opened, whatever a file, a link or a variable says; a
//! kernel that can't promise that is an error, and nothing is started.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
    path_beneath_rules,
};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;

use crate::fault::Fault;

/// What a dynamically linked program is made of.
pub const LINKED: [&str; 6] = [
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/nix/store",
    "/etc/ld.so.cache",
];

/// The list.
#[derive(Debug, Clone, Default)]
pub struct Confined {
    pub read: Vec<PathBuf>,
    pub write: Vec<PathBuf>,
    /// In the program's eyes the first is in the place of the others. It needs root.
    pub in_place: Option<(PathBuf, Vec<PathBuf>)>,
    /// Whether it may speak to anybody over a network.
    pub network: bool,
}

impl Confined {
    /// Starts a program that has this list and no other.
    pub async fn start(self, mut command: Command, name: &str) -> Result<Child, Fault> {
        let runtime = Handle::current();
        let (say, said) = tokio::sync::oneshot::channel();
        let fault = |why: String| Fault::infra(format!("starting `{name}` confined: {why}"));
        let thread = std::thread::Builder::new().name("confined".to_owned());
        let started = thread.spawn(move || {
            let _inside = runtime.enter();
            let started = self
                .put_on()
                .and_then(|()| command.spawn().map_err(|error| error.to_string()));
            // Nobody waits any longer where the run was given up: then the child goes with this.
            drop(say.send(started));
        });
        started.map_err(|error| fault(error.to_string()))?;
        match said.await {
            Ok(started) => started.map_err(fault),
            Err(_) => Err(fault("its thread ended without a word".to_owned())),
        }
    }

    /// From here on this thread, and what it starts, has the list. There is no way back.
    fn put_on(&self) -> Result<(), String> {
        let root = rustix::process::geteuid().is_root();
        if root && !self.network {
            // In a container without the right to: Landlock's rule for TCP is left.
            let _ = unshare(CloneFlags::CLONE_NEWNET);
        }
        if let Some((from, places)) = self.in_place.as_ref().filter(|_| root) {
            put_in_place(from, places).map_err(|error| format!("a mount namespace: {error}"))?;
        }
        match self.landlock() {
            Ok(RulesetStatus::NotEnforced) => Err(
                "this kernel has no Landlock (Linux 5.13 and later have it, if it is among its security modules), so nothing would keep it from this host's files"
                    .to_owned(),
            ),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("Landlock: {error}")),
        }
    }

    fn landlock(&self) -> Result<RulesetStatus, landlock::RulesetError> {
        // What later versions have besides is about devices, which are not on the list.
        let all = ABI::V4;
        let read = AccessFs::from_read(all);
        let device = AccessFs::ReadFile | AccessFs::WriteFile;
        let ruleset = Ruleset::default().handle_access(AccessFs::from_all(all))?;
        let ruleset = if self.network {
            ruleset
        } else {
            ruleset.handle_access(AccessNet::from_all(all))?
        };
        let status = ruleset
            .create()?
            .add_rules(path_beneath_rules(&self.read, read))?
            .add_rules(path_beneath_rules(["/dev/null"], device))?
            .add_rules(path_beneath_rules(&self.write, AccessFs::from_all(all)))?
            .restrict_self()?;
        Ok(status.ruleset)
    }
}

fn put_in_place(from: &Path, places: &[PathBuf]) -> nix::Result<()> {
    const NONE: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    for place in places {
        mount(Some(from), place, NONE, MsFlags::MS_BIND, NONE)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::process::Stdio;

    use super::*;

    async fn said(confined: Confined, script: &str) -> String {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", script])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = confined.start(command, "sh").await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        format!("{stdout}{}", String::from_utf8_lossy(&output.stderr))
    }

    fn shell() -> Confined {
        let read = LINKED.iter().chain(&["/bin", "/usr/bin"]);
        Confined {
            read: read.map(PathBuf::from).collect(),
            ..Confined::default()
        }
    }

    #[tokio::test]
    async fn only_what_is_listed_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let (open, shut) = (dir.path().join("open"), dir.path().join("shut"));
        for folder in [&open, &shut] {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join("word"), "found it").unwrap();
        }
        std::os::unix::fs::symlink("../shut/word", open.join("link")).unwrap();
        let mut confined = shell();
        confined.read.push(open.clone());
        let script = format!(
            "cat {open}/word; cat {open}/link; cat {shut}/word; cat /etc/passwd; echo x >{open}/new",
            open = open.display(),
            shut = shut.display(),
        );
        let said = said(confined, &script).await;
        assert_eq!(said.matches("found it").count(), 1, "{said}");
        assert_eq!(said.matches("Permission denied").count(), 4, "{said}");
        assert!(!open.join("new").exists());
        // This process itself is as free as it was.
        assert!(std::fs::read(shut.join("word")).is_ok());
    }

    #[tokio::test]
    async fn nobody_is_spoken_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = format!("exec 2>&1; bash -c 'echo x >/dev/tcp/127.0.0.1/{port}' || echo no");
        let refused = said(shell(), &script).await;
        assert!(refused.contains("no"), "{refused}");
        let nobody = listener.accept().unwrap_err();
        assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
        let open = Confined {
            network: true,
            ..shell()
        };
        assert_eq!(said(open, &script).await, "");
        assert!(listener.accept().is_ok());
    }

    #[tokio::test]
    async fn a_file_stands_in_the_place_of_another_for_the_program_alone() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root makes mount namespaces");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
        std::fs::write(&ours, "ours").unwrap();
        std::fs::write(&theirs, "theirs").unwrap();
        let mut confined = shell();
        confined.read.push(dir.path().to_owned());
        confined.in_place = Some((ours, vec![theirs.clone()]));
        let script = format!("cat {}", theirs.display());
        assert_eq!(said(confined, &script).await, "ours");
        assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "theirs");
    }
}
