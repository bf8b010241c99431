//! What stands at the top of compose files: the version, configs, secrets.

use serde_yaml_ng::Value;

use super::{Findings, Rule, Subject};
use crate::recipe::compose::{line_of_path, variables_in};

/// The version of the format that a recipe is asked for.
const VERSION: &str = "3.8";
/// A secret's key that is longer leaves little room for the name of the stack.
const LONG_SECRET: usize = 12;

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    versions(found);
    configs(subject, found);
    secrets(subject, found);
}

fn versions(found: &mut Findings) {
    for (file, text) in found.texts.clone() {
        // A file that can't be read is not here: then there is no model either.
        let version = serde_yaml_ng::from_str::<Value>(&text)
            .ok()
            .and_then(|top| match top.get("version")? {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            });
        let (message, line) = match version.as_deref() {
            Some(VERSION) => continue,
            None => ("there is no `version`".to_owned(), None),
            Some(other) => (
                format!("the `version` is `{other}`"),
                line_of_path(&text, "version"),
            ),
        };
        let message =
            format!("{message}; write `version: \"{VERSION}\"`, which older Docker clients need");
        found.at_line(Rule::ComposeVersion, message, &file, line.or(Some(1)));
    }
}

fn configs(subject: &Subject<'_>, found: &mut Findings) {
    for (key, config) in &subject.compose.configs {
        let raw = config.raw_name.as_deref().unwrap_or_default();
        for variable in variables_in(raw) {
            if variable.ends_with("_VERSION") && !subject.abra_sh.exports.contains_key(variable) {
                let message = format!(
                    "config `{key}` takes its version from `{variable}`, which abra.sh does not export"
                );
                found.at_path(Rule::ConfigVersions, message, &format!("configs.{key}"));
            }
        }
    }
}

fn secrets(subject: &Subject<'_>, found: &mut Findings) {
    for (key, secret) in &subject.compose.secrets {
        let length = key.chars().count();
        if secret.external && length > LONG_SECRET {
            let message = format!(
                "the secret `{key}` has {length} characters; with at most {LONG_SECRET} its full name fits below long domains"
            );
            found.at_path(Rule::SecretNames, message, &format!("secrets.{key}"));
        }
    }
}
