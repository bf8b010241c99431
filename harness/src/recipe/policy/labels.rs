//! Labels of services, containers, networks, configs, secrets and volumes: who reads them decides.
//!
//! Containers' `traefik.*` labels count like services', for a proxy may watch plain containers, too.

use std::collections::BTreeMap;

use serde_json::Value;

use super::body::{Judging, Shape, entries};
use super::finding::quoted;
use super::hosts;
use super::traefik;

pub(super) fn judge(judging: &mut Judging<'_>, at: &str, value: &Value) {
    if !value.is_object() {
        return judging.shape(at, value, &Shape::Map);
    }
    let mut of_proxy = BTreeMap::new();
    for (key, value) in entries(value) {
        let Some(text) = value.as_str() else {
            judging.unknown(&format!("{at}.{key}"));
            continue;
        };
        let folded = folded(key);
        if folded == "traefik" || folded.starts_with("traefik.") {
            of_proxy.insert(key.as_str(), text);
        } else if is_anothers(judging, &folded, text) {
            let message = format!(
                "has the label `{}`, which is not the recipe's to set",
                quoted(&format!("{key}={text}"))
            );
            judging.recipe("foreign-label", at, key, message);
        }
    }
    traefik::judge(judging, at, &of_proxy);
}

/// Whether the label speaks for the engine, for cc-ci or for another stack.
fn is_anothers(judging: &Judging<'_>, key: &str, text: &str) -> bool {
    let stack = judging.terms.stack.as_str();
    if key.starts_with("com.docker.") {
        return match key {
            "com.docker.stack.namespace" => text != stack,
            "com.docker.stack.image" => false,
            _ => true,
        };
    }
    if ["cc-ci", "org.cc-ci"].iter().any(|ours| {
        key.strip_prefix(ours)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }) {
        return true;
    }
    let app = key.strip_prefix("coop-cloud.");
    let app = app.and_then(|rest| rest.split('.').next());
    // Stacks have an underscore for each dot of their domain.
    app.is_some_and(|app| {
        app.contains('_')
            && app != stack.to_lowercase()
            && !hosts::begins_with_stack(judging.terms, app)
    })
}

/// As Go's `EqualFold` sees it: two letters beyond ASCII are equal to ASCII ones.
pub(super) fn folded(key: &str) -> String {
    key.chars()
        .flat_map(|c| match c {
            '\u{17f}' => 's'.to_lowercase(),
            '\u{212a}' => 'k'.to_lowercase(),
            other => other.to_lowercase(),
        })
        .collect()
}
