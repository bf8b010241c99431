//! When each phase, operation and test began, and how long it took.

use jiff::Timestamp;

use super::Fold;
use crate::outcome::Tier;
use crate::record::Span;

impl Fold {
    pub(super) fn begin(
        &mut self,
        kind: &'static str,
        name: String,
        tier: Option<Tier>,
        at: Timestamp,
    ) {
        self.open.push((kind, name, tier, at));
    }

    pub(super) fn end(
        &mut self,
        kind: &str,
        name: String,
        tier: Option<Tier>,
        at: Timestamp,
        ms: u64,
    ) {
        let begun = self
            .open
            .iter()
            .rposition(|open| open.0 == kind && open.1 == name && open.2 == tier)
            .map(|index| self.open.remove(index).3);
        let start_ms = match begun {
            Some(begun) => self.since_start(begun),
            None => self.since_start(at).saturating_sub(ms),
        };
        self.timeline.push(Span {
            kind: kind.to_owned(),
            name,
            tier,
            start_ms,
            duration_ms: ms,
        });
    }

    fn since_start(&self, at: Timestamp) -> u64 {
        let first = self.first.unwrap_or(at);
        u64::try_from(at.duration_since(first).as_millis()).unwrap_or(0)
    }

    /// What began and never ended reaches to the last event.
    pub(super) fn close_timeline(&mut self) {
        for (kind, name, tier, at) in std::mem::take(&mut self.open) {
            let start_ms = self.since_start(at);
            let end_ms = self.last.map_or(start_ms, |last| self.since_start(last));
            self.timeline.push(Span {
                kind: kind.to_owned(),
                name,
                tier,
                start_ms,
                duration_ms: end_ms.saturating_sub(start_ms),
            });
        }
        self.timeline.sort_by_key(|span| span.start_ms);
    }
}
