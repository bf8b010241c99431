//! A volume's files through a container that mounts it, where the host's file system can't be
//! read: as an ordinary user, or with a volume that is no plain directory of this host.
//!
//! Archives go through the engine's stream, as the container has no folder of the host.

use std::fs::File;
use std::io::Write as _;

use super::archive::{CREATE, EXTRACT};
use super::container::{Container, ExecOutput, VOLUME};
use super::path::InnerPath;
use super::volume::{Kind, escapes, missing, several_names};
use crate::fault::Fault;

/// Exit codes of the scripts below.
const MISSING: i64 = 40;
const OUTSIDE: i64 = 41;
const SEVERAL_NAMES: i64 = 42;

/// Resolves `$1` inside the volume into `$p`. A link that changes afterwards leads at most to a
/// file of the helper's own image, and a pipe that comes to a file's place is opened and not waited
/// for (`nonblock`).
const RESOLVE: &str = r#"
set -u
v=/cc-ci-volume
p=$(readlink -f -- "$v/$1") || exit 40
case "$p/" in "$v"/*) ;; *) exit 41 ;; esac
"#;

impl Container {
    pub(super) async fn pack(
        &self,
        members: &[String],
        mut archive: File,
    ) -> Result<(i64, String), Fault> {
        let mut written = Ok(());
        let command = tar(&["tar"], &CREATE, members);
        let output = self
            .exec(command, None::<&[u8]>, |bytes| {
                if written.is_ok() {
                    written = archive.write_all(bytes);
                }
            })
            .await?;
        written.map_err(|error| Fault::infra(format!("the archive: {error}")))?;
        Ok(output.said())
    }

    pub(super) async fn unpack(&self, archive: File) -> Result<(i64, String), Fault> {
        let bytes = archive.metadata().map(|stat| stat.len());
        let bytes = bytes.map_err(|error| Fault::infra(format!("the archive: {error}")))?;
        // The engine does not always say where a stream ends.
        let script = r#"n=$1; shift; head -c "$n" | tar "$@""#;
        let length = bytes.to_string();
        let command = tar(&["sh", "-c", script, "sh", &length], &EXTRACT, &[]);
        let archive = tokio::fs::File::from_std(archive);
        let output = self.exec(command, Some(archive), |_| {}).await?;
        Ok(output.said())
    }

    pub(super) async fn kind(&self, path: &InnerPath) -> Result<Kind, Fault> {
        let script = r#"
if [ -d "$p" ]; then echo directory; elif [ -f "$p" ]; then echo file
elif [ -e "$p" ]; then echo other; else exit 40; fi"#;
        match self.script(script, path, &[], None).await? {
            None => Ok(Kind::Missing),
            Some(word) => Ok(match word.trim_ascii() {
                b"directory" => Kind::Directory,
                b"file" => Kind::File,
                _ => Kind::Other,
            }),
        }
    }

    pub(super) async fn is_reached_by_links(&self, path: &InnerPath) -> Result<bool, Fault> {
        // Resolves nothing: a link to a place that only the host has leads nowhere here.
        let script = r#"
set -fu
p=/cc-ci-volume
IFS=/
for part in $1; do
  p="$p/$part"
  if [ -L "$p" ]; then echo link; exit; fi
done"#;
        let command = ["sh", "-c", script, "sh", path.as_str()].map(str::to_owned);
        let output = self.run(command.to_vec(), None).await?;
        Ok(checked(output, path)?.is_some_and(|said| !said.is_empty()))
    }

    pub(super) async fn read(&self, path: &InnerPath, limit: u64) -> Result<Vec<u8>, Fault> {
        let script = r#"
[ -f "$p" ] || exit 40
dd if="$p" bs=64k iflag=nonblock status=none | head -c "$2""#;
        self.script(script, path, &[&limit.to_string()], None)
            .await?
            .ok_or_else(|| missing(path))
    }

    pub(super) async fn checksum(&self, path: &InnerPath) -> Result<String, Fault> {
        let mut hasher = blake3::Hasher::new();
        let script = r#"
[ -f "$p" ] || exit 40
dd if="$p" bs=64k iflag=nonblock status=none"#;
        let command = shell(script, path, &[]);
        let output = self
            .exec(command, None::<&[u8]>, |bytes| {
                hasher.update(bytes);
            })
            .await?;
        checked(output, path)?.ok_or_else(|| missing(path))?;
        Ok(hasher.finalize().to_string())
    }

    pub(super) async fn write(&self, path: &InnerPath, content: &[u8]) -> Result<(), Fault> {
        let (parent, name) = path
            .split()
            .ok_or_else(|| Fault::infra("the root of a volume is no file"))?;
        let script = r#"
[ -d "$p" ] || exit 40
if [ -d "$p/$2" ]; then echo "$2 is a directory" >&2; exit 1; fi
t="$p/$4"
head -c "$3" > "$t" && chmod 0644 "$t" && chown "$(stat -c %u:%g -- "$p")" "$t" &&
  mv -f -- "$t" "$p/$2" || { rm -f -- "$t"; exit 1; }"#;
        let length = content.len().to_string();
        let temporary = format!("{}tmp-{:016x}", super::MARKER_PREFIX, rand::random::<u64>());
        self.script(script, &parent, &[name, &length, &temporary], Some(content))
            .await?
            .map(drop)
            .ok_or_else(|| missing(&parent))
    }

    pub(super) async fn append(&self, path: &InnerPath, content: &[u8]) -> Result<(), Fault> {
        let script = r#"
[ -f "$p" ] || exit 40
[ "$(stat -c %h -- "$p")" = 1 ] || exit 42
head -c "$2" | dd of="$p" oflag=append,nonblock conv=notrunc status=none"#;
        self.script(script, path, &[&content.len().to_string()], Some(content))
            .await?
            .map(drop)
            .ok_or_else(|| missing(path))
    }

    pub(super) async fn remove(&self, path: &InnerPath) -> Result<bool, Fault> {
        if self.kind(path).await? == Kind::Missing {
            return Ok(false);
        }
        let (parent, name) = path
            .split()
            .ok_or_else(|| Fault::infra("the root of a volume is no file"))?;
        let gone = self
            .script(r#"rm -- "$p/$2""#, &parent, &[name], None)
            .await?;
        Ok(gone.is_some())
    }

    /// Whether anything is there, a link that leads nowhere included.
    pub(super) async fn is_there(&self, path: &InnerPath) -> Result<bool, Fault> {
        let Some((parent, name)) = path.split() else {
            return Ok(true);
        };
        let script = r#"[ -e "$p/$2" ] || [ -L "$p/$2" ] || exit 40"#;
        let there = self.script(script, &parent, &[name], None).await?;
        Ok(there.is_some())
    }

    /// The first `limit` names by their order, however many there are.
    pub(super) async fn list(&self, path: &InnerPath, limit: usize) -> Result<Vec<String>, Fault> {
        let script = r#"[ -d "$p" ] || exit 40; ls -A -- "$p" | head -n "$2""#;
        let names = self
            .script(script, path, &[&limit.to_string()], None)
            .await?
            .ok_or_else(|| missing(path))?;
        let names = String::from_utf8_lossy(&names);
        Ok(names.lines().map(str::to_owned).collect())
    }

    pub(super) async fn taken(&self) -> Result<u64, Fault> {
        let command = ["du", "--summarize", "--block-size=1", "--", VOLUME];
        let output = self.run(command.map(str::to_owned).to_vec(), None).await?;
        // A file that vanished meanwhile makes it end with 1, and the sum is there all the same.
        let sum = String::from_utf8_lossy(&output.stdout);
        let sum = sum.split('\t').next().unwrap_or_default().parse();
        sum.map_err(|_| Fault::infra(format!("`du` said: {}", output.said().1.trim())))
    }

    pub(super) async fn empty(&self) -> Result<(), Fault> {
        let script = r#"rm -rf -- "$v"/..?* "$v"/.[!.]* "$v"/*"#;
        self.script(script, &InnerPath::root(), &[], None)
            .await
            .map(drop)
    }

    /// Runs a command in the container; its standard output is collected.
    async fn script(
        &self,
        script: &str,
        path: &InnerPath,
        arguments: &[&str],
        input: Option<&[u8]>,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let output = self.run(shell(script, path, arguments), input).await?;
        checked(output, path)
    }
}

/// A command that ends in `tar`'s words, or in what hands them to it.
fn tar(before: &[&str], options: &[&str], members: &[String]) -> Vec<String> {
    // First, for it counts for what follows.
    let directory = format!("--directory={VOLUME}");
    let before = before.iter().copied().chain([directory.as_str()]);
    let words = before.chain(options.iter().copied()).chain(["--"]);
    let words = words.map(str::to_owned);
    words.chain(members.iter().cloned()).collect()
}

fn shell(script: &str, path: &InnerPath, arguments: &[&str]) -> Vec<String> {
    let script = format!("{RESOLVE}{script}");
    ["sh", "-c", &script, "sh", path.as_str()]
        .iter()
        .chain(arguments)
        .map(|&part| part.to_owned())
        .collect()
}

fn checked(output: ExecOutput, path: &InnerPath) -> Result<Option<Vec<u8>>, Fault> {
    match output.code {
        0 => Ok(Some(output.stdout)),
        MISSING => Ok(None),
        OUTSIDE => Err(escapes(path)),
        SEVERAL_NAMES => Err(several_names(path)),
        code => Err(Fault::infra(format!(
            "`{path}` in a helper container: exit {code}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
    }
}
