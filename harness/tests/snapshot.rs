//! Snapshots of real Docker volumes, read directly and through a helper container.
//!
//! Needs Docker, root, and an image with `sh` and GNU `tar`: `CCCI_TEST_IMAGE`, else the newest
//! local image of the kit's base.

#![expect(
    clippy::unwrap_used,
    reason = "the set-up of tests, which clippy does not know as tests"
)]

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use bollard::Docker;
use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{ListContainersOptions, ListImagesOptions, RemoveVolumeOptions};
use harness::fault::Fault;
use harness::snapshot::{
    Helper, InnerPath, Kind, Restore, Selection, Snapshot, Store, Volume, Volumes,
};
use rstest::rstest;
use rustix::fs::XattrFlags;

#[derive(Clone, Copy)]
enum By {
    Direct,
    Helper,
}

const LABEL: &str = "cc-ci.test.snapshot";

/// A volume with its store; all is removed by [`Setup::end`].
struct Setup {
    docker: Docker,
    by: By,
    name: String,
    root: PathBuf,
    directory: tempfile::TempDir,
    store: Store,
    volumes: Volumes,
}

impl Setup {
    async fn new(by: By) -> Self {
        let docker = Docker::connect_with_local_defaults().unwrap();
        let name = format!("snapshot-test-{:016x}", rand::random::<u64>());
        // The local driver with options is not read directly: its files may be mounted only while
        // a container uses them. Here that directory is at hand all the same.
        let directory = tempfile::tempdir().unwrap();
        let bound = directory.path().join("volume");
        std::fs::create_dir(&bound).unwrap();
        let options = match by {
            By::Direct => HashMap::new(),
            By::Helper => [
                ("type", "none"),
                ("o", "bind"),
                ("device", bound.to_str().unwrap()),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        };
        let volume = docker
            .create_volume(VolumeCreateRequest {
                name: Some(name.clone()),
                driver_opts: Some(options),
                ..Default::default()
            })
            .await
            .unwrap();
        let helper = Helper {
            image: image(&docker).await,
            name_prefix: format!("{name}-"),
            labels: BTreeMap::from([(LABEL.to_owned(), name.clone())]),
        };
        Self {
            by,
            root: match by {
                By::Direct => PathBuf::from(volume.mountpoint),
                By::Helper => bound,
            },
            store: Store::open(&directory.path().join("store")).unwrap(),
            volumes: Volumes::Docker {
                docker: docker.clone(),
                helper,
            },
            docker,
            name,
            directory,
        }
    }

    fn selection(&self, paths: &[&str]) -> [Selection; 1] {
        [Selection {
            volume: self.name.clone(),
            key: "content".to_owned(),
            paths: paths.iter().map(|&path| path.to_owned()).collect(),
        }]
    }

    async fn create(&self, paths: &[&str]) -> Result<Snapshot, Fault> {
        self.store
            .create(
                &self.volumes,
                "stack",
                &self.selection(paths),
                BTreeMap::new(),
            )
            .await
    }

    async fn restore(&self, snapshot: &Snapshot, how: Restore) -> Result<(), Fault> {
        let restored = self.store.restore(&self.volumes, &snapshot.id, how).await;
        restored.map(drop)
    }

    async fn open(&self) -> Volume {
        let volume = self.volumes.open(&self.name).await.unwrap();
        assert_eq!(volume.is_direct(), matches!(self.by, By::Direct));
        volume
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.path(path)).ok()
    }

    /// Removes the volume: no helper may be left that uses it.
    async fn end(self) {
        let filters = HashMap::from([("label".to_owned(), vec![format!("{LABEL}={}", self.name)])]);
        let options = ListContainersOptions {
            all: true,
            filters: Some(filters),
            ..Default::default()
        };
        let left = self.docker.list_containers(Some(options)).await.unwrap();
        let force = RemoveVolumeOptions { force: true };
        let removed = self.docker.remove_volume(&self.name, Some(force)).await;
        assert_eq!(left.len(), 0, "a helper container was left");
        removed.unwrap();
        self.directory.close().unwrap();
    }
}

async fn image(docker: &Docker) -> String {
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

fn inner(path: &str) -> InnerPath {
    path.parse().unwrap()
}

#[rstest]
#[tokio::test]
async fn docker_restore_overwrites_and_leaves_what_was_added(
    #[values(By::Direct, By::Helper)] by: By,
) {
    let setup = Setup::new(by).await;
    setup.write("data/a", "one");
    setup.write("data/b", "two");
    let snapshot = setup.create(&[]).await.unwrap();
    assert_eq!((snapshot.files(), snapshot.bytes()), (2, 6));
    setup.write("data/a", "changed");
    std::fs::remove_file(setup.path("data/b")).unwrap();
    setup.write("data/added", "new");

    setup.restore(&snapshot, Restore::Overwrite).await.unwrap();

    assert_eq!(setup.read("data/a").as_deref(), Some("one"));
    assert_eq!(setup.read("data/b").as_deref(), Some("two"));
    assert_eq!(setup.read("data/added").as_deref(), Some("new"));
    setup.end().await;
}

#[rstest]
#[tokio::test]
async fn docker_warm_restore_empties_first(#[values(By::Direct, By::Helper)] by: By) {
    let setup = Setup::new(by).await;
    setup.write("data/a", "one");
    let snapshot = setup.create(&[]).await.unwrap();
    setup.write("added/deep/file", "new");
    setup.write(".hidden", "new");
    setup.write("..odd", "new");

    setup.restore(&snapshot, Restore::EmptyFirst).await.unwrap();

    let left: Vec<_> = std::fs::read_dir(&setup.root).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(setup.read("data/a").as_deref(), Some("one"));
    setup.end().await;
}

#[rstest]
#[tokio::test]
async fn docker_a_snapshot_keeps_what_makes_a_file(#[values(By::Direct, By::Helper)] by: By) {
    let setup = Setup::new(by).await;
    setup.write("program", "#!/bin/sh\n");
    let program = setup.path("program");
    std::os::unix::fs::chown(&program, Some(70_000), Some(33)).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o4750)).unwrap();
    rustix::fs::setxattr(&program, "user.colour", b"green", XattrFlags::empty()).unwrap();
    std::fs::hard_link(&program, setup.path("same")).unwrap();
    symlink("/etc/passwd", setup.path("link")).unwrap();
    let sparse = std::fs::File::create(setup.path("sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_at(&sparse, b"end", (64 << 20) - 3).unwrap();
    drop(sparse);
    let pipe = Command::new("mkfifo").arg(setup.path("pipe")).status();
    assert!(pipe.unwrap().success());

    let snapshot = setup.create(&[]).await.unwrap();
    assert_eq!(snapshot.files(), 2, "the hard link is not counted twice");
    assert_eq!(snapshot.bytes(), 10 + (64 << 20));
    assert!(
        snapshot.volumes[0].archive_bytes < 4 << 20,
        "the hole is not in the archive"
    );
    setup.restore(&snapshot, Restore::EmptyFirst).await.unwrap();

    let stat = std::fs::metadata(&program).unwrap();
    assert_eq!(
        (stat.uid(), stat.gid(), stat.mode() & 0o7777, stat.nlink()),
        (70_000, 33, 0o4750, 2)
    );
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(&program, "user.colour", &mut value).unwrap();
    assert_eq!(&value[..length], b"green");
    let same = std::fs::metadata(setup.path("same")).unwrap();
    assert_eq!(same.ino(), stat.ino());
    let link = std::fs::read_link(setup.path("link")).unwrap();
    assert_eq!(link, Path::new("/etc/passwd"));
    let sparse = std::fs::metadata(setup.path("sparse")).unwrap();
    assert_eq!(sparse.len(), 64 << 20);
    assert!(sparse.blocks() * 512 < 1 << 20, "the hole was filled");
    setup.end().await;
}

#[rstest]
#[tokio::test]
async fn docker_labelled_paths_are_taken_and_missing_ones_recorded(
    #[values(By::Direct, By::Helper)] by: By,
) {
    let setup = Setup::new(by).await;
    setup.write("dump/backup.sql", "create table");
    setup.write("dump/.cc-ci-marker-1-a", "ours");
    setup.write("big/other", "not wanted");
    let paths = ["./dump/backup.sql", "dump", "gone", "also/gone"];
    let snapshot = setup.create(&paths).await.unwrap();

    let found: Vec<_> = snapshot.volumes[0]
        .paths
        .iter()
        .map(|path| {
            (
                &*path.path,
                path.present,
                path.is_file,
                path.files,
                path.bytes,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("dump/backup.sql", true, true, 1, 12),
            ("dump", true, false, 1, 12),
            ("gone", false, false, 0, 0),
            ("also/gone", false, false, 0, 0),
        ]
    );
    std::fs::remove_dir_all(setup.path("dump")).unwrap();
    setup.write("big/other", "since");
    setup.restore(&snapshot, Restore::Overwrite).await.unwrap();
    assert_eq!(
        setup.read("dump/backup.sql").as_deref(),
        Some("create table")
    );
    assert_eq!(setup.read("big/other").as_deref(), Some("since"));
    setup.end().await;
}

#[rstest]
#[tokio::test]
async fn docker_an_empty_snapshot_says_so(#[values(By::Direct, By::Helper)] by: By) {
    let setup = Setup::new(by).await;
    setup.write("data/.cc-ci-marker-1-a", "ours");
    for paths in [&["gone"][..], &[]] {
        let snapshot = setup.create(paths).await.unwrap();
        assert_eq!((snapshot.files(), snapshot.bytes()), (0, 0));
    }
    setup.end().await;
}

#[rstest]
#[tokio::test]
async fn docker_nothing_outside_the_volume_is_reached(#[values(By::Direct, By::Helper)] by: By) {
    let setup = Setup::new(by).await;
    let outside = setup.directory.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("file"), "host").unwrap();
    setup.write("data/file", "inside");
    for hostile in ["../../etc", "/etc/passwd", "data/../../etc"] {
        let refused = setup.create(&[hostile]).await;
        assert!(matches!(refused, Err(Fault::Recipe(_))), "{refused:?}");
    }
    let snapshot = setup.create(&["data/file"]).await.unwrap();
    let whole = setup.create(&[]).await.unwrap();

    // The app puts a link in the place of a directory.
    std::fs::remove_dir_all(setup.path("data")).unwrap();
    symlink(&outside, setup.path("data")).unwrap();
    symlink("/etc", setup.path("etc")).unwrap();
    for path in ["data/file", "etc/passwd"] {
        let refused = setup.create(&[path]).await;
        assert!(
            matches!(refused, Err(Fault::Recipe(_))),
            "{path}: {refused:?}"
        );
    }
    let refused = setup.restore(&snapshot, Restore::Overwrite).await;
    assert!(matches!(refused, Err(Fault::Recipe(_))), "{refused:?}");

    let volume = setup.open().await;
    let path = inner("etc/passwd");
    assert!(volume.kind(&path).await.is_err());
    assert!(volume.read(&path, 1 << 20).await.is_err());
    assert!(volume.checksum(&path).await.is_err());
    assert!(volume.append(&path, b"x").await.is_err());
    assert!(volume.write(&inner("etc/cc-ci-test"), b"x").await.is_err());
    assert!(volume.remove(&inner("etc/passwd")).await.is_err());
    assert!(volume.list(&inner("etc"), 9).await.is_err());
    volume.close().await.unwrap();

    // A directory of the archive replaces the link that stands in its place.
    setup.restore(&whole, Restore::Overwrite).await.unwrap();
    assert_eq!(setup.read("data/file").as_deref(), Some("inside"));
    let there = std::fs::read_to_string(outside.join("file")).unwrap();
    assert_eq!(there, "host");
    setup.end().await;
}

#[rstest]
#[tokio::test]
async fn docker_files_are_read_and_written(#[values(By::Direct, By::Helper)] by: By) {
    let setup = Setup::new(by).await;
    setup.write("data/text", "hello");
    std::os::unix::fs::chown(setup.path("data"), Some(999), Some(998)).unwrap();
    symlink("data/text", setup.path("link")).unwrap();
    let volume = setup.open().await;

    assert_eq!(
        volume.kind(&InnerPath::root()).await.unwrap(),
        Kind::Directory
    );
    assert_eq!(volume.kind(&inner("data")).await.unwrap(), Kind::Directory);
    assert_eq!(volume.kind(&inner("link")).await.unwrap(), Kind::File);
    assert_eq!(
        volume.kind(&inner("data/none")).await.unwrap(),
        Kind::Missing
    );
    assert_eq!(
        volume.kind(&inner("no/where")).await.unwrap(),
        Kind::Missing
    );
    assert_eq!(volume.read(&inner("data/text"), 5).await.unwrap(), b"hello");
    assert!(volume.read(&inner("data/text"), 4).await.is_err());
    assert!(volume.read(&inner("data/none"), 4).await.is_err());

    let odd = inner("data/-n $(id) 'ü'");
    let content = b"\0binary\xff\n".repeat(1000);
    volume.write(&odd, b"first").await.unwrap();
    volume.write(&odd, &content).await.unwrap();
    volume.append(&odd, b"more").await.unwrap();
    let expected = [&content[..], b"more"].concat();
    assert_eq!(std::fs::read(setup.path(odd.as_str())).unwrap(), expected);
    let stat = std::fs::metadata(setup.path(odd.as_str())).unwrap();
    assert_eq!(
        (stat.uid(), stat.gid(), stat.mode() & 0o7777),
        (999, 998, 0o644)
    );
    let checksum = volume.checksum(&odd).await.unwrap();
    assert_eq!(checksum, blake3::hash(&expected).to_string());
    assert_eq!(
        volume.list(&inner("data"), 9).await.unwrap(),
        ["-n $(id) 'ü'", "text"]
    );
    assert_eq!(volume.list(&inner("data"), 1).await.unwrap().len(), 1);
    assert!(volume.remove(&odd).await.unwrap());
    assert!(!volume.remove(&odd).await.unwrap());
    assert!(volume.write(&inner("data"), b"x").await.is_err());

    volume.close().await.unwrap();
    setup.end().await;
}

#[tokio::test]
async fn docker_a_damaged_snapshot_is_never_restored() {
    let setup = Setup::new(By::Direct).await;
    setup.write("data", "one");
    let snapshot = setup.create(&[]).await.unwrap();
    setup.write("data", "two");
    let home = setup
        .directory
        .path()
        .join("store")
        .join(snapshot.id.as_str());
    for file in ["0.tar", "meta.json"] {
        let sound = std::fs::read(home.join(file)).unwrap();
        let mut altered = sound.clone();
        let middle = altered.len() / 2;
        altered[middle] ^= 1;
        for bad in [&altered, &sound[..sound.len() - 1]] {
            std::fs::write(home.join(file), bad).unwrap();
            let refused = setup.restore(&snapshot, Restore::EmptyFirst).await;
            assert!(matches!(refused, Err(Fault::Infra(_))), "{refused:?}");
        }
        std::fs::write(home.join(file), sound).unwrap();
    }
    assert_eq!(setup.read("data").as_deref(), Some("two"));
    setup.restore(&snapshot, Restore::EmptyFirst).await.unwrap();
    assert_eq!(setup.read("data").as_deref(), Some("one"));

    assert_eq!(
        setup.store.ids().unwrap(),
        std::slice::from_ref(&snapshot.id)
    );
    setup.store.remove(&snapshot.id).unwrap();
    setup.store.remove(&snapshot.id).unwrap();
    assert!(setup.store.ids().unwrap().is_empty());
    setup.end().await;
}

#[tokio::test]
async fn docker_a_failed_snapshot_leaves_nothing() {
    let setup = Setup::new(By::Direct).await;
    let mut selections = setup.selection(&[]).to_vec();
    selections.push(Selection {
        volume: format!("{}-none", setup.name),
        ..selections[0].clone()
    });
    let failed = setup
        .store
        .create(&setup.volumes, "stack", &selections, BTreeMap::new())
        .await;
    assert!(matches!(failed, Err(Fault::Infra(_))));
    let left = std::fs::read_dir(setup.directory.path().join("store")).unwrap();
    assert_eq!(left.count(), 0);
    setup.end().await;
}
