//! A hostile app: swaps a folder for a link, as fast as it can.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use rustix::fs::{CWD, RenameFlags};

pub struct Racer {
    swaps: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Racer {
    /// Swaps `place` with a link to each of the targets in turn.
    pub fn start(place: &Path, targets: &[PathBuf]) -> Self {
        let swaps = Arc::new(AtomicUsize::new(0));
        let over = Arc::new(AtomicBool::new(false));
        let (place, targets) = (place.to_owned(), targets.to_vec());
        let (count, stop) = (Arc::clone(&swaps), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            let other = place.with_extension("swapped");
            for target in targets.iter().cycle() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                // Whatever was made of it meanwhile: a folder at its place, a link beside it.
                let _ = std::fs::create_dir_all(&place);
                let _ = std::fs::remove_file(&other);
                let _ = symlink(target, &other);
                for _ in 0..16 {
                    let swapped =
                        rustix::fs::renameat_with(CWD, &place, CWD, &other, RenameFlags::EXCHANGE);
                    count.fetch_add(usize::from(swapped.is_ok()), Ordering::Relaxed);
                }
            }
        });
        Self {
            swaps,
            over,
            thread: Some(thread),
        }
    }

    pub fn swaps(&self) -> usize {
        self.swaps.load(Ordering::Relaxed)
    }

    /// Ends it, and says how often it swapped.
    pub fn end(mut self) -> usize {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.swaps()
    }
}
