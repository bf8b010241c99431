//! A real container that has the volume mounted swaps a folder of it for links, while a snapshot is
//! taken and written back.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptions, ListContainersOptions, ListImagesOptions, RemoveContainerOptions,
    RemoveVolumeOptions, StartContainerOptions,
};
use harness::snapshot::{Helper, Restore, Store, Volume, Volumes};

use crate::witness::{SECRET, Witness};
use crate::{create, inner};

const ROUNDS: usize = 12;
/// Counts its swaps where the test can read it.
const SWAPPING: &str = r#"
mkdir "/v/data"; for $n (0..299) { open F, ">/v/data/$n"; print F "the app's"; }
open F, ">/v/ready"; close F;
while (1) { for $to (@ARGV) {
    rename "/v/data", "/v/away"; symlink $to, "/v/data"; $swaps++;
    unlink "/v/data"; rename "/v/away", "/v/data"; mkdir "/v/data";
    if ($swaps % 500 == 0) { open F, ">/v/swaps"; print F $swaps; close F; }
} }"#;

pub struct Container {
    pub docker: Docker,
    pub name: String,
}

impl Container {
    /// One that has a volume of its own name at `/v`.
    pub async fn start(command: &[&str], labels: &[(&str, &str)]) -> Self {
        let docker = Docker::connect_with_local_defaults().unwrap();
        let name = format!("volumes-test-{:016x}", rand::random::<u64>());
        let labels: HashMap<String, String> = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let volume = VolumeCreateRequest {
            name: Some(name.clone()),
            ..Default::default()
        };
        docker.create_volume(volume).await.unwrap();
        let body = ContainerCreateBody {
            image: Some(image(&docker).await),
            cmd: Some(command.iter().map(|&word| word.to_owned()).collect()),
            labels: Some(labels),
            host_config: Some(HostConfig {
                binds: Some(vec![format!("{name}:/v")]),
                network_mode: Some("none".to_owned()),
                init: Some(true),
                ..Default::default()
            }),
            ..Default::default()
        };
        let options = CreateContainerOptions {
            name: Some(name.clone()),
            ..Default::default()
        };
        docker.create_container(Some(options), body).await.unwrap();
        let started = docker.start_container(&name, None::<StartContainerOptions>);
        started.await.unwrap();
        Self { docker, name }
    }

    pub fn helper(&self, image: String) -> Helper {
        Helper {
            image,
            name_prefix: format!("{}-", self.name),
            labels: BTreeMap::from([(self.name.clone(), String::new())]),
        }
    }

    pub async fn until_there(&self, volume: &Volume, path: &str) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !matches!(
            volume.kind(&inner(path)).await,
            Ok(harness::snapshot::Kind::File)
        ) {
            assert!(std::time::Instant::now() < deadline, "no {path}");
            tokio::task::yield_now().await;
        }
    }

    /// Removes container and volume; no helper may be left.
    pub async fn end(self) {
        let options = RemoveContainerOptions {
            force: true,
            ..Default::default()
        };
        let removed = self.docker.remove_container(&self.name, Some(options));
        removed.await.unwrap();
        let filters = HashMap::from([("label".to_owned(), vec![self.name.clone()])]);
        let options = ListContainersOptions {
            all: true,
            filters: Some(filters),
            ..Default::default()
        };
        let left = self.docker.list_containers(Some(options)).await.unwrap();
        assert_eq!(left.len(), 0, "a helper container was left");
        let force = RemoveVolumeOptions { force: true };
        let removed = self.docker.remove_volume(&self.name, Some(force));
        removed.await.unwrap();
    }
}

pub async fn image(docker: &Docker) -> String {
    if let Ok(image) = std::env::var("CCCI_TEST_IMAGE") {
        return image;
    }
    let images = docker.list_images(None::<ListImagesOptions>).await.unwrap();
    images
        .into_iter()
        .flat_map(|image| image.repo_tags)
        .find(|tag| tag.starts_with("cc-ci.local/debian:"))
        .expect("an image cc-ci.local/debian:…, or CCCI_TEST_IMAGE")
}

#[tokio::test]
async fn docker_a_live_container_moves_nothing_out() {
    let host = tempfile::tempdir().unwrap();
    let outside = Witness::new(host.path().join("outside"));
    let store = Store::open(&host.path().join("store")).unwrap();
    let out = outside.folder.display().to_string();
    let by_root = format!("/proc/self/root{out}");
    let archives = host.path().join("store").display().to_string();
    let command = ["perl", "-e", SWAPPING, &out, &by_root, &archives];
    let app = Container::start(&command, &[]).await;
    let helper = app.helper(image(&app.docker).await);
    let volumes = Volumes::Docker {
        docker: app.docker.clone(),
        helper,
    };
    let volume = volumes.open(&app.name).await.unwrap();
    assert!(volume.is_direct());
    app.until_there(&volume, "ready").await;
    let snapshot = create(&store, &volumes, &app.name, &[]).await.unwrap();
    app.until_there(&volume, "swaps").await;
    for _ in 0..ROUNDS {
        let _ = create(&store, &volumes, &app.name, &["data/private", "data"]).await;
        for how in [Restore::Overwrite, Restore::EmptyFirst] {
            let _ = store.restore(&volumes, &snapshot.id, how).await;
        }
        let _ = volume.write(&inner("data/marker"), b"ours").await;
        let read = volume.read(&inner("data/private"), 4096).await;
        assert!(read.is_err() || read.is_ok_and(|read| read != SECRET));
    }
    assert_eq!(outside.harm(), 0, "files outside were changed");
    let ids: Vec<PathBuf> = std::fs::read_dir(host.path().join("store"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(ids.len(), store.ids().unwrap().len(), "{ids:?}");
    for id in store.ids().unwrap() {
        store.load(&id).unwrap();
    }
    volume.close().await.unwrap();
    app.end().await;
}

/// Whoever is not root, or may make no jail: what the helper can reach is all that is to be had.
#[tokio::test]
async fn docker_a_helper_has_nothing_but_the_volume() {
    let app = Container::start(&["sleep", "600"], &[]).await;
    let image = image(&app.docker).await;
    let helper = app.helper(image);
    let volume = Volume::open_by_helper(&app.docker, &app.name, &helper)
        .await
        .unwrap();
    let listed = app
        .docker
        .list_containers(Some(ListContainersOptions {
            filters: Some(HashMap::from([(
                "label".to_owned(),
                vec![app.name.clone()],
            )])),
            ..Default::default()
        }))
        .await
        .unwrap();
    let [container] = &listed[..] else {
        panic!("{listed:?}")
    };
    let id = container.id.clone().unwrap();
    let made = app.docker.inspect_container(&id, None).await.unwrap();
    let mounts = made.mounts.unwrap();
    assert_eq!(mounts.len(), 1, "{mounts:?}");
    assert_eq!(mounts[0].name.as_deref(), Some(app.name.as_str()));
    let host = made.host_config.unwrap();
    assert_eq!(host.network_mode.as_deref(), Some("none"));
    assert_eq!(host.readonly_rootfs, Some(true));
    assert_eq!(host.cap_drop.unwrap(), ["ALL"]);
    volume.close().await.unwrap();
    app.end().await;
}
