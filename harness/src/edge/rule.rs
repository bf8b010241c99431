//! Traefik's router rules: `Host`, `Path`, `PathPrefix`, `&&`, `||` and parentheses.
//!
//! A rule is turned into alternatives of one host and one path each. Invariant: paths that come out
//! hold harmless characters only; hosts are still text, for a bad one is to be named by its route.
//!
//! Must not know: services, nginx.

/// The most alternatives that a rule may have.
const MOST_TERMS: usize = 256;
/// The deepest nesting of parentheses.
const DEEPEST: usize = 32;

/// Why a rule was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("expected {expected} at character {at}, found {found}")]
    Unexpected {
        expected: &'static str,
        found: String,
        at: usize,
    },
    #[error("the string that starts at character {0} has no end")]
    OpenString(usize),
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
    #[error("parentheses nested deeper than {DEEPEST}")]
    TooDeep,
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
    let mut parser = Parser { rule, at: 0 };
    let terms = parser.or(0)?;
    match parser.peek() {
        None => Ok(terms),
        Some(_) => Err(parser.unexpected("`&&`, `||` or the end")),
    }
}

struct Parser<'a> {
    rule: &'a str,
    /// Byte offset, always at a character's start.
    at: usize,
}

impl<'a> Parser<'a> {
    fn or(&mut self, depth: usize) -> Result<Vec<Term>, RuleError> {
        let mut all = self.and(depth)?;
        while self.take("||") {
            all.extend(self.and(depth)?);
            bounded(&all)?;
        }
        Ok(all)
    }

    fn and(&mut self, depth: usize) -> Result<Vec<Term>, RuleError> {
        let mut all = self.one(depth)?;
        while self.take("&&") {
            let right = self.one(depth)?;
            all = all
                .iter()
                .flat_map(|a| right.iter().filter_map(|b| a.and(b)))
                .collect();
            bounded(&all)?;
        }
        Ok(all)
    }

    fn one(&mut self, depth: usize) -> Result<Vec<Term>, RuleError> {
        if depth > DEEPEST {
            return Err(RuleError::TooDeep);
        }
        if self.take("!") {
            return Err(RuleError::Negation);
        }
        if self.take("(") {
            let inner = self.or(depth + 1)?;
            self.want(")", "`)`")?;
            return Ok(inner);
        }
        let name = self.word();
        if name.is_empty() {
            return Err(self.unexpected("a matcher such as Host(`…`)"));
        }
        self.want("(", "`(`")?;
        let mut arguments = vec![self.string()?];
        while self.take(",") {
            arguments.push(self.string()?);
        }
        self.want(")", "`,` or `)`")?;
        let made: Vec<Term> = arguments
            .into_iter()
            .map(|argument| term(name, argument))
            .collect::<Result<_, _>>()?;
        bounded(&made)?;
        Ok(made)
    }

    fn string(&mut self) -> Result<&'a str, RuleError> {
        let quote = match self.peek() {
            Some(quote @ ('`' | '"')) => quote,
            _ => return Err(self.unexpected("a name in backticks")),
        };
        let start = self.at;
        let inner = &self.rule[start + 1..];
        let Some(end) = inner.find(quote) else {
            return Err(RuleError::OpenString(start + 1));
        };
        self.at = start + 1 + end + 1;
        Ok(&inner[..end])
    }

    fn word(&mut self) -> &'a str {
        self.peek();
        let rest = &self.rule[self.at..];
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn want(&mut self, token: &str, expected: &'static str) -> Result<(), RuleError> {
        if self.take(token) {
            Ok(())
        } else {
            Err(self.unexpected(expected))
        }
    }

    fn take(&mut self, token: &str) -> bool {
        self.peek();
        let found = self.rule[self.at..].starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Skips white space and shows the next character.
    fn peek(&mut self) -> Option<char> {
        let rest = &self.rule[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.rule[self.at..].chars().next()
    }

    fn unexpected(&mut self, expected: &'static str) -> RuleError {
        let found = self
            .peek()
            .map_or("the end".to_owned(), |c| format!("`{c}`"));
        let at = self.rule[..self.at].chars().count() + 1;
        RuleError::Unexpected {
            expected,
            found,
            at,
        }
    }
}

fn term(matcher: &str, argument: &str) -> Result<Term, RuleError> {
    let path = |path| Term { host: None, path };
    match matcher.to_ascii_lowercase().as_str() {
        "host" | "hostheader" => Ok(Term {
            host: Some(argument.trim().to_ascii_lowercase()),
            path: PathMatch::any(),
        }),
        "path" => Ok(path(PathMatch::Exact(PathText::parse(argument)?))),
        "pathprefix" => Ok(path(PathMatch::Prefix(PathText::parse(argument)?))),
        _ => Err(RuleError::Matcher(matcher.to_owned())),
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
        assert_eq!(terms(&"(".repeat(100_000)), Err(RuleError::TooDeep));
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
