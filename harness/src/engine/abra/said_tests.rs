use super::*;

#[rstest::rstest]
#[case("INFO x\nFATA deploy timed out 😟\n", Some("deploy timed out 😟"))]
#[case(
    "FATA unable to validate recipe:\n  R011 no service named app\n",
    Some("unable to validate recipe:; R011 no service named app")
)]
#[case("INFO all well\n", None)]
fn a_failure_is_the_line_fata(#[case] said: &str, #[case] expected: Option<&str>) {
    assert_eq!(fatal(said).as_deref(), expected);
}

#[rstest::rstest]
#[case("Error: unknown flag: --chaos\nUsage:", Some("--chaos"))]
#[case("flag provided but not defined: -chaos\n", Some("--chaos"))]
#[case(
    "Incorrect Usage: flag provided but not defined: -no-input",
    Some("--no-input")
)]
#[case("FATA unknown recipe", None)]
fn a_flag_that_is_not_known_is_named(#[case] said: &str, #[case] expected: Option<&str>) {
    assert_eq!(unknown_flag(said).as_deref(), expected);
}

#[rstest::rstest]
#[case::lint("FATA lint errors: R014", true)]
#[case::secret("FATA secret not generated: db_password", true)]
#[case::config(
    "FATA failed to update config x: Error response from daemon: rpc error: code = InvalidArgument desc = only updates to Labels are allowed",
    true
)]
#[case::docker_refuses(
    "FATA Error response from daemon: rpc error: code = InvalidArgument desc = invalid mount",
    true
)]
#[case::docker_away("FATA Cannot connect to the Docker daemon at unix:///x", false)]
#[case::private("FATA unable to pull: authentication required", false)]
#[case::unclean("FATA custom-html has locally unstaged changes?", false)]
#[case::again("FATA x.ci.test is already deployed", false)]
#[case::unheard_of("FATA the moon is in the wrong house", false)]
#[case::crash("panic: runtime error: index out of range\n", false)]
fn whose_fault_it_is(#[case] said: &str, #[case] recipe: bool) {
    let fault = failure("deploying x", "abra app deploy", "exit status: 1", said);
    assert_eq!(matches!(fault, Fault::Recipe(_)), recipe, "{fault:?}");
}

#[test]
fn what_abra_was_asked_for_is_no_cause() {
    let said = "FATA unable to get the terminal's width";
    for said in [said, "panic: runtime error: index out of range"] {
        let fault = failure("lint", "abra recipe lint", "exit status: 1", said);
        assert!(matches!(fault, Fault::Infra(_)), "{fault:?}");
    }
}

#[test]
fn who_says_nothing_is_named_with_its_status() {
    let fault = failure("deploying x", "abra app deploy", "signal: 9 (SIGKILL)", "");
    assert_eq!(
        fault,
        Fault::infra(
            "deploying x: `abra app deploy` ended with signal: 9 (SIGKILL): it said nothing"
        )
    );
}

const LONG: &str = "d4e5f60718293a4b5c6d7e8f901234567890abcdef1234567890abcdef123456";

#[rstest::rstest]
#[case::text("snapshot 1a2b3c4d saved\nbackup finished\n", Some("1a2b3c4d"))]
#[case::json(&format!("{{\"message_type\":\"summary\",\"snapshot_id\":\"{LONG}\"}}\n"), Some(LONG))]
#[case::json_spaced("{\"snapshot_id\": \"1a2b3c4d\"}", Some("1a2b3c4d"))]
#[case::in_python("INFO {'snapshot_id': '1a2b3c4d'}", Some("1a2b3c4d"))]
#[case::parent("using parent snapshot none\nbackup finished", None)]
#[case::longer("snapshot 1a2b3c4d5e saved", None)]
#[case::none("backup finished\n", None)]
fn a_snapshots_id(#[case] said: &str, #[case] expected: Option<&str>) {
    assert_eq!(snapshot_id(said).as_deref(), expected);
}

#[test]
fn a_list_of_snapshots() {
    let said = "ID        Time                 Host  Tags\n\
        ------------------------------------------\n\
        1a2b3c4d  2026-01-02 03:04:05  h     x_ci_test\n\
        │ 5e6f7a8b │ 2026-01-02 │\n\
        ------------------------------------------\n\
        2 snapshots\n";
    assert_eq!(snapshots(said), ["1a2b3c4d", "5e6f7a8b"]);
}

const TABLE: &str = "\
┌──────┬─────────────────────────┬──────────┬───────────┬─────────┬───────────────────────┐
│ REF  │ RULE                    │ SEVERITY │ SATISFIED │ SKIPPED │ RESOLVE               │
├──────┼─────────────────────────┼──────────┼───────────┼─────────┼───────────────────────┤
│ R001 │ compose config has      │ warn     │ ✅        │ -       │ ensure 'version: 3.8' │
│      │ expected version        │          │           │         │                       │
│ R002 │ healthcheck enabled for │ warn     │ ❌        │ -       │ wire up healthchecks  │
│      │ all services            │          │           │         │                       │
│ R014 │ only annotated tags     │ error    │ ❌        │ -       │ replace lightweight   │
└──────┴─────────────────────────┴──────────┴───────────┴─────────┴───────────────────────┘
WARN critical errors present
";

#[test]
fn the_findings_of_lints_table_are_the_rules_that_are_not_satisfied() {
    let findings = lint_findings(TABLE).unwrap();
    let shown: Vec<_> = findings
        .iter()
        .map(|finding| format!("{} {}: {}", finding.rule, finding.severity, finding.message))
        .collect();
    assert_eq!(
        shown,
        [
            "R002 warn: healthcheck enabled for all services",
            "R014 error: only annotated tags"
        ]
    );
}

#[test]
fn what_is_no_table_is_not_taken_for_a_clean_one() {
    assert_eq!(lint_findings("FATA no terminal\n"), None);
    assert_eq!(lint_findings("│ a │ b │ c │ d │\n"), None);
}

proptest::proptest! {
    /// Whatever a program says, something is made of it and nothing breaks.
    #[test]
    fn any_text_is_read(said in "(FATA|snapshot |│ ref │ rule │ level │ satisfied │\n|unknown flag: --|❌|[0-9a-f]{8}|\\PC|\n){0,40}") {
        if let Some(id) = snapshot_id(&said) {
            proptest::prop_assert!(said.contains(&id) && (id.len() == 8 || id.len() == 64));
        }
        for id in snapshots(&said) {
            proptest::prop_assert!(said.contains(&id));
        }
        if let Some(flag) = unknown_flag(&said) {
            proptest::prop_assert!(flag.starts_with("--"));
        }
        let _ = lint_findings(&said);
        let fault = failure("deploying", "abra app deploy", "exit status: 1", &said);
        proptest::prop_assert!(fault.to_string().starts_with("deploying: "));
    }
}
