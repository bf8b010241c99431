use rstest::rstest;

use super::*;

fn test(tiers: &[Tier], quick: bool, from: Option<&str>) -> Command {
    Command::Test(Asked {
        tiers: tiers.to_vec(),
        quick,
        from: from.map(str::to_owned),
        commit: None,
    })
}

fn only(body: &str) -> Command {
    let parsed = parse(body);
    assert_eq!((parsed.others, parsed.hidden), (0, None), "{body:?}");
    parsed.command.unwrap()
}

use Tier::{Backup, Custom, Install, Restore, Upgrade};

#[rstest]
#[case("!testme", test(&[], false, None))]
#[case("!TestMe QUICK", test(&[], true, None))]
#[case("!testme upgrade install upgrade", test(&[Install, Upgrade], false, None))]
#[case("!testme Custom,backup, restore", test(&[Backup, Restore, Custom], false, None))]
#[case("!testme install upgrade backup restore custom", test(&[], false, None))]
#[case("!testme --tiers backup,custom --quick", test(&[Backup, Custom], true, None))]
#[case("!testme --tiers=backup", test(&[Backup], false, None))]
#[case("!testme tiers backup custom", test(&[Backup, Custom], false, None))]
#[case("!testme —quick", test(&[], true, None))]
#[case("!testme install,quick", test(&[Install], true, None))]
#[case("!testme from=1.2.0+3.4-rc_1", test(&[], false, Some("1.2.0+3.4-rc_1")))]
#[case("!testme FROM=V1", test(&[], false, Some("V1")))]
#[case("!testme --from=1.0 quick", test(&[], true, Some("1.0")))]
#[case("!testme upgrade --from 1.0", test(&[Upgrade], false, Some("1.0")))]
#[case("!testme from=1 from=1", test(&[], false, Some("1")))]
#[case("!testme stop", Command::Stop)]
#[case("!testme --stop stop", Command::Stop)]
#[case("!testme help", Command::Help(None))]
#[case("!testme help stop quick", Command::Help(None))]
#[case::tab("!testme\tquick\u{a0}", test(&[], true, None))]
fn a_command_is_understood(#[case] body: &str, #[case] command: Command) {
    assert_eq!(only(body), command);
}

#[rstest]
#[case("abcdef1", "abcdef1", &[], false)]
#[case("1234567", "1234567", &[], false)]
#[case("ABCdef0123456789abcdef0123456789abcdef01 quick", "abcdef0123456789abcdef0123456789abcdef01", &[], true)]
#[case("upgrade deadbeef deadbeef", "deadbeef", &[Install, Upgrade], false)]
fn a_commit_is_understood(
    #[case] words: &str,
    #[case] commit: &str,
    #[case] tiers: &[Tier],
    #[case] quick: bool,
) {
    let Command::Test(asked) = only(&format!("!testme {words}")) else {
        panic!("{words} starts nothing");
    };
    assert_eq!(asked.commit.as_deref(), Some(commit));
    assert_eq!(asked.quick, quick);
    assert!(tiers.ends_with(&asked.tiers), "{asked:?}");
    let json = serde_json::to_string(&asked).unwrap();
    assert_eq!(serde_json::from_str::<Asked>(&json).unwrap(), asked);
}

#[rstest]
#[case("upgarde", "upgarde", Why::NoSuchWord, Some("upgrade"))]
#[case("Instal", "Instal", Why::NoSuchWord, Some("install"))]
#[case("qick", "qick", Why::NoSuchWord, Some("quick"))]
#[case("stpo", "stpo", Why::NoSuchWord, Some("stop"))]
#[case("please", "please", Why::NoSuchWord, None)]
#[case("fresh", "fresh", Why::NoSuchWord, None)]
#[case("no", "no", Why::NoSuchWord, None)]
#[case("install,upgarde", "upgarde", Why::NoSuchWord, Some("upgrade"))]
#[case("quick=yes", "quick=yes", Why::NoSuchWord, None)]
#[case(",", ",", Why::NoSuchWord, None)]
#[case("--", "--", Why::NoSuchWord, None)]
#[case("--tiers", "--tiers", Why::NoSuchWord, None)]
#[case("stop please", "please", Why::NoSuchWord, None)]
#[case::short("abcdef", "abcdef", Why::NoSuchWord, None)]
#[case::long(
    "0123456789012345678901234567890123456789a",
    "012345678901234567890123456789012345678…",
    Why::NoSuchWord,
    None
)]
#[case("abcdefg", "abcdefg", Why::NoSuchWord, None)]
#[case("abcdef1=", "abcdef1=", Why::NoSuchWord, None)]
#[case("abcdef1,quick", "abcdef1", Why::NoSuchWord, None)]
#[case("abcdef1 abcdef12", "abcdef1", Why::TwoCommits, None)]
#[case("stop abcdef1", "abcdef1", Why::StopAndMore, None)]
#[case("from", "from", Why::NoVersion, None)]
#[case("--from=", "--from=", Why::NoVersion, None)]
#[case("from=-rf", "-rf", Why::NotAVersion, None)]
#[case("from=_1", "_1", Why::NotAVersion, None)]
#[case("from --quick", "--quick", Why::NotAVersion, None)]
#[case("from=a;b", "a;b", Why::NotAVersion, None)]
#[case("from=ä", "ä", Why::NotAVersion, None)]
#[case("from=$(id)", "$(id)", Why::NotAVersion, None)]
#[case("from=1 from=2", "1", Why::TwoVersions, None)]
#[case("stop quick", "quick", Why::StopAndMore, None)]
#[case("upgrade stop", "upgrade", Why::StopAndMore, None)]
fn what_is_not_understood_gets_help(
    #[case] words: &str,
    #[case] word: &str,
    #[case] why: Why,
    #[case] nearest: Option<&str>,
) {
    let unknown = Unknown {
        word: word.to_owned(),
        why,
        nearest: nearest.map(str::to_owned),
    };
    assert_eq!(
        only(&format!("!testme {words}")),
        Command::Help(Some(unknown))
    );
}

#[test]
fn a_version_has_at_most_64_characters() {
    let longest = "1".repeat(64);
    let asked = test(&[], false, Some(&longest));
    assert_eq!(only(&format!("!testme from={longest}")), asked);
    let longer = only(&format!("!testme from={longest}1"));
    assert!(
        matches!(&longer, Command::Help(Some(Unknown { why: Why::NotAVersion, word, .. })) if word.chars().count() == 40),
        "{longer:?}"
    );
}

#[rstest]
#[case::blanks("   !testme")]
#[case::after_text("Looks good.\n!testme\nThanks!")]
#[case::after_text_with_blanks("Looks good.\n   !testme")]
#[case::paragraph("Looks good.\n\n!testme\n\nThanks!")]
#[case::crlf("Looks good.\r\n!testme\r\nThanks!\r\n")]
#[case::cr("Looks good.\r!testme\rThanks!")]
#[case::hard_break("Looks good.  \n!testme  \nThanks!")]
#[case::backslash_break("Looks good.\\\n!testme")]
#[case::after_code("`a`\n!testme")]
#[case::after_a_fence("```\n!test\n```\n!testme")]
#[case::after_a_quote("> no\n\n!testme")]
#[case::after_a_list("- one\n- two\n\n!testme")]
#[case::after_a_heading("# Title\n!testme")]
#[case::after_a_rule("***\n!testme")]
#[case::after_html("<b>\n\n!testme")]
#[case::open_brackets("[[[[(((\n!testme")]
#[case::open_emphasis("**so*\n!testme")]
#[case::a_tick_that_nothing_closes("it`s\n!testme")]
#[case::before_a_fence("!testme\n```\ncode\n```")]
fn a_line_of_a_plain_paragraph_is_a_command(#[case] body: &str) {
    assert_eq!(only(body), test(&[], false, None), "{body:?}");
}

#[rstest]
#[case("```\n!testme\n```", Hidden::CodeBlock)]
#[case("~~~ sh\n\n!testme\n\n~~~", Hidden::CodeBlock)]
#[case::a_fence_that_nothing_closes("```\n\n!testme", Hidden::CodeBlock)]
#[case("a\n\n    !testme", Hidden::CodeBlock)]
#[case("\t!testme", Hidden::CodeBlock)]
#[case("> !testme", Hidden::Quote)]
#[case::lazy("> quoted\n!testme", Hidden::Quote)]
#[case(">> a\n> > !testme", Hidden::Quote)]
#[case("- !testme", Hidden::List)]
#[case::lazy_item("1. do\n!testme", Hidden::List)]
#[case("- a\n\n  !testme", Hidden::List)]
#[case("# !testme", Hidden::Heading)]
#[case::setext("!testme\n===", Hidden::Heading)]
#[case("| a |\n| --- |\n!testme", Hidden::Table)]
#[case("[^1]\n\n[^1]: a\n!testme", Hidden::Footnote)]
#[case("`a\n!testme`", Hidden::InlineCode)]
#[case("`!testme`", Hidden::InlineCode)]
#[case("[a\n!testme](https://example.org)", Hidden::Link)]
#[case("![a\n!testme](https://example.org)", Hidden::Link)]
#[case("[a](https://example.org '\n!testme\n')", Hidden::Link)]
#[case("[a]: https://example.org '\n!testme\n'", Hidden::Link)]
#[case("*a\n!testme*", Hidden::Emphasis)]
#[case("__a\n!testme__", Hidden::Emphasis)]
#[case("~~a\n!testme~~", Hidden::Emphasis)]
#[case("**!testme**", Hidden::Emphasis)]
#[case::code_around("`a\n!testme\nb`", Hidden::InlineCode)]
#[case::link_around("[a\n!testme\nb](https://example.org)", Hidden::Link)]
#[case::image_around("![a\n!testme\nb](https://example.org)", Hidden::Link)]
#[case::emphasis_around("a *b\n!testme\nc* d", Hidden::Emphasis)]
#[case::strong_around("**a\n!testme\nb**", Hidden::Emphasis)]
#[case::strike_around("~~a\n!testme\nb~~", Hidden::Emphasis)]
#[case::quote_around("> a\n!testme\nb", Hidden::Quote)]
#[case("<div>\n!testme\n</div>", Hidden::Html)]
#[case("<!--\n\n!testme\n\n-->", Hidden::Html)]
#[case("a <b title='\n!testme\n'>", Hidden::Html)]
#[case("a <!--\n!testme\n-->", Hidden::Html)]
#[case("a\n    !testme", Hidden::Indented)]
#[case("a\n\t!testme", Hidden::Indented)]
#[case("say !testme", Hidden::NotFirst)]
#[case("\\!testme", Hidden::NotFirst)]
#[case("@bot !testme", Hidden::NotFirst)]
#[case("\u{202e}!testme", Hidden::NotFirst)]
#[case("!testme.", Hidden::Joined)]
#[case("!testme\u{200b}", Hidden::Joined)]
#[case("!testme\0", Hidden::Joined)]
fn what_is_in_something_is_no_command(#[case] body: &str, #[case] hidden: Hidden) {
    let parsed = parse(body);
    assert_eq!(parsed.command, None, "{body:?}");
    assert_eq!(parsed.hidden, Some(hidden), "{body:?}");
}

#[rstest]
#[case("")]
#[case("!testmex")]
#[case("!testme2 quick")]
#[case("testme")]
#[case("! testme")]
#[case("&#33;testme")]
#[case("!test me")]
#[case("!tést")]
fn what_is_no_testme_is_nothing(#[case] body: &str) {
    assert_eq!(parse(body), Parsed::default());
}

#[rstest]
#[case("!testme quick\n!testme stop", test(&[], true, None), 1)]
#[case(
    "!testme stop\n\ntext\n\n!testme\n!testme help\n> !testme",
    Command::Stop,
    2
)]
#[case("> !testme\n\n!testme", test(&[], false, None), 0)]
fn the_first_command_counts(#[case] body: &str, #[case] command: Command, #[case] others: usize) {
    let parsed = parse(body);
    assert_eq!(parsed.command, Some(command));
    assert_eq!((parsed.others, parsed.hidden), (others, None));
}

#[test]
fn a_command_is_kept_as_json() {
    for (body, json) in [
        (
            "!testme backup quick from=1",
            r#"{"test":{"tiers":["backup"],"quick":true,"from":"1"}}"#,
        ),
        ("!testme stop", r#""stop""#),
        ("!testme help", r#"{"help":null}"#),
        (
            "!testme stpo",
            r#"{"help":{"word":"stpo","why":"no_such_word","nearest":"stop"}}"#,
        ),
    ] {
        let command = only(body);
        assert_eq!(serde_json::to_string(&command).unwrap(), json);
        assert_eq!(serde_json::from_str::<Command>(json).unwrap(), command);
    }
}
