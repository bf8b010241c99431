use results::event::EventKind;
use results::evidence::{Evidence, Part};
use results::html;
use results::table::{self, Colour};
use results::{Outcome, Source, Tier, junit};
use rstest::rstest;

use crate::sample::{self, Run};

fn table_of(run: Run) -> String {
    table::render(
        &run.record(),
        Colour::Never,
        &|_| None,
        Some("runs/custom-html-7f3a/report.html"),
    )
}

#[test]
fn the_table_of_each_kind_of_run() {
    insta::assert_snapshot!(table_of(sample::all_pass()), @"
    custom-html  PASS  in 16.9 s
      install, upgrade, backup, restore, custom, fresh passed, 11 assertions
      head 4be1c2d9a077 (1.11.0+1.29.0), pull request 7
      base 1.10.0+1.28.0 (the newest tag that is an ancestor of head)

      tier      status             time  tests
      install   pass              3.4 s  2
      upgrade   pass              8.0 s  2
      backup    pass             540 ms  2
      restore   pass             440 ms  2
      custom    pass             120 ms  1
      fresh     pass              3.3 s  2
      lint      pass
      teardown  pass             600 ms

      level 5 of 5: every rung passed

      report: runs/custom-html-7f3a/report.html
    ");
    insta::assert_snapshot!(table_of(sample::upgrade_failed()), @"
    custom-html  FAIL  in 46.9 s
      upgrade failed: the update of service app was rolled back: the new task never became healthy
      head 4be1c2d9a077 (1.11.0+1.29.0), pull request 7
      base 1.10.0+1.28.0 (the newest tag that is an ancestor of head)

      tier      status             time  tests
      install   pass              3.4 s  2
      upgrade   fail             42.1 s  0 of 1 passed
      backup    unverified       120 ms  0 of 1 passed
      restore   unverified       120 ms  0 of 1 passed
      custom    unverified       120 ms  0 of 1 passed
      lint      pass
      teardown  pass             600 ms

      level 1 of 5
        1 install              passed
        2 upgrade              blocked        see above
        3 backup and restore   blocked        backup was not verified: head is not live: upgrade failed
        4 functional           blocked        custom was not verified: unknown_path_is_404: head is not live: upgrade failed
        5 lint                 out of reach   it passed, but rung 2 (upgrade) is blocked

      not a pass
        upgrade: fail: see above
        backup: unverified: head is not live: upgrade failed
        restore: unverified: head is not live: upgrade failed
        custom unknown_path_is_404: unverified: head is not live: upgrade failed

      report: runs/custom-html-7f3a/report.html
    ");
    insta::assert_snapshot!(table_of(sample::no_deployable_base()), @"
    custom-html  PASS  in 8.8 s
      install, backup, restore, custom passed, 7 assertions; not verified: upgrade (base 1.10.0+1.28.0 can't be deployed: no such image docker.example/nginx:1.28)
      head 4be1c2d9a077 (1.11.0+1.29.0), pull request 7
      base 1.10.0+1.28.0 (the newest tag that is an ancestor of head)

      tier      status             time  tests
      install   pass              6.6 s  2
      upgrade   unverified       120 ms  0 of 1 passed
      backup    pass             540 ms  2
      restore   pass             440 ms  2
      custom    pass             120 ms  1
      lint      pass
      teardown  pass             600 ms

      level 1 of 5
        1 install              passed
        2 upgrade              blocked        upgrade was not verified: base 1.10.0+1.28.0 can't be deployed: no such image docker.example/nginx:1.28
        3 backup and restore   out of reach   it passed, but rung 2 (upgrade) is blocked
        4 functional           out of reach   it passed, but rung 2 (upgrade) is blocked
        5 lint                 out of reach   it passed, but rung 2 (upgrade) is blocked

      not a pass
        upgrade: unverified: base 1.10.0+1.28.0 can't be deployed: no such image docker.example/nginx:1.28

      report: runs/custom-html-7f3a/report.html
    ");
    insta::assert_snapshot!(table_of(sample::not_backup_capable()), @"
    custom-html  PASS  in 16.0 s
      install, upgrade, custom, fresh passed, 7 assertions; does not apply: backup, restore
      head 4be1c2d9a077 (1.11.0+1.29.0), pull request 7
      base 1.10.0+1.28.0 (the newest tag that is an ancestor of head)

      tier      status             time  tests
      install   pass              3.4 s  2
      upgrade   pass              8.0 s  2
      backup    skip             120 ms
      restore   skip
      custom    pass             120 ms  1
      fresh     pass              3.3 s  2
      lint      pass
      teardown  pass             600 ms

      level 5 of 5
        1 install              passed
        2 upgrade              passed
        3 backup and restore   skipped        backup does not apply: no service has the label backupbot.backup
        4 functional           passed
        5 lint                 passed

      not a pass
        backup: skip: no service has the label backupbot.backup
        restore: skip: no service has the label backupbot.backup

      report: runs/custom-html-7f3a/report.html
    ");
    insta::assert_snapshot!(table_of(sample::cancelled()), @"
    custom-html  CANCELLED  in 6.4 s
      cancelled by the CI engine
      head 4be1c2d9a077 (1.11.0+1.29.0), pull request 7
      base 1.10.0+1.28.0 (the newest tag that is an ancestor of head)

      tier      status             time  tests
      install   pass              3.4 s  2
      upgrade   unverified
      backup    unverified
      restore   unverified
      custom    unverified
      lint      unverified
      teardown  pass             600 ms

      level 1 of 5
        1 install              passed
        2 upgrade              blocked        upgrade was not verified: it began and never ended, for the run was cancelled
        3 backup and restore   blocked        backup was not verified: it never reported back, for the run was cancelled
        4 functional           blocked        custom was not verified: it never reported back, for the run was cancelled
        5 lint                 blocked        lint was not verified: lint never reported

      not a pass
        upgrade: unverified: it began and never ended, for the run was cancelled
        backup: unverified: it never reported back, for the run was cancelled
        restore: unverified: it never reported back, for the run was cancelled
        custom: unverified: it never reported back, for the run was cancelled
        lint: unverified: lint never reported

      report: runs/custom-html-7f3a/report.html
    ");
    insta::assert_snapshot!(table_of(sample::residue()), @"
    custom-html  ERROR  in 16.9 s
      teardown: left behind: volume cust-0f3a9c_ci_test_content
      head 4be1c2d9a077 (1.11.0+1.29.0), pull request 7
      base 1.10.0+1.28.0 (the newest tag that is an ancestor of head)

      tier      status             time  tests
      install   pass              3.4 s  2
      upgrade   pass              8.0 s  2
      backup    pass             540 ms  2
      restore   pass             440 ms  2
      custom    pass             120 ms  1
      fresh     pass              3.3 s  2
      lint      pass
      teardown  error            600 ms

      level 5 of 5: every rung passed

      not a pass
        teardown: error: left behind: volume cust-0f3a9c_ci_test_content

      report: runs/custom-html-7f3a/report.html
    ");
    insta::assert_snapshot!(table_of(sample::no_functional_tests()), @"
    custom-html  PASS  in 16.8 s
      install, upgrade, backup, restore, fresh passed, 10 assertions; not verified: custom (the recipe has no functional tests of its own)
      head 4be1c2d9a077 (1.11.0+1.29.0), pull request 7
      base 1.10.0+1.28.0 (the newest tag that is an ancestor of head)

      tier      status             time  tests
      install   pass              3.4 s  2
      upgrade   pass              8.0 s  2
      backup    pass             540 ms  2
      restore   pass             440 ms  2
      custom    unverified
      fresh     pass              3.3 s  2
      lint      fail                     1 finding
      teardown  pass             600 ms

      level 3 of 5
        1 install              passed
        2 upgrade              passed
        3 backup and restore   passed
        4 functional           blocked        custom was not verified: the recipe has no functional tests of its own
        5 lint                 blocked        lint failed: the recipe has no README

      not a pass
        custom: unverified: the recipe has no functional tests of its own
        lint: fail: the recipe has no README

      report: runs/custom-html-7f3a/report.html
    ");
}

#[test]
fn colour_adds_nothing_but_colour() {
    let record = sample::upgrade_failed().record();
    let coloured = table::render(&record, Colour::Always, &|_| None, None);
    assert!(coloured.contains("\u{1b}[31mfail\u{1b}[0m"), "{coloured}");
    let plain: String = coloured
        .split('\u{1b}')
        .enumerate()
        .map(|(n, part)| {
            if n == 0 {
                part
            } else {
                part.split_once('m').unwrap().1
            }
        })
        .collect();
    assert_eq!(
        plain,
        table::render(&record, Colour::Never, &|_| None, None)
    );
}

#[test]
fn junit_of_a_failed_upgrade() {
    let xml = junit::render(&sample::upgrade_failed().record()).unwrap();
    insta::assert_snapshot!(xml, @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="custom-html custom-html-7f3a" tests="13" skipped="6" failures="2" errors="0" time="46.920">
        <testsuite name="install" tests="3" skipped="0" errors="0" failures="0" time="3.440">
            <testcase name="operation" classname="install" time="3.200"/>
            <testcase name="services_converged" classname="install.generic" time="0.120"/>
            <testcase name="page_survives" classname="install.overlay" time="0.120"/>
        </testsuite>
        <testsuite name="upgrade" tests="2" skipped="1" errors="0" failures="1" time="42.120">
            <testcase name="operation" classname="upgrade" time="42.000">
                <failure message="the update of service app was rolled back: the new task never became healthy" type="fail">the update of service app was rolled back: the new task never became healthy</failure>
            </testcase>
            <testcase name="head_is_live" classname="upgrade.generic" time="0.120">
                <skipped message="upgrade failed" type="unverified"/>
            </testcase>
        </testsuite>
        <testsuite name="backup" tests="2" skipped="2" errors="0" failures="0" time="0.120">
            <testcase name="operation" classname="backup" time="0.000">
                <skipped message="head is not live: upgrade failed" type="unverified"/>
            </testcase>
            <testcase name="services_converged" classname="backup.generic" time="0.120">
                <skipped message="head is not live: upgrade failed" type="unverified"/>
            </testcase>
        </testsuite>
        <testsuite name="restore" tests="2" skipped="2" errors="0" failures="0" time="0.120">
            <testcase name="operation" classname="restore" time="0.000">
                <skipped message="head is not live: upgrade failed" type="unverified"/>
            </testcase>
            <testcase name="services_converged" classname="restore.generic" time="0.120">
                <skipped message="head is not live: upgrade failed" type="unverified"/>
            </testcase>
        </testsuite>
        <testsuite name="custom" tests="1" skipped="1" errors="0" failures="0" time="0.120">
            <testcase name="unknown_path_is_404" classname="custom.custom" time="0.120">
                <skipped message="head is not live: upgrade failed" type="unverified"/>
            </testcase>
        </testsuite>
        <testsuite name="lint" tests="1" skipped="0" errors="0" failures="0">
            <testcase name="lint" classname="lint"/>
        </testsuite>
        <testsuite name="teardown" tests="1" skipped="0" errors="0" failures="0">
            <testcase name="leaves nothing" classname="teardown"/>
        </testsuite>
        <testsuite name="run" tests="1" skipped="0" errors="0" failures="1">
            <testcase name="verdict" classname="run">
                <failure message="upgrade failed: the update of service app was rolled back: the new task never became healthy" type="fail"/>
            </testcase>
        </testsuite>
    </testsuites>
    "#);
}

#[rstest]
#[case::all_pass(sample::all_pass(), 0)]
#[case::no_deployable_base(sample::no_deployable_base(), 0)]
#[case::residue(sample::residue(), 1)]
#[case::cancelled(sample::cancelled(), 1)]
fn junit_is_red_exactly_if_the_run_is(#[case] run: Run, #[case] least: usize) {
    let xml = junit::render(&run.record()).unwrap();
    let report = quick_junit::Report::deserialize_from_str(&xml).unwrap();
    let red = report.failures + report.errors;
    assert!(if least == 0 { red == 0 } else { red >= least }, "{xml}");
}

#[test]
fn a_second_try_is_told_wherever_the_record_is_shown() {
    let mut run = sample::all_pass();
    let ended = |outcome| {
        let name = "services_converged";
        sample::trial_ended(Tier::Install, Source::Generic, name, outcome)
    };
    run.push(ended(Outcome::fail("502")))
        .push(ended(Outcome::Pass))
        .push(EventKind::Retry {
            tier: Tier::Backup,
            what: "the backup".to_owned(),
            why: "the dump is cut".to_owned(),
            attempt: 2,
        });
    let record = run.record();
    let table = table::render(&record, Colour::Never, &|_| None, None);
    let page = html::render(&record, &|_| None);
    let lines = [
        "install services_converged is flaky: it passed on try 2; before: fail: 502",
        "backup: try 2 of the backup: the dump is cut",
    ];
    for line in lines {
        assert!(table.contains(line), "{table}");
        assert!(page.contains(line), "{page}");
    }
    assert!(table.contains("2, 1 flaky"), "{table}");
    let xml = junit::render(&record).unwrap();
    for element in [
        r#"<flakyFailure message="502" type="fail">"#,
        r#"<flakyError message="the backup: the dump is cut" type="error">"#,
    ] {
        assert!(xml.contains(element), "{xml}");
    }
    assert!(xml.contains(r#"failures="0" errors="0""#), "{xml}");
}

#[test]
fn the_report_says_the_reason_before_anything_else() {
    let page = html::render(&sample::upgrade_failed().record(), &|_| None);
    let reason = page
        .find("upgrade failed: the update of service app was rolled back")
        .unwrap();
    let tiers = page.find("<h2>Tiers</h2>").unwrap();
    assert!(reason < tiers);
    // The tier that failed is unfolded, one that passed is not.
    let section = |id: &str| {
        let start = page.find(&format!("<section id=\"{id}\">")).unwrap();
        &page[start..start + page[start..].find("</section>").unwrap()]
    };
    assert!(section("upgrade").contains("<details open"));
    assert!(!section("install").contains("<details open"));
}

#[test]
fn the_report_carries_its_evidence() {
    let mut run = sample::upgrade_failed();
    run.push(EventKind::TrialEnded {
        tier: Tier::Upgrade,
        name: "answers".to_owned(),
        source: Source::Generic,
        outcome: Outcome::fail("no answer"),
        duration_ms: 3,
        evidence: [
            "evidence/app.log",
            "evidence/shot.png",
            "evidence/core",
            "evidence/gone",
        ]
        .map(str::to_owned)
        .to_vec(),
    });
    let page = html::render(&run.record(), &|path| match path {
        "evidence/app.log" => Some(Evidence::Text {
            text: "a < b\nlast line".to_owned(),
            part: Part::End,
        }),
        "evidence/shot.png" => Some(Evidence::Image {
            mime: "image/png",
            bytes: b"picture".to_vec(),
        }),
        "evidence/core" => Some(Evidence::LinkOnly),
        _ => None,
    });
    for expected in [
        "a &lt; b\nlast line</pre>",
        r#"<a href="./evidence/app.log">"#,
        r#"<img src="data:image/png;base64,cGljdHVyZQ==" alt="Picture evidence/shot.png">"#,
        r#"<a href="./evidence/core">"#,
        "<code>evidence/gone</code> is not there",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
}
