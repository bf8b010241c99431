//! Which hosts and names are an app's own.

use super::Terms;
use crate::recipe::AppDomain;

/// What a host is to an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    Own,
    /// The app's, and more than one label below the zone; with the name that a sibling would have.
    Deep(String),
    Foreign,
}

/// Of a host as a rule or an address has it.
pub(super) fn standing(terms: &Terms<'_>, host: &str) -> Standing {
    let host = normal(host);
    let domain = normal(terms.domain.as_str());
    if host.parse::<AppDomain>().is_err() {
        return Standing::Foreign;
    }
    let Some(before) = host.strip_suffix(&domain) else {
        return Standing::Foreign;
    };
    if !(before.is_empty() || before.ends_with(['-', '.'])) {
        return Standing::Foreign;
    }
    let below = host
        .strip_suffix(&normal(terms.zone.as_str()))
        .and_then(|rest| rest.strip_suffix('.'));
    match below {
        Some(label) if label.contains('.') => {
            Standing::Deep(format!("{}.{}", label.replace('.', "-"), terms.zone))
        }
        _ => Standing::Own,
    }
}

/// Lower case, and without the dot of a whole name.
pub(super) fn normal(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    lower.strip_suffix('.').unwrap_or(&lower).to_owned()
}

/// Whether another stack's service is reached by this name, or would be by one of this form.
pub(super) fn is_of_another(terms: &Terms<'_>, name: &str) -> bool {
    let name = name.to_lowercase();
    let name = name.trim_end_matches('.');
    let zone = format!("_{}", terms.zone.as_str().to_lowercase().replace('.', "_"));
    terms
        .others
        .iter()
        .any(|other| other.to_lowercase() == name)
        || (name.contains(&zone) && !begins_with_stack(terms, name))
}

/// `<stack>`, or `<stack>` and something behind it that is no letter or digit.
pub(super) fn begins_with_stack(terms: &Terms<'_>, name: &str) -> bool {
    let stack = terms.stack.as_str().to_lowercase();
    name.to_lowercase()
        .strip_prefix(&stack)
        .is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

/// Whether the stack's name stands in `name` as a word.
pub(super) fn has_stack(terms: &Terms<'_>, name: &str) -> bool {
    let (stack, name) = (terms.stack.as_str().to_lowercase(), name.to_lowercase());
    name.match_indices(&stack).any(|(at, _)| {
        !name[..at].ends_with(char::is_alphanumeric)
            && !name[at + stack.len()..].starts_with(char::is_alphanumeric)
    })
}
