//! The end of what a child prints, whatever its length.
//!
//! Invariant: what is kept has whole lines only. Half of one may be half of a secret, which nobody
//! would know again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::task::JoinHandle;

/// Bytes of each stream.
const KEPT: usize = 64 * 1024;

/// A stream that is read to its end.
pub struct Tail {
    kept: Arc<Mutex<Kept>>,
    reading: JoinHandle<()>,
}

#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    /// Something before was let go.
    cut: bool,
}

impl Tail {
    pub fn of(mut stream: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let into = Arc::clone(&kept);
        let reading = tokio::spawn(async move {
            let mut piece = vec![0; 16 * 1024];
            while let Ok(length @ 1..) = stream.read(&mut piece).await {
                let mut kept = into.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push(&piece[..length]);
            }
        });
        Self { kept, reading }
    }

    /// What is kept once the stream has ended, or after this time: a process that nobody knows of
    /// may hold it open.
    pub async fn end(mut self, within: Duration) -> String {
        let ended = tokio::time::timeout(within, &mut self.reading).await;
        self.reading.abort();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.text(ended.is_ok())
    }
}

impl Kept {
    fn push(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
        if self.bytes.len() > 2 * KEPT {
            self.bytes.drain(..self.bytes.len() - KEPT);
            self.cut = true;
        }
    }

    fn text(&self, ended: bool) -> String {
        let from = self.bytes.len().saturating_sub(KEPT);
        let mut whole = &self.bytes[from..];
        if self.cut || from > 0 {
            let Some(end) = whole.iter().position(|byte| *byte == b'\n') else {
                return "(the end of a line that is too long)\n".to_owned();
            };
            whole = &whole[end + 1..];
        }
        if !ended {
            let end = whole.iter().rposition(|byte| *byte == b'\n');
            whole = &whole[..end.map_or(0, |end| end + 1)];
        }
        String::from_utf8_lossy(whole).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[rstest::rstest]
    #[case::all_of_it("one\ntwo", true, "one\ntwo")]
    #[case::still_open("one\ntw", false, "one\n")]
    #[case::nothing("", true, "")]
    fn whole_lines_are_kept(#[case] printed: &str, #[case] ended: bool, #[case] expected: &str) {
        let mut kept = Kept::default();
        kept.push(printed.as_bytes());
        assert_eq!(kept.text(ended), expected);
    }

    #[rstest::rstest]
    #[case::lines("a line\n", "a line\n")]
    #[case::one_line("no end ", "(the end of a line that is too long)\n")]
    fn what_is_too_long_is_cut_at_a_line(#[case] part: &str, #[case] first: &str) {
        let mut kept = Kept::default();
        for _ in 0..100_000 {
            kept.push(part.as_bytes());
            assert!(kept.bytes.len() <= 2 * KEPT);
        }
        let text = kept.text(true);
        assert!(text.len() <= KEPT, "{}", text.len());
        assert!(text.starts_with(first), "{}", &text[..20]);
    }

    #[tokio::test]
    async fn a_stream_that_stays_open_gives_what_came_until_then() {
        let (mut to, from) = tokio::io::duplex(64);
        let tail = Tail::of(from);
        to.write_all(b"said\nand mo").await.unwrap();
        assert_eq!(tail.end(Duration::from_millis(100)).await, "said\n");
    }
}
