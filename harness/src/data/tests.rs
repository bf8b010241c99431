use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::*;

struct Setup {
    folder: tempfile::TempDir,
    volumes: Volumes,
}

fn setup() -> Setup {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("x_content")).unwrap();
    std::fs::create_dir(folder.path().join("x_db")).unwrap();
    Setup {
        volumes: Volumes::Folder(folder.path().to_owned()),
        folder,
    }
}

fn mount(volume: &str, target: &str) -> MountedVolume {
    MountedVolume {
        anonymous: false,
        volume: volume.to_owned(),
        key: Some(volume.trim_start_matches("x_").to_owned()),
        service: "app".to_owned(),
        target: target.to_owned(),
        read_only: false,
        driver: "local".to_owned(),
    }
}

fn cover(volume: &str, paths: &[&str]) -> Selection {
    Selection {
        volume: volume.to_owned(),
        key: String::new(),
        paths: paths.iter().map(|&path| path.to_owned()).collect(),
    }
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn texts(findings: &[Finding]) -> String {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[tokio::test]
async fn only_local_writable_volumes_are_seeded_once_and_others_are_noted() {
    let setup = setup();
    std::fs::create_dir(setup.folder.path().join("x_far")).unwrap();
    let read_only = |mount| MountedVolume {
        read_only: true,
        ..mount
    };
    let mounts = [
        read_only(mount("x_content", "/0")),
        mount("x_content", "/a"),
        mount("x_content", "/again"),
        read_only(mount("x_db", "/b")),
        MountedVolume {
            driver: "nfs".to_owned(),
            ..mount("x_far", "/c")
        },
    ];
    let seeded = seed(&setup.volumes, &mounts, &[]).await.unwrap();
    assert_eq!(names(&setup.folder.path().join("x_content")).len(), 2);
    assert!(names(&setup.folder.path().join("x_db")).is_empty());
    assert!(names(&setup.folder.path().join("x_far")).is_empty());
    insta::assert_snapshot!(seeded.notes.join("\n"), @r"
    volume `db` at /b (service app): it is mounted read-only, so cc-ci writes nothing there, and nothing proves that it keeps its content
    volume `far` at /c (service app): its driver is `nfs`, so cc-ci writes nothing there, and nothing proves that it keeps its content
    ");
    clean(&setup.volumes, &seeded).await.unwrap();
    assert!(names(&setup.folder.path().join("x_content")).is_empty());
}

#[tokio::test]
async fn a_marker_has_the_owner_of_its_directory() {
    let setup = setup();
    let volume = setup.folder.path().join("x_content");
    let chowned = std::os::unix::fs::chown(&volume, Some(4321), Some(1234));
    chowned.expect("the tests of snapshots run as root");
    seed(&setup.volumes, &[mount("x_content", "/a")], &[])
        .await
        .unwrap();
    let marker = std::fs::metadata(volume.join(&names(&volume)[0])).unwrap();
    assert_eq!(
        (marker.uid(), marker.gid(), marker.mode() & 0o7777),
        (4321, 1234, 0o644)
    );
}

#[tokio::test]
async fn lost_data_are_found_by_name() {
    let setup = setup();
    let mounts = [
        mount("x_content", "/usr/share/nginx/html"),
        mount("x_db", "/data"),
    ];
    let seeded = seed(&setup.volumes, &mounts, &[]).await.unwrap();
    let none = BTreeMap::new();
    let present = prove_present(&setup.volumes, &seeded, "before the upgrade", &none);
    assert_eq!(present.await.unwrap(), []);

    let content = setup.folder.path().join("x_content");
    let files = names(&content);
    std::fs::remove_file(content.join(&files[0])).unwrap();
    std::fs::write(content.join(&files[1]), "other").unwrap();
    std::fs::remove_dir_all(setup.folder.path().join("x_db")).unwrap();
    let found = prove_present(&setup.volumes, &seeded, "before the upgrade", &none)
        .await
        .unwrap();
    insta::assert_snapshot!(texts(&found), @r"
    volume `content` at /usr/share/nginx/html (service app): the file that cc-ci wrote before the upgrade is gone (nothing is there)
    volume `content` at /usr/share/nginx/html (service app): the file that cc-ci wrote before the upgrade has other content now
    volume `db` at /data (service app): the volume x_db is gone, and its data with it
    ");
}

#[tokio::test]
async fn a_renamed_volume_is_looked_at_under_its_new_name() {
    let setup = setup();
    let seeded = seed(&setup.volumes, &[mount("x_content", "/a")], &[])
        .await
        .unwrap();
    let (old, new) = ("x_content".to_owned(), "y_content".to_owned());
    std::fs::rename(
        setup.folder.path().join(&old),
        setup.folder.path().join(&new),
    )
    .unwrap();
    let renamed = BTreeMap::from([(old, new)]);
    let found = prove_present(&setup.volumes, &seeded, "before the upgrade", &renamed);
    assert_eq!(found.await.unwrap(), []);

    let new = setup.folder.path().join("y_content");
    std::fs::remove_file(new.join(&names(&new)[0])).unwrap();
    for name in ["f", "e", "d", "c", "b", "a"] {
        std::fs::write(new.join(name), "").unwrap();
    }
    let found = prove_present(&setup.volumes, &seeded, "before the upgrade", &renamed)
        .await
        .unwrap();
    insta::assert_snapshot!(texts(&found), @"volume `content` at /a (service app): volume y_content is there now, and the file that cc-ci wrote before the upgrade is not in it (there is: a, b, c, d, e, …)");
}

/// A volume with a labelled directory and a labelled file, another that no backup covers.
async fn mutated(setup: &Setup) -> Seeded {
    let content = setup.folder.path().join("x_content");
    std::fs::create_dir(content.join("dump")).unwrap();
    let mounts = [mount("x_content", "/a"), mount("x_db", "/b")];
    let covered = [cover("x_content", &["dump/", "late.sql"])];
    let mut seeded = seed(&setup.volumes, &mounts, &covered).await.unwrap();
    assert_eq!(names(&content), ["dump"]);
    // Made by a hook before the backup.
    std::fs::write(content.join("late.sql"), "create table").unwrap();
    copy(&content, &setup.folder.path().join("backup"));
    assert!(!seeded.proves_restore());
    mutate(&setup.volumes, &mut seeded).await.unwrap();
    assert!(seeded.proves_restore());
    seeded
}

fn copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp")
        .arg("-aT")
        .args([from, to])
        .status();
    assert!(copied.unwrap().success());
}

#[tokio::test]
async fn restore_that_does_nothing_is_red() {
    let setup = setup();
    let seeded = mutated(&setup).await;
    assert_eq!(prove_mutated(&setup.volumes, &seeded).await.unwrap(), []);
    let found = prove_undone(&setup.volumes, &seeded).await.unwrap();
    insta::assert_snapshot!(texts(&found), @r"
    volume `content` at /a (service app), in `dump`: the restore did not undo the change that cc-ci made to a file after the backup
    volume `content` at /a (service app), in `dump`: the restore did not bring back the file that cc-ci deleted after the backup
    volume `content` at /a (service app): the restore did not undo the change that cc-ci made to `late.sql` after the backup
    ");
}

#[tokio::test]
async fn restore_that_overwrites_is_green_and_added_files_may_stay() {
    let setup = setup();
    let mut seeded = mutated(&setup).await;
    copy(
        &setup.folder.path().join("backup"),
        &setup.folder.path().join("x_content"),
    );
    assert_eq!(prove_undone(&setup.volumes, &seeded).await.unwrap(), []);
    assert_eq!(
        prove_mutated(&setup.volumes, &seeded).await.unwrap().len(),
        3
    );
    let notes = after_restore(&setup.volumes, &mut seeded).await.unwrap();
    insta::assert_snapshot!(notes.join("\n"), @"a file that was added after the backup is still there after the restore, which overwrites and never wipes: volume `content`");
    clean(&setup.volumes, &seeded).await.unwrap();
    let notes = after_restore(&setup.volumes, &mut seeded).await.unwrap();
    assert_eq!(notes.len(), 0, "{notes:?}");
    assert!(names(&setup.folder.path().join("x_content/dump")).is_empty());
    assert!(names(&setup.folder.path().join("x_db")).is_empty());
}

#[tokio::test]
async fn a_dump_that_hooks_take_away_proves_by_its_return() {
    let setup = setup();
    let mounts = [mount("x_content", "/a")];
    let covered = [cover("x_content", &["dump.sql"])];
    let mut seeded = seed(&setup.volumes, &mounts, &covered).await.unwrap();
    mutate(&setup.volumes, &mut seeded).await.unwrap();
    let notes = after_restore(&setup.volumes, &mut seeded).await.unwrap();
    insta::assert_snapshot!(notes.join("\n"), @"volume `content` at /a (service app): `dump.sql` is there neither after the backup nor after the restore, so that no file proves it; hooks may take it away each time, and then the recipe's own tests can prove it");
    assert!(!seeded.proves_restore());

    std::fs::write(
        setup.folder.path().join("x_content/dump.sql"),
        "create table",
    )
    .unwrap();
    let notes = after_restore(&setup.volumes, &mut seeded).await.unwrap();
    assert_eq!(notes.len(), 0, "{notes:?}");
    assert!(seeded.proves_restore());
    assert_eq!(prove_undone(&setup.volumes, &seeded).await.unwrap(), []);
}

#[tokio::test]
async fn restore_of_another_snapshot_is_red() {
    let setup = setup();
    let seeded = mutated(&setup).await;
    let content = setup.folder.path().join("x_content");
    for marker in seeded.markers.iter().filter(|marker| marker.covered) {
        std::fs::write(content.join(&marker.path), "of another run").unwrap();
    }
    assert_eq!(
        prove_undone(&setup.volumes, &seeded).await.unwrap().len(),
        3
    );
}

#[tokio::test]
async fn a_volume_outside_the_backup_is_not_mutated() {
    let setup = setup();
    let seeded = mutated(&setup).await;
    let database = Seeded {
        markers: seeded
            .markers
            .iter()
            .filter(|m| m.volume == "x_db")
            .cloned()
            .collect(),
        notes: Vec::new(),
    };
    let contents = database.markers.iter().filter_map(Marker::content);
    assert_eq!(contents.count(), 2);
    let none = BTreeMap::new();
    let found = prove_present(&setup.volumes, &database, "before", &none);
    assert_eq!(found.await.unwrap(), []);
}

#[tokio::test]
async fn a_label_that_leaves_the_volume_is_the_recipes_fault() {
    let setup = setup();
    let covered = [cover("x_content", &["../../etc"])];
    let refused = seed(&setup.volumes, &[mount("x_content", "/a")], &covered).await;
    assert!(matches!(refused, Err(Fault::Recipe(_))), "{refused:?}");
}
