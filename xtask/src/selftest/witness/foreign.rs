//! Objects of others in Docker: volumes (one named as an anonymous one is), a config, a secret, a
//! network, and the stack of somebody else with a service that runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use harness::wait::{Probe, Unwatched, wait_until};

use super::tree::{differences, picture};
use super::{Spoilt, Tokens, docker};

const IMAGE: &str = "cc-ci.local/canary:1";
const NAMESPACE: &str = "com.docker.stack.namespace";
/// A config's text that is no secret: whoever knows it can make the same config.
const CONFIG_TEXT: &str = "kept by somebody else\n";
const UP_WITHIN: Duration = Duration::from_secs(60);

/// How an object is named, made and looked at.
struct Object {
    kind: &'static str,
    name: String,
    /// Behind `docker <kind> create`.
    create: Vec<String>,
    /// What of it does not change by itself.
    format: &'static str,
}

pub struct Foreign {
    mark: String,
    token: String,
    files: tempfile::TempDir,
    hex: String,
    objects: Vec<Object>,
    /// Each object, each volume's files, the service's container.
    was: BTreeMap<String, BTreeMap<PathBuf, String>>,
}

impl Foreign {
    pub async fn make(mark: &str, tokens: &Tokens) -> Result<Self> {
        let files = tempfile::tempdir().context("making a folder")?;
        fs::write(files.path().join("config"), CONFIG_TEXT)?;
        fs::write(files.path().join("secret"), &tokens.foreign)?;
        let hex = format!(
            "{:032x}{:032x}",
            rand::random::<u128>(),
            rand::random::<u128>()
        );
        let mut foreign = Self {
            mark: mark.to_owned(),
            token: tokens.foreign.clone(),
            objects: objects(mark, &hex, files.path()),
            files,
            hex,
            was: BTreeMap::new(),
        };
        for object in &foreign.objects {
            foreign.create(object).await?;
        }
        foreign.up().await?;
        foreign.was = foreign.now().await?;
        Ok(foreign)
    }

    pub fn values(&self) -> Vec<(&'static str, String)> {
        let mark = &self.mark;
        vec![
            ("foreign-volume", format!("{mark}-volume")),
            ("foreign-hex", self.hex.clone()),
            ("foreign-config", format!("{mark}-config")),
            ("foreign-config-text", CONFIG_TEXT.to_owned()),
            ("foreign-secret", format!("{mark}-secret")),
            ("foreign-network", format!("{mark}-net")),
            ("foreign-stack", format!("{mark}_other_test")),
            ("foreign-inner", format!("{mark}-inner")),
        ]
    }

    /// What is not as it was, and what a run has made in our name. What is gone is made again,
    /// and what has changed is from now on as it is.
    pub async fn look(&mut self) -> Result<Vec<Spoilt>> {
        let mut spoilt = Vec::new();
        let now = self.now().await?;
        for (what, before) in &self.was {
            let after = now.get(what).context("the same objects are looked at")?;
            let differ = differences(before, after).join("; ");
            if !differ.is_empty() {
                spoilt.push(Spoilt::new(
                    "objects of others",
                    format!("{what}: {differ}"),
                ));
            }
        }
        if !spoilt.is_empty() {
            // What is still there may be in use by an attack that goes on: it stays as it is now.
            for object in &self.objects {
                if docker(&[object.kind, "inspect", &object.name])
                    .await
                    .is_err()
                {
                    self.create(object).await?;
                } else if object.kind == "volume" {
                    self.fill(&object.name).await?;
                }
            }
            self.up().await?;
            self.was = self.now().await?;
        }
        Ok(spoilt)
    }

    async fn create(&self, object: &Object) -> Result<()> {
        let mut arguments = vec![object.kind, "create"];
        arguments.extend(object.create.iter().map(String::as_str));
        docker(&arguments).await?;
        if object.kind == "volume" {
            self.fill(&object.name).await?;
        }
        Ok(())
    }

    async fn fill(&self, volume: &str) -> Result<()> {
        let at = mountpoint(volume).await?;
        fs::write(at.join("marker"), format!("WITNESS={}\n", self.token))?;
        fs::create_dir_all(at.join("landing"))?;
        Ok(())
    }

    /// Waits for the service's task.
    async fn up(&self) -> Result<()> {
        let up = wait_until(
            "somebody else's service",
            UP_WITHIN,
            Duration::from_millis(200),
            &Unwatched,
            || async {
                match self.container().await {
                    Ok(id) if !id.is_empty() => Probe::Ready(()),
                    Ok(_) => Probe::NotYet("no container yet".to_owned()),
                    Err(error) => Probe::Never(error.to_string()),
                }
            },
        );
        Ok(up.await?)
    }

    async fn container(&self) -> Result<String> {
        let label = format!(
            "label=com.docker.swarm.service.name={}_other_test_app",
            self.mark
        );
        let ids = docker(&["ps", "--quiet", "--no-trunc", "--filter", &label]).await?;
        Ok(ids.trim().to_owned())
    }

    async fn now(&self) -> Result<BTreeMap<String, BTreeMap<PathBuf, String>>> {
        let mut all = BTreeMap::new();
        for Object {
            kind, name, format, ..
        } in &self.objects
        {
            let what = format!("{kind} {name}");
            // Gone is a change, too.
            let text = docker(&[kind, "inspect", "--format", format, name]).await;
            let text = text.unwrap_or_else(|_| "not there".to_owned());
            let mut lines = BTreeMap::from([(PathBuf::new(), text.trim().to_owned())]);
            if *kind == "volume"
                && let Ok(at) = mountpoint(name).await
            {
                let files = picture(&at)?;
                let below = |(path, line)| (PathBuf::from("files").join(path), line);
                lines.extend(files.into_iter().map(below));
            }
            all.insert(what, lines);
        }
        let container = BTreeMap::from([(PathBuf::new(), self.container().await?)]);
        all.insert("the service's container".to_owned(), container);
        Ok(all)
    }

    async fn remove_all(&self) -> Result<()> {
        for object in self.objects.iter().rev() {
            let Object { kind, name, .. } = object;
            let subject = format!("the end of {kind} {name}");
            let gone = wait_until(
                &subject,
                UP_WITHIN,
                Duration::from_millis(200),
                &Unwatched,
                || async {
                    if docker(&[kind, "inspect", name]).await.is_err() {
                        return Probe::Ready(());
                    }
                    // In use until the last task of it has ended.
                    match docker(&[kind, "rm", name]).await {
                        Ok(_) => Probe::Ready(()),
                        Err(error) => Probe::NotYet(error.to_string()),
                    }
                },
            );
            gone.await?;
        }
        Ok(())
    }

    pub async fn remove(self) -> Result<()> {
        self.remove_all().await?;
        self.files.close().context("removing a folder")
    }
}

async fn mountpoint(volume: &str) -> Result<PathBuf> {
    let at = docker(&["volume", "inspect", "--format", "{{.Mountpoint}}", volume]).await?;
    Ok(PathBuf::from(at.trim()))
}

fn objects(mark: &str, hex: &str, files: &std::path::Path) -> Vec<Object> {
    let labelled = format!("{NAMESPACE}={mark}_other_test");
    let file = |name: &str| files.join(name).display().to_string();
    let (config, secret, net) = (
        format!("{mark}-config"),
        format!("{mark}-secret"),
        format!("{mark}-net"),
    );
    let (other_data, other_app) = (
        format!("{mark}_other_test_data"),
        format!("{mark}_other_test_app"),
    );
    let object = |kind, name: &str, format, create: &[&str]| Object {
        kind,
        name: name.to_owned(),
        create: create.iter().map(|word| (*word).to_owned()).collect(),
        format,
    };
    let whole = "{{json .}}";
    let plain = format!("{mark}-volume");
    let inner = format!("name={net},alias={mark}-inner");
    let data = format!("type=volume,source={other_data},target=/data");
    vec![
        object("volume", &plain, whole, &[&plain]),
        object("volume", hex, whole, &[hex]),
        object(
            "volume",
            &other_data,
            whole,
            &["--label", &labelled, &other_data],
        ),
        object("config", &config, whole, &[&config, &file("config")]),
        object("secret", &secret, whole, &[&secret, &file("secret")]),
        object(
            "network",
            &net,
            "{{.ID}} {{json .Labels}} {{json .IPAM}} {{.Internal}} {{.Attachable}}",
            &["--driver", "overlay", &net],
        ),
        object(
            "service",
            &other_app,
            "{{.ID}} {{json .Spec}}",
            &[
                "--detach",
                "--quiet",
                "--no-resolve-image",
                "--endpoint-mode",
                "dnsrr",
                "--name",
                &other_app,
                "--label",
                &labelled,
                "--network",
                &inner,
                "--mount",
                &data,
                IMAGE,
                "serve",
            ],
        ),
    ]
}
