//! Access to the files of a volume, without a shell in the app's image.

use std::fs::File;
use std::path::{Path, PathBuf};

use bollard::Docker;

use super::container::{Container, Helper};
use super::direct::Direct;
use super::path::InnerPath;
use crate::fault::Fault;
use crate::jail;
use crate::recipe::AppDomain;
use crate::swarm::Swarm;

/// What is at a path; links inside the volume are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Missing,
    File,
    Directory,
    /// A device, a pipe, a socket.
    Other,
}

/// Where volumes are found.
pub enum Volumes {
    Docker {
        docker: Docker,
        helper: Helper,
    },
    /// Each directory below it is a volume: for what has no Docker.
    Folder(PathBuf),
}

impl Volumes {
    /// Those of an app: a helper container, where one is needed, bears the app's name and label.
    pub fn of_app(swarm: &Swarm, app: &AppDomain, image: &str) -> Self {
        Self::Docker {
            docker: swarm.docker().clone(),
            helper: Helper::of_app(app, image),
        }
    }

    /// Opens a volume, or none if there is no volume of that name.
    pub async fn find(&self, name: &str) -> Result<Option<Volume>, Fault> {
        match self {
            Self::Docker { docker, helper } => Volume::find(docker, name, helper).await,
            Self::Folder(folder) => {
                let path = folder.join(name);
                path.is_dir().then(|| Volume::at(&path)).transpose()
            }
        }
    }

    pub async fn open(&self, name: &str) -> Result<Volume, Fault> {
        self.find(name)
            .await?
            .ok_or_else(|| Fault::infra(format!("there is no volume {name}")))
    }
}

/// The files of one volume. [`Volume::close`] removes its helper container, where it has one.
pub struct Volume {
    name: String,
    access: Access,
}

enum Access {
    Direct(Direct),
    Helper(Container),
}

impl Volume {
    /// Opens a volume: directly where its files are a plain directory that we can read as root, and
    /// where we may put `tar` into a jail; else through a helper container.
    pub async fn open(docker: &Docker, name: &str, helper: &Helper) -> Result<Self, Fault> {
        Self::find(docker, name, helper)
            .await?
            .ok_or_else(|| Fault::infra(format!("there is no volume {name}")))
    }

    /// Opens a volume through a helper container, whatever else is possible.
    pub async fn open_by_helper(
        docker: &Docker,
        name: &str,
        helper: &Helper,
    ) -> Result<Self, Fault> {
        Ok(Self {
            name: name.to_owned(),
            access: Access::Helper(Container::start(docker, name, helper).await?),
        })
    }

    /// A plain directory as a volume.
    pub fn at(path: &Path) -> Result<Self, Fault> {
        let direct = Direct::open(path)
            .map_err(|error| Fault::infra(format!("{}: {error}", path.display())))?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            access: Access::Direct(direct),
        })
    }

    async fn find(docker: &Docker, name: &str, helper: &Helper) -> Result<Option<Self>, Fault> {
        let found = match docker.inspect_volume(name).await {
            Ok(found) => found,
            Err(bollard::errors::Error::DockerResponseServerError {
                status_code: 404, ..
            }) => return Ok(None),
            Err(error) => return Err(Fault::infra(format!("volume {name}: {error}"))),
        };
        // Options of the local driver (a bind, NFS) are mounted only while a container uses it.
        let plain = found.driver == "local" && found.options.is_empty();
        if plain
            && rustix::process::geteuid().is_root()
            && jail::is_possible()
            && let Ok(direct) = Direct::open(Path::new(&found.mountpoint))
        {
            return Ok(Some(Self {
                name: name.to_owned(),
                access: Access::Direct(direct),
            }));
        }
        Self::open_by_helper(docker, name, helper).await.map(Some)
    }

    pub async fn close(self) -> Result<(), Fault> {
        match self.access {
            Access::Direct(_) => Ok(()),
            Access::Helper(helper) => helper.close().await,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn is_direct(&self) -> bool {
        matches!(self.access, Access::Direct(_))
    }

    pub async fn kind(&self, path: &InnerPath) -> Result<Kind, Fault> {
        let kind = match &self.access {
            Access::Direct(direct) => direct.kind(path),
            Access::Helper(helper) => helper.kind(path).await,
        };
        kind.map_err(|fault| self.named(fault))
    }

    /// Reads a file that is expected to have at most `limit` bytes; more is a fault.
    pub async fn read(&self, path: &InnerPath, limit: u64) -> Result<Vec<u8>, Fault> {
        let content = match &self.access {
            Access::Direct(direct) => direct.read(path, limit + 1),
            Access::Helper(helper) => helper.read(path, limit + 1).await,
        }
        .map_err(|fault| self.named(fault))?;
        if content.len() as u64 > limit {
            let text = format!("`{path}` has more than the {limit} bytes that were expected");
            return Err(self.named(Fault::recipe(text)));
        }
        Ok(content)
    }

    /// BLAKE3 of a file of any size, in hexadecimal.
    pub async fn checksum(&self, path: &InnerPath) -> Result<String, Fault> {
        let checksum = match &self.access {
            Access::Direct(direct) => direct.checksum(path).await,
            Access::Helper(helper) => helper.checksum(path).await,
        };
        checksum.map_err(|fault| self.named(fault))
    }

    /// Replaces a file as one; it gets the owner of its directory and mode 0644.
    pub async fn write(&self, path: &InnerPath, content: &[u8]) -> Result<(), Fault> {
        let written = match &self.access {
            Access::Direct(direct) => direct.write(path, content),
            Access::Helper(helper) => helper.write(path, content).await,
        };
        written.map_err(|fault| self.named(fault))
    }

    /// Adds bytes to a file that exists, in place.
    pub async fn append(&self, path: &InnerPath, content: &[u8]) -> Result<(), Fault> {
        let written = match &self.access {
            Access::Direct(direct) => direct.append(path, content),
            Access::Helper(helper) => helper.append(path, content).await,
        };
        written.map_err(|fault| self.named(fault))
    }

    /// Removes a file; false: it was not there.
    pub async fn remove(&self, path: &InnerPath) -> Result<bool, Fault> {
        let removed = match &self.access {
            Access::Direct(direct) => direct.remove(path),
            Access::Helper(helper) => helper.remove(path).await,
        };
        removed.map_err(|fault| self.named(fault))
    }

    /// The first `limit` names in a directory, sorted.
    pub async fn list(&self, path: &InnerPath, limit: usize) -> Result<Vec<String>, Fault> {
        let mut names = match &self.access {
            Access::Direct(direct) => direct.list(path, limit),
            Access::Helper(helper) => helper.list(path, limit).await,
        }
        .map_err(|fault| self.named(fault))?;
        names.sort_unstable();
        Ok(names)
    }

    /// What it takes of the disk, in bytes; through a helper container only.
    pub async fn taken(&self) -> Result<u64, Fault> {
        let taken = match &self.access {
            Access::Direct(_) => Err(Fault::infra("is not asked by a helper container")),
            Access::Helper(helper) => helper.taken().await,
        };
        taken.map_err(|fault| self.named(fault))
    }

    /// Whether a symbolic link stands on the way to the path, itself included.
    pub(super) async fn is_reached_by_links(&self, path: &InnerPath) -> Result<bool, Fault> {
        let links = match &self.access {
            Access::Direct(direct) => direct.is_reached_by_links(path),
            Access::Helper(helper) => helper.is_reached_by_links(path).await,
        };
        links.map_err(|fault| self.named(fault))
    }

    /// Whether anything is there, a link that leads nowhere included.
    pub(super) async fn is_there(&self, path: &InnerPath) -> Result<bool, Fault> {
        let there = match &self.access {
            Access::Direct(direct) => direct.is_there(path),
            Access::Helper(helper) => helper.is_there(path).await,
        };
        there.map_err(|fault| self.named(fault))
    }

    pub(super) async fn empty(&self) -> Result<(), Fault> {
        let emptied = match &self.access {
            Access::Direct(direct) => direct.empty().await,
            Access::Helper(helper) => helper.empty().await,
        };
        emptied.map_err(|fault| self.named(fault))
    }

    /// Packs members of the volume's root into an archive: exit code of `tar`, and what it said.
    pub(super) async fn pack(
        &self,
        members: &[String],
        archive: File,
    ) -> Result<(i64, String), Fault> {
        let packed = match &self.access {
            Access::Direct(direct) => direct.pack(members, archive).await,
            Access::Helper(helper) => helper.pack(members, archive).await,
        };
        packed.map_err(|fault| self.named(fault))
    }

    /// Extracts an archive in the volume's root: exit code of `tar`, and what it said.
    pub(super) async fn unpack(&self, archive: File) -> Result<(i64, String), Fault> {
        let unpacked = match &self.access {
            Access::Direct(direct) => direct.unpack(archive).await,
            Access::Helper(helper) => helper.unpack(archive).await,
        };
        unpacked.map_err(|fault| self.named(fault))
    }

    fn named(&self, fault: Fault) -> Fault {
        fault.context(format_args!("volume {}", self.name))
    }
}

pub(super) fn escapes(path: &InnerPath) -> Fault {
    Fault::recipe(format!(
        "`{path}` leads out of the volume through a symbolic link"
    ))
}

pub(super) fn missing(path: &InnerPath) -> Fault {
    Fault::recipe(format!("there is no `{path}`"))
}

/// A file that is changed in place must have no other name, which may be more than it seems.
pub(super) fn several_names(path: &InnerPath) -> Fault {
    Fault::recipe(format!(
        "`{path}` is a file with several names (hard links), which cc-ci does not change in place"
    ))
}
