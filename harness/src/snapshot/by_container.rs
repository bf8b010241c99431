//! A volume's files through a container that mounts it, where the host's file system can't be
//! read: as an ordinary user, or with a volume that is no plain directory of this host.
//!
//! The container has the volume and nothing else: no network, no folder of the host, a root that
//! can't be written, few capabilities. Archives go through the engine's stream. It is named and
//! labelled by the caller, so that a janitor finds it; without one it ends by itself.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write as _;
use std::pin::pin;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::StartExecResults;
use bollard::models::{
    ContainerCreateBody, ExecConfig, HostConfig, Mount, MountType, MountVolumeOptions,
};
use bollard::query_parameters::{
    CreateContainerOptions, RemoveContainerOptions, StartContainerOptions,
};
use futures_util::StreamExt;
use futures_util::future::{self, Either};
use tokio::io::{AsyncRead, AsyncWriteExt};

use super::archive::{CREATE, EXTRACT};
use super::path::InnerPath;
use super::volume::{Kind, escapes, missing, several_names};
use crate::fault::Fault;

/// How a helper container is made.
#[derive(Debug, Clone)]
pub struct Helper {
    /// An image that is present, with `sh`, GNU `tar` and coreutils.
    pub image: String,
    /// Start of the container's name; a random end is added.
    pub name_prefix: String,
    pub labels: BTreeMap<String, String>,
}

const VOLUME: &str = "/cc-ci-volume";
/// A helper that nobody removes ends after this time.
const LIFE_SECONDS: &str = "7200";

/// What makes a file what it was: owner, mode, kind, a program's capabilities.
const CAPABILITIES: [&str; 6] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "MKNOD",
    "SETFCAP",
];

/// Exit codes of the scripts below.
const MISSING: i64 = 40;
const OUTSIDE: i64 = 41;
const SEVERAL_NAMES: i64 = 42;

/// Resolves `$1` inside the volume into `$p`. A link that changes afterwards leads at most to a
/// file of the helper's own image, and a pipe that comes to a file's place is opened and not waited
/// for (`nonblock`).
const RESOLVE: &str = r#"
set -u
v=/cc-ci-volume
p=$(readlink -f -- "$v/$1") || exit 40
case "$p/" in "$v"/*) ;; *) exit 41 ;; esac
"#;

pub(super) struct Container {
    docker: Docker,
    id: String,
}

pub(super) struct ExecOutput {
    pub(super) code: i64,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

impl ExecOutput {
    fn said(&self) -> (i64, String) {
        let said = String::from_utf8_lossy(&self.stderr);
        (self.code, said.into_owned())
    }
}

impl Container {
    pub(super) async fn start(
        docker: &Docker,
        volume: &str,
        helper: &Helper,
    ) -> Result<Self, Fault> {
        let mounts = vec![Mount {
            typ: Some(MountType::VOLUME),
            source: Some(volume.to_owned()),
            target: Some(VOLUME.to_owned()),
            volume_options: Some(MountVolumeOptions {
                no_copy: Some(true),
                ..Default::default()
            }),
            ..Default::default()
        }];
        let body = ContainerCreateBody {
            image: Some(helper.image.clone()),
            user: Some("0:0".to_owned()),
            entrypoint: Some(vec!["sleep".to_owned()]),
            cmd: Some(vec![LIFE_SECONDS.to_owned()]),
            labels: Some(helper.labels.clone().into_iter().collect::<HashMap<_, _>>()),
            host_config: Some(HostConfig {
                mounts: Some(mounts),
                network_mode: Some("none".to_owned()),
                readonly_rootfs: Some(true),
                cap_drop: Some(vec!["ALL".to_owned()]),
                cap_add: Some(CAPABILITIES.map(str::to_owned).to_vec()),
                security_opt: Some(vec!["no-new-privileges".to_owned()]),
                auto_remove: Some(true),
                init: Some(true),
                ..Default::default()
            }),
            ..Default::default()
        };
        let name = format!("{}{:016x}", helper.name_prefix, rand::random::<u64>());
        let options = CreateContainerOptions {
            name: Some(name.clone()),
            ..Default::default()
        };
        let what = |error: bollard::errors::Error| {
            Fault::infra(format!(
                "helper container {name} for volume {volume} (image {}): {error}",
                helper.image
            ))
        };
        docker
            .create_container(Some(options), body)
            .await
            .map_err(what)?;
        let container = Self {
            docker: docker.clone(),
            id: name.clone(),
        };
        if let Err(error) = docker
            .start_container(&name, None::<StartContainerOptions>)
            .await
        {
            container.close().await?;
            return Err(what(error));
        }
        Ok(container)
    }

    pub(super) async fn close(self) -> Result<(), Fault> {
        let options = RemoveContainerOptions {
            force: true,
            ..Default::default()
        };
        match self.docker.remove_container(&self.id, Some(options)).await {
            // Not there, or being removed already: what was wanted.
            Ok(())
            | Err(bollard::errors::Error::DockerResponseServerError {
                status_code: 404 | 409,
                ..
            }) => Ok(()),
            Err(error) => Err(Fault::infra(format!(
                "could not remove the helper container {}: {error}",
                self.id
            ))),
        }
    }

    pub(super) async fn pack(
        &self,
        members: &[String],
        mut archive: File,
    ) -> Result<(i64, String), Fault> {
        let mut written = Ok(());
        let command = tar(&["tar"], &CREATE, members);
        let output = self
            .exec(command, None::<&[u8]>, |bytes| {
                if written.is_ok() {
                    written = archive.write_all(bytes);
                }
            })
            .await?;
        written.map_err(|error| Fault::infra(format!("the archive: {error}")))?;
        Ok(output.said())
    }

    pub(super) async fn unpack(&self, archive: File) -> Result<(i64, String), Fault> {
        let bytes = archive.metadata().map(|stat| stat.len());
        let bytes = bytes.map_err(|error| Fault::infra(format!("the archive: {error}")))?;
        // The engine does not always say where a stream ends.
        let script = r#"n=$1; shift; head -c "$n" | tar "$@""#;
        let length = bytes.to_string();
        let command = tar(&["sh", "-c", script, "sh", &length], &EXTRACT, &[]);
        let archive = tokio::fs::File::from_std(archive);
        let output = self.exec(command, Some(archive), |_| {}).await?;
        Ok(output.said())
    }

    pub(super) async fn kind(&self, path: &InnerPath) -> Result<Kind, Fault> {
        let script = r#"
if [ -d "$p" ]; then echo directory; elif [ -f "$p" ]; then echo file
elif [ -e "$p" ]; then echo other; else exit 40; fi"#;
        match self.script(script, path, &[], None).await? {
            None => Ok(Kind::Missing),
            Some(word) => Ok(match word.trim_ascii() {
                b"directory" => Kind::Directory,
                b"file" => Kind::File,
                _ => Kind::Other,
            }),
        }
    }

    pub(super) async fn is_reached_by_links(&self, path: &InnerPath) -> Result<bool, Fault> {
        // Resolves nothing: a link to a place that only the host has leads nowhere here.
        let script = r#"
set -fu
p=/cc-ci-volume
IFS=/
for part in $1; do
  p="$p/$part"
  if [ -L "$p" ]; then echo link; exit; fi
done"#;
        let command = ["sh", "-c", script, "sh", path.as_str()].map(str::to_owned);
        let output = self.run(command.to_vec(), None).await?;
        Ok(checked(output, path)?.is_some_and(|said| !said.is_empty()))
    }

    pub(super) async fn read(&self, path: &InnerPath, limit: u64) -> Result<Vec<u8>, Fault> {
        let script = r#"
[ -f "$p" ] || exit 40
dd if="$p" bs=64k iflag=nonblock status=none | head -c "$2""#;
        self.script(script, path, &[&limit.to_string()], None)
            .await?
            .ok_or_else(|| missing(path))
    }

    pub(super) async fn checksum(&self, path: &InnerPath) -> Result<String, Fault> {
        let mut hasher = blake3::Hasher::new();
        let script = r#"
[ -f "$p" ] || exit 40
dd if="$p" bs=64k iflag=nonblock status=none"#;
        let command = shell(script, path, &[]);
        let output = self
            .exec(command, None::<&[u8]>, |bytes| {
                hasher.update(bytes);
            })
            .await?;
        checked(output, path)?.ok_or_else(|| missing(path))?;
        Ok(hasher.finalize().to_string())
    }

    pub(super) async fn write(&self, path: &InnerPath, content: &[u8]) -> Result<(), Fault> {
        let (parent, name) = path
            .split()
            .ok_or_else(|| Fault::infra("the root of a volume is no file"))?;
        let script = r#"
[ -d "$p" ] || exit 40
if [ -d "$p/$2" ]; then echo "$2 is a directory" >&2; exit 1; fi
t="$p/$4"
head -c "$3" > "$t" && chmod 0644 "$t" && chown "$(stat -c %u:%g -- "$p")" "$t" &&
  mv -f -- "$t" "$p/$2" || { rm -f -- "$t"; exit 1; }"#;
        let length = content.len().to_string();
        let temporary = format!("{}tmp-{:016x}", super::MARKER_PREFIX, rand::random::<u64>());
        self.script(script, &parent, &[name, &length, &temporary], Some(content))
            .await?
            .map(drop)
            .ok_or_else(|| missing(&parent))
    }

    pub(super) async fn append(&self, path: &InnerPath, content: &[u8]) -> Result<(), Fault> {
        let script = r#"
[ -f "$p" ] || exit 40
[ "$(stat -c %h -- "$p")" = 1 ] || exit 42
head -c "$2" | dd of="$p" oflag=append,nonblock conv=notrunc status=none"#;
        self.script(script, path, &[&content.len().to_string()], Some(content))
            .await?
            .map(drop)
            .ok_or_else(|| missing(path))
    }

    pub(super) async fn remove(&self, path: &InnerPath) -> Result<bool, Fault> {
        if self.kind(path).await? == Kind::Missing {
            return Ok(false);
        }
        let (parent, name) = path
            .split()
            .ok_or_else(|| Fault::infra("the root of a volume is no file"))?;
        let gone = self
            .script(r#"rm -- "$p/$2""#, &parent, &[name], None)
            .await?;
        Ok(gone.is_some())
    }

    /// Whether anything is there, a link that leads nowhere included.
    pub(super) async fn is_there(&self, path: &InnerPath) -> Result<bool, Fault> {
        let Some((parent, name)) = path.split() else {
            return Ok(true);
        };
        let script = r#"[ -e "$p/$2" ] || [ -L "$p/$2" ] || exit 40"#;
        let there = self.script(script, &parent, &[name], None).await?;
        Ok(there.is_some())
    }

    /// The first `limit` names by their order, however many there are.
    pub(super) async fn list(&self, path: &InnerPath, limit: usize) -> Result<Vec<String>, Fault> {
        let script = r#"[ -d "$p" ] || exit 40; ls -A -- "$p" | head -n "$2""#;
        let names = self
            .script(script, path, &[&limit.to_string()], None)
            .await?
            .ok_or_else(|| missing(path))?;
        let names = String::from_utf8_lossy(&names);
        Ok(names.lines().map(str::to_owned).collect())
    }

    pub(super) async fn empty(&self) -> Result<(), Fault> {
        let script = r#"rm -rf -- "$v"/..?* "$v"/.[!.]* "$v"/*"#;
        self.script(script, &InnerPath::root(), &[], None)
            .await
            .map(drop)
    }

    /// Runs a command in the container; its standard output is collected.
    pub(super) async fn run(
        &self,
        command: Vec<String>,
        input: Option<&[u8]>,
    ) -> Result<ExecOutput, Fault> {
        let mut stdout = Vec::new();
        let output = self
            .exec(command, input, |bytes| stdout.extend_from_slice(bytes))
            .await?;
        Ok(ExecOutput { stdout, ..output })
    }

    /// Runs a script with `$p` resolved; none: there is no such path.
    async fn script(
        &self,
        script: &str,
        path: &InnerPath,
        arguments: &[&str],
        input: Option<&[u8]>,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let output = self.run(shell(script, path, arguments), input).await?;
        checked(output, path)
    }

    async fn exec(
        &self,
        command: Vec<String>,
        input: Option<impl AsyncRead + Unpin>,
        mut stdout: impl FnMut(&[u8]),
    ) -> Result<ExecOutput, Fault> {
        let what = |error: bollard::errors::Error| {
            Fault::infra(format!(
                "a command in the helper container {}: {error}",
                self.id
            ))
        };
        let config = ExecConfig {
            attach_stdin: Some(input.is_some()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            env: Some(vec!["LC_ALL=C".to_owned()]),
            cmd: Some(command),
            ..Default::default()
        };
        let exec = self
            .docker
            .create_exec(&self.id, config)
            .await
            .map_err(what)?;
        let started = self.docker.start_exec(&exec.id, None).await.map_err(what)?;
        let StartExecResults::Attached {
            mut output,
            input: mut stdin,
        } = started
        else {
            return Err(Fault::infra(
                "the engine did not attach to a command in a helper",
            ));
        };
        let mut stderr = Vec::new();
        let write = async {
            if let Some(mut input) = input {
                tokio::io::copy(&mut input, &mut stdin).await?;
                stdin.flush().await?;
            }
            Ok::<_, std::io::Error>(())
        };
        let read = async {
            while let Some(part) = output.next().await {
                match part.map_err(what)? {
                    LogOutput::StdErr { message } => stderr.extend_from_slice(&message),
                    LogOutput::StdOut { message } | LogOutput::Console { message } => {
                        stdout(&message);
                    }
                    LogOutput::StdIn { .. } => {}
                }
            }
            Ok::<_, Fault>(())
        };
        // A command that ended reads no more: what was not written by then is not waited for.
        let written = match future::select(pin!(read), pin!(write)).await {
            Either::Left((read, _)) => read.map(|()| Ok(()))?,
            Either::Right((written, read)) => read.await.map(|()| written)?,
        };
        let state = self.docker.inspect_exec(&exec.id).await.map_err(what)?;
        let code = state.exit_code.unwrap_or(-1);
        if let (Err(error), 0) = (written, code) {
            return Err(Fault::infra(format!(
                "input for a helper container: {error}"
            )));
        }
        Ok(ExecOutput {
            code,
            stdout: Vec::new(),
            stderr,
        })
    }
}

/// A command that ends in `tar`'s words, or in what hands them to it.
fn tar(before: &[&str], options: &[&str], members: &[String]) -> Vec<String> {
    // First, for it counts for what follows.
    let directory = format!("--directory={VOLUME}");
    let before = before.iter().copied().chain([directory.as_str()]);
    let words = before.chain(options.iter().copied()).chain(["--"]);
    let words = words.map(str::to_owned);
    words.chain(members.iter().cloned()).collect()
}

fn shell(script: &str, path: &InnerPath, arguments: &[&str]) -> Vec<String> {
    let script = format!("{RESOLVE}{script}");
    ["sh", "-c", &script, "sh", path.as_str()]
        .iter()
        .chain(arguments)
        .map(|&part| part.to_owned())
        .collect()
}

fn checked(output: ExecOutput, path: &InnerPath) -> Result<Option<Vec<u8>>, Fault> {
    match output.code {
        0 => Ok(Some(output.stdout)),
        MISSING => Ok(None),
        OUTSIDE => Err(escapes(path)),
        SEVERAL_NAMES => Err(several_names(path)),
        code => Err(Fault::infra(format!(
            "`{path}` in a helper container: exit {code}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
    }
}
