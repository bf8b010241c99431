//! What is let pass and what is not, a change at a time.

use super::*;
use crate::recipe::AppDomain;
use crate::recipe::compose::{Grant, Volume};
use crate::swarm::live::{LiveConfig, LiveMount};

struct World {
    stack: StackName,
    compose: Compose,
    tree: tempfile::TempDir,
    local_images: BTreeMap<String, String>,
    variables: BTreeMap<String, String>,
    live: Vec<LiveService>,
}

impl World {
    fn differences(&self) -> String {
        let expected = Expected {
            stack: &self.stack,
            compose: &self.compose,
            tree: self.tree.path(),
            local_images: &self.local_images,
            variables: &self.variables,
        };
        differences(&expected, &self.live).join("\n")
    }
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

/// A stack that is live as it should be.
fn world() -> World {
    let stack = "a.ci.test".parse::<AppDomain>().unwrap().stack();
    let tree = tempfile::tempdir().unwrap();
    std::fs::write(tree.path().join("app.conf"), "one").unwrap();
    let app = Service {
        image: "nginx:1.27".to_owned(),
        command: strings(&["serve"]),
        environment: [
            ("LEVEL".to_owned(), Some("info".to_owned())),
            ("BARE".to_owned(), None),
        ]
        .into(),
        mounts: vec![Mount {
            kind: MountKind::Volume("data".to_owned()),
            target: "/data/".to_owned(),
            read_only: false,
        }],
        configs: vec![Grant {
            source: "conf".to_owned(),
            target: Some("/etc/app.conf".to_owned()),
            mode: None,
        }],
        ..Service::default()
    };
    let object = Object {
        name: Some("a_ci_test_conf_v1".to_owned()),
        file: Some("app.conf".to_owned()),
        ..Object::default()
    };
    let live = LiveService {
        name: "app".to_owned(),
        image: "nginx:1.27@sha256:0123".to_owned(),
        command: strings(&["serve"]),
        env: [
            ("LEVEL".to_owned(), Some("info".to_owned())),
            ("DOMAIN".to_owned(), Some("a.ci.test".to_owned())),
        ]
        .into(),
        mounts: vec![LiveMount {
            kind: "volume".to_owned(),
            target: "/data".to_owned(),
            source: Some("a_ci_test_data".to_owned()),
            driver: None,
            read_only: false,
        }],
        configs: vec![LiveConfig {
            name: "a_ci_test_conf_v1".to_owned(),
            target: "/etc/app.conf".to_owned(),
            sha256: Some(sha256(b"one")),
        }],
        ..LiveService::default()
    };
    World {
        stack,
        compose: Compose {
            services: [("app".to_owned(), app)].into(),
            volumes: [("data".to_owned(), Volume::default())].into(),
            configs: [("conf".to_owned(), object)].into(),
            ..Compose::default()
        },
        tree,
        local_images: [pair("nginx:1.27", "sha256:abc")].into(),
        variables: [pair("DOMAIN", "a.ci.test")].into(),
        live: vec![live],
    }
}

#[rstest::rstest]
#[case::digest("nginx:1.27@sha256:0123")]
#[case::id("sha256:abc")]
#[case::full_name("docker.io/library/nginx:1.27")]
fn what_the_engines_add_is_let_pass(#[case] image: &str) {
    let mut world = world();
    world.live[0].image = image.to_owned();
    assert_eq!(world.differences(), "");
}

#[rstest::rstest]
#[case::image(
    |w: &mut World| w.live[0].image = "nginx:1.26@sha256:0123".to_owned(),
    "app: image is nginx:1.26@sha256:0123, expected nginx:1.27"
)]
#[case::another_id(
    |w: &mut World| w.live[0].image = "sha256:other".to_owned(),
    "app: image is sha256:other, expected nginx:1.27"
)]
#[case::command(
    |w: &mut World| w.live[0].command.push("-x".to_owned()),
    r#"app: command is ["serve", "-x"], expected ["serve"]"#
)]
#[case::entrypoint(
    |w: &mut World| w.live[0].entrypoint.push("/x".to_owned()),
    r#"app: entrypoint is ["/x"], expected []"#
)]
#[case::value(
    |w: &mut World| { w.live[0].env.insert("LEVEL".to_owned(), Some("debug".to_owned())); },
    "app: environment has another value of LEVEL"
)]
#[case::lacking(
    |w: &mut World| { w.live[0].env.remove("LEVEL"); },
    "app: environment lacks LEVEL"
)]
#[case::stray(
    |w: &mut World| { w.live[0].env.insert("BARE".to_owned(), Some("x".to_owned())); },
    "app: environment has another value of BARE"
)]
#[case::unasked(
    |w: &mut World| { w.live[0].env.insert("EXTRA".to_owned(), None); },
    "app: environment has EXTRA, which is not asked for"
)]
#[case::another_volume(
    |w: &mut World| w.live[0].mounts[0].source = Some("a_ci_test_other".to_owned()),
    r#"app: the set of mounts is {"volume a_ci_test_other:/data"}, expected {"volume a_ci_test_data:/data"}"#
)]
#[case::config_version(
    |w: &mut World| w.live[0].configs[0].name = "a_ci_test_conf_v0".to_owned(),
    r#"app: the set of configs is {"a_ci_test_conf_v0"}, expected {"a_ci_test_conf_v1"}"#
)]
#[case::config_content(
    |w: &mut World| w.live[0].configs[0].sha256 = Some(sha256(b"two")),
    "app: config a_ci_test_conf_v1 has not the content of app.conf"
)]
#[case::dropped_service(
    |w: &mut World| w.live.clear(),
    "app: no such service runs"
)]
#[case::not_pruned(
    |w: &mut World| w.live.push(LiveService { name: "old".to_owned(), ..LiveService::default() }),
    "old: the compose files have no such service"
)]
fn a_change_shows(#[case] change: impl Fn(&mut World), #[case] expected: &str) {
    let mut world = world();
    change(&mut world);
    assert_eq!(world.differences(), expected);
}

#[rstest::rstest]
#[case("nginx", "docker.io/library/nginx:latest")]
#[case("a/b:1", "docker.io/a/b:1")]
#[case("index.docker.io/nginx", "docker.io/library/nginx:latest")]
#[case("localhost:5000/b", "localhost:5000/b:latest")]
#[case("host.test/a/b:1", "host.test/a/b:1")]
fn names_of_images_are_completed(#[case] name: &str, #[case] expected: &str) {
    assert_eq!(full_image(name), expected);
}
