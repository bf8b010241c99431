//! Every input that fuzzing found worth keeping, once more.

use std::fs;
use std::path::{Path, PathBuf};

use properties::{ALL, check};

fn corpus(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(name);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder can be read").path())
        .collect();
    files.sort();
    files
}

#[test]
fn each_property_holds_for_its_corpus() {
    for (name, _) in ALL {
        let files = corpus(name);
        assert!(!files.is_empty(), "the corpus of {name} is empty");
        for file in files {
            let bytes = fs::read(&file).unwrap();
            let held = std::panic::catch_unwind(|| check(name, &bytes));
            assert!(held.is_ok(), "{name} does not hold for {}", file.display());
        }
    }
}

#[test]
fn each_target_of_the_fuzzer_is_a_property() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    let mut targets: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".rs").map(str::to_owned)
        })
        .collect();
    targets.sort();
    assert_eq!(targets, ALL.map(|(name, _)| name));
}

#[test]
fn the_corpus_is_small() {
    let files: Vec<_> = ALL.into_iter().flat_map(|(name, _)| corpus(name)).collect();
    let size: u64 = files
        .iter()
        .map(|file| fs::metadata(file).unwrap().len())
        .sum();
    assert!(files.len() < 300, "{} files", files.len());
    assert!(size < 1024 * 1024, "{size} bytes");
}
