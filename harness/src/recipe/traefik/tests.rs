use proptest::prelude::*;
use rstest::rstest;

use super::*;

/// The tree in one line; arguments as Rust writes them.
fn shown(rule: &Rule) -> String {
    let list = |parts: &[Rule], between: &str| {
        let parts: Vec<_> = parts.iter().map(shown).collect();
        format!("({})", parts.join(between))
    };
    match rule {
        Rule::All(parts) => list(parts, " & "),
        Rule::Any(parts) => list(parts, " | "),
        Rule::Not(inner) => format!("!{}", shown(inner)),
        Rule::Is(matcher) => format!("{:?}{:?}", matcher.kind, matcher.arguments),
    }
}

fn read(rule: &str) -> String {
    parse(rule).map_or_else(|error| error.to_string(), |tree| shown(&tree))
}

#[rstest]
#[case::one("Host(`a`)", r#"Host["a"]"#)]
#[case::version_2("Host(`a`, `b`)", r#"Host["a", "b"]"#)]
#[case::and_binds_tighter(
    "Host(`a`) || Host(`b`) && Path(`/`)",
    r#"(Host["a"] | (Host["b"] & Path["/"]))"#
)]
#[case::negation_binds_tightest("!Path(`/x`) && Host(`a`)", r#"(!Path["/x"] & Host["a"])"#)]
#[case::negated_group("!(Host(`a`) || !Host(`b`))", r#"!(Host["a"] | !Host["b"])"#)]
#[case::spellings(
    "host(`a`) && HOSTREGEXP(`b`) && Pathprefix(`/`) && Hostsni(`c`)",
    r#"(Host["a"] & HostRegexp["b"] & PathPrefix["/"] & HostSni["c"])"#
)]
#[case::no_spelling("hOst(`a`)", r#"Unknown["a"]"#)]
#[case::all_matchers(
    "HostHeader(`a`) && Headers(`k`, `v`) && HeaderRegexp(`k`, `v`) && Method(`GET`) && Query(`q`) && QueryRegexp(`q`, `.`) && ClientIP(`::1`) && PathRegexp(`.`)",
    r#"(Host["a"] & Header["k", "v"] & HeaderRegexp["k", "v"] & Method["GET"] & Query["q"] & QueryRegexp["q", "."] & ClientIp["::1"] & PathRegexp["."])"#
)]
#[case::tcp(
    "HostSNI(`*`) && ALPN(`h2`) && HostSNIRegexp(`.`)",
    r#"(HostSni["*"] & Alpn["h2"] & HostSniRegexp["."])"#
)]
#[case::escapes(r#"Host("\x61\142\u0063\U00000064\"\\")"#, r#"Host["abcd\"\\"]"#)]
#[case::no_escapes_in_backticks(r"Host(`\x61`)", r#"Host["\\x61"]"#)]
#[case::carriage_return("Host(`a\rb`)", r#"Host["ab"]"#)]
#[case::trailing_comma("Host(`a`,)", r#"Host["a"]"#)]
#[case::spread("Host(`a`...)", r#"Host["a"]"#)]
#[case::comments(
    "/* x */ Host(`a`) /* y */ && // z\n Path(`/`)",
    r#"(Host["a"] & Path["/"])"#
)]
#[case::line_end_behind_an_operator("Host(`a`) ||\nHost(`b`)", r#"(Host["a"] | Host["b"])"#)]
#[case::line_end_at_the_end("Host(`a`)\n // bye\n", r#"Host["a"]"#)]
#[case::order_mark("\u{feff}Host(`a`)", r#"Host["a"]"#)]
#[case::line_end_ends(
    "Host(`a`)\n|| Host(`b`)",
    "expected `&&`, `||` or the end at character 11, found `|`"
)]
#[case::line_comment_ends(
    "Host(`a`) // x\n || Host(`b`)",
    "expected `&&`, `||` or the end at character 17, found `|`"
)]
#[case::line_end_in_arguments(
    "Host(`a`\n)",
    "expected `,` or `)` at character 9, found a line end"
)]
#[case::selector("http.Host(`a`)", "expected `(` at character 5, found `.`")]
#[case::parenthesised_name("(Host)(`a`)", "expected `(` at character 6, found `)`")]
#[case::parenthesised_argument(
    "Host((`a`))",
    "expected a name in backticks at character 6, found `(`"
)]
#[case::sum("Host(`a` + `b`)", "expected `,` or `)` at character 10, found `+`")]
#[case::equality(
    "Host(`a`) == Host(`b`)",
    "expected `&&`, `||` or the end at character 11, found `=`"
)]
#[case::single_and(
    "Host(`a`) & Host(`b`)",
    "expected `&&`, `||` or the end at character 11, found `&`"
)]
#[case::called_twice(
    "Host(`a`)(`b`)",
    "expected `&&`, `||` or the end at character 10, found `(`"
)]
#[case::string_alone(
    "`a` || Host(`b`)",
    "expected a matcher such as Host(`…`) at character 1, found ``` "
)]
#[case::open_comment(
    "Host(`a`) /* x",
    "expected `&&`, `||` or the end at character 11, found `/`"
)]
#[case::bad_escape(r#"Host("\'")"#, "a backslash in double quotes begins no escape")]
#[case::short_escape(r#"Host("\x6")"#, "a backslash in double quotes begins no escape")]
#[case::large_octal(r#"Host("\777")"#, "a backslash in double quotes begins no escape")]
#[case::surrogate(r#"Host("\ud800")"#, "a backslash in double quotes begins no escape")]
#[case::line_end_in_quotes("Host(\"a\nb\")", "the string that starts at character 6 has no end")]
#[case::empty_argument("Host(``)", "`Host` has an empty argument")]
#[case::nul("Host(`a\0`)", "it has a character that no rule may have")]
fn a_rule_reads_as_go_reads_it(#[case] rule: &str, #[case] expected: &str) {
    assert_eq!(read(rule), expected.trim_end());
}

#[test]
fn nesting_has_an_end_and_length_has_none() {
    for deep in ["(".repeat(100_000), "!".repeat(100_000)] {
        let error = parse(&deep).unwrap_err();
        assert!(error.is_ours(), "{error}");
    }
    let long = vec!["Host(`a`)"; 20_000].join("||");
    assert!(matches!(parse(&long), Ok(Rule::Any(parts)) if parts.len() == 20_000));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(
        rule in r#"(Host|Path|HostSNI|[`"(),&|! a-zé/*{}.\\x0-9\r\n]){0,60}"#,
    ) {
        let _ = parse(&rule);
    }

    /// Whatever a string holds, both ways to write it read the same.
    #[test]
    fn a_string_reads_the_same_in_quotes_and_backticks(text in "[a-zé.*\\\\\"]{1,20}") {
        let escaped: String = text.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect();
        prop_assert_eq!(
            parse(&format!("Host(`{text}`)")).unwrap(),
            parse(&format!("Host(\"{escaped}\")")).unwrap()
        );
    }
}
