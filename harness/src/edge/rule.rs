//! What the edge serves of Traefik's router rules: `Host`, `Path`, `PathPrefix`, `&&`, `||` and
//! parentheses.
//!
//! A rule is turned into alternatives of one host and one path each. Invariant: paths that come out
//! hold harmless characters only; hosts are still text, for a bad one is to be named by its route.
//!
//! Must not know: services, nginx.

use crate::recipe::traefik::{Kind, Matcher, Rule, SyntaxError, parse};

/// The most alternatives that a rule may have.
const MOST_TERMS: usize = 256;

/// Why a rule was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    #[error("`{0}` is not supported here: Host, Path and PathPrefix are")]
    Matcher(String),
    #[error("negation with `!` is not supported here")]
    Negation,
    #[error(
        "`{0}` is no path: it starts with `/` and has letters, digits and `-._~/@:+,=%` only (no patterns)"
    )]
    Path(String),
    #[error("more than {MOST_TERMS} alternatives")]
    TooMany,
}

/// A path of plain characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathText(String);

impl PathText {
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/@:+,=%".contains(c);
        if text.starts_with('/') && text.len() <= 1024 && text.chars().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(RuleError::Path(text.to_owned()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which paths of a host are meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathMatch {
    /// Begins with these characters; `/x` is the beginning of `/xy`, too, as in Traefik.
    Prefix(PathText),
    Exact(PathText),
}

impl PathMatch {
    pub fn any() -> Self {
        Self::Prefix(PathText("/".to_owned()))
    }

    fn and(self, other: Self) -> Option<Self> {
        use PathMatch::{Exact, Prefix};
        match (self, other) {
            (Exact(a), Exact(b)) => (a == b).then_some(Exact(a)),
            (Exact(exact), Prefix(prefix)) | (Prefix(prefix), Exact(exact)) => {
                exact.0.starts_with(&prefix.0).then_some(Exact(exact))
            }
            (Prefix(a), Prefix(b)) => {
                let (long, short) = if a.0.len() >= b.0.len() {
                    (a, b)
                } else {
                    (b, a)
                };
                long.0.starts_with(&short.0).then_some(Prefix(long))
            }
        }
    }
}

/// One alternative of a rule. No host: the rule does not ask for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    pub host: Option<String>,
    pub path: PathMatch,
}

impl Term {
    fn and(&self, other: &Self) -> Option<Self> {
        let host = match (&self.host, &other.host) {
            (Some(a), Some(b)) if a != b => return None,
            (a, b) => a.clone().or_else(|| b.clone()),
        };
        let path = self.path.clone().and(other.path.clone())?;
        Some(Self { host, path })
    }
}

/// The alternatives of `rule`; those that contradict themselves are dropped.
pub fn terms(rule: &str) -> Result<Vec<Term>, RuleError> {
    alternatives(&parse(rule)?)
}

fn alternatives(rule: &Rule) -> Result<Vec<Term>, RuleError> {
    let mut all = Vec::new();
    match rule {
        Rule::Any(parts) => {
            for part in parts {
                all.extend(alternatives(part)?);
                bounded(&all)?;
            }
        }
        Rule::All(parts) => {
            all.push(Term {
                host: None,
                path: PathMatch::any(),
            });
            for part in parts {
                let right = alternatives(part)?;
                all = all
                    .iter()
                    .flat_map(|a| right.iter().filter_map(|b| a.and(b)))
                    .collect();
                bounded(&all)?;
            }
        }
        Rule::Not(_) => return Err(RuleError::Negation),
        Rule::Is(matcher) => {
            for argument in &matcher.arguments {
                all.push(term(matcher, argument)?);
            }
            bounded(&all)?;
        }
    }
    Ok(all)
}

fn term(matcher: &Matcher, argument: &str) -> Result<Term, RuleError> {
    let path = |path| Term { host: None, path };
    match matcher.kind {
        Kind::Host => Ok(Term {
            host: Some(argument.trim().to_ascii_lowercase()),
            path: PathMatch::any(),
        }),
        Kind::Path => Ok(path(PathMatch::Exact(PathText::parse(argument)?))),
        Kind::PathPrefix => Ok(path(PathMatch::Prefix(PathText::parse(argument)?))),
        _ => Err(RuleError::Matcher(matcher.name.clone())),
    }
}

fn bounded(terms: &[Term]) -> Result<(), RuleError> {
    if terms.len() > MOST_TERMS {
        return Err(RuleError::TooMany);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn shown(rule: &str) -> String {
        let show = |term: Term| {
            let host = term.host.unwrap_or_else(|| "*".to_owned());
            match term.path {
                PathMatch::Prefix(path) => format!("{host}{}…", path.as_str()),
                PathMatch::Exact(path) => format!("{host}{}", path.as_str()),
            }
        };
        match terms(rule) {
            Ok(terms) => terms.into_iter().map(show).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        }
    }

    #[rstest]
    #[case::one("Host(`a.test`)", "a.test/…")]
    #[case::several_hosts("Host(`a.test`,`b.test`, \"C.test\")", "a.test/… b.test/… c.test/…")]
    #[case::either("Host(`a.test`) || Host(`b.test`)", "a.test/… b.test/…")]
    #[case::both("Host(`a.test`) && PathPrefix(`/x`)", "a.test/x…")]
    #[case::and_binds_tighter(
        "Host(`a.test`) || Host(`b.test`) && Path(`/x`)",
        "a.test/… b.test/x"
    )]
    #[case::parentheses(
        "(Host(`a.test`) || Host(`b.test`)) && (PathPrefix(`/x`) || Path(`/y`))",
        "a.test/x… a.test/y b.test/x… b.test/y"
    )]
    #[case::prefixes_meet(
        "Host(`a.test`) && PathPrefix(`/x`) && PathPrefix(`/x/y`)",
        "a.test/x/y…"
    )]
    #[case::contradiction("Host(`a.test`) && Path(`/x`) && PathPrefix(`/y`)", "")]
    #[case::without_a_host("PathPrefix(`/x`)", "*/x…")]
    #[case::empty(
        "",
        "expected a matcher such as Host(`…`) at character 1, found the end"
    )]
    #[case::single_quotes("Host('a')", "expected a name in backticks at character 6, found `'`")]
    #[case::no_argument("Host()", "expected a name in backticks at character 6, found `)`")]
    #[case::open_string("Host(`a)", "the string that starts at character 6 has no end")]
    #[case::trailing(
        "Host(`a`) Host(`b`)",
        "expected `&&`, `||` or the end at character 11, found `H`"
    )]
    #[case::negation("!Host(`a`)", "negation with `!` is not supported here")]
    #[case::unknown(
        "HostRegexp(`.*`)",
        "`HostRegexp` is not supported here: Host, Path and PathPrefix are"
    )]
    #[case::pattern(
        "Path(`/{id:[0-9]+}`)",
        "`/{id:[0-9]+}` is no path: it starts with `/` and has letters, digits and `-._~/@:+,=%` only (no patterns)"
    )]
    fn a_rule_is_its_alternatives(#[case] rule: &str, #[case] expected: &str) {
        assert_eq!(shown(rule), expected);
    }

    #[test]
    fn a_rule_that_explodes_or_nests_without_end_is_refused() {
        let many = ["(PathPrefix(`/`) || Path(`/`))"; 12].join(" && ");
        assert_eq!(terms(&many), Err(RuleError::TooMany));
        assert_eq!(
            terms(&"(".repeat(100_000)),
            Err(SyntaxError::TooDeep.into())
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(rule in r#"(Host|Path|PathPrefix|[`"(),&|! a-zé/{}]){0,40}"#) {
            let _ = terms(&rule);
        }

        #[test]
        fn paths_that_come_out_are_harmless(path in ".{0,20}") {
            if let Ok(path) = PathText::parse(&path) {
                let harmful = ['"', '\\', '$', ';', '{', '}', '\n', ' ', '#', '\''];
                prop_assert!(!path.as_str().contains(harmful));
            }
        }
    }
}
