use insta::assert_snapshot;
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const VALUE: &str = "s3cr<t/\"ü pass";

fn redactor() -> Redactor {
    Redactor::new([("db_password", VALUE), ("token", "abcdef123456")])
}

#[test]
fn a_value_is_replaced_by_its_name() {
    let text = redactor()
        .redact("PGPASSWORD=abcdef123456 psql; abcdef123456!")
        .into_owned();
    assert_snapshot!(text, @"PGPASSWORD=[redacted:token] psql; [redacted:token]!");
}

#[rstest]
#[case::plain("s3cr<t/\"ü pass")]
#[case::base64("czNjcjx0LyLDvCBwYXNz")]
#[case::basic_auth("dXNlcjpzM2NyPHQvIsO8IHBhc3M=")]
#[case::percent("s3cr%3Ct%2F%22%C3%BC%20pass")]
#[case::percent_lower("s3cr%3ct%2f%22%c3%bc%20pass")]
#[case::form("s3cr%3Ct%2F%22%C3%BC+pass")]
#[case::json("s3cr<t/\\\"ü pass")]
#[case::json_slash("s3cr<t\\/\\\"ü pass")]
#[case::json_html("s3cr\\u003ct/\\\"ü pass")]
#[case::json_ascii("s3cr<t/\\\"\\u00fc pass")]
#[case::json_twice("s3cr<t/\\\\\\\"ü pass")]
#[case::percent_twice("s3cr%253Ct%252F%2522%25C3%25BC%2520pass")]
#[case::percent_of_each("%73%33%63%72%3c%74%2f%22%c3%bc%20%70%61%73%73")]
#[case::hex("733363723c742f22c3bc2070617373")]
#[case::hex_upper("733363723C742F22C3BC2070617373")]
#[case::hex_colons("73:33:63:72:3c:74:2f:22:c3:bc:20:70:61:73:73")]
#[case::hex_blanks("73 33 63 72 3C 74 2F 22 C3 BC 20 70 61 73 73")]
#[case::hex_escapes("\\x73\\x33\\x63\\x72\\x3c\\x74\\x2f\\x22\\xc3\\xbc\\x20\\x70\\x61\\x73\\x73")]
#[case::hex_of_c(
    "0x73, 0x33, 0x63, 0x72, 0x3c, 0x74, 0x2f, 0x22, 0xc3, 0xbc, 0x20, 0x70, 0x61, 0x73, 0x73"
)]
#[case::hex_words("7333 6372 3c74 2f22 c3bc 2070 6173 73")]
#[case::hex_odd_words("73 3363 723c 742f 22c3 bc20 7061 7373")]
#[case::base32("OMZWG4R4OQXSFQ54EBYGC43T")]
#[case::base32_lower("omzwg4r4oqxsfq54ebygc43t")]
#[case::base32_hex("ECPM6SHSEGNI5GTS41O62SRJ")]
#[case::html("s3cr&lt;t/&quot;ü pass")]
#[case::html_decimal("s3cr&#60;t/&#34;&#252; pass")]
#[case::html_hex("s3cr&#x3c;t/&#x22;ü pass")]
#[case::html_of_each(
    "&#115;&#51;&#99;&#114;&#60;&#116;&#47;&#34;&#252;&#32;&#112;&#97;&#115;&#115;"
)]
#[case::html_slash("s3cr&lt;t&#x2F;&quot;ü pass")]
#[case::rust("s3cr<t/\\\"\\u{fc} pass")]
#[case::bytes("s3cr<t/\\\"\\xc3\\xbc pass")]
#[case::shell("s3cr\\<t/\\\"ü\\ pass")]
#[case::quoted_printable("s3cr<t/\"=C3=BC pass")]
fn every_printed_form_is_found(#[case] form: &str) {
    let text = format!("see {form} here");
    let redacted = redactor().redact(&text).into_owned();
    assert!(redacted.contains("[redacted:db_password]"), "{redacted}");
}

#[test]
fn lines_of_a_key_are_found_one_by_one() {
    let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END KEY-----\n";
    let redactor = Redactor::new([("key", key)]);
    let log = "app | -----BEGIN KEY-----\napp | MIIEvQIBADANBgkqhkiG9w0B\n";
    assert_snapshot!(redactor.redact(log), @r"
    app | -----BEGIN KEY-----
    app | [redacted:key]
    ");
}

#[test]
fn short_values_are_left() {
    assert_eq!(Redactor::new([("a", "admin")]).redact("admin"), "admin");
}

#[test]
fn overlapping_secrets_leave_no_part() {
    let redactor = Redactor::new([("one", "abcdefgh"), ("two", "efghijkl")]);
    assert_eq!(redactor.redact("<abcdefghijkl>"), "<[redacted:one]>");
}

#[rstest]
#[case("redacted")]
#[case("secret_name")]
fn a_secret_is_not_said_by_its_replacement(#[case] value: &str) {
    let redacted = Redactor::new([("secret_name", value)])
        .redact(value)
        .into_owned();
    assert!(!redacted.contains(value), "{redacted}");
}

#[test]
fn invalid_utf8_goes_through() {
    let bytes = b"\xff\xfe abcdef123456 \xff";
    assert_eq!(
        &*redactor().redact_bytes(bytes),
        b"\xff\xfe [redacted:token] \xff"
    );
}

#[test]
fn a_stream_holds_back_a_line_and_what_may_go_on() {
    let mut stream = redactor().stream();
    assert_eq!(stream.push(b"hello abc"), b"");
    assert_eq!(stream.push(b"def12"), b"");
    assert_eq!(stream.push(b"3456 x\nabc"), b"hello [redacted:token] x\n");
    // The beginning of a value at the end of a line.
    assert_eq!(stream.push(b" s3cr\ny"), b"abc ");
    assert_eq!(stream.finish(), b"s3cr\ny");
}

#[test]
fn a_line_without_an_end_is_shown_piece_by_piece() {
    let mut stream = redactor().stream();
    let (mut shown, mut most) = (Vec::new(), 0);
    for _ in 0..10_000 {
        shown.extend(stream.push(b"abcdef123456 and so on, "));
        most = most.max(stream.held.len());
    }
    shown.extend(stream.finish());
    assert!(most < 8_192, "{most} bytes were held");
    assert_eq!(shown, b"[redacted:token] and so on, ".repeat(10_000));
}

#[test]
fn what_knows_no_secret_borrows() {
    assert!(matches!(
        Redactor::default().redact("text"),
        Cow::Borrowed(_)
    ));
    assert!(matches!(redactor().redact("text"), Cow::Borrowed(_)));
}

#[test]
fn a_quote_is_found_however_it_is_quoted() {
    let redactor = Redactor::new([("pw", "it's \"so\" & done")]);
    for form in [
        "it'\\''s \"so\" & done",
        "it'\"'\"'s \"so\" & done",
        "it's \\\"so\\\" & done",
        "it\\'s \"so\" & done",
        "it\\'s\\ \\\"so\\\"\\ \\&\\ done",
        "it&#39;s &quot;so&quot; &amp; done",
        "it&apos;s &quot;so&quot; &amp; done",
        "it&#x27;s &quot;so&quot; &amp; done",
        "it\\u0027s \\\"so\\\" \\u0026 done",
    ] {
        let text = redactor.redact(form).into_owned();
        assert_eq!(text, "[redacted:pw]", "{form}");
    }
}

const LONG: &str = "kR7vQ2xW9mZ4pL8nB3cY6tH1jF5dS0gA-eU_iO+aXqPwMzNbV";

/// In front of each line.
const PREFIXES: [&str; 6] = [
    "",
    "  ",
    "app | ",
    "2026-11-30T12:00:00.123456789Z ",
    "web.1.k3j2h1g9@node    | [info] ",
    "00000010: ",
];

fn encoded(text: &str, how: usize) -> String {
    let bytes = text.as_bytes();
    let hex = |between: &str| {
        let all: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        all.join(between)
    };
    match how {
        0 => text.to_owned(),
        1 => STANDARD.encode(text),
        2 => STANDARD.encode(format!("user:{text}")),
        3 => hex(""),
        4 => hex(":"),
        _ => text.bytes().map(|byte| format!("&#{byte};")).collect(),
    }
}

/// The longest piece of `inner` that is in `text`.
fn longest_piece(text: &str, inner: &str) -> usize {
    let of = |from: usize| {
        let ends = (from..=inner.len()).rev();
        let mut pieces = ends.filter(|end| text.contains(&inner[from..*end]));
        pieces.next().map_or(0, |end| end - from)
    };
    (0..inner.len()).map(of).max().unwrap_or(0)
}

proptest! {
    #[test]
    fn no_secret_survives(
        secrets in prop::collection::vec("[^\\[\\]\\s]{6,24}", 1..4),
        texts in prop::collection::vec("\\PC{0,12}", 1..6),
        order in prop::collection::vec(0usize..4, 0..8),
    ) {
        let redactor = Redactor::new(secrets.iter().map(|value| ("name", value)));
        let mut text = String::new();
        for (index, piece) in texts.iter().enumerate() {
            text.push_str(piece);
            text.push_str(order.get(index).and_then(|&at| secrets.get(at)).map_or("", |s| s));
        }
        let redacted = redactor.redact(&text).into_owned();
        for secret in &secrets {
            prop_assert!(!redacted.contains(secret.as_str()));
            prop_assert!(!redactor.redact(&STANDARD.encode(secret)).contains(&STANDARD.encode(secret)));
        }
    }

    #[test]
    fn text_without_secrets_is_unchanged(text in "[^x]{0,200}") {
        let redactor = Redactor::new([("name", "xsecretx/xvaluex")]);
        prop_assert!(matches!(redactor.redact(&text), Cow::Borrowed(same) if same == text));
    }

    #[test]
    fn a_value_that_is_wrapped_at_any_column_is_found(
        how in 0usize..6,
        column in 12usize..90,
        prefix in prop::sample::select(&PREFIXES[..]),
        before in "[ .,]{0,70}",
        end in prop::sample::select(&["\n", "\r\n", "\\\n"][..]),
    ) {
        let form = encoded(LONG, how);
        let width = column.max([12, 12, 12, 18, 24, 48][how]);
        // The first line may have less of it than the others.
        let text = format!("{before}{form}");
        let lines: Vec<String> = text
            .as_bytes()
            .chunks(width)
            .map(|line| format!("{prefix}{}", String::from_utf8_lossy(line)))
            .collect();
        let log = lines.join(end);
        let redacted = Redactor::new([("pw", LONG)]).redact(&log).into_owned();
        prop_assert!(redacted.contains("[redacted:pw]"), "{log}\n{redacted}");
        // Of base64 the outermost digits belong to neighbours, too.
        let own = if how == 2 { &form[7..] } else { form.as_str() };
        let left = longest_piece(&redacted, own);
        prop_assert!(left < 8 * [1, 1, 1, 2, 3, 6][how], "{left} are left:\n{log}\n{redacted}");
        for line in redacted.lines() {
            prop_assert!(line.starts_with(prefix.trim_end()) || prefix.trim().is_empty(), "{redacted}");
        }
    }

    #[test]
    fn ordinary_text_is_no_secret(
        value in "[A-Za-z0-9]{12,40}",
        words in prop::collection::vec("[a-z]{1,12}|[0-9a-f]{8,64}|[A-Z2-7]{8,32}|&#[0-9]{2};|\\\\x[0-9a-f]{2}", 0..60),
    ) {
        let text = words.join(" ");
        prop_assume!(!text.contains(&value));
        let redacted = Redactor::new([("pw", &value)]).redact(&text).into_owned();
        prop_assert_eq!(redacted, text);
    }

    #[test]
    fn a_stream_says_of_wrapped_values_what_the_whole_says(
        pieces in prop::collection::vec((0usize..6, 0usize..40, 1usize..50), 0..8),
        between in prop::collection::vec("[\n x|]{0,6}", 8),
        cuts in prop::collection::vec(1usize..40, 1..60),
    ) {
        let redactor = Redactor::new([("pw", LONG), ("token", "abcdef123456"), ("key", "first line\nand second")]);
        let mut text = String::new();
        for ((how, from, long), between) in pieces.iter().zip(&between) {
            let form = encoded(LONG, *how);
            let from = (*from).min(form.len());
            text.push_str(&form[from..form.len().min(from + long)]);
            text.push_str(between);
        }
        let mut stream = redactor.stream();
        let mut streamed = Vec::new();
        let mut rest = text.as_bytes();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, behind) = rest.split_at(rest.len().min(*cut));
            streamed.extend(stream.push(piece));
            rest = behind;
        }
        streamed.extend(stream.finish());
        prop_assert_eq!(String::from_utf8_lossy(&streamed), redactor.redact(&text), "{}", text);
    }

    #[test]
    fn a_stream_says_what_the_whole_says(
        text in "(abcdef123456|abcdef|abc|123456abc| |[a-c1-3]){0,30}",
        cuts in prop::collection::vec(1usize..9, 1..200),
    ) {
        let redactor = redactor();
        let mut stream = redactor.stream();
        let mut streamed = Vec::new();
        let mut rest = text.as_bytes();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, left) = rest.split_at((*cut).min(rest.len()));
            streamed.extend(stream.push(piece));
            rest = left;
        }
        streamed.extend(stream.finish());
        prop_assert_eq!(String::from_utf8_lossy(&streamed), redactor.redact(&text));
    }

    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), value in prop::collection::vec(any::<u8>(), 0..40)) {
        let redactor = Redactor::new([("name", &value)]);
        let mut stream = redactor.stream();
        let _shown = stream.push(&bytes);
        let _rest = stream.finish();
        let _text = redactor.redact(&String::from_utf8_lossy(&bytes)).len();
    }
}
