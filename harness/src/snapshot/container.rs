//! The helper container itself: its life, and commands in it.
//!
//! Invariants: it has the volume and nothing else: no network, no folder of the host, a root that
//! can't be written, few capabilities. It is named and labelled by the caller, so that a janitor
//! finds it; without one it ends by itself.
//!
//! This file must not know: what the commands do.

use std::collections::{BTreeMap, HashMap};
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

use crate::fault::Fault;
use crate::recipe::AppDomain;

/// How a helper container is made.
#[derive(Debug, Clone)]
pub struct Helper {
    /// An image that is present, with `sh`, GNU `tar` and coreutils.
    pub image: String,
    /// Start of the container's name; a random end is added.
    pub name_prefix: String,
    pub labels: BTreeMap<String, String>,
}

impl Helper {
    /// For an app: its helpers bear the app's name and label, so that they go with it.
    pub fn of_app(app: &AppDomain, image: &str) -> Self {
        Self {
            image: image.to_owned(),
            name_prefix: app.stack().object("cc-ci-helper"),
            labels: [("cc-ci.app".to_owned(), app.to_string())].into(),
        }
    }
}

/// Where it sees the volume.
pub(super) const VOLUME: &str = "/cc-ci-volume";
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
    pub(super) fn said(&self) -> (i64, String) {
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
    /// The same, with each part of its standard output as it comes.
    pub(super) async fn exec(
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
