//! Reading what containers wrote: redacted as it comes, bounded, as text.
//!
//! Docker hands a line of more than 16 KiB out in pieces, each with a time stamp in front: a secret
//! that lies across two of them is whole only once they are joined.
//!
//! Invariant: whatever a container writes, no more than [`LARGEST_READ`] bytes of it are kept, and
//! what is kept was redacted before anything was cut off.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use futures_util::{Stream, StreamExt};

use super::because;
use crate::redact::{RedactedStream, Redactor};

/// The end of a log that is kept.
const LARGEST_READ: usize = 512 * 1024;
/// What is kept of one line, in bytes.
const LONGEST_LINE: usize = 16 * 1024;

/// Whether the engine was asked for time stamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamps {
    Yes,
    No,
}

/// The end of a log as lines, and what went wrong while it was read.
pub async fn read(
    stream: impl Stream<Item = Result<LogOutput, Error>>,
    stamps: Stamps,
    redactor: &Redactor,
    within: Duration,
) -> (String, Option<String>) {
    let mut log = Log::default();
    let mut out = Lines::new(redactor, stamps);
    let mut err = Lines::new(redactor, stamps);
    let mut trouble = None;
    let reading = async {
        let mut stream = std::pin::pin!(stream);
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(LogOutput::StdErr { message }) => err.take(&message, &mut log),
                Ok(chunk) => out.take(&chunk.into_bytes(), &mut log),
                Err(error) => {
                    trouble = Some(format!("reading the log: {}", because(&error)));
                    break;
                }
            }
        }
    };
    if tokio::time::timeout(within, reading).await.is_err() {
        trouble = Some(format!("the log did not end within {within:?}"));
    }
    out.finish(&mut log);
    err.finish(&mut log);
    (log.text, trouble)
}

/// The last lines.
#[derive(Default)]
struct Log {
    text: String,
}

impl Log {
    fn push(&mut self, line: &Line) {
        self.text.push_str(&line.stamp);
        self.text.push_str(&String::from_utf8_lossy(&line.text));
        if line.cut > 0 {
            self.text.push_str(&format!("… ({} more bytes)", line.cut));
        }
        self.text.push('\n');
        if self.text.len() > 2 * LARGEST_READ {
            self.shorten();
        }
    }

    /// Whole lines go from the beginning: the end says more.
    fn shorten(&mut self) {
        let from = self.text.len().saturating_sub(LARGEST_READ);
        let next = self.text.as_bytes()[from..]
            .iter()
            .position(|byte| *byte == b'\n');
        self.text
            .drain(..next.map_or(self.text.len(), |at| from + at + 1));
    }
}

#[derive(Default)]
struct Line {
    stamp: String,
    text: Vec<u8>,
    cut: usize,
}

/// One of a container's two streams, put together to lines.
struct Lines {
    redactor: Redactor,
    stamps: Stamps,
    redacted: RedactedStream,
    /// Whether the next piece goes on with a line.
    midst: bool,
    line: Line,
}

impl Lines {
    fn new(redactor: &Redactor, stamps: Stamps) -> Self {
        Self {
            redactor: redactor.clone(),
            stamps,
            redacted: redactor.stream(),
            midst: false,
            line: Line::default(),
        }
    }

    fn take(&mut self, piece: &[u8], log: &mut Log) {
        let (stamp, text) = match piece.iter().position(|byte| *byte == b' ') {
            Some(at) if self.stamps == Stamps::Yes => piece.split_at(at + 1),
            _ => (&[][..], piece),
        };
        if !self.midst {
            self.line.stamp = String::from_utf8_lossy(stamp).into_owned();
        }
        self.midst = text.last() != Some(&b'\n');
        let shown = self.redacted.push(text);
        self.append(&shown, log);
        if !self.midst && self.stamps == Stamps::Yes {
            // The next line has its own stamp: what is held back of this one belongs before it.
            // A value of several lines is found line by line.
            self.flush(log);
        }
    }

    fn flush(&mut self, log: &mut Log) {
        let held = std::mem::replace(&mut self.redacted, self.redactor.stream()).finish();
        self.append(&held, log);
    }

    fn append(&mut self, text: &[u8], log: &mut Log) {
        for part in text.split_inclusive(|byte| *byte == b'\n') {
            let ends = part.last() == Some(&b'\n');
            let part = part.strip_suffix(b"\n").unwrap_or(part);
            let room = LONGEST_LINE.saturating_sub(self.line.text.len());
            self.line.text.extend(part.iter().take(room));
            self.line.cut += part.len().saturating_sub(room);
            if ends {
                log.push(&std::mem::take(&mut self.line));
            }
        }
    }

    fn finish(&mut self, log: &mut Log) {
        self.flush(log);
        if !self.line.text.is_empty() {
            log.push(&std::mem::take(&mut self.line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "quite-a-secret-value";

    async fn text(pieces: &[&[u8]], stamps: Stamps) -> String {
        let pieces = pieces.iter().map(|piece| {
            Ok(LogOutput::StdOut {
                message: piece.to_vec().into(),
            })
        });
        let pieces = pieces.collect::<Vec<Result<_, Error>>>();
        let redactor = Redactor::new([("pw", SECRET)]);
        let stream = futures_util::stream::iter(pieces);
        read(stream, stamps, &redactor, Duration::from_secs(5))
            .await
            .0
    }

    #[tokio::test]
    async fn a_secret_across_the_pieces_of_a_long_line_is_found() {
        let pieces: [&[u8]; 3] = [
            b"2026-11-25T02:55:48Z so it is quite-a-sec",
            b"2026-11-25T02:55:48Z ret-value, and\n",
            b"2026-11-25T02:55:49Z next\n",
        ];
        assert_eq!(
            text(&pieces, Stamps::Yes).await,
            "2026-11-25T02:55:48Z so it is [redacted:pw], and\n2026-11-25T02:55:49Z next\n"
        );
    }

    #[tokio::test]
    async fn a_line_of_ten_megabytes_is_cut_and_the_one_after_it_is_there() {
        let piece = vec![b'x'; 16 * 1024];
        let mut pieces = vec![piece.as_slice(); 640];
        pieces.push(SECRET.as_bytes());
        pieces.push(b"\nthe end\n");
        let text = text(&pieces, Stamps::No).await;
        assert!(text.len() < 20_000, "{}", text.len());
        assert!(text.ends_with("more bytes)\nthe end\n"));
    }

    #[tokio::test]
    async fn the_end_of_a_flood_is_kept() {
        let mut pieces = vec![&b"one line of many\n"[..]; 100_000];
        pieces.push(b"the last\n");
        let text = text(&pieces, Stamps::No).await;
        assert!(text.len() <= 2 * LARGEST_READ + 100, "{}", text.len());
        assert!(text.starts_with("one line") && text.ends_with("the last\n"));
    }

    #[tokio::test]
    async fn bytes_that_are_no_text_are_shown_as_such() {
        assert_eq!(
            text(&[b"a\xff\xfeb\n"], Stamps::No).await,
            "a\u{fffd}\u{fffd}b\n"
        );
    }
}
