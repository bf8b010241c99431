//! A router's rule as a tree.

use super::scan::Scanner;

/// The deepest nesting of parentheses and negations.
const DEEPEST: usize = 32;

/// Why a rule was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    #[error("expected {expected} at character {at}, found {found}")]
    Unexpected {
        expected: &'static str,
        found: String,
        at: usize,
    },
    #[error("the string that starts at character {0} has no end")]
    OpenString(usize),
    #[error("a backslash in double quotes begins no escape")]
    Escape,
    #[error("it has a character that no rule may have")]
    Character,
    #[error("`{0}` has an empty argument")]
    EmptyArgument(String),
    #[error("parentheses nested deeper than {DEEPEST}")]
    TooDeep,
}

impl SyntaxError {
    /// Whether Traefik may read it nevertheless.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::TooDeep)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// `a && b && …`
    All(Vec<Rule>),
    /// `a || b || …`
    Any(Vec<Rule>),
    Not(Box<Rule>),
    Is(Matcher),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    pub kind: Kind,
    /// As it is written.
    pub name: String,
    /// At least one, and none is empty.
    pub arguments: Vec<String>,
}

/// What a matcher asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `Host`, or `HostHeader` of version 2: one of the arguments is the request's host.
    Host,
    HostRegexp,
    HostSni,
    HostSniRegexp,
    Path,
    PathPrefix,
    PathRegexp,
    /// `Header` of version 3, `Headers` of version 2.
    Header,
    HeaderRegexp,
    Method,
    Query,
    QueryRegexp,
    ClientIp,
    Alpn,
    /// A name that neither version knows, so that Traefik drops the router.
    Unknown,
}

const KINDS: [(&str, Kind); 17] = [
    ("Host", Kind::Host),
    ("HostHeader", Kind::Host),
    ("HostRegexp", Kind::HostRegexp),
    ("HostSNI", Kind::HostSni),
    ("HostSNIRegexp", Kind::HostSniRegexp),
    ("Path", Kind::Path),
    ("PathPrefix", Kind::PathPrefix),
    ("PathRegexp", Kind::PathRegexp),
    ("Header", Kind::Header),
    ("Headers", Kind::Header),
    ("HeaderRegexp", Kind::HeaderRegexp),
    ("HeadersRegexp", Kind::HeaderRegexp),
    ("Method", Kind::Method),
    ("Query", Kind::Query),
    ("QueryRegexp", Kind::QueryRegexp),
    ("ClientIP", Kind::ClientIp),
    ("ALPN", Kind::Alpn),
];

impl Kind {
    /// Traefik knows each name as it is, in lower case, in upper case, and with a capital first.
    fn of(name: &str) -> Self {
        let known = KINDS.iter().find(|(known, _)| {
            let lower = known.to_ascii_lowercase();
            let title = format!("{}{}", &known[..1], &lower[1..]);
            [*known, &lower, &known.to_ascii_uppercase(), &title].contains(&name)
        });
        known.map_or(Self::Unknown, |(_, kind)| *kind)
    }
}

/// Reads a whole rule.
pub fn parse(rule: &str) -> Result<Rule, SyntaxError> {
    let mut scanner = Scanner::new(rule)?;
    let read = any(&mut scanner, 0)?;
    if scanner.is_at_end() {
        Ok(read)
    } else {
        Err(scanner.unexpected("`&&`, `||` or the end"))
    }
}

fn any(scanner: &mut Scanner<'_>, depth: usize) -> Result<Rule, SyntaxError> {
    joined(scanner, depth, "||", all, Rule::Any)
}

fn all(scanner: &mut Scanner<'_>, depth: usize) -> Result<Rule, SyntaxError> {
    joined(scanner, depth, "&&", one, Rule::All)
}

fn joined(
    scanner: &mut Scanner<'_>,
    depth: usize,
    operator: &str,
    part: fn(&mut Scanner<'_>, usize) -> Result<Rule, SyntaxError>,
    join: fn(Vec<Rule>) -> Rule,
) -> Result<Rule, SyntaxError> {
    let first = part(scanner, depth)?;
    if !scanner.take(operator) {
        return Ok(first);
    }
    let mut parts = vec![first, part(scanner, depth)?];
    while scanner.take(operator) {
        parts.push(part(scanner, depth)?);
    }
    Ok(join(parts))
}

fn one(scanner: &mut Scanner<'_>, depth: usize) -> Result<Rule, SyntaxError> {
    if depth > DEEPEST {
        return Err(SyntaxError::TooDeep);
    }
    if scanner.take("!") {
        return Ok(Rule::Not(Box::new(one(scanner, depth + 1)?)));
    }
    if scanner.take("(") {
        let inner = any(scanner, depth + 1)?;
        scanner.want(")", "`)`")?;
        return Ok(inner);
    }
    let name = scanner.word().to_owned();
    if name.is_empty() {
        return Err(scanner.unexpected("a matcher such as Host(`…`)"));
    }
    scanner.want("(", "`(`")?;
    let mut arguments = vec![scanner.string()?];
    // Go takes a comma, and `...`, behind the last one.
    loop {
        let spread = scanner.take("...");
        let comma = scanner.take(",");
        if !comma || spread || scanner.peek() == Some(')') {
            break;
        }
        arguments.push(scanner.string()?);
    }
    scanner.want(")", "`,` or `)`")?;
    if arguments.iter().any(String::is_empty) {
        return Err(SyntaxError::EmptyArgument(name));
    }
    Ok(Rule::Is(Matcher {
        kind: Kind::of(&name),
        name,
        arguments,
    }))
}
