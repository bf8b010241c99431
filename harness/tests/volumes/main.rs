//! A hostile app at work in its volume while cc-ci reads and writes there: nothing outside changes.
//!
//! Needs root. Tests named `docker_` need Docker, and an image with `sh`, `perl` and GNU `tar`:
//! `CCCI_TEST_IMAGE`, else the newest local image of the kit's base.

#![expect(
    clippy::unwrap_used,
    reason = "the set-up of tests, which clippy does not know as tests"
)]

mod app;
mod disk;
mod live;
mod witness;

use std::collections::BTreeMap;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use app::Racer;
use harness::fault::Fault;
use harness::snapshot::{
    InnerPath, Kind, MARKER_PREFIX, Restore, Selection, Snapshot, Store, Volume, Volumes,
};
use rustix::fs::{CWD, FileType, Mode};
use witness::{SECRET, Witness};

const FILES: usize = 500;
const SWAPS: usize = 3000;
const TRIES: usize = 12;

/// A plain folder as a volume, a store, and what must not be touched.
struct Host {
    volume: PathBuf,
    volumes: Volumes,
    store: Store,
    outside: Witness,
    root: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let volume = root.path().join("volumes/v");
        std::fs::create_dir_all(volume.join("data")).unwrap();
        for number in 0..FILES {
            std::fs::write(volume.join(format!("data/{number}")), "the app's").unwrap();
        }
        Self {
            volume,
            volumes: Volumes::Folder(root.path().join("volumes")),
            store: Store::open(&root.path().join("store")).unwrap(),
            outside: Witness::new(root.path().join("outside")),
            root,
        }
    }

    /// Where the app's links lead: out, and out by way of a process's root.
    fn targets(&self) -> Vec<PathBuf> {
        let outside = &self.outside.folder;
        let by_root = format!("/proc/self/root{}", outside.display()).into();
        vec![outside.clone(), "../../outside".into(), by_root]
    }

    async fn create(&self, paths: &[&str]) -> Result<Snapshot, Fault> {
        create(&self.store, &self.volumes, "v", paths).await
    }

    async fn restore(&self, snapshot: &Snapshot, how: Restore) -> bool {
        let restored = self.store.restore(&self.volumes, &snapshot.id, how);
        restored.await.is_ok()
    }

    async fn open(&self) -> Volume {
        self.volumes.open("v").await.unwrap()
    }

    /// Repeats what is tried until the app has swapped often enough.
    async fn while_swapping(&self, place: &Path, mut tried: impl AsyncFnMut()) {
        let racer = Racer::start(place, &self.targets());
        let mut tries = 0;
        while racer.swaps() < SWAPS || tries < TRIES {
            tries += 1;
            tried().await;
        }
        racer.end();
    }

    /// The archives have nothing of the host.
    fn no_secret_in_the_store(&self) {
        let mut archives = 0;
        for id in self.store.ids().unwrap() {
            let snapshot = self.store.load(&id).unwrap();
            let folder = self.root.path().join("store").join(snapshot.id.to_string());
            for volume in &snapshot.volumes {
                let archive = std::fs::read(folder.join(&volume.archive)).unwrap();
                let found = archive.windows(SECRET.len()).any(|part| part == SECRET);
                assert!(!found, "an archive has the host's secret");
                archives += 1;
            }
        }
        assert!(archives > 0, "no snapshot was taken");
    }
}

async fn create(
    store: &Store,
    volumes: &Volumes,
    volume: &str,
    paths: &[&str],
) -> Result<Snapshot, Fault> {
    let selection = [Selection {
        volume: volume.to_owned(),
        key: "v".to_owned(),
        paths: paths.iter().map(|&path| path.to_owned()).collect(),
    }];
    let facts = BTreeMap::new();
    store.create(volumes, "stack", &selection, facts).await
}

fn inner(path: &str) -> InnerPath {
    path.parse().unwrap()
}

#[tokio::test]
async fn a_restore_writes_nothing_outside() {
    let host = Host::new();
    let snapshot = host.create(&[]).await.unwrap();
    host.while_swapping(&host.volume.join("data"), async || {
        host.restore(&snapshot, Restore::Overwrite).await;
    })
    .await;
    assert_eq!(host.outside.harm(), 0, "files outside were changed");
    assert!(host.restore(&snapshot, Restore::EmptyFirst).await);
    let back = std::fs::read_dir(host.volume.join("data")).unwrap();
    assert_eq!(back.count(), FILES);
}

#[tokio::test]
async fn a_snapshot_reads_nothing_outside() {
    let host = Host::new();
    std::fs::write(host.volume.join("data/private"), "the app's").unwrap();
    host.create(&[]).await.unwrap();
    host.while_swapping(&host.volume.join("data"), async || {
        for path in ["data/private", "data"] {
            let _ = host.create(&[path]).await;
        }
    })
    .await;
    host.no_secret_in_the_store();
    assert_eq!(host.outside.harm(), 0, "files outside were changed");
}

#[tokio::test]
async fn a_volume_is_emptied_and_nothing_outside() {
    let host = Host::new();
    let snapshot = host.create(&[]).await.unwrap();
    host.while_swapping(&host.volume.join("data"), async || {
        host.restore(&snapshot, Restore::EmptyFirst).await;
    })
    .await;
    assert_eq!(host.outside.harm(), 0, "files outside were changed");
}

/// The root itself: by its path it is another folder from one moment to the next.
#[tokio::test]
async fn a_root_that_is_replaced_leads_nowhere() {
    let host = Host::new();
    let snapshot = host.create(&[]).await.unwrap();
    host.while_swapping(&host.volume, async || {
        host.restore(&snapshot, Restore::EmptyFirst).await;
        let _ = host.create(&["private"]).await;
    })
    .await;
    assert_eq!(host.outside.harm(), 0, "files outside were changed");
    host.no_secret_in_the_store();
}

#[tokio::test]
async fn markers_and_checks_stay_inside() {
    let host = Host::new();
    std::fs::write(host.volume.join("data/private"), "the app's").unwrap();
    let volume = host.open().await;
    let marker = inner(&format!("data/{MARKER_PREFIX}1-a"));
    let private = inner("data/private");
    let secret = blake3::hash(SECRET).to_string();
    let mut written = 0;
    host.while_swapping(&host.volume.join("data"), async || {
        for _ in 0..50 {
            written += usize::from(volume.write(&marker, b"ours").await.is_ok());
            let _ = volume.append(&inner("data/0"), b"ours").await;
            let _ = volume.remove(&inner("data/1")).await;
            let read = volume.read(&private, 4096).await;
            assert!(read.is_err() || read.is_ok_and(|read| read != SECRET));
            let sum = volume.checksum(&private).await;
            assert!(sum.is_err() || sum.is_ok_and(|sum| sum != secret));
            let names = volume.list(&inner("data"), 9999).await.unwrap_or_default();
            assert!(!names.contains(&"deep".to_owned()), "{names:?}");
        }
    })
    .await;
    assert_eq!(host.outside.harm(), 0, "files outside were changed");
    assert!(written > 0, "no marker was ever written");
}

/// Opening a pipe waits, opening a device is an act. The device's number is nobody's: an open would
/// say so.
#[rstest::rstest]
#[case::pipe("pipe")]
#[case::device("device")]
#[case::block("block")]
#[case::socket("socket")]
#[case::link_to_a_pipe("link")]
#[tokio::test]
async fn what_is_no_file_is_never_opened(#[case] name: &str) {
    let host = Host::new();
    let data = host.volume.join("data");
    let nobodys = rustix::fs::makedev(240, 77);
    let kinds = [
        ("pipe", FileType::Fifo, 0),
        ("device", FileType::CharacterDevice, nobodys),
        ("block", FileType::BlockDevice, nobodys),
    ];
    for (name, kind, device) in kinds {
        let mode = Mode::from_raw_mode(0o666);
        rustix::fs::mknodat(CWD, data.join(name), kind, mode, device).unwrap();
    }
    let _socket = std::os::unix::net::UnixListener::bind(data.join("socket")).unwrap();
    symlink("pipe", data.join("link")).unwrap();
    let volume = host.open().await;
    let path = inner(&format!("data/{name}"));
    assert_eq!(volume.kind(&path).await.unwrap(), Kind::Other);
    let refused = [
        volume.read(&path, 9).await.map(drop),
        volume.checksum(&path).await.map(drop),
        volume.append(&path, b"x").await,
    ];
    for refused in refused {
        let Err(Fault::Recipe(said)) = refused else {
            panic!("{refused:?}");
        };
        assert!(said.ends_with("is no regular file"), "{said}");
    }
    // A snapshot has them as what they are, and a restore makes them anew.
    let snapshot = host.create(&[]).await.unwrap();
    assert!(host.restore(&snapshot, Restore::EmptyFirst).await);
    if name != "socket" {
        assert_eq!(volume.kind(&path).await.unwrap(), Kind::Other);
    }
}

/// A file of holes may be larger than any disk: reading it must not keep anybody from giving up.
#[tokio::test]
async fn a_file_without_end_is_given_up() {
    let host = Host::new();
    let holes = std::fs::File::create(host.volume.join("data/holes")).unwrap();
    holes.set_len(1 << 43).unwrap();
    let volume = host.open().await;
    let within = std::time::Duration::from_millis(200);
    let path = inner("data/holes");
    let given_up = tokio::time::timeout(within, volume.checksum(&path)).await;
    assert!(given_up.is_err(), "{given_up:?}");
    let snapshot = host.create(&["data/holes"]).await.unwrap();
    assert!(snapshot.volumes[0].archive_bytes < 1 << 20);
}

/// On one file system an app's file may be the host's by another name.
#[tokio::test]
async fn a_file_with_another_name_is_not_changed_in_place() {
    let host = Host::new();
    let mine = host.root.path().join("mine");
    std::fs::write(&mine, "the host's").unwrap();
    std::fs::hard_link(&mine, host.volume.join("data/hard")).unwrap();
    let volume = host.open().await;
    let refused = volume.append(&inner("data/hard"), b"x").await;
    assert!(matches!(refused, Err(Fault::Recipe(_))), "{refused:?}");
    let snapshot = host.create(&["data/hard"]).await.unwrap();
    std::fs::write(&mine, "the host's, later").unwrap();
    assert!(host.restore(&snapshot, Restore::Overwrite).await);
    let now = std::fs::read_to_string(&mine).unwrap();
    assert_eq!(
        now, "the host's, later",
        "the restore wrote to the other name"
    );
}

/// Of what an app may have made, a restore makes the same again, and nothing of it acts meanwhile.
#[tokio::test]
async fn every_kind_of_file_comes_back() {
    let host = Host::new();
    let data = host.volume.join("data");
    let program = data.join("program");
    std::fs::write(&program, "#!/bin/sh\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o6755);
    std::fs::set_permissions(&program, mode).unwrap();
    // cap_net_raw+ep, as `setcap` writes it.
    let mut net_raw = [0_u8; 20];
    net_raw[..8].copy_from_slice(&[1, 0, 0, 2, 0, 0x20, 0, 0]);
    let name = "security.capability";
    rustix::fs::setxattr(
        data.join("1"),
        name,
        &net_raw,
        rustix::fs::XattrFlags::empty(),
    )
    .unwrap();
    let sparse = std::fs::File::create(data.join("sparse")).unwrap();
    sparse.write_at(b"end", 1 << 26).unwrap();
    let pipe = Mode::from_raw_mode(0o644);
    rustix::fs::mknodat(CWD, data.join("pipe"), FileType::Fifo, pipe, 0).unwrap();
    let null = rustix::fs::makedev(1, 3);
    rustix::fs::mknodat(
        CWD,
        data.join("null"),
        FileType::CharacterDevice,
        pipe,
        null,
    )
    .unwrap();
    std::fs::hard_link(data.join("2"), data.join("hard")).unwrap();
    symlink("/etc/passwd", data.join("link")).unwrap();
    std::os::unix::fs::chown(data.join("3"), Some(70_000), Some(33)).unwrap();
    drop(sparse);
    let before = witness::look(&data, witness::Times::OfContent);
    let snapshot = host.create(&[]).await.unwrap();
    assert!(host.restore(&snapshot, Restore::EmptyFirst).await);
    let after = witness::look(&data, witness::Times::OfContent);
    assert_eq!(before.len(), FILES + 7);
    for (path, fact) in &before {
        assert_eq!(after.get(path), Some(fact), "{}", path.display());
    }
    assert_eq!(after.len(), before.len());
}
