//! Secrets and configs: those that a stack makes, and those that its services are given.

use serde_json::Value;

use super::body::{Judging, Shape, Table, items, text};
use super::finding::quoted;
use super::labels;

/// Go templates are filled from the task's own environment, secrets, configs and names.
const TEMPLATES: &Table = &[("Name", Shape::By(template_driver))];

const CONFIG: &Table = &[
    ("Name", Shape::Scalar),
    (
        "Labels",
        Shape::By(|judging, _, value| labels::judge(judging, "labels", value)),
    ),
    ("Data", Shape::Scalar),
    ("Templating", Shape::Keys(TEMPLATES)),
];

pub(super) fn judge_config(judging: &mut Judging<'_>, body: &Value) {
    judging.named("configs", body);
    judging.keys("", body, CONFIG);
}

/// As a config: one whose value a driver gives is not in the table.
pub(super) fn judge_secret(judging: &mut Judging<'_>, body: &Value) {
    judging.named("secrets", body);
    judging.keys("", body, CONFIG);
}

fn template_driver(judging: &mut Judging<'_>, _: &str, value: &Value) {
    let name = quoted(value.as_str().unwrap_or("?"));
    if name != "golang" {
        let message = format!("has the template driver `{name}`");
        judging.site(
            format!("template-driver:{name}"),
            "template_driver",
            &name,
            message,
        );
    }
}

pub(super) fn secrets_used(judging: &mut Judging<'_>, path: &str, value: &Value) {
    used(judging, path, value, "secret");
}

pub(super) fn configs_used(judging: &mut Judging<'_>, path: &str, value: &Value) {
    used(judging, path, value, "config");
}

fn used(judging: &mut Judging<'_>, path: &str, value: &Value, kind: &str) {
    // A file's place is one inside the container, wherever it is.
    const FILE: &Table = &[
        ("Name", Shape::Scalar),
        ("UID", Shape::Scalar),
        ("GID", Shape::Scalar),
        ("Mode", Shape::Scalar),
    ];
    const SECRET: &Table = &[
        ("File", Shape::Keys(FILE)),
        ("SecretID", Shape::Scalar),
        ("SecretName", Shape::Scalar),
    ];
    const CONFIG: &Table = &[
        ("File", Shape::Keys(FILE)),
        ("ConfigID", Shape::Scalar),
        ("ConfigName", Shape::Scalar),
    ];
    let (table, key) = match kind {
        "secret" => (SECRET, "SecretName"),
        _ => (CONFIG, "ConfigName"),
    };
    for reference in items(value) {
        judging.keys(path, reference, table);
        let name = text(reference, key);
        if !judging.is_own(name) {
            let message = format!(
                "uses the {kind} `{}`, which is not of this app; its name has to begin with `${{STACK_NAME}}_`",
                quoted(name)
            );
            judging.recipe(
                &format!("foreign-{kind}"),
                &format!("{kind}s"),
                name,
                message,
            );
        }
    }
}
