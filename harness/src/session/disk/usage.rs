//! What an app takes of the disk: its volumes, the files that its containers wrote, their logs.
//!
//! Docker can limit none of that for a local volume, so it is looked at.
//!
//! Invariants: nothing of the app is opened on the host: `du` looks, in a jail, at folders that
//! Docker named; a look ends in time, however many files there are.
//!
//! This file must not know: limits.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bollard::models::{ContainerSummary, MountPoint};
use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptionsBuilder, ListVolumesOptionsBuilder,
    TopOptionsBuilder,
};
use rustix::fs::FileType;
use rustix::thread::CapabilitySet;

use crate::fault::Fault;
use crate::jail::{self, Access, Jail};
use crate::recipe::StackName;
use crate::snapshot::{Helper, Volume};
use crate::swarm::{Swarm, answered, of_stack};

/// For `du`, which has to look at each file.
const WITHIN: Duration = Duration::from_secs(20);

/// Of file systems in memory.
const TMPFS: rustix::fs::FsWord = 0x0102_1994;
const HUGETLBFS: rustix::fs::FsWord = 0x9584_58f6;

/// A part of what an app takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// As people know it: `volume x_data`.
    pub what: String,
    pub bytes: u64,
}

/// What the stack takes now, the largest part first. The helper is for who is not root.
pub async fn usage(swarm: &Swarm, stack: &StackName, helper: &Helper) -> Result<Vec<Share>, Fault> {
    let as_root = rustix::process::geteuid().is_root() && jail::is_possible();
    let containers = containers(swarm, stack, !as_root).await?;
    let volumes = volumes(swarm, stack).await?;
    let mut shares = if as_root {
        let mut shares = measured(places(swarm, volumes, &containers).await?).await?;
        for container in &containers {
            shares.extend(deleted(swarm, container).await);
        }
        shares
    } else {
        let mounted = containers.iter().flat_map(|container| &container.mounts);
        let mounted = mounted.flatten().filter_map(volume).map(str::to_owned);
        let names: BTreeSet<String> = volumes.into_keys().chain(mounted).collect();
        told(swarm, helper, names, &containers).await?
    };
    shares.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.what.cmp(&b.what)));
    Ok(shares)
}

/// The volumes of the stack and their folders: those that no container has now, too.
async fn volumes(swarm: &Swarm, stack: &StackName) -> Result<BTreeMap<String, PathBuf>, Fault> {
    let options = ListVolumesOptionsBuilder::default()
        .filters(&of_stack(stack))
        .build();
    let listed = swarm.docker().list_volumes(Some(options)).await;
    let listed =
        listed.map_err(|error| Swarm::fault(format!("listing the volumes of {stack}"), &error))?;
    let volumes = listed.volumes.into_iter().flatten();
    Ok(volumes
        .map(|volume| (volume.name, volume.mountpoint.into()))
        .collect())
}

/// All containers of the stack, ended ones too: their files are still there.
async fn containers(
    swarm: &Swarm,
    stack: &StackName,
    sizes: bool,
) -> Result<Vec<ContainerSummary>, Fault> {
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .size(sizes)
        .filters(&of_stack(stack))
        .build();
    let listed = swarm.docker().list_containers(Some(options)).await;
    listed.map_err(|error| Swarm::fault(format!("listing the containers of {stack}"), &error))
}

/// Folders of this host, by what they are: as Docker names them.
async fn places(
    swarm: &Swarm,
    volumes: BTreeMap<String, PathBuf>,
    containers: &[ContainerSummary],
) -> Result<BTreeMap<PathBuf, String>, Fault> {
    let volumes = volumes.into_iter();
    let mut places: BTreeMap<PathBuf, String> = volumes
        .map(|(name, path)| (path, format!("volume {name}")))
        .collect();
    for container in containers {
        let name = name(container);
        let id = container.id.as_deref().unwrap_or_default();
        let inspected = swarm
            .docker()
            .inspect_container(id, None::<InspectContainerOptions>)
            .await;
        let inspected = match inspected {
            Ok(inspected) => inspected,
            Err(error) if answered(&error, 404) => continue,
            Err(error) => return Err(Swarm::fault(format!("looking at {name}"), &error)),
        };
        for mount in inspected.mounts.iter().flatten() {
            if let Some(volume) = volume(mount) {
                let path = PathBuf::from(mount.source.clone().unwrap_or_default());
                places.insert(path, format!("volume {volume}"));
            }
        }
        let upper = inspected.graph_driver.map(|driver| driver.data);
        if let Some(upper) = upper.as_ref().and_then(|data| data.get("UpperDir")) {
            places.insert(upper.into(), format!("what container {name} wrote"));
        }
        // Rotated logs lie beside it.
        let log = inspected.log_path.filter(|path| !path.is_empty());
        if let Some(folder) = log.as_deref().map(Path::new).and_then(Path::parent) {
            places.insert(folder.to_owned(), format!("the log of container {name}"));
        }
    }
    Ok(places)
}

/// Asks `du`. What is gone by now takes nothing.
async fn measured(places: BTreeMap<PathBuf, String>) -> Result<Vec<Share>, Fault> {
    let open = places
        .into_iter()
        .filter(|(path, _)| path.is_absolute())
        .filter_map(|(path, what)| Some((File::open(path).ok()?, what)));
    let open: Vec<(File, String)> = open.collect();
    if open.is_empty() {
        return Ok(Vec::new());
    }
    let said = async {
        let mut jail = Jail::of("du")?.capabilities(CapabilitySet::DAC_READ_SEARCH);
        for (number, (folder, _)) in open.iter().enumerate() {
            jail = jail.bind(folder.as_fd(), &format!("/{number}"), Access::ReadOnly)?;
        }
        let count = open.len();
        let child = jail.start(move |command| {
            command
                .args(["--summarize", "--block-size=1", "--"])
                .args((0..count).map(|number| format!("/{number}")))
                .stdout(Stdio::piped());
        });
        Ok::<_, jail::JailError>(child.await?.wait_with_output().await)
    };
    let late = |_| Fault::infra(format!("`du` took longer than {} s", WITHIN.as_secs()));
    let said = tokio::time::timeout(WITHIN, said).await.map_err(late)?;
    let said = said
        .map_err(|error| Fault::infra(error.whole()))?
        .map_err(|error| Fault::infra(format!("`du`: {error}")))?;
    // A file that vanished meanwhile makes it end with 1, and the sums are there all the same.
    let text = String::from_utf8_lossy(&said.stdout);
    let sums = text.lines().filter_map(|line| {
        let (bytes, place) = line.split_once('\t')?;
        let (_, what) = open.get(place.strip_prefix('/')?.parse::<usize>().ok()?)?;
        Some(Share {
            what: what.clone(),
            bytes: bytes.parse().ok()?,
        })
    });
    Ok(sums.collect())
}

/// Files without a name that the processes of a container hold: `du` can't see them. None, where it
/// does not run.
async fn deleted(swarm: &Swarm, container: &ContainerSummary) -> Option<Share> {
    let options = TopOptionsBuilder::default().ps_args("-eo pid").build();
    let id = container.id.as_deref()?;
    let running = swarm.docker().top_processes(id, Some(options)).await.ok()?;
    let mut seen = BTreeSet::new();
    let mut bytes = 0;
    for pid in running.processes?.iter().filter_map(|row| row.first()) {
        for links in ["fd", "map_files"] {
            let links = std::fs::read_dir(Path::new("/proc").join(pid).join(links));
            // A process that has ended holds nothing.
            for link in links.into_iter().flatten().flatten() {
                // Looks at the file, and opens nothing.
                let (Ok(stat), Ok(of)) = (
                    rustix::fs::stat(link.path()),
                    rustix::fs::statfs(link.path()),
                ) else {
                    continue;
                };
                let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
                let on_disk = of.f_type != TMPFS && of.f_type != HUGETLBFS;
                if is_file
                    && on_disk
                    && stat.st_nlink == 0
                    && seen.insert((stat.st_dev, stat.st_ino))
                {
                    bytes += u64::try_from(stat.st_blocks).unwrap_or_default() * 512;
                }
            }
        }
    }
    (bytes > 0).then(|| Share {
        what: format!(
            "deleted files that container {} holds open",
            name(container)
        ),
        bytes,
    })
}

/// By a helper container for each volume, and what the engine says of containers, where their folders
/// can't be seen. Nothing tells what logs take then.
async fn told(
    swarm: &Swarm,
    helper: &Helper,
    volumes: BTreeSet<String>,
    containers: &[ContainerSummary],
) -> Result<Vec<Share>, Fault> {
    let mut shares = Vec::new();
    for name in volumes {
        let volume = Volume::open_by_helper(swarm.docker(), &name, helper).await?;
        let taken = volume.taken().await;
        volume.close().await?;
        shares.push(Share {
            what: format!("volume {name}"),
            bytes: taken?,
        });
    }
    shares.extend(containers.iter().filter_map(|container| {
        Some(Share {
            what: format!("what container {} wrote", name(container)),
            bytes: container.size_rw?.try_into().ok()?,
        })
    }));
    Ok(shares)
}

fn volume(mount: &MountPoint) -> Option<&str> {
    let is_volume = mount.typ.as_ref().is_some_and(|kind| kind == "volume");
    mount.name.as_deref().filter(|_| is_volume)
}

fn name(container: &ContainerSummary) -> String {
    let name = container.names.iter().flatten().next();
    let name = name.or(container.id.as_ref()).cloned().unwrap_or_default();
    name.trim_start_matches('/').to_owned()
}
