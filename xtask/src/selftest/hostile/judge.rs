//! What a run said, and what the engine was given in it, against what was expected.

use fixtures::hostile::{Expect, Verdict as Expected};
use results::{Record, Verdict};

use super::super::witness::{Seen, Spoilt, Tokens};

/// What is wrong with a record.
pub fn faults(record: &Record, expect: &Expect) -> Vec<String> {
    let (verdict, reason) = (record.verdict, &record.verdict_reason);
    let said = format!("the verdict is {verdict}: {reason}");
    match expect.verdict {
        Expected::Any if verdict == Verdict::Cancelled => vec![said],
        Expected::Any => Vec::new(),
        Expected::Pass if verdict == Verdict::Pass => Vec::new(),
        Expected::Pass => vec![format!("a known-good recipe: {said}")],
        Expected::Refused if !matches!(verdict, Verdict::Fail | Verdict::Error) => {
            vec![format!("it was to be refused: {said}")]
        }
        Expected::Refused => {
            let lower = reason.to_lowercase();
            let is_named = |word: &String| lower.contains(&word.to_lowercase());
            let named = expect.words.iter().any(is_named);
            let words = expect.words.join("`, `");
            let unnamed = format!("the reason names none of `{words}`: {reason}");
            (!named).then_some(unnamed).into_iter().collect()
        }
    }
}

/// What of it the engine should not have been given: a credential, in anything; what the case says,
/// in anything of its stack; and anything that runs, where the first deploy was to be refused.
pub fn given(
    seen: &[Seen],
    stack: Option<&str>,
    expect: &Expect,
    with_first_deploy: bool,
    tokens: &Tokens,
) -> Vec<Spoilt> {
    let mut spoilt = Vec::new();
    let mut add = |how: String| {
        let witness = "what the engine was given";
        let one = Spoilt { witness, how };
        // A crash loop gives it the same again and again.
        if !spoilt.contains(&one) {
            spoilt.push(one);
        }
    };
    for one in seen {
        let is_of_stack = stack.is_some_and(|stack| one.name.starts_with(stack));
        if !is_of_stack {
            continue;
        }
        let Seen { kind, name, .. } = one;
        if kind == "container" && with_first_deploy && expect.verdict == Expected::Refused {
            add(format!("a container of {name} was made"));
        }
        let all = format!("{}\n{}", one.text, one.content);
        for token in tokens.in_text(&all) {
            add(format!("{token} is in {kind} {name}"));
        }
        for text in expect.lacks.iter().filter(|text| one.text.contains(*text)) {
            add(format!("{kind} {name} has `{text}`"));
        }
    }
    spoilt
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expect(verdict: Expected) -> Expect {
        Expect {
            verdict,
            words: vec!["Cap_Add".to_owned()],
            lacks: vec!["SYS_ADMIN".to_owned()],
            heard: None,
        }
    }

    #[rstest::rstest]
    #[case::refused(Expected::Refused, Verdict::Fail, "x: cap_add y", 0)]
    #[case::refused_by_the_site(Expected::Refused, Verdict::Error, "x: cap_add y", 0)]
    #[case::refused_for_another_reason(Expected::Refused, Verdict::Fail, "no compose.yml", 1)]
    #[case::not_refused(Expected::Refused, Verdict::Pass, "cap_add", 1)]
    #[case::held(Expected::Any, Verdict::Pass, "", 0)]
    #[case::stopped(Expected::Any, Verdict::Cancelled, "", 1)]
    #[case::good(Expected::Pass, Verdict::Pass, "", 0)]
    #[case::good_and_refused(Expected::Pass, Verdict::Fail, "cap_add", 1)]
    fn a_verdict_is_held_against_what_was_expected(
        #[case] expected: Expected,
        #[case] verdict: Verdict,
        #[case] reason: &str,
        #[case] faults_found: usize,
    ) {
        let mut record = crate::selftest::normal::tests::record();
        record.verdict = verdict;
        record.verdict_reason = reason.to_owned();
        assert_eq!(faults(&record, &expect(expected)).len(), faults_found);
    }

    #[rstest::rstest]
    #[case::a_power("service", "s_app", "{\"SYS_ADMIN\"}", "", Some("has `SYS_ADMIN`"))]
    #[case::a_credential(
        "config",
        "s_c",
        "{}",
        "SYS_ADMIN token",
        Some("a file of the host is in config s_c")
    )]
    #[case::what_runs("container", "s_app", "", "", Some("a container of s_app was made"))]
    #[case::nothing("service", "s_app", "{}", "", None)]
    #[case::of_another("service", "t_app", "{\"SYS_ADMIN\"}", "", None)]
    fn what_the_engine_was_given_is_held_against_it(
        #[case] kind: &str,
        #[case] name: &str,
        #[case] text: &str,
        #[case] content: &str,
        #[case] said: Option<&str>,
    ) {
        let tokens = Tokens::new();
        let seen = Seen {
            kind: kind.to_owned(),
            name: name.to_owned(),
            text: text.to_owned(),
            content: content.replace("token", &tokens.file),
        };
        let spoilt = given(
            &[seen],
            Some("s"),
            &expect(Expected::Refused),
            true,
            &tokens,
        );
        let how = spoilt.first().map(|one| one.how.as_str());
        match said {
            None => assert_eq!(how, None),
            Some(said) => assert!(how.is_some_and(|how| how.contains(said)), "{how:?}"),
        }
    }
}
