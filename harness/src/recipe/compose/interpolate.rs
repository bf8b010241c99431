//! Variables in compose files, as Docker puts them in: `$X`, `${X}`, `${X:-y}`, `${X-y}`,
//! `${X:?e}`, `${X?e}` and `$$`. There is no nesting: a default ends at the first `}`.

use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    /// A `$` that begins no reference.
    Invalid,
    /// `${X:?message}` of a variable without a value.
    Required { variable: String, message: String },
}

/// Puts values in; names of variables that are not set and have no default go to `unset`.
pub(super) fn interpolate(
    text: &str,
    variables: &BTreeMap<String, String>,
    unset: &mut Vec<String>,
) -> Result<String, Problem> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(next) = behind.strip_prefix('$') {
            out.push('$');
            rest = next;
            continue;
        }
        let (reference, next) = match behind.strip_prefix('{') {
            Some(braced) => braced.split_once('}').ok_or(Problem::Invalid)?,
            None => behind.split_at(name_length(behind)),
        };
        let (name, operator) = reference.split_at(name_length(reference));
        if name.is_empty() {
            return Err(Problem::Invalid);
        }
        let value = variables.get(name).map(String::as_str);
        let filled = value.filter(|value| !value.is_empty());
        let value = match split_operator(operator) {
            Some(("", _)) => value,
            Some((":-", default)) => filled.or(Some(default)),
            Some(("-", default)) => value.or(Some(default)),
            Some((":?", message)) => Some(required(name, message, filled)?),
            Some(("?", message)) => Some(required(name, message, value)?),
            _ => return Err(Problem::Invalid),
        };
        match value {
            Some(value) => out.push_str(value),
            None => unset.push(name.to_owned()),
        }
        rest = next;
    }
    out.push_str(rest);
    Ok(out)
}

/// The names of the variables that a text refers to.
pub fn variables_in(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some((_, behind)) = rest.split_once('$') {
        let body = behind.strip_prefix(['{', '$']).unwrap_or(behind);
        if !behind.starts_with('$') {
            let name = &body[..name_length(body)];
            if !name.is_empty() {
                names.push(name);
            }
        }
        rest = body;
    }
    names
}

fn required<'a>(name: &str, message: &str, value: Option<&'a str>) -> Result<&'a str, Problem> {
    value.ok_or_else(|| Problem::Required {
        variable: name.to_owned(),
        message: message.to_owned(),
    })
}

fn split_operator(text: &str) -> Option<(&'static str, &str)> {
    if text.is_empty() {
        return Some(("", ""));
    }
    [":-", ":?", "-", "?"]
        .into_iter()
        .find_map(|operator| Some((operator, text.strip_prefix(operator)?)))
}

fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> BTreeMap<String, String> {
        [("SET", "s"), ("EMPTY", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    #[rstest::rstest]
    #[case("$SET/${SET}", "s/s")]
    #[case("$$SET $${SET}", "$SET ${SET}")]
    #[case("${SET:-d}${EMPTY:-d}${NONE:-d}", "sdd")]
    #[case("${SET-d}${EMPTY-d}${NONE-d}", "sd")]
    #[case("${NONE:-}.", ".")]
    #[case("${NONE:-${SET}}", "${SET}")]
    #[case("${SET:?no} ${EMPTY?no}.", "s .")]
    #[case("Host(`$SET`)", "Host(`s`)")]
    fn references_become(#[case] text: &str, #[case] expected: &str) {
        let found = interpolate(text, &variables(), &mut Vec::new());
        assert_eq!(found.as_deref(), Ok(expected));
    }

    #[rstest::rstest]
    #[case("$")]
    #[case("a $ b")]
    #[case("${")]
    #[case("${}")]
    #[case("${SET:+x}")]
    #[case("$5")]
    fn what_begins_no_reference_is_refused(#[case] text: &str) {
        assert_eq!(
            interpolate(text, &variables(), &mut Vec::new()),
            Err(Problem::Invalid)
        );
    }

    #[test]
    fn a_required_variable_without_value_is_refused_with_its_message() {
        let problem = interpolate("${EMPTY:?say it}", &variables(), &mut Vec::new()).unwrap_err();
        assert!(matches!(problem, Problem::Required { message, .. } if message == "say it"));
    }

    #[test]
    fn an_unset_variable_is_empty_and_named() {
        let mut unset = Vec::new();
        assert_eq!(
            interpolate("a${NONE}b", &variables(), &mut unset).unwrap(),
            "ab"
        );
        assert_eq!(unset, ["NONE"]);
    }

    #[test]
    fn the_names_in_a_text_are_found() {
        assert_eq!(
            variables_in("${STACK_NAME}_a_${SECRET_A_VERSION:-v1} $$NOT $X"),
            ["STACK_NAME", "SECRET_A_VERSION", "X"]
        );
    }
}
