//! Bodies in `captured/` are what `docker stack deploy` sent for the recipes of the built-in catalogue,
//! and for the compose files beside them, as the stack `foo_ci_test` (client 28.2.2; `-20.10`: that).

mod keys;
mod labels;
mod objects;
mod random;
mod rules;
mod traefik;

use std::path::Path;

use serde_json::{Map, json};

use super::*;

pub(super) struct Site {
    stack: StackName,
    domain: AppDomain,
    zone: AppDomain,
    pub allow: Allowed,
    others: BTreeSet<String>,
}

impl Site {
    pub fn new() -> Self {
        let domain: AppDomain = "foo.ci.test".parse().unwrap();
        Self {
            stack: domain.stack(),
            domain,
            zone: "ci.test".parse().unwrap(),
            allow: Allowed::default(),
            others: ["wiki_example_org_app", "bar_ci_test_db", "Monitor"]
                .map(str::to_owned)
                .into(),
        }
    }

    pub fn allowing(names: &[&str]) -> Self {
        Self {
            allow: Allowed::parse(names.iter().copied()).unwrap(),
            ..Self::new()
        }
    }

    pub fn terms(&self) -> Terms<'_> {
        Terms {
            stack: &self.stack,
            domain: &self.domain,
            zone: &self.zone,
            allow: &self.allow,
            others: &self.others,
            most_tasks: 10,
        }
    }
}

/// `R`ecipe, `S`ite or `-`, and the finding.
pub(super) fn shown(found: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let blame = match finding.blame {
            Blame::Recipe => "R",
            Blame::Site => "S",
            Blame::Nobody => "-",
        };
        format!("{blame} {finding}")
    };
    found.iter().map(line).collect::<Vec<_>>().join("\n")
}

pub(super) fn made(text: &str) -> Made {
    let mut all: Map<String, Value> = serde_json::from_str(text).unwrap();
    let mut take = |kind: &str| match all.remove(kind) {
        Some(Value::Array(bodies)) => bodies,
        _ => panic!("no {kind}"),
    };
    Made {
        services: take("services"),
        networks: take("networks"),
        configs: take("configs"),
        secrets: take("secrets"),
    }
}

/// A service that is like any other.
pub(super) fn service() -> Value {
    let public = made(include_str!("captured/public.json"));
    let mut services = public.services.into_iter();
    services
        .find(|service| service["Name"] == "foo_ci_test_app")
        .unwrap()
}

#[rstest::rstest]
#[case::canary(include_str!("captured/canary-1.0.0.json"))]
#[case::canary_2(include_str!("captured/canary-1.1.0.json"))]
#[case::canary_pr(include_str!("captured/canary-pr-1.json"))]
#[case::canary_admin(include_str!("captured/canary-admin.json"))]
#[case::html(include_str!("captured/custom-html-1.0.0.json"))]
#[case::html_2(include_str!("captured/custom-html-1.1.0.json"))]
#[case::html_pr(include_str!("captured/custom-html-pr-1.json"))]
#[case::keycloak(include_str!("captured/keycloak-1.0.0.json"))]
#[case::keycloak_2(include_str!("captured/keycloak-1.1.0.json"))]
#[case::keycloak_pr(include_str!("captured/keycloak-pr-1.json"))]
#[case::life(include_str!("captured/life.json"))]
#[case::template(include_str!("captured/template.json"))]
#[case::public(include_str!("captured/public.json"))]
#[case::public_by_an_old_client(include_str!("captured/public-20.10.json"))]
fn what_ordinary_recipes_make_is_let_through(#[case] text: &str) {
    let made = made(text);
    assert!(!made.services.is_empty());
    assert_eq!(shown(&judge(&made, &Site::new().terms())), "");
}

#[test]
fn each_thing_that_leaves_the_app_is_found_with_its_place() {
    let made = made(include_str!("captured/everything.json"));
    let site = Site::new();
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/recipe/policy/captured");
    let found = judge(&made, &site.terms());
    let lines: Vec<_> = found
        .iter()
        .map(|one| located(one, &tree, &["everything.yml".into()]))
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
    assert!(found.iter().all(Finding::refuses));
}

#[test]
fn what_a_site_allows_is_a_note() {
    let mut body = service();
    body["TaskTemplate"]["ContainerSpec"]["CapabilityAdd"] = json!(["CAP_NET_ADMIN", "SYS_ADMIN"]);
    let site = Site::allowing(&["capability:cap_net_admin"]);
    let found = judge_service(&body, &site.terms());
    insta::assert_snapshot!(shown(&found), @r"
    - capability:NET_ADMIN: service `app` adds the capability NET_ADMIN (this site allows it)
    S capability:SYS_ADMIN: service `app` adds the capability SYS_ADMIN
    ");
}

#[test]
fn a_text_of_a_strangers_is_bounded_and_of_one_line() {
    let body = json!({"Name": format!("x\n{}", "y".repeat(100_000))});
    let text = shown(&judge_service(&body, &Site::new().terms()));
    assert!(text.len() < 1000 && !text.contains('\n'), "{text}");
}

#[test]
fn many_notes_hide_no_refusal() {
    let mut body = service();
    let binds =
        (0..5000).map(|at| json!({"Type": "bind", "Source": format!("/{at}"), "Target": "/x"}));
    let mounts: Vec<Value> = binds
        .chain([json!({"Type": "volume", "Source": "bar"})])
        .collect();
    body["TaskTemplate"]["ContainerSpec"]["Mounts"] = Value::Array(mounts);
    let site = Site::allowing(&["host-bind"]);
    let found = judge_service(&body, &site.terms());
    assert!(found.len() <= 201, "{}", found.len());
    assert!(found.iter().any(|one| one.name == "foreign-volume"));
}

#[test]
fn tasks_are_counted_over_the_stack() {
    let mut made = made(include_str!("captured/public.json"));
    for service in &mut made.services {
        service["Mode"] = json!({"Replicated": {"Replicas": 4}});
    }
    let found = judge(&made, &Site::new().terms());
    insta::assert_snapshot!(shown(&found), @"S tasks: services ask for 16 tasks together; this site has room for 10");
}

#[test]
fn what_dockers_client_leaves_out_is_found_in_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let text = "services:\n  app:\n    image: a\n    privileged: true\n  db: {image: b, network_mode: host}\n  fine: {image: c, network_mode: none}\n";
    std::fs::write(dir.path().join("compose.yml"), text).unwrap();
    let files = ["compose.yml".into()];
    let compose = crate::recipe::Compose::load(dir.path(), &files, &[].into()).unwrap();
    let site = Site::allowing(&["host-network"]);
    let found = declared(&compose, &site.terms());
    insta::assert_snapshot!(shown(&found), @r"
    S privileged: service `app` is privileged
    - host-network: service `db` has `network_mode: host` (this site allows it)
    ");
    assert!(located(&found[0], dir.path(), &files).starts_with("compose.yml:4: privileged"));
}

#[rstest::rstest]
#[case::exact("host-bind:/etc/localtime", "host-bind:/etc/localtime", true)]
#[case::another("host-bind:/etc/localtime", "host-bind:/etc", false)]
#[case::whole("host-bind", "host-bind:/etc", true)]
#[case::other_rule("host-bind", "docker-socket", false)]
#[case::spelling("capability:cap_sys_nice", "capability:SYS_NICE", true)]
#[case::port("port:2222/udp", "port:2222/udp", true)]
#[case::port_protocol("port:2222/udp", "port:2222/tcp", false)]
fn a_site_allows_by_name_or_by_name_and_value(
    #[case] rule: &str,
    #[case] finding: &str,
    #[case] covered: bool,
) {
    assert_eq!(Allowed::parse([rule]).unwrap().covers(finding), covered);
}

#[rstest::rstest]
#[case::unknown(
    "hostbind",
    "`hostbind` is no policy rule that a site can allow; the rules are bind-"
)]
#[case::recipes_own("foreign-host", "`foreign-host` is no policy rule")]
#[case::too_wide("capability", "`capability` has to be `capability:<NAME>`")]
#[case::no_value("capability:", "`capability:` has to be `capability:<NAME>`")]
#[case::no_capability("capability:ROOT", "as Linux names it")]
#[case::no_port("port:ssh/tcp", "`port:<number>/<tcp, udp or sctp>`")]
#[case::padded_port("port:0443/tcp", "ports 80 and 443 are the proxy's")]
#[case::web("port:80/tcp", "ports 80 and 443 are the proxy's")]
#[case::needless("privileged:yes", "`privileged:yes` has to be `privileged`")]
#[case::hostile("x\ny", "`x\u{fffd}y` is no policy rule")]
fn what_can_not_be_allowed_is_said(#[case] rule: &str, #[case] said: &str) {
    let error = Allowed::parse([rule]).unwrap_err().to_string();
    assert!(error.contains(said), "{error}");
}

#[rstest::rstest]
#[case::value("sysctls", Some("kernel.shmmax"), "compose.yml:5: x")]
#[case::own_name("deploy.labels", Some("${STACK_NAME}.rule"), "compose.yml:9: x")]
#[case::key_alone("deploy.labels", Some("nowhere"), "compose.yml:7: x")]
#[case::nearest("cap_add", None, "compose.yml:2: x")]
fn a_finding_is_located_as_near_as_can_be(
    #[case] key: &str,
    #[case] value: Option<&str>,
    #[case] line: &str,
) {
    let dir = tempfile::tempdir().unwrap();
    let text = "services:\n  app:\n    # kernel.shmmax\n    sysctls:\n      kernel.shmmax: 1\n    deploy:\n      labels:\n        - a\n        - \"t.${STACK_NAME}.rule=x\"\n  db: {cap_add: [X]}\n";
    std::fs::write(dir.path().join("compose.yml"), text).unwrap();
    let finding = Finding {
        blame: Blame::Site,
        name: "x".to_owned(),
        place: Place {
            service: None,
            key: format!("services.app.{key}"),
            value: value.map(str::to_owned),
        },
        message: "y".to_owned(),
    };
    let files = ["compose.yml".into(), "../../etc/passwd".into()];
    assert_eq!(located(&finding, dir.path(), &files), format!("{line}: y"));
    assert_eq!(located(&finding, dir.path(), &["none.yml".into()]), "x: y");
}
