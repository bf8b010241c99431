//! What people and tools read never says better than the record, however odd the run.

use std::collections::BTreeMap;

use html5ever::tendril::TendrilSink;
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, NodeData, RcDom};
use proptest::prelude::*;
use quick_junit::{NonSuccessKind, Report, TestCaseStatus};
use results::record::RungState;
use results::table::{self, Colour};
use results::{Cause, Outcome, Record, Tier, Verdict, html, junit};

use crate::properties::events;

/// What a case of JUnit has to be for an outcome: the word of its element.
fn element(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "success",
        Outcome::Fail { .. } => "failure",
        Outcome::Error { .. }
        | Outcome::Unverified {
            cause: Cause::Error,
            ..
        } => "error",
        Outcome::Skip { .. } | Outcome::Unverified { .. } => "skipped",
    }
}

fn found(status: &TestCaseStatus) -> &'static str {
    match status {
        TestCaseStatus::Success { .. } => "success",
        TestCaseStatus::Skipped { .. } => "skipped",
        TestCaseStatus::NonSuccess { kind, .. } => match kind {
            NonSuccessKind::Failure => "failure",
            NonSuccessKind::Error => "error",
        },
    }
}

/// Cases by class and name, and how many of each kind there are.
fn cases(
    report: &Report,
) -> (
    BTreeMap<String, &'static str>,
    BTreeMap<&'static str, usize>,
) {
    let (mut by_name, mut counts) = (BTreeMap::new(), BTreeMap::new());
    for case in report
        .test_suites
        .iter()
        .flat_map(|suite| &suite.test_cases)
    {
        let class = case.classname.as_ref().map_or("", |class| class.as_str());
        let status = found(&case.status);
        by_name.insert(format!("{class} {}", case.name.as_str()), status);
        *counts.entry(status).or_default() += 1;
    }
    (by_name, counts)
}

/// Operations and tests with the class and the name that they have in JUnit.
fn parts(record: &Record) -> Vec<(String, &Outcome)> {
    let mut parts = Vec::new();
    for tier in &record.tiers {
        let name = tier.name;
        if let Some(operation) = &tier.operation {
            parts.push((format!("{name} operation"), &operation.outcome));
        }
        for test in &tier.tests {
            parts.push((
                format!("{name}.{} {}", test.source, test.name),
                &test.outcome,
            ));
        }
    }
    parts
}

fn text(node: &Handle, out: &mut String) {
    if let NodeData::Text { contents } = &node.data {
        out.push_str(&contents.borrow());
    }
    node.children
        .borrow()
        .iter()
        .for_each(|child| text(child, out));
}

fn attribute(node: &Handle, wanted: &str) -> String {
    let NodeData::Element { attrs, .. } = &node.data else {
        return String::new();
    };
    let attrs = attrs.borrow();
    let found = attrs.iter().find(|found| &*found.name.local == wanted);
    found.map_or_else(String::new, |found| found.value.to_string())
}

/// All elements of a name below a node.
fn all(node: &Handle, wanted: &str) -> Vec<Handle> {
    let mut found = Vec::new();
    if let NodeData::Element { name, .. } = &node.data
        && &*name.local == wanted
    {
        found.push(node.clone());
    }
    for child in node.children.borrow().iter() {
        found.extend(all(child, wanted));
    }
    found
}

/// The cells of each row in the table of a section.
fn rows(page: &Handle, id: &str) -> Vec<Vec<String>> {
    let sections = all(page, "section");
    let section = sections
        .iter()
        .find(|section| attribute(section, "id") == id);
    let bodies = section.map(|section| all(section, "tbody"));
    let rows = bodies
        .into_iter()
        .flatten()
        .flat_map(|body| all(&body, "tr"));
    rows.map(|row| {
        let children = row.children.borrow();
        let cells = children.iter().map(|cell| {
            let mut said = String::new();
            text(cell, &mut said);
            said
        });
        cells.collect()
    })
    .collect()
}

/// Tiers, lint and teardown, as table and report list them.
fn listed(record: &Record) -> Vec<(String, &Outcome)> {
    let tiers = record.tiers.iter();
    let mut listed: Vec<_> = tiers
        .map(|tier| (tier.name.to_string(), &tier.outcome))
        .collect();
    listed.push(("lint".to_owned(), &record.lint.outcome));
    listed.push(("teardown".to_owned(), &record.teardown.outcome));
    listed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn junit_says_of_each_part_what_the_record_says(events in events()) {
        let record = Record::from_events(&events);
        let xml = junit::render(&record).unwrap();
        let report = Report::deserialize_from_str(&xml).unwrap();
        let (cases, counts) = cases(&report);
        for (name, outcome) in parts(&record) {
            prop_assert_eq!(cases.get(&name).copied(), Some(element(outcome)), "{}", name);
        }
        let count = |kind| counts.get(kind).copied().unwrap_or(0);
        prop_assert_eq!(report.failures, count("failure"));
        prop_assert_eq!(report.errors, count("error"));
        prop_assert_eq!(report.tests, counts.values().sum::<usize>());
        let red = report.failures + report.errors > 0;
        prop_assert_eq!(red, record.verdict.exit_code() != 0, "{}", xml);
        for suite in &report.test_suites {
            let of = |wanted| suite.test_cases.iter().filter(|case| found(&case.status) == wanted).count();
            prop_assert_eq!((suite.failures, suite.errors), (of("failure"), of("error")));
            // A suite of a tier that is no pass has a case that is none.
            let tier = record.tiers.iter().find(|tier| tier.name.as_str() == suite.name.as_str());
            if tier.is_some_and(|tier| tier.outcome != Outcome::Pass) {
                prop_assert!(of("success") < suite.test_cases.len(), "{}", suite.name.as_str());
            }
        }
    }

    #[test]
    fn the_table_says_of_each_tier_what_the_record_says(events in events()) {
        let record = Record::from_events(&events);
        let table = table::render(&record, Colour::Never, &|_| None, None);
        let (top, rest) = table.split_once("\n\n").unwrap();
        let verdict = record.verdict.to_string().to_uppercase();
        prop_assert!(top.lines().next().unwrap().contains(&format!("  {verdict}  ")), "{}", table);
        let (tiers, rest) = rest.split_once("\n\n").unwrap();
        let rows: Vec<(String, String)> = tiers
            .lines()
            .skip(1)
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                Some((words.next()?.to_owned(), words.next()?.to_owned()))
            })
            .collect();
        let expected: Vec<_> = listed(&record)
            .into_iter()
            .map(|(name, outcome)| (name, outcome.word().to_owned()))
            .collect();
        prop_assert_eq!(rows, expected);
        let level = rest.lines().next().unwrap().trim();
        match record.level {
            Some(number) => prop_assert!(level.starts_with(&format!("level {number} of 5")), "{}", level),
            None => prop_assert!(level.starts_with("no level"), "{}", level),
        }
        for (name, outcome) in listed(&record) {
            if *outcome != Outcome::Pass {
                let (_, differs) = rest.split_once("  not a pass\n").unwrap();
                let named = differs.lines().any(|line| line.trim_start().starts_with(&name));
                prop_assert!(named, "{} is not explained in {}", name, differs);
            }
        }
    }

    #[test]
    fn the_report_says_of_each_tier_rung_and_test_what_the_record_says(events in events()) {
        let record = Record::from_events(&events);
        let page = html::render(&record, &|_| None);
        let dom = parse_document(RcDom::default(), ParseOpts::default()).one(page.as_str());
        let page = &dom.document;
        let of = |id| -> Vec<(String, String)> {
            let rows = rows(page, id).into_iter();
            rows.map(|row| (row[0].clone(), row[1].clone())).collect()
        };
        let expected: Vec<_> = listed(&record)
            .into_iter()
            .map(|(name, outcome)| (name, outcome.word().to_owned()))
            .collect();
        prop_assert_eq!(of("tiers"), expected);
        let ladder: Vec<_> = record
            .ladder
            .iter()
            .map(|rung| (format!("{} {}", rung.rung, rung.name), rung.state.words().to_owned()))
            .collect();
        prop_assert_eq!(of("level"), ladder);
        let spans = all(page, "span");
        let badge = spans.iter().find(|span| attribute(span, "class") == "badge").unwrap();
        let mut said = String::new();
        text(badge, &mut said);
        prop_assert_eq!(said, record.verdict.to_string());
        // The words for tests, in their order, in the section of each tier.
        for tier in &record.tiers {
            let sections = all(page, "section");
            let section = sections.iter().find(|section| attribute(section, "id") == tier.name.as_str()).unwrap();
            let words: Vec<String> = all(section, "li")
                .iter()
                .map(|item| {
                    let mut said = String::new();
                    text(&all(item, "span")[0], &mut said);
                    said
                })
                .collect();
            let expected: Vec<_> = tier.tests.iter().map(|test| test.outcome.word()).collect();
            prop_assert_eq!(words, expected);
        }
    }

    #[test]
    fn no_rung_stands_on_one_that_is_blocked(events in events()) {
        let record = Record::from_events(&events);
        if record.level.is_none() {
            prop_assert!(record.ladder.is_empty());
            return Ok(());
        }
        let tiers: [&[Tier]; 4] = [
            &[Tier::Install],
            &[Tier::Upgrade],
            &[Tier::Backup, Tier::Restore],
            &[Tier::Custom],
        ];
        let mut blocked = false;
        for (index, rung) in record.ladder.iter().enumerate() {
            let explained = rung.state == RungState::Passed || rung.reason.is_some();
            prop_assert!(explained, "{:?}", rung);
            if rung.state == RungState::Passed {
                prop_assert!(!blocked, "{:?}", record.ladder);
                for tier in tiers.get(index).into_iter().copied().flatten() {
                    let outcome = record.tier(*tier).map(|tier| &tier.outcome);
                    prop_assert_eq!(outcome, Some(&Outcome::Pass));
                }
            }
            blocked |= rung.state == RungState::Blocked;
        }
        let passed = record.ladder.iter().filter(|rung| rung.state == RungState::Passed);
        prop_assert_eq!(record.level, Some(passed.map(|rung| rung.rung).max().unwrap_or(0)));
    }

    #[test]
    fn a_pass_is_of_head_and_a_flaky_test_is_named(events in events()) {
        let record = Record::from_events(&events);
        let flaky = record.tiers.iter().flat_map(|tier| &tier.tests).filter(|test| test.is_flaky());
        prop_assert_eq!(flaky.count(), record.flaky.len());
        if record.verdict == Verdict::Pass {
            let operations = record.tiers.iter().filter_map(|tier| Some((tier.name, tier.operation.as_ref()?)));
            let mut of_head = operations.filter(|(_, operation)| {
                let commit = operation.facts.get("commit").and_then(|commit| commit.as_str());
                operation.outcome == Outcome::Pass && commit.is_some() && commit == record.head.as_deref()
            });
            prop_assert!(of_head.next().is_some(), "{}", record.verdict_reason);
        }
    }
}
