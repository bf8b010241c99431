//! Whether what was proven was proven of head: nothing that another commit did counts.

use crate::event::Resolved;
use crate::outcome::{Outcome, Tier};
use crate::record::{OperationRecord, Record};
use crate::text::short;

/// The fact of an operation that names the commit that was live when it ended.
pub const COMMIT: &str = "commit";

/// Why an operation that passed says nothing of head, if that is so. Install may be the base's.
pub fn not_of_head(
    tier: Tier,
    operation: &OperationRecord,
    resolved: Option<&Resolved>,
) -> Option<String> {
    let resolved = resolved?;
    let head = &resolved.head;
    if tier == Tier::Upgrade {
        match &resolved.base {
            None => return Some("there was no base to upgrade from".to_owned()),
            Some(base) if base.commit == *head => {
                let version = &base.version;
                return Some(format!(
                    "the base {version} is head itself: an upgrade from a version to itself proves nothing"
                ));
            }
            Some(_) => {}
        }
    }
    let live = commit(operation)?;
    (tier != Tier::Install && live != head).then(|| {
        let (live, head) = (short(live), short(head));
        format!("{live} was what was live, and not head ({head})")
    })
}

/// Why nothing in the record is of head, if that is so: it was never live, or is not known.
pub(super) fn never_live(record: &Record) -> Option<String> {
    let Some(head) = &record.head else {
        return Some("the commit under test is not known, so nothing is proven of it".to_owned());
    };
    let operations = record
        .tiers
        .iter()
        .filter_map(|tier| tier.operation.as_ref());
    let mut passed = operations.filter(|operation| operation.outcome == Outcome::Pass);
    if passed.any(|operation| commit(operation) == Some(head)) {
        return None;
    }
    Some(format!(
        "head ({}) was never live, so nothing is proven of it; a run of fewer tiers names them (`--tiers`, `CCCI_TIERS`)",
        short(head)
    ))
}

fn commit(operation: &OperationRecord) -> Option<&str> {
    operation.facts.get(COMMIT)?.as_str()
}
