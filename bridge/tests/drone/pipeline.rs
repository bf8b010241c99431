//! `.drone.yml`, read as Drone reads it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_yaml_ng::Value;

use crate::{PARAMETERS, in_workspace};

fn text() -> String {
    fs::read_to_string(in_workspace(".drone.yml")).unwrap()
}

/// Drone cuts the file at its lines of dashes, and each part is to be a pipeline.
fn pipelines() -> Vec<Value> {
    text()
        .split("\n---\n")
        .map(|part| serde_yaml_ng::from_str(part).unwrap())
        .collect()
}

fn pipeline(name: &str) -> Value {
    let mut all = pipelines().into_iter();
    all.find(|it| it["name"] == name)
        .unwrap_or_else(|| panic!("no pipeline {name}"))
}

fn commands(pipeline: &Value) -> Vec<String> {
    let steps = pipeline["steps"].as_sequence().unwrap();
    let all = steps
        .iter()
        .flat_map(|step| step["commands"].as_sequence().unwrap());
    all.map(|it| it.as_str().unwrap().to_owned()).collect()
}

fn list(text: &[&str]) -> Value {
    text.iter()
        .copied()
        .map(Value::from)
        .collect::<Vec<_>>()
        .into()
}

/// Drone replaces a parameter in braces before it reads the file; and a step needs no parameter in
/// its commands, for it has them in its environment.
#[test]
fn nothing_of_a_parameter_is_in_the_file() {
    let text = text();
    assert!(!text.contains('$'), "a dollar sign");
    for name in PARAMETERS {
        let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        assert!(!words.any(|word| word == name), "{name}");
    }
}

#[test]
fn a_push_is_checked_and_a_custom_build_of_main_is_a_run() {
    let kinds: Vec<_> = pipelines()
        .iter()
        .map(|it| (it["kind"].clone(), it["type"].clone()))
        .collect();
    assert_eq!(kinds, vec![("pipeline".into(), "exec".into()); 2]);

    let check = pipeline("check");
    assert_eq!(check["trigger"]["event"], list(&["push"]));
    assert_eq!(commands(&check), [".ci/step lint", ".ci/step test"]);

    let testme = pipeline("testme");
    assert_eq!(testme["trigger"]["event"], list(&["custom"]));
    assert_eq!(testme["trigger"]["branch"], list(&["main"]));
    assert_eq!(commands(&testme), [".ci/testme"]);
}

/// A step's commands are found and may be run.
#[test]
fn every_command_is_there() {
    for command in pipelines().iter().flat_map(commands) {
        let program = command.split(' ').next().unwrap();
        let mode = fs::metadata(in_workspace(program))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o111, 0o111, "{program}");
    }
}
