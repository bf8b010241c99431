//! Holds a body against a table of what it may have, and keeps what was found.
//!
//! Invariant: nothing of a body is passed over. A key is in the table, or absent, or a finding.

use serde_json::{Map, Value};

use super::finding::{Blame, Finding, Place, quoted};
use super::{Terms, hosts};

/// The most findings of one body that refuse it, and the most that don't.
const MOST: usize = 100;

/// What a value may be.
pub(super) enum Shape {
    /// Any text, number or flag: it acts inside the container, or on this app's tasks alone.
    Scalar,
    Scalars,
    /// Any keys, with scalars.
    Map,
    /// These keys and no others.
    Keys(&'static Table),
    List(&'static Table),
    /// Looked at by a function, which gets the path of the value.
    By(fn(&mut Judging<'_>, &str, &Value)),
}

pub(super) type Table = [(&'static str, Shape)];

pub(super) struct Judging<'a> {
    pub terms: &'a Terms<'a>,
    /// Short name of the service whose body is judged.
    pub service: Option<String>,
    /// What the body is in a compose file: `services.app`.
    pub root: String,
    found: Vec<Finding>,
}

impl<'a> Judging<'a> {
    pub fn new(terms: &'a Terms<'a>) -> Self {
        Self {
            terms,
            service: None,
            root: String::new(),
            found: Vec::new(),
        }
    }

    pub fn all(mut self, body: &Value, judge: fn(&mut Self, &Value)) -> Vec<Finding> {
        judge(&mut self, body);
        self.found()
    }

    pub fn found(self) -> Vec<Finding> {
        self.found
    }

    /// What no site could allow.
    pub fn recipe(&mut self, name: &str, key: &str, value: &str, message: String) {
        self.add(Blame::Recipe, name.to_owned(), key, value, message);
    }

    /// What a site may allow by name.
    pub fn site(&mut self, name: impl Into<String>, key: &str, value: &str, message: String) {
        let name = name.into();
        if self.terms.allow.covers(&name) {
            let message = format!("{message} (this site allows it)");
            self.add(Blame::Nobody, name, key, value, message);
        } else {
            self.add(Blame::Site, name, key, value, message);
        }
    }

    /// What has no effect.
    pub fn note(&mut self, name: &str, key: &str, value: &str, message: String) {
        self.add(Blame::Nobody, name.to_owned(), key, value, message);
    }

    fn add(&mut self, blame: Blame, name: String, key: &str, value: &str, message: String) {
        let alike = |one: &&Finding| one.refuses() == (blame != Blame::Nobody);
        if self.found.iter().filter(alike).count() >= MOST {
            return;
        }
        let key = if key.is_empty() {
            self.root.clone()
        } else {
            format!("{}.{key}", self.root)
        };
        let message = if self.service.is_none() {
            format!("{} {message}", self.root)
        } else {
            message
        };
        // As it is written in the files.
        let value = value.replace(self.terms.stack.as_str(), "${STACK_NAME}");
        let finding = Finding {
            blame,
            name: quoted(&name),
            place: Place {
                service: self.service.clone(),
                key,
                value: (!value.is_empty()).then_some(value),
            },
            message,
        };
        if !self.found.contains(&finding) {
            self.found.push(finding);
        }
    }

    pub fn keys(&mut self, path: &str, value: &Value, table: &Table) {
        let Some(object) = value.as_object() else {
            self.unknown(path);
            return;
        };
        for (key, value) in object {
            let path = join(path, key);
            match table.iter().find(|(known, _)| known == key) {
                Some(_) if is_empty(value) => {}
                Some((_, shape)) => self.shape(&path, value, shape),
                None if is_absent(value) => {}
                None => self.unknown(&path),
            }
        }
    }

    pub fn shape(&mut self, path: &str, value: &Value, shape: &Shape) {
        let fits = match shape {
            Shape::Scalar => is_scalar(value),
            Shape::Scalars => value
                .as_array()
                .is_some_and(|items| items.iter().all(is_scalar)),
            Shape::Map => value
                .as_object()
                .is_some_and(|map| map.values().all(is_scalar)),
            Shape::Keys(table) => {
                self.keys(path, value, table);
                true
            }
            Shape::List(table) => match value.as_array() {
                Some(items) => {
                    items.iter().for_each(|item| self.keys(path, item, table));
                    true
                }
                None => false,
            },
            Shape::By(judge) => {
                judge(self, path, value);
                true
            }
        };
        if !fits {
            self.unknown(path);
        }
    }

    /// A key or a form that no table has.
    pub fn unknown(&mut self, path: &str) {
        let path = quoted(path);
        let message = format!("has `{path}`, which is not known to stay inside");
        self.site(format!("key:{path}"), "", "", message);
    }

    /// Whether `name` is one of the stack's own objects.
    pub fn is_own(&self, name: &str) -> bool {
        name.strip_prefix(self.terms.stack.as_str())
            .is_some_and(|rest| rest.len() > 1 && rest.starts_with('_'))
    }

    /// Takes the short name of an object for its place in the files, and refuses another's.
    pub fn named(&mut self, kind: &str, body: &Value) {
        let name = body["Name"].as_str().unwrap_or_default();
        let short = name
            .strip_prefix(self.terms.stack.as_str())
            .and_then(|rest| rest.strip_prefix('_'));
        self.root = format!("{kind}.{}", quoted(short.unwrap_or(name)));
        if kind == "services" {
            self.service = Some(quoted(short.unwrap_or(name)));
        }
        if !self.is_own(name) {
            let message = format!(
                "has the name `{}`, which is not of this app; it has to begin with `${{STACK_NAME}}_`",
                quoted(name)
            );
            self.recipe("foreign-name", "name", name, message);
        } else if kind == "services" && hosts::is_of_another(self.terms, name) {
            let message = format!(
                "has the name `{}`, which answers for another app",
                quoted(name)
            );
            self.recipe("foreign-alias", "", "", message);
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

pub(super) fn is_scalar(value: &Value) -> bool {
    !value.is_array() && !value.is_object()
}

/// What the engine takes for not given.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// Likewise, of a value whose keys have one meaning each.
pub(super) fn is_absent(value: &Value) -> bool {
    is_empty(value)
        || value
            .as_object()
            .is_some_and(|map| map.values().all(is_absent))
}

static NOTHING: Value = Value::Null;

/// The items of a list; one that is no list counts as one item.
pub(super) fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        Value::Null => &[],
        other => std::slice::from_ref(other),
    }
}

pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value
        .get(key)
        .unwrap_or(&NOTHING)
        .as_str()
        .unwrap_or_default()
}

pub(super) fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    value.as_object().unwrap_or(&EMPTY).iter()
}
