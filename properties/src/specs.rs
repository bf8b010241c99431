//! Bodies of services, on their way to the engine: what the judge lets through has nothing that is off
//! its list.

use std::collections::BTreeSet;

use harness::recipe::policy::{Allowed, Finding, Terms, judge_service};
use harness::recipe::{AppDomain, StackName};
use serde_json::{Value, json};

const CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// A whole body; or in the first line where something of a sound one is changed (`/a/b`), and behind it
/// what to.
pub(crate) fn holds(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let body = match text.split_once('\n') {
        Some((pointer, value)) if pointer.starts_with('/') => changed(pointer, value),
        _ => serde_json::from_str(text).ok(),
    };
    if let Some(body) = body
        && is_let_through(&body)
    {
        is_inside(&body);
    }
}

fn changed(pointer: &str, value: &str) -> Option<Value> {
    let value = serde_json::from_str(value).ok()?;
    let mut body = sound();
    let (parent, key) = pointer.rsplit_once('/')?;
    let parent = body.pointer_mut(parent)?;
    match parent {
        Value::Object(map) => {
            map.insert(key.to_owned(), value);
        }
        Value::Array(items) => items.push(value),
        _ => return None,
    }
    Some(body)
}

pub(crate) fn sound() -> Value {
    json!({
        "Name": "a_ci_test_app",
        "Labels": {"com.docker.stack.namespace": "a_ci_test"},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "x:1",
                "Mounts": [{"Type": "volume", "Source": "a_ci_test_d", "Target": "/d", "VolumeOptions": {"DriverConfig": {"Name": "local"}}}],
                "CapabilityAdd": ["CAP_CHOWN"],
            },
            "Resources": {},
            "Networks": [{"Target": "proxy", "Aliases": ["app"]}, {"Target": "a_ci_test_in"}],
            "LogDriver": {"Name": "local"},
        },
        "Mode": {"Replicated": {"Replicas": 1}},
        "EndpointSpec": {"Mode": "dnsrr", "Ports": []},
    })
}

pub(crate) fn is_let_through(body: &Value) -> bool {
    let domain: AppDomain = "a.ci.test".parse().unwrap();
    let stack: StackName = domain.stack();
    let terms = Terms {
        stack: &stack,
        domain: &domain,
        zone: &"ci.test".parse().unwrap(),
        allow: &Allowed::default(),
        others: &BTreeSet::from(["b_ci_test_app".to_owned()]),
        most_tasks: 10,
    };
    let found = judge_service(body, &terms);
    for finding in &found {
        let shown = finding.to_string();
        assert!(!shown.contains('\n') && shown.len() < 4000, "{shown}");
    }
    !found.iter().any(Finding::refuses)
}

/// As the engine reads it, which takes a key in any case.
fn at<'a>(value: &'a Value, keys: &[&str]) -> Vec<&'a Value> {
    let Some((key, rest)) = keys.split_first() else {
        return match value {
            Value::Array(items) => items.iter().collect(),
            Value::Null => vec![],
            other => vec![other],
        };
    };
    let map = value.as_object().into_iter().flatten();
    map.filter(|(known, _)| known.eq_ignore_ascii_case(key))
        .flat_map(|(_, value)| at(value, rest))
        .collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    at(value, &[key])
        .first()
        .and_then(|one| one.as_str())
        .unwrap_or_default()
}

fn is_inside(body: &Value) {
    let own = |name: &str| name.starts_with("a_ci_test_");
    assert!(own(text(body, "Name")), "{body}");
    let container = ["TaskTemplate", "ContainerSpec"];
    let of_container = |key| at(body, &[container[0], container[1], key]);
    for capability in of_container("CapabilityAdd") {
        let name = capability.as_str().unwrap_or_default().to_ascii_uppercase();
        let name = name.strip_prefix("CAP_").unwrap_or(&name);
        assert!(CAPABILITIES.contains(&name), "{body}");
    }
    for mount in of_container("Mounts") {
        let source = text(mount, "Source");
        match text(mount, "Type") {
            "volume" => assert!(source.is_empty() || own(source), "{body}"),
            kind => assert!(kind == "tmpfs" && source.is_empty(), "{body}"),
        }
        assert!(
            at(mount, &["BindOptions", "Propagation"]).is_empty(),
            "{body}"
        );
        for driver in at(mount, &["VolumeOptions", "DriverConfig"]) {
            assert!(["", "local"].contains(&text(driver, "Name")), "{body}");
            for options in at(driver, &["Options"]) {
                let none = options.as_object().is_some_and(serde_json::Map::is_empty);
                assert!(none || text(options, "type") == "tmpfs", "{body}");
                assert!(!text(options, "o").contains("bind"), "{body}");
            }
        }
    }
    let tops = [&["TaskTemplate", "Networks"][..], &["Networks"][..]];
    for network in tops.into_iter().flat_map(|path| at(body, path)) {
        let target = text(network, "Target");
        assert!(own(target) || ["proxy", "none"].contains(&target), "{body}");
        for alias in at(network, &["Aliases"])
            .iter()
            .filter_map(|alias| alias.as_str())
        {
            assert!(
                target != "proxy" || !alias.eq_ignore_ascii_case("b_ci_test_app"),
                "{body}"
            );
        }
    }
    for driver in at(body, &["TaskTemplate", "LogDriver"]) {
        let name = text(driver, "Name");
        assert!(["", "json-file", "local", "none"].contains(&name), "{body}");
    }
    assert!(at(body, &["EndpointSpec", "Ports"]).is_empty(), "{body}");
    for (kind, key) in [("Secrets", "SecretName"), ("Configs", "ConfigName")] {
        assert!(
            of_container(kind).iter().all(|one| own(text(one, key))),
            "{body}"
        );
    }
}
