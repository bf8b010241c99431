//! Networks: those that a stack makes, those that it joins, and the names that it answers for there.

use serde_json::Value;

use super::body::{Judging, Shape, Table, entries, is_absent, items, text};
use super::finding::quoted;
use super::hosts::{self, Standing};
use super::{SHARED_NETWORK, labels};

const NETWORK: &Table = &[
    ("Name", Shape::Scalar),
    ("Driver", Shape::By(driver)),
    ("Internal", Shape::Scalar),
    // Only who has the engine can attach something.
    ("Attachable", Shape::Scalar),
    ("Options", Shape::By(options)),
    ("IPAM", Shape::By(addresses)),
    (
        "Labels",
        Shape::By(|judging, _, value| labels::judge(judging, "labels", value)),
    ),
    ("CheckDuplicate", Shape::Scalar),
];

/// Neither chooses whose packets are seen, as the list of VXLAN ids would.
const OPTIONS: [&str; 2] = ["com.docker.network.driver.mtu", "encrypted"];

pub(super) fn judge(judging: &mut Judging<'_>, body: &Value) {
    judging.named("networks", body);
    judging.keys("", body, NETWORK);
}

fn driver(judging: &mut Judging<'_>, _: &str, value: &Value) {
    let name = quoted(value.as_str().unwrap_or("?"));
    if name != "overlay" {
        let message = format!("has the driver `{name}`, which is on the host's own networks");
        judging.site(format!("network-driver:{name}"), "driver", &name, message);
    }
}

fn options(judging: &mut Judging<'_>, path: &str, value: &Value) {
    judging.shape(path, value, &Shape::Map);
    for (option, _) in entries(value).filter(|(option, _)| !OPTIONS.contains(&option.as_str())) {
        let option = quoted(option);
        let message = format!("has the option `{option}`, which is not known to stay inside");
        judging.site(
            format!("network-option:{option}"),
            "driver_opts",
            &option,
            message,
        );
    }
}

/// A range that the recipe chooses may be one that others need, and then they get none.
fn addresses(judging: &mut Judging<'_>, path: &str, value: &Value) {
    const RANGE: &Table = &[
        ("Subnet", Shape::Scalar),
        ("IPRange", Shape::Scalar),
        ("Gateway", Shape::Scalar),
    ];
    let default = |judging: &mut Judging<'_>, path: &str, value: &Value| {
        if value.as_str() != Some("default") {
            judging.unknown(path);
        }
    };
    judging.keys(
        path,
        value,
        &[
            ("Driver", Shape::By(default)),
            ("Config", Shape::List(RANGE)),
        ],
    );
    for range in items(&value["Config"])
        .iter()
        .filter(|range| !is_absent(range))
    {
        let subnet = quoted(text(range, "Subnet"));
        let message = format!(
            "chooses the addresses `{subnet}`, which others may need; leave the choice to the swarm"
        );
        judging.site(format!("subnet:{subnet}"), "ipam", &subnet, message);
    }
}

/// The networks that a service joins.
pub(super) fn attached(judging: &mut Judging<'_>, path: &str, value: &Value) {
    const ATTACHMENT: &Table = &[("Target", Shape::Scalar), ("Aliases", Shape::Scalars)];
    for attachment in items(value) {
        judging.keys(path, attachment, ATTACHMENT);
        let target = text(attachment, "Target");
        match target {
            // A network that has nothing but the container.
            "none" => {}
            "host" => {
                let message = "is on the host's network".to_owned();
                judging.site("host-network", "networks", target, message);
            }
            SHARED_NETWORK => {
                for alias in items(&attachment["Aliases"])
                    .iter()
                    .filter_map(Value::as_str)
                {
                    shared_alias(judging, alias);
                }
            }
            own if judging.is_own(own) => {}
            _ => {
                let message = format!(
                    "is on the network `{}`, which is neither of this app nor `{SHARED_NETWORK}`",
                    quoted(target)
                );
                judging.recipe("foreign-network", "networks", target, message);
            }
        }
    }
}

/// A name that a service answers for on the shared network.
fn shared_alias(judging: &mut Judging<'_>, alias: &str) {
    let terms = judging.terms;
    let short = judging.service.as_deref() == Some(alias);
    let own = hosts::begins_with_stack(terms, alias)
        || hosts::standing(terms, alias) != Standing::Foreign;
    if hosts::is_of_another(terms, alias) || !(own || (short && is_short(alias))) {
        let message = format!(
            "answers for `{}` on the network `{SHARED_NETWORK}`, which is not a name of this app",
            quoted(alias)
        );
        judging.recipe("foreign-alias", "networks", alias, message);
    }
}

/// The engine makes a container's host name an alias on each of its networks.
pub(super) fn hostname(judging: &mut Judging<'_>, body: &Value) {
    let template = &body["TaskTemplate"];
    let name = text(&template["ContainerSpec"], "Hostname");
    let lists = [&template["Networks"], &body["Networks"]];
    let mut targets = lists
        .into_iter()
        .flat_map(items)
        .map(|one| text(one, "Target"));
    if name.is_empty() || !targets.any(|target| target == SHARED_NETWORK) {
        return;
    }
    let terms = judging.terms;
    if name.contains("{{") {
        let message = format!(
            "has the host name `{}`, a template that may become any name on `{SHARED_NETWORK}`",
            quoted(name)
        );
        judging.site("hostname-template", "hostname", name, message);
    } else if hosts::is_of_another(terms, name)
        || !(is_short(name)
            || hosts::begins_with_stack(terms, name)
            || hosts::standing(terms, name) != Standing::Foreign)
    {
        let message = format!(
            "has the host name `{}`, for which it answers on the network `{SHARED_NETWORK}`, and which is not a name of this app",
            quoted(name)
        );
        judging.recipe("foreign-alias", "hostname", name, message);
    }
}

/// A name of one label, as any service may have it in its own stack.
fn is_short(name: &str) -> bool {
    name.chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}
