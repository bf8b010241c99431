use super::*;

fn parsed(text: &str) -> EnvFile {
    EnvFile::parse(text).unwrap()
}

#[rstest::rstest]
#[case("A=1", "1")]
#[case("A=", "")]
#[case("A= # a note", "")]
#[case("A=one two # a note", "one two")]
#[case("A=a#b", "a#b")]
#[case("A='`$B` # kept'", "`$B` # kept")]
#[case("B=x\nA=\"$B:${B}:\\$B\"", "x:x:$B")]
#[case("B=x\nA=$B-y # b", "x-y")]
#[case("A=\"a \\\"b\\\" # c\" # d", "a \"b\" # c")]
#[case("A=1\nA=\"$A:2\"\nA=\"$A:3\"", "1:2:3")]
#[case("export A=1", "1")]
#[case("  A = 1  ", "1")]
#[case("A=1\r\n", "1")]
#[case("A=$NOWHERE!", "!")]
#[case("A=5$", "5$")]
#[case("A=${B:-c}", "${B:-c}")]
fn a_value_reads_as(#[case] text: &str, #[case] value: &str) {
    assert_eq!(parsed(text).get("A"), Some(value));
}

#[rstest::rstest]
#[case("A=1\nwhat", "line 2: `what` is neither `KEY=value` nor a comment")]
#[case(
    "A-B=1",
    "line 1: `A-B` is no name of a variable: letters, digits and `_`, no digit first"
)]
#[case(
    "A=\"x",
    "line 1: the value of `A` opens a \" that is not closed on the same line"
)]
#[case(
    "A='x'y",
    "line 1: `y` stands behind the closing quote of `A`; only a `#` comment may"
)]
fn a_broken_line_is_named(#[case] text: &str, #[case] error: &str) {
    assert_eq!(EnvFile::parse(text).unwrap_err().to_string(), error);
}

#[test]
fn a_value_set_before_a_trailing_comment_is_not_swallowed() {
    let mut file =
        parsed("SECRET_A_VERSION=v1 # length=8\nB= # nothing yet\nC=1 # last\nE='x'#tight");
    file.set("E", "y").unwrap();
    file.set("SECRET_A_VERSION", "v2").unwrap();
    file.set("B", "two words").unwrap();
    file.set("D", "new").unwrap();
    insta::assert_snapshot!(file.to_string(), @r"
    SECRET_A_VERSION=v2 # length=8
    B='two words' # nothing yet
    C=1 # last
    E=y #tight
    D=new
    ");
    assert_eq!(file.modifiers("SECRET_A_VERSION").length, Some(8));
}

#[test]
fn the_last_of_repeated_keys_is_the_one_that_is_set() {
    let mut file =
        parsed("COMPOSE_FILE=compose.yml\nCOMPOSE_FILE=\"$COMPOSE_FILE:compose.s3.yml\"\n");
    assert_eq!(file.get("COMPOSE_FILE"), Some("compose.yml:compose.s3.yml"));
    file.set("COMPOSE_FILE", "compose.yml").unwrap();
    assert_eq!(file.get("COMPOSE_FILE"), Some("compose.yml"));
}

#[test]
fn a_line_break_in_a_value_is_refused() {
    let error = EnvFile::default().set("A", "a\nb").unwrap_err();
    assert_eq!(error, EnvError::Unrepresentable { key: "A".into() });
}

#[test]
fn modifiers_are_read_from_live_and_from_commented_lines() {
    let file = parsed(
        "# SECRET_A_VERSION=v1 # length=128 charset=hex\n\
         SECRET_A_VERSION=v1 # length=64\n\
         #SECRET_B_VERSION=v1 # length=32\n\
         SECRET_C_VERSION=v1 # generate=false\n\
         SECRET_D_VERSION=v1 # length=many charset=runes\n",
    );
    let a = file.modifiers("SECRET_A_VERSION");
    assert_eq!(
        (a.length, a.charset, a.generate),
        (Some(64), Some(Charset::Hex), true)
    );
    assert_eq!(file.modifiers("SECRET_B_VERSION").length, Some(32));
    assert!(!file.modifiers("SECRET_C_VERSION").generate);
    assert_eq!(file.modifiers("SECRET_D_VERSION"), Modifiers::default());
    assert_eq!(file.notes().len(), 2);
    assert_eq!(file.keys().count(), 3);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_that_take_in_each_other_do_not_grow_without_end() {
        let bomb = format!("A=0123456789\n{}", "A=$A$A\n".repeat(60));
        let error = EnvFile::parse(&bomb).unwrap_err();
        insta::assert_snapshot!(error, @"line 18: with `A` all values together have more than 1048576 bytes, for a value may take in others");
        let wide = format!("A={}\nB={}\n", "x".repeat(700_000), "$A".repeat(100_000));
        assert!(EnvFile::parse(&wide).is_err());
        let mut file = EnvFile::parse("A=x\nB=$A$A$A\n").unwrap();
        let before = file.clone();
        assert!(file.set("A", &"x".repeat(500_000)).is_err());
        assert_eq!(file, before, "what is refused changes nothing");
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_back_byte_for_byte(
            lines in proptest::collection::vec("[ \t]{0,2}(#.{0,20}|[A-C]{1,2}=.{0,20}|)", 0..8),
            end in "(\r?\n)?",
        ) {
            let text = lines.join("\n") + &end;
            if let Ok(file) = EnvFile::parse(&text) {
                prop_assert_eq!(file.to_string(), text);
            }
        }

        #[test]
        fn what_is_set_is_read_back_and_nothing_else_changes(
            before in proptest::collection::vec(
                "(K[A-D]=[a-z \"'#$=\\\\]{0,12}|# .{0,10}|K[A-D]='[^'\n\r]{0,8}' # x)", 0..6),
            end in "(\r?\n)?",
            key in "K[A-F]",
            value in "[^\r\n\0]{0,24}",
        ) {
            let text = before.join("\n") + &end;
            let Ok(mut file) = EnvFile::parse(&text) else {
                return Err(TestCaseError::reject("not an env file"));
            };
            let old = file.variables().clone();
            file.set(&key, &value).unwrap();
            let again = EnvFile::parse(&file.to_string()).unwrap();
            prop_assert_eq!(&again, &file);
            prop_assert_eq!(again.get(&key), Some(value.as_str()));
            for (name, was) in old.iter().filter(|(name, _)| **name != key) {
                prop_assert_eq!(again.get(name), Some(was.as_str()));
            }
            prop_assert_eq!(
                again.keys().filter(|name| *name != key).count(),
                old.keys().filter(|name| **name != key).count()
            );
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(.|\n){0,80}") {
            let _ = EnvFile::parse(&text);
        }
    }
}
