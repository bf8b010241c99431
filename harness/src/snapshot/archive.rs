//! One volume as one tar: written and extracted by GNU `tar`, read here for its checksum and for
//! what it holds.
//!
//! The archive is read while it grows: `tar` writes the file itself, where it can, and the reader
//! comes behind it out of the page cache, on another core.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// Names of files that cc-ci itself puts into volumes start with this: they are not content.
pub const MARKER_PREFIX: &str = ".cc-ci-marker-";

/// Keeps holes, owners, modes, hard links, extended attributes and ACLs.
pub(super) const CREATE: [&str; 10] = [
    "--create",
    "--format=posix",
    "--sparse",
    "--numeric-owner",
    "--xattrs",
    "--xattrs-include=*",
    "--acls",
    "--blocking-factor=512",
    // Of nothing: without a member, `tar` would refuse.
    "--files-from=-",
    "--file=-",
];

/// Replaces what is there, follows no link at a member's place, removes nothing else.
pub(super) const EXTRACT: [&str; 9] = [
    "--extract",
    "--numeric-owner",
    "--same-owner",
    "--preserve-permissions",
    "--xattrs",
    "--xattrs-include=*",
    "--acls",
    "--blocking-factor=512",
    "--file=-",
];

/// How often the reader looks again when it has caught up with `tar`.
const CATCH_UP: Duration = Duration::from_millis(2);
const READ_AT_ONCE: usize = 256 << 10;

/// What came of creating an archive.
pub(super) enum Made {
    /// Sound; the lines are worth a note: a file changed or vanished meanwhile.
    WithWarnings(Vec<String>),
    Failed(String),
}

/// Judges how `tar --create` ended. A volume in use changes while it is read: that is no failure.
pub(super) fn judge(code: i64, stderr: &str) -> Made {
    let lines: Vec<String> = stderr
        .lines()
        .map(|line| line.trim_start_matches("tar: ").to_owned())
        .filter(|line| !line.is_empty() && !line.starts_with("Exiting with failure status"))
        .collect();
    let vanished = |line: &String| {
        line.ends_with(": Cannot stat: No such file or directory")
            || line.ends_with(": File removed before we read it")
            || line.ends_with(": file changed as we read it")
    };
    match code {
        0 | 1 => Made::WithWarnings(lines),
        2 if !lines.is_empty() && lines.iter().all(vanished) => Made::WithWarnings(lines),
        _ => {
            let said = if lines.is_empty() {
                "it said nothing".to_owned()
            } else {
                lines.join("; ")
            };
            Made::Failed(format!("`tar` ended with {code}: {said}"))
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MemberKind {
    File,
    Directory,
    Other,
}

/// A member of an archive.
#[derive(Debug)]
pub(super) struct Member {
    /// Relative to the volume's root.
    pub(super) path: PathBuf,
    pub(super) kind: MemberKind,
    /// Of a file, its holes included.
    pub(super) bytes: u64,
}

/// An archive as a whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) bytes: u64,
    /// BLAKE3, in hexadecimal.
    pub(super) checksum: String,
}

/// Reads an archive to its end. `ended` says that nobody writes it any longer: by a message, or
/// because its other end is gone.
pub(super) fn scan(
    archive: &Path,
    ended: Receiver<()>,
    mut member: impl FnMut(Member),
) -> io::Result<Digest> {
    let mut growing = Growing {
        file: File::open(archive)?,
        ended,
        over: false,
        hasher: blake3::Hasher::new(),
        bytes: 0,
    };
    let mut reader = BufReader::with_capacity(READ_AT_ONCE, &mut growing);
    let mut tar = tar::Archive::new(&mut reader);
    for entry in tar.entries()? {
        member(read_member(entry?)?);
    }
    // What follows the last member: the end mark and padding.
    let mut rest = vec![0; READ_AT_ONCE];
    while reader.read(&mut rest)? > 0 {}
    drop(reader);
    Ok(Digest {
        bytes: growing.bytes,
        checksum: growing.hasher.finalize().to_string(),
    })
}

/// The checksum of a finished archive.
pub(super) fn digest(archive: &Path) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(archive)?)?;
    Ok(Digest {
        bytes: hasher.count(),
        checksum: hasher.finalize().to_string(),
    })
}

fn read_member(mut entry: tar::Entry<'_, impl Read>) -> io::Result<Member> {
    let mut path = entry.path()?.into_owned();
    let mut bytes = entry.size();
    // GNU tar's sparse files in the pax format: the member's own name and size are not the file's.
    if let Some(extensions) = entry.pax_extensions()? {
        for extension in extensions {
            let extension = extension?;
            match extension.key_bytes() {
                b"GNU.sparse.name" => {
                    path = Path::new(std::ffi::OsStr::new(
                        extension.value().map_err(io::Error::other)?,
                    ))
                    .to_owned();
                }
                b"GNU.sparse.realsize" => {
                    bytes = extension
                        .value()
                        .ok()
                        .and_then(|size| size.parse().ok())
                        .unwrap_or(bytes);
                }
                _ => {}
            }
        }
    }
    let kind = entry.header().entry_type();
    let kind = if kind.is_file() || kind.is_gnu_sparse() || kind.is_contiguous() {
        MemberKind::File
    } else if kind.is_dir() {
        MemberKind::Directory
    } else {
        MemberKind::Other
    };
    Ok(Member {
        path: path.strip_prefix(".").map(Path::to_owned).unwrap_or(path),
        kind,
        bytes: if kind == MemberKind::File { bytes } else { 0 },
    })
}

/// A file that another process is writing.
struct Growing {
    file: File,
    ended: Receiver<()>,
    over: bool,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Read for Growing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.file.read(buffer)?;
            if read > 0 {
                self.hasher.update(&buffer[..read]);
                self.bytes += read as u64;
                return Ok(read);
            }
            if self.over {
                return Ok(0);
            }
            // The end is followed by one more look: the last bytes may have come in between.
            self.over = match self.ended.recv_timeout(CATCH_UP) {
                Ok(()) | Err(RecvTimeoutError::Disconnected) => true,
                Err(RecvTimeoutError::Timeout) => false,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "", 0)]
    #[case(1, "tar: ./log: file changed as we read it\n", 1)]
    #[case(1, "tar: ./a: File removed before we read it\n", 1)]
    #[case(
        2,
        "tar: dump.sql: Cannot stat: No such file or directory\ntar: Exiting with failure status due to previous errors\n",
        1
    )]
    fn what_a_volume_in_use_does_is_a_warning(
        #[case] code: i64,
        #[case] stderr: &str,
        #[case] warnings: usize,
    ) {
        match judge(code, stderr) {
            Made::WithWarnings(lines) => assert_eq!(lines.len(), warnings),
            Made::Failed(why) => panic!("{why}"),
        }
    }

    #[rstest]
    #[case(2, "tar: x: Cannot open: Permission denied\n")]
    #[case(
        2,
        "tar: /store/0.tar: Wrote only 4096 of 10240 bytes\ntar: Error is not recoverable: exiting now\n"
    )]
    #[case(2, "")]
    #[case(-1, "")]
    #[case(127, "")]
    fn any_other_end_is_a_failure(#[case] code: i64, #[case] stderr: &str) {
        assert!(matches!(judge(code, stderr), Made::Failed(_)));
    }
}
