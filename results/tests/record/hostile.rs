//! A record in which every text is hostile: nothing of it is more than text, wherever it is shown.

use std::cell::Cell;
use std::collections::BTreeSet;

use html5ever::tendril::TendrilSink;
use html5ever::{Attribute, ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, NodeData, RcDom};
use results::compare::{Change, ComparedRun, Comparison, History, Slower};
use results::event::{EventKind, Leftover, PlannedTrial};
use results::evidence::{Evidence, Part};
use results::table::{self, Colour};
use results::{Outcome, Record, Source, Tier, Verdict, html, junit};
use serde_json::{Map, Value, json};

use crate::sample;

const PAYLOADS: [&str; 14] = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "x onmouseover=alert(1) autofocus",
    "javascript:alert(1)",
    "//example.org/x",
    "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
    "red;background:url(https://example.org/x);}</style><style>*{display:none}",
    "</title></style></pre></details></section></main></body></html><iframe src=x>",
    "]]>&amp;<!-- --!><![CDATA[",
    "&lt;script&gt;&#60;script&#62;&#x3c;svg/onload=alert(1)&#x3e;",
    "../../etc/passwd",
    "\u{202e}gpj.exe\u{2066}\u{200b}\u{feff}",
    "\u{1b}[31m\u{1b}]0;owned\u{7}\u{9b}2J\u{90}q\0\u{8}\u{7f}\u{fffe}\u{ffff}\r\nline\ttab",
    "",
];

/// A record in which no field is empty.
fn full() -> Record {
    let mut run = sample::upgrade_failed();
    let planned = PlannedTrial {
        tier: Tier::Fresh,
        name: "head_installs".to_owned(),
        source: Source::Generic,
    };
    run.events[0].kind = sample::started(&Tier::NAMED, vec![planned]);
    let evidence = || {
        ["a.log", "b.png", "c", "d"]
            .map(|name| format!("evidence/{name}"))
            .to_vec()
    };
    for outcome in [Outcome::error("late"), Outcome::fail("one\ntwo")] {
        run.push(EventKind::TrialEnded {
            tier: Tier::Install,
            name: "answers".to_owned(),
            source: Source::RepoLocal,
            outcome,
            duration_ms: 3,
            evidence: evidence(),
        });
    }
    run.test(Tier::Custom, Source::Custom, "login", Outcome::fail("502"))
        .test(Tier::Custom, Source::Custom, "login", Outcome::Pass);
    run.push(EventKind::OperationEnded {
        tier: Tier::Install,
        outcome: Outcome::Pass,
        duration_ms: 4,
        facts: Map::from_iter([
            ("text".to_owned(), json!("text")),
            ("list".to_owned(), json!(["text", { "key": "text" }])),
            ("number".to_owned(), json!(1)),
        ]),
        evidence: evidence(),
    });
    for tier in [None, Some(Tier::Install)] {
        run.push(EventKind::Note {
            tier,
            text: "note".to_owned(),
        });
    }
    run.push(EventKind::Retry {
        tier: Tier::Install,
        what: "pull".to_owned(),
        why: "429".to_owned(),
        attempt: 2,
    });
    run.push(EventKind::RepoLocal {
        path: "tests/test_x.py".to_owned(),
        ran: false,
        reason: "not on the list".to_owned(),
    });
    run.push(EventKind::SessionLost {
        reason: "killed".to_owned(),
    });
    run.lint(Outcome::fail("finding"));
    run.push(EventKind::TeardownEnded {
        duration_ms: 1,
        residue: vec![Leftover {
            kind: "volume".to_owned(),
            name: "data".to_owned(),
        }],
        errors: vec!["no answer".to_owned()],
    });
    let mut record = run.record();
    // What no one run has together.
    record.verdict = Verdict::Fail;
    record.no_base = Some("none".to_owned());
    record.engine_version = Some("0.10.1".to_owned());
    record.cancelled_by = Some("a person".to_owned());
    record.skipped_generic = vec![Tier::Backup];
    record.comparison = Some(comparison());
    record
}

fn comparison() -> Comparison {
    let change = |before, now| Change {
        what: "custom::login".to_owned(),
        before,
        now,
    };
    Comparison {
        branch: "main".to_owned(),
        with: Some(ComparedRun {
            run_id: "main-1".to_owned(),
            head: sample::BASE.to_owned(),
            verdict: Verdict::Pass,
            finished: "2026-03-01T11:00:00Z".to_owned(),
        }),
        newly_red: vec![change(Outcome::Pass, Outcome::fail("401"))],
        newly_green: vec![change(Outcome::error("401"), Outcome::Pass)],
        slower: vec![Slower {
            what: "upgrade".to_owned(),
            before_ms: 1_000,
            now_ms: 9_000,
        }],
        runs: 10,
        history: vec![History {
            what: "custom::login".to_owned(),
            red: 1,
            flaky: 2,
            runs: 9,
        }],
        unreadable: 1,
    }
}

/// The full record with `payload` for every text that the types leave free, names of a map too.
fn hostile(payload: &str) -> Record {
    let mut record = full();
    let entry = || (payload.to_owned(), json!({ payload: [payload] }));
    record.settings.extend([entry()]);
    record.phases_ms.insert(payload.to_owned(), 3);
    for tier in &mut record.tiers {
        if let Some(operation) = &mut tier.operation {
            operation.facts.extend([entry()]);
        }
    }
    let mut value = serde_json::to_value(&record).unwrap();
    let mut paths = Vec::new();
    text_paths(&value, String::new(), &mut paths);
    let mut changed = 0;
    for path in paths {
        let before = value.pointer(&path).unwrap().clone();
        *value.pointer_mut(&path).unwrap() = json!(payload);
        // What is no longer a record was no free text: a status, a tier.
        match serde_json::from_value::<Record>(value.clone()) {
            Ok(_) => changed += 1,
            Err(_) => *value.pointer_mut(&path).unwrap() = before,
        }
    }
    assert!(changed > 120, "only {changed} texts were made hostile");
    serde_json::from_value(value).unwrap()
}

fn text_paths(value: &Value, path: String, paths: &mut Vec<String>) {
    match value {
        Value::String(_) => paths.push(path),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                text_paths(item, format!("{path}/{index}"), paths);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                text_paths(item, format!("{path}/{key}"), paths);
            }
        }
        _ => {}
    }
}

/// Every kind of evidence in turn.
fn evidence(payload: &str) -> impl Fn(&str) -> Option<Evidence> {
    let asked = Cell::new(0);
    let text = payload.repeat(3);
    move |_| {
        asked.set(asked.get() + 1);
        match asked.get() % 4 {
            1 => Some(Evidence::Text {
                text: format!("{text}\n{text}"),
                part: Part::End,
            }),
            2 => Some(Evidence::Image {
                mime: "image/png",
                bytes: text.clone().into_bytes(),
            }),
            3 => Some(Evidence::LinkOnly),
            _ => None,
        }
    }
}

fn names_of(value: &Value, under: Option<&str>, names: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| names_of(item, under, names)),
        Value::Object(map) => {
            for (key, item) in map {
                let empty = match item {
                    Value::Null => true,
                    Value::String(text) => text.is_empty(),
                    Value::Array(items) => items.is_empty(),
                    Value::Object(map) => map.is_empty(),
                    _ => false,
                };
                if under.is_none() && !empty || under == Some("properties") {
                    names.insert(key.clone());
                }
                let under = under.map(|_| key.as_str());
                names_of(item, under, names);
            }
        }
        _ => {}
    }
}

/// A field that is new in the record has to come into [`full`], or it is never hostile.
#[test]
fn no_field_of_a_record_is_forgotten() {
    let schema: Value = serde_json::from_str(&results::schema::result()).unwrap();
    let (mut fields, mut filled) = (BTreeSet::new(), BTreeSet::new());
    names_of(&schema, Some(""), &mut fields);
    names_of(&serde_json::to_value(full()).unwrap(), None, &mut filled);
    let forgotten: Vec<_> = fields.difference(&filled).collect();
    assert!(fields.len() > 60, "{fields:?}");
    assert_eq!(forgotten, [""; 0]);
}

const ELEMENTS: [&str; 36] = [
    "a", "body", "code", "dd", "details", "div", "dl", "dt", "footer", "h1", "h2", "h3", "head",
    "header", "html", "img", "li", "main", "meta", "p", "pre", "section", "span", "style",
    "summary", "table", "tbody", "td", "th", "thead", "time", "title", "tr", "ul", "ol", "br",
];

const SECTIONS: [&str; 15] = [
    "cause",
    "tiers",
    "level",
    "comparison",
    "timeline",
    "install",
    "upgrade",
    "backup",
    "restore",
    "custom",
    "fresh",
    "lint",
    "teardown",
    "notes",
    "environment",
];

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

fn attribute(element: &str, attribute: &Attribute) {
    let (name, value) = (&*attribute.name.local, &*attribute.value);
    let all = |allowed: fn(char) -> bool| value.chars().all(allowed);
    let word = |c: char| c.is_ascii_lowercase() || c == ' ';
    let good = match (element, name) {
        ("section", "id") => SECTIONS.contains(&value),
        (_, "class" | "scope" | "open" | "aria-hidden" | "lang") => all(word),
        ("a", "href") => value.starts_with('#') || value.starts_with("./") && !value.contains(':'),
        ("img", "src") => value
            .strip_prefix("data:image/png;base64,")
            .is_some_and(|data| {
                data.chars()
                    .all(|c| c.is_ascii_alphanumeric() || "+/=".contains(c))
            }),
        ("span", "style") => all(|c| c.is_ascii_digit() || "left:width;.%".contains(c)),
        ("img", "alt") | ("span" | "code", "title") | ("time", "datetime") => true,
        ("pre", "tabindex") => value == "0",
        ("meta", "charset" | "name" | "content" | "http-equiv") => {
            !value.contains("http:") && !value.contains("refresh")
        }
        _ => false,
    };
    assert!(good, "<{element} {name}={value:?}>");
}

fn walk(node: &Handle, policy: &mut Vec<String>) {
    match &node.data {
        NodeData::Element { name, attrs, .. } => {
            let element = &*name.local;
            assert!(ELEMENTS.contains(&element), "<{element}>");
            let attrs = attrs.borrow();
            attrs.iter().for_each(|found| attribute(element, found));
            let value = |name: &str| {
                let found = attrs.iter().find(|found| &*found.name.local == name);
                found.map(|found| found.value.to_string())
            };
            if value("http-equiv").is_some_and(|is| is == "Content-Security-Policy") {
                policy.extend(value("content"));
            }
        }
        NodeData::Text { contents } => {
            let text = contents.borrow();
            let bad: Vec<_> = text.chars().filter(|c| is_bad(*c)).collect();
            assert_eq!(bad, [], "{text}");
        }
        NodeData::Comment { contents } => panic!("<!-- {contents} -->"),
        NodeData::ProcessingInstruction { .. } => panic!("a processing instruction"),
        NodeData::Document | NodeData::Doctype { .. } => {}
    }
    node.children
        .borrow()
        .iter()
        .for_each(|child| walk(child, policy));
}

/// What a terminal or a reader takes for more than text.
fn is_bad(c: char) -> bool {
    c.is_control() && c != '\n'
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn css(node: &Handle, found: &mut String) {
    if let NodeData::Element { name, .. } = &node.data
        && &*name.local == "style"
    {
        for child in node.children.borrow().iter() {
            if let NodeData::Text { contents } = &child.data {
                found.push_str(&contents.borrow());
            }
        }
    }
    node.children
        .borrow()
        .iter()
        .for_each(|child| css(child, found));
}

#[test]
fn a_report_executes_and_loads_nothing() {
    for payload in PAYLOADS {
        let page = html::render(&hostile(payload), &evidence(payload));
        let dom = parse_document(RcDom::default(), ParseOpts::default()).one(page.as_str());
        assert_eq!(*dom.errors.borrow(), [""; 0], "{payload}");
        let mut policy = Vec::new();
        walk(&dom.document, &mut policy);
        assert_eq!(policy, [POLICY], "{payload}");
        let mut style = String::new();
        css(&dom.document, &mut style);
        assert_eq!(style, include_str!("../../src/html/style.css"), "{payload}");
        let whole = page.contains("<section id=\"cause\">") && page.contains("<img ");
        assert!(whole, "all parts are there: {payload}");
    }
}

#[test]
fn a_table_does_nothing_to_a_terminal() {
    for payload in PAYLOADS {
        let (record, find) = (hostile(payload), evidence(payload));
        let table = table::render(&record, Colour::Never, &find, Some(payload));
        let bad: Vec<_> = table.chars().filter(|c| is_bad(*c)).collect();
        assert_eq!(bad, [], "{table}");
    }
}

#[test]
fn junit_is_one_well_formed_document() {
    let counts = |xml: &str| {
        let report = quick_junit::Report::deserialize_from_str(xml).unwrap();
        (report.tests, report.failures, report.errors)
    };
    let plain = counts(&junit::render(&full()).unwrap());
    for payload in PAYLOADS {
        let xml = junit::render(&hostile(payload)).unwrap();
        let bad: Vec<_> = xml.chars().filter(|c| is_bad(*c)).collect();
        assert_eq!(bad, [], "{xml}");
        assert_eq!(counts(&xml), plain, "{payload}");
    }
}
