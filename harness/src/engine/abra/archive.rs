//! What a snapshot holds, read from the archive that abra downloads.
//!
//! The archive is what an operator would get back: each volume at Docker's folder of it,
//! `…/volumes/<volume>/_data/…`, in a `.tar.gz`.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path};
use std::time::{Duration, Instant};

use crate::engine::{BackedUpPath, Backup};
use crate::fault::Fault;
use crate::recipe::compose::VolumeBackup;

/// Where Docker keeps a volume's files, below the volume's own folder.
const DATA: &str = "_data";

const WITHIN: Duration = Duration::from_secs(600);

/// Reads the archive for these volumes.
pub fn read(archive: &Path, snapshot: &str, volumes: &[VolumeBackup]) -> Result<Backup, Fault> {
    let file = File::open(archive)
        .map_err(|error| Fault::infra(format!("{}: {error}", archive.display())))?;
    let mut found = Found::of(volumes);
    found
        .look(Timely {
            inner: flate2::read::MultiGzDecoder::new(file),
            until: Instant::now() + WITHIN,
        })
        .map_err(|error| {
            Fault::infra(format!("the archive of the snapshot {snapshot}: {error}"))
        })?;
    Ok(found.backup(snapshot))
}

/// Zeros pack to nothing: a file of holes unpacks to more than there is time for.
struct Timely<R> {
    inner: R,
    until: Instant,
}

impl<R: Read> Read for Timely<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if Instant::now() > self.until {
            let text = format!(
                "it unpacks to more than can be read in {} s",
                WITHIN.as_secs()
            );
            return Err(std::io::Error::other(text));
        }
        self.inner.read(buffer)
    }
}

struct Found {
    files: u64,
    bytes: u64,
    paths: Vec<BackedUpPath>,
}

impl Found {
    fn of(volumes: &[VolumeBackup]) -> Self {
        let paths = volumes.iter().flat_map(|volume| {
            // Without paths it is the whole volume.
            let whole = volume.paths.is_empty().then(String::new);
            let paths = volume.paths.iter().cloned().chain(whole);
            paths.map(|path| BackedUpPath {
                volume: volume.name.clone(),
                key: volume.key.clone(),
                path,
                present: false,
                is_file: false,
                bytes: 0,
            })
        });
        Self {
            files: 0,
            bytes: 0,
            paths: paths.collect(),
        }
    }

    fn look(&mut self, archive: impl Read) -> std::io::Result<()> {
        let mut archive = tar::Archive::new(archive);
        for entry in archive.entries()? {
            let entry = entry?;
            let is_file = entry.header().entry_type().is_file();
            let size = if is_file { entry.size() } else { 0 };
            let path = entry.path()?.into_owned();
            let mut inside = false;
            for wanted in &mut self.paths {
                let Some(below) = below(&path, &wanted.volume) else {
                    continue;
                };
                inside = true;
                if let Ok(rest) = Path::new(&below).strip_prefix(&wanted.path) {
                    wanted.present = true;
                    wanted.is_file |= is_file && rest.as_os_str().is_empty();
                    wanted.bytes += size;
                }
            }
            if inside && is_file {
                self.files += 1;
                self.bytes += size;
            }
        }
        Ok(())
    }

    fn backup(self, snapshot: &str) -> Backup {
        Backup {
            snapshot: snapshot.to_owned(),
            bytes: self.bytes,
            files: self.files,
            paths: self.paths,
        }
    }
}

/// The path of a member below the volume's root; none where it is of no such volume.
fn below(member: &Path, volume: &str) -> Option<String> {
    let mut components = member.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    });
    components.find(|name| name == volume)?;
    let rest: Vec<String> = components.collect();
    let rest = match rest.split_first() {
        Some((data, rest)) if data == DATA => rest,
        _ => &rest[..],
    };
    Some(rest.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    fn archive(members: &[(&str, &str)]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let packed = GzEncoder::new(file.reopen().unwrap(), Compression::fast());
        let mut builder = tar::Builder::new(packed);
        for (path, text) in members {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            if path.ends_with('/') {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_size(0);
            } else {
                header.set_size(text.len() as u64);
            }
            builder
                .append_data(&mut header, path, text.as_bytes())
                .unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap();
        file
    }

    fn volume(key: &str, paths: &[&str]) -> VolumeBackup {
        VolumeBackup {
            key: key.to_owned(),
            name: format!("a_ci_test_{key}"),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        }
    }

    #[test]
    fn each_path_of_a_label_is_looked_for_in_its_own_volume() {
        let file = archive(&[
            ("var/lib/docker/volumes/a_ci_test_data/_data/", ""),
            ("var/lib/docker/volumes/a_ci_test_data/_data/dir/", ""),
            (
                "var/lib/docker/volumes/a_ci_test_data/_data/dir/one",
                "12345",
            ),
            (
                "var/lib/docker/volumes/a_ci_test_db/_data/dump.sql",
                "1234567",
            ),
            ("var/lib/docker/volumes/other_data/_data/dir/one", "no"),
        ]);
        let volumes = [
            volume("data", &[]),
            volume("db", &["dump.sql", "dump"]),
            volume("gone", &[]),
        ];
        let backup = read(file.path(), "1a2b3c4d", &volumes).unwrap();
        assert_eq!((backup.files, backup.bytes), (2, 12));
        let shown: Vec<_> = backup
            .paths
            .iter()
            .map(|path| {
                (
                    path.key.as_str(),
                    path.path.as_str(),
                    path.present,
                    path.is_file,
                    path.bytes,
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("data", "", true, false, 5),
                ("db", "dump.sql", true, true, 7),
                ("db", "dump", false, false, 0),
                ("gone", "", false, false, 0),
            ]
        );
    }

    #[test]
    fn an_archive_that_unpacks_for_ever_is_given_up() {
        let mut endless = Timely {
            inner: std::io::repeat(0),
            until: Instant::now() + Duration::from_millis(50),
        };
        let error = std::io::copy(&mut endless, &mut std::io::sink()).unwrap_err();
        assert!(
            error.to_string().starts_with("it unpacks to more"),
            "{error}"
        );
    }

    #[test]
    fn an_archive_that_is_cut_is_an_error() {
        let file = archive(&[("var/lib/docker/volumes/a_ci_test_data/_data/one", "12345")]);
        let length = file.as_file().metadata().unwrap().len();
        file.as_file().set_len(length / 2).unwrap();
        let fault = read(file.path(), "1a2b3c4d", &[volume("data", &[])]).unwrap_err();
        assert!(matches!(fault, Fault::Infra(_)), "{fault:?}");
    }
}
