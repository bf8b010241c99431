//! A snapshot of 1 GiB beside `tar` on the same files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use harness::snapshot::{Selection, Store, Volumes};
use rand::{Rng as _, SeedableRng as _};

use super::figure::{Aim, Figure};
use super::{Scratch, say};

const ROUNDS: usize = 7;
const MIB: usize = 1 << 20;
/// Files and the size of each in MiB: 1 GiB in all.
const FILES: [(usize, usize); 3] = [(2, 256), (8, 32), (256, 1)];

pub fn measure(scratch: &Scratch) -> Result<Vec<Figure>> {
    say("a snapshot of 1 GiB, beside tar");
    let folder = scratch.folder("snapshot")?;
    let source = scratch.folder("snapshot/volumes/v")?;
    fill(&source)?;
    let store = Store::open(&folder.join("store"))?;
    let volumes = Volumes::Folder(folder.join("volumes"));
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    // The first round warms the page cache.
    for round in 0..=ROUNDS {
        let tar = tar_of(&source, &folder.join("plain.tar"))?;
        let snapshot = snapshot_of(&store, &volumes)?;
        if round > 0 {
            say(&format!(
                "  {round} of {ROUNDS}: ours {snapshot:.2} s, tar {tar:.2} s"
            ));
            ours.push(snapshot);
            plain.push(tar);
        }
    }
    std::fs::remove_dir_all(&folder).context("removing the files")?;
    let rates: Vec<f64> = ours
        .iter()
        .zip(&plain)
        .map(|(ours, tar)| tar / ours)
        .collect();
    Ok(vec![
        Figure::median(
            "snapshot of 1 GiB",
            "s",
            ours,
            "checked archive, and what it holds",
        ),
        Figure::median("tar of the same", "s", plain, "`tar --create` into a file"),
        Figure::median(
            "snapshot, rate",
            "x",
            rates,
            "tar's rate is 1; median of alternating pairs",
        )
        .aim(Aim::AtLeast(0.9)),
    ])
}

/// Content that can't be packed and has no holes.
fn fill(source: &Path) -> Result<()> {
    let mut random = rand::rngs::StdRng::seed_from_u64(1);
    let mut chunk = vec![0; MIB];
    for (count, mebibytes) in FILES {
        for number in 0..count {
            let path = source.join(format!("{mebibytes}-{number}"));
            let mut file = File::create(&path).with_context(|| path.display().to_string())?;
            for _ in 0..mebibytes {
                random.fill_bytes(&mut chunk);
                file.write_all(&chunk)?;
            }
        }
    }
    // Else the first rounds are measured while the disk is still busy with this.
    rustix::fs::sync();
    Ok(())
}

fn tar_of(source: &Path, archive: &Path) -> Result<f64> {
    let started = Instant::now();
    let status = Command::new("tar")
        .arg("--create")
        .arg("--file")
        .arg(archive)
        .arg("--directory")
        .arg(source)
        .arg(".")
        .status()
        .context("starting tar")?;
    let took = started.elapsed().as_secs_f64();
    ensure!(status.success(), "tar: {status}");
    std::fs::remove_file(archive)?;
    rustix::fs::sync();
    Ok(took)
}

fn snapshot_of(store: &Store, volumes: &Volumes) -> Result<f64> {
    let selection = [Selection {
        volume: "v".to_owned(),
        key: "v".to_owned(),
        paths: Vec::new(),
    }];
    let started = Instant::now();
    let made = crate::block_on(store.create(volumes, "bench", &selection, BTreeMap::new()))?;
    let took = started.elapsed().as_secs_f64();
    ensure!(
        made.bytes() == 1 << 30,
        "the snapshot holds {} bytes",
        made.bytes()
    );
    store.remove(&made.id)?;
    rustix::fs::sync();
    Ok(took)
}
