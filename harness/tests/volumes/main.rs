//! A hostile app at work in its volume while cc-ci reads and writes there: nothing outside changes.
//!
//! Needs root. Tests named `docker_` need Docker, and an image with `sh` and GNU `tar`.

#![expect(
    clippy::unwrap_used,
    reason = "the set-up of tests, which clippy does not know as tests"
)]

mod app;
mod witness;

use std::collections::BTreeMap;
use std::path::PathBuf;

use app::Racer;
use harness::fault::Fault;
use harness::snapshot::{Restore, Selection, Snapshot, Store, Volumes};
use witness::Witness;

const FILES: usize = 500;
const SWAPS: usize = 3000;

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

    /// Where the app's links lead: out, out by way of a process's root, and to the archives.
    fn targets(&self) -> Vec<PathBuf> {
        let outside = &self.outside.folder;
        let by_root = format!("/proc/self/root{}", outside.display()).into();
        vec![outside.clone(), "../../outside".into(), by_root]
    }

    async fn create(&self, paths: &[&str]) -> Result<Snapshot, Fault> {
        let selection = [Selection {
            volume: "v".to_owned(),
            key: "v".to_owned(),
            paths: paths.iter().map(|&path| path.to_owned()).collect(),
        }];
        let facts = BTreeMap::new();
        self.store
            .create(&self.volumes, "stack", &selection, facts)
            .await
    }

    /// Repeats what is tried until the app has swapped often enough: how often it was done.
    async fn while_swapping(&self, mut tried: impl AsyncFnMut() -> bool) -> usize {
        let racer = Racer::start(&self.volume.join("data"), &self.targets());
        let (mut tries, mut done) = (0, 0);
        while racer.swaps() < SWAPS || tries < 12 {
            tries += 1;
            done += usize::from(tried().await);
        }
        racer.end();
        done
    }
}

#[tokio::test]
async fn a_restore_into_a_volume_that_changes_writes_nothing_outside() {
    let host = Host::new();
    let snapshot = host.create(&[]).await.unwrap();
    let done = host
        .while_swapping(async || {
            let restored = host
                .store
                .restore(&host.volumes, &snapshot.id, Restore::Overwrite);
            restored.await.is_ok()
        })
        .await;
    assert_eq!(
        host.outside.harm(),
        0,
        "files outside were changed; {done} restores were whole"
    );
    host.root.close().unwrap();
}
