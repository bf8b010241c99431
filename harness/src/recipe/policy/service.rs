//! A service: tasks, mode, ports, resources, logging.

use serde_json::Value;

use super::body::{Judging, Shape, Table, entries, items, text};
use super::container::CONTAINER;
use super::finding::{Finding, quoted};
use super::{Terms, labels, networks};

const SERVICE: &Table = &[
    // Looked at first of all.
    ("Name", Shape::Scalar),
    (
        "Labels",
        Shape::By(|judging, _, value| labels::judge(judging, "deploy.labels", value)),
    ),
    ("TaskTemplate", Shape::Keys(TASK)),
    ("Mode", Shape::By(mode)),
    ("UpdateConfig", Shape::Keys(UPDATE)),
    ("RollbackConfig", Shape::Keys(UPDATE)),
    ("EndpointSpec", Shape::Keys(ENDPOINT)),
    // Where older clients have it.
    ("Networks", Shape::By(networks::attached)),
];

const TASK: &Table = &[
    ("ContainerSpec", Shape::Keys(CONTAINER)),
    ("Resources", Shape::Keys(RESOURCES)),
    (
        "RestartPolicy",
        Shape::Keys(&[
            ("Condition", Shape::Scalar),
            ("Delay", Shape::Scalar),
            ("MaxAttempts", Shape::Scalar),
            ("Window", Shape::Scalar),
        ]),
    ),
    (
        "Placement",
        Shape::Keys(&[
            ("Constraints", Shape::Scalars),
            ("MaxReplicas", Shape::Scalar),
            (
                "Platforms",
                Shape::List(&[("Architecture", Shape::Scalar), ("OS", Shape::Scalar)]),
            ),
            (
                "Preferences",
                Shape::List(&[(
                    "Spread",
                    Shape::Keys(&[("SpreadDescriptor", Shape::Scalar)]),
                )]),
            ),
        ]),
    ),
    ("ForceUpdate", Shape::Scalar),
    ("Runtime", Shape::By(runtime)),
    ("Networks", Shape::By(networks::attached)),
    ("LogDriver", Shape::By(log_driver)),
];

const UPDATE: &Table = &[
    ("Parallelism", Shape::Scalar),
    ("Delay", Shape::Scalar),
    ("FailureAction", Shape::Scalar),
    ("Monitor", Shape::Scalar),
    ("MaxFailureRatio", Shape::Scalar),
    ("Order", Shape::Scalar),
];

const RESOURCES: &Table = &[
    (
        "Limits",
        Shape::Keys(&[
            ("NanoCPUs", Shape::Scalar),
            ("MemoryBytes", Shape::Scalar),
            ("Pids", Shape::Scalar),
        ]),
    ),
    (
        "Reservations",
        Shape::Keys(&[
            ("NanoCPUs", Shape::Scalar),
            ("MemoryBytes", Shape::Scalar),
            ("GenericResources", Shape::By(generic_resources)),
        ]),
    ),
];

const ENDPOINT: &Table = &[("Mode", Shape::Scalar), ("Ports", Shape::By(ports))];

/// What the drivers that write to the node alone may be told.
const LOG_OPTIONS: [&str; 10] = [
    "compress",
    "env",
    "env-regex",
    "labels",
    "labels-regex",
    "max-buffer-size",
    "max-file",
    "max-size",
    "mode",
    "tag",
];

pub(super) fn judge(judging: &mut Judging<'_>, body: &Value) {
    judging.named("services", body);
    judging.keys("", body, SERVICE);
    networks::hostname(judging, body);
    if tasks(body) > judging.terms.most_tasks {
        let most = judging.terms.most_tasks;
        let message = format!(
            "asks for {} tasks; this site has room for {most}",
            tasks(body)
        );
        judging.site("tasks", "deploy.replicas", "", message);
    }
}

/// All services together, where none alone asks for too many.
pub(super) fn too_many_tasks(services: &[Value], terms: &Terms<'_>) -> Vec<Finding> {
    let each = services.iter().map(tasks);
    let sum = each.clone().fold(0_u64, u64::saturating_add);
    if sum <= terms.most_tasks || each.into_iter().any(|one| one > terms.most_tasks) {
        return Vec::new();
    }
    Judging::new(terms).all(&Value::from(sum), |judging, sum| {
        judging.root = "services".to_owned();
        let most = judging.terms.most_tasks;
        let message = format!("ask for {sum} tasks together; this site has room for {most}");
        judging.site("tasks", "", "", message);
    })
}

/// How many tasks a service may have at once. A number that can't be read is too many.
fn tasks(body: &Value) -> u64 {
    let count = |value: &Value| match value {
        Value::Null => 1,
        number => number.as_u64().unwrap_or(u64::MAX),
    };
    let mode = &body["Mode"];
    if mode["Replicated"].is_object() {
        count(&mode["Replicated"]["Replicas"])
    } else {
        // A job runs so many at once; no number means one.
        count(&mode["ReplicatedJob"]["MaxConcurrent"])
    }
}

fn mode(judging: &mut Judging<'_>, path: &str, value: &Value) {
    const MODES: &Table = &[
        ("Replicated", Shape::Keys(&[("Replicas", Shape::Scalar)])),
        ("Global", Shape::Keys(&[])),
        (
            "ReplicatedJob",
            Shape::Keys(&[
                ("MaxConcurrent", Shape::Scalar),
                ("TotalCompletions", Shape::Scalar),
            ]),
        ),
        ("GlobalJob", Shape::Keys(&[])),
    ];
    judging.keys(path, value, MODES);
}

fn runtime(judging: &mut Judging<'_>, path: &str, value: &Value) {
    if value.as_str() != Some("container") {
        judging.unknown(path);
    }
}

fn generic_resources(judging: &mut Judging<'_>, path: &str, value: &Value) {
    for resource in items(value) {
        const KIND: &Table = &[("Kind", Shape::Scalar), ("Value", Shape::Scalar)];
        const RESOURCE: &Table = &[
            ("DiscreteResourceSpec", Shape::Keys(KIND)),
            ("NamedResourceSpec", Shape::Keys(KIND)),
        ];
        judging.keys(path, resource, RESOURCE);
        for (_, spec) in entries(resource) {
            let kind = quoted(text(spec, "Kind"));
            let message = format!("asks for the host's device `{kind}`");
            let key = "deploy.resources.reservations.generic_resources";
            judging.site(format!("device:{kind}"), key, &kind, message);
        }
    }
}

fn ports(judging: &mut Judging<'_>, path: &str, value: &Value) {
    const PORT: &Table = &[
        ("Name", Shape::Scalar),
        ("Protocol", Shape::Scalar),
        ("TargetPort", Shape::Scalar),
        ("PublishedPort", Shape::Scalar),
        ("PublishMode", Shape::Scalar),
    ];
    for port in items(value) {
        judging.keys(path, port, PORT);
        let protocol = match text(port, "Protocol") {
            "" => "tcp",
            named => named,
        };
        let number = port["PublishedPort"].as_u64().unwrap_or_default();
        let name = format!("port:{number}/{}", quoted(protocol));
        let what = match number {
            0 => "publishes a port of the host that the swarm chooses".to_owned(),
            80 | 443 => format!("publishes the host's port {number}, which is the proxy's"),
            _ => format!("publishes the host's port {number}/{}", quoted(protocol)),
        };
        let message = format!("{what}; what the proxy routes needs no published port");
        judging.site(name, "ports", &number.to_string(), message);
    }
}

fn log_driver(judging: &mut Judging<'_>, path: &str, value: &Value) {
    judging.keys(
        path,
        value,
        &[("Name", Shape::Scalar), ("Options", Shape::Map)],
    );
    let name = quoted(text(value, "Name"));
    if !["", "json-file", "local", "none"].contains(&name.as_str()) {
        let message =
            format!("has the logging driver `{name}`, which sends from the host's own network");
        judging.site(format!("log-driver:{name}"), "logging", &name, message);
    }
    let given = entries(&value["Options"]);
    for (option, _) in given.filter(|(option, _)| !LOG_OPTIONS.contains(&option.as_str())) {
        let option = quoted(option);
        let message =
            format!("has the logging option `{option}`, which is not known to stay on the host");
        judging.site(
            format!("log-option:{option}"),
            "logging.options",
            &option,
            message,
        );
    }
}
