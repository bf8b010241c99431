use insta::assert_snapshot;
use proptest::prelude::*;
use rstest::rstest;

use super::*;

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
fn a_stream_holds_back_only_what_may_be_a_secret() {
    let mut stream = redactor().stream();
    assert_eq!(stream.push(b"hello abc"), b"hello ");
    assert_eq!(stream.push(b"def12"), b"");
    assert_eq!(stream.push(b"3456 x"), b"[redacted:token] x");
    assert_eq!(stream.push(b"abc"), b"");
    assert_eq!(stream.finish(), b"abc");
}

#[test]
fn what_knows_no_secret_borrows() {
    assert!(matches!(
        Redactor::default().redact("text"),
        Cow::Borrowed(_)
    ));
    assert!(matches!(redactor().redact("text"), Cow::Borrowed(_)));
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
