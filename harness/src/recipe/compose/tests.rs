use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::recipe::{AppDomain, EnvFile, StackName};

/// A recipe's folder with these files.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn load_all(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Compose, ComposeError> {
    let dir = tree(files);
    let names = files
        .iter()
        .map(|(name, _)| PathBuf::from(name))
        .filter(|name| name.extension().is_some_and(|end| end == "yml"))
        .collect::<Vec<_>>();
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect::<BTreeMap<_, _>>();
    Compose::load(dir.path(), &names, &variables)
}

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Compose, ComposeError> {
    load_all(&[("compose.yml", text)], variables)
}

fn stack() -> StackName {
    "foo.ci.test".parse::<AppDomain>().unwrap().stack()
}

const FULL: &str = r#"
version: "3.8"
x-common: &common
  image: ${IMAGE:-nginx}:1.27
  environment: &env
    SHARED: "yes"
    BARE:
services:
  app:
    <<: *common
    command: sh -c "echo 'a b' $$HOME"
    environment:
      <<: *env
      OWN: 1
    volumes:
      - data:/data:ro
      - /var/cache
      - /etc/timezone:/etc/timezone
      - type: tmpfs
        target: /run
    ports:
      - "8080:80"
      - "53:53/udp"
      - {target: 22, published: 2222, mode: host}
    secrets:
      - a
      - {source: b, target: c, mode: 0440}
    configs:
      - {source: conf, target: /etc/conf, mode: 0555}
    networks:
      proxy: {aliases: [me]}
      internal:
    healthcheck:
      test: ["CMD", "true"]
    stop_grace_period: 1m30s
    deploy:
      replicas: 0
      labels:
        - "coop-cloud.${STACK_NAME}.version=1.0.0+2"
        - "coop-cloud.${STACK_NAME}.timeout=${TIMEOUT:-120}"
  db:
    image: postgres:16
    networks: [internal]
    healthcheck: {disable: true, test: x}
    depends_on: [app]
    deploy: {mode: global, endpoint_mode: dnsrr, labels: {a: 1, b: "x"}}
volumes:
  data:
  unused:
secrets:
  a: {external: true, name: "${STACK_NAME}_a_${SECRET_A_VERSION:-v1}"}
  b: {external: true, name: "${STACK_NAME}_b_${SECRET_B_VERSION}"}
configs:
  conf: {name: "${STACK_NAME}_conf_${CONF_VERSION}", file: conf.tmpl}
networks:
  proxy: {external: true}
  internal:
"#;

#[test]
fn long_and_short_forms_mean_the_same() {
    let compose = load_all(
        &[("compose.yml", FULL), ("conf.tmpl", "")],
        &[
            ("STACK_NAME", "foo_ci_test"),
            ("BARE", "filled"),
            ("CONF_VERSION", "v2"),
        ],
    )
    .unwrap();
    let app = &compose.services["app"];
    assert_eq!(app.image, "nginx:1.27");
    assert_eq!(app.command, ["sh", "-c", "echo 'a b' $HOME"]);
    let value = |name: &str| app.environment[name].as_deref();
    assert_eq!(
        (value("SHARED"), value("BARE"), value("OWN")),
        (Some("yes"), Some("filled"), Some("1"))
    );
    let mounts = app
        .mounts
        .iter()
        .map(|mount| format!("{:?} {} {}", mount.kind, mount.target, mount.read_only))
        .collect::<Vec<_>>();
    insta::assert_snapshot!(mounts.join("\n"), @r#"
    Volume("data") /data true
    Anonymous /var/cache false
    Bind("/etc/timezone") /etc/timezone false
    Tmpfs /run false
    "#);
    let ports = app
        .ports
        .iter()
        .map(|port| (port.published, port.target, port.protocol.as_str()))
        .collect::<Vec<_>>();
    assert_eq!(
        ports,
        [
            (Some(8080), 80, "tcp"),
            (Some(53), 53, "udp"),
            (Some(2222), 22, "tcp")
        ]
    );
    assert_eq!(app.secrets[1].mode, Some(0o440));
    assert_eq!(app.configs[0].mode, Some(0o555));
    assert_eq!(app.networks["proxy"], ["me"]);
    assert!(app.has_healthcheck);
    assert_eq!(app.stop_grace_period, Some(Duration::from_secs(90)));
    assert_eq!((app.replicas, app.global), (0, false));
    let db = &compose.services["db"];
    assert_eq!(
        (db.replicas, db.global, db.has_healthcheck),
        (1, true, false)
    );
    assert_eq!(db.endpoint_mode.as_deref(), Some("dnsrr"));
    assert_eq!(db.labels["a"], "1");
    assert_eq!(
        compose.secrets["a"].name.as_deref(),
        Some("foo_ci_test_a_v1")
    );
    assert_eq!(
        compose.secrets["a"].raw_name.as_deref(),
        Some("${STACK_NAME}_a_${SECRET_A_VERSION:-v1}")
    );
    assert_eq!(
        compose.configs["conf"].name.as_deref(),
        Some("foo_ci_test_conf_v2")
    );
    assert_eq!(compose.declared_version(&stack()), Some("1.0.0+2"));
    assert_eq!(
        compose.recipe_timeout(&stack()),
        Some(Duration::from_secs(120))
    );
    assert_eq!(
        compose.volume_name("data", &stack()).as_deref(),
        Some("foo_ci_test_data")
    );
    assert_eq!(
        compose.mounted_volumes().into_iter().collect::<Vec<_>>(),
        ["data"]
    );
    insta::assert_snapshot!(compose.notes.join("\n"), @r"
    compose.yml:52: `SECRET_B_VERSION` has no value and no default; taken as empty
    compose.yml: service `db`: swarm ignores `depends_on`
    ");
}

/// The expected result is what `docker stack config` (28.2) made of the same two files.
#[test]
fn files_are_merged_as_docker_merges_them() {
    let base = r#"
version: "3.8"
services:
  app:
    image: nginx:1
    command: echo "a b"
    privileged: true
    environment: [A=1, B]
    ports: ["80:80", "443:443"]
    volumes: ["data:/data:ro", "/var/lib/x"]
    cap_add: [A]
    tmpfs: /tmp
    secrets: [s1]
    networks: [n1]
    healthcheck: {test: "curl x", interval: 10s}
    deploy: {replicas: 3, labels: ["a=1", "b=2", "c"]}
volumes: {data: }
networks: {n1: {}, n2: {}}
secrets: {s1: {external: true}}
"#;
    let over = r#"
services:
  app:
    command: ["x"]
    privileged: false
    environment: {A: 2, C: 1.10}
    ports: ["8080:80", "443:8443"]
    volumes: [{type: volume, source: other, target: /data}]
    cap_add: [B]
    tmpfs: [/run]
    secrets: [{source: s1, target: t}]
    networks: {n2: {aliases: [z]}}
    healthcheck: {disable: true}
    deploy: {replicas: 0, labels: {b: 3, d: "${U:-}"}}
volumes: {other: {}}
"#;
    let compose = load_all(&[("compose.yml", base), ("compose.x.yml", over)], &[]).unwrap();
    let app = &compose.services["app"];
    assert_eq!(app.image, "nginx:1");
    assert_eq!(app.command, ["x"]);
    assert!(app.privileged);
    assert_eq!(app.environment["A"].as_deref(), Some("2"));
    assert_eq!(app.environment["B"], None);
    assert_eq!(app.environment["C"].as_deref(), Some("1.1"));
    let mut ports = app
        .ports
        .iter()
        .map(|port| (port.published, port.target))
        .collect::<Vec<_>>();
    ports.sort_unstable();
    assert_eq!(ports, [(Some(80), 80), (Some(443), 8443), (Some(8080), 80)]);
    assert_eq!(app.mounts.len(), 2);
    assert!(app.mounts.contains(&Mount {
        kind: MountKind::Volume("other".into()),
        target: "/data".into(),
        read_only: false
    }));
    assert_eq!(app.cap_add, ["A", "B"]);
    assert_eq!(app.tmpfs, ["/tmp", "/run"]);
    assert_eq!(app.secrets.len(), 1);
    assert_eq!(app.secrets[0].target.as_deref(), Some("t"));
    assert_eq!(app.networks.len(), 2);
    assert!(!app.has_healthcheck);
    assert_eq!(app.replicas, 0);
    let labels = app
        .labels
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect::<Vec<_>>();
    assert_eq!(labels, ["a=1", "b=3", "c=", "d="]);
    assert_eq!(compose.has_version, [true, false]);
}

#[rstest::rstest]
#[case(
    "services:\n  app: [",
    "compose.yml:3:1: not YAML as Docker reads it: "
)]
#[case(
    "services:\n  app: {image: a}\n  app: {image: b}",
    "compose.yml:2:3: not YAML as Docker reads it: "
)]
#[case(
    "services:\n  app:\n    deploy:\n      replicas: many\n",
    "compose.yml:4: services.app.deploy.replicas: expected a number, found `many`"
)]
#[case(
    "services:\n  app:\n    volumes: data:/data\n",
    "compose.yml:3: services.app.volumes: expected a list, found `data:/data`"
)]
#[case(
    "- a",
    "compose.yml: the file: expected a map with `services`, found a list"
)]
#[case(
    "services:\n  app:\n    image: a:$\n",
    "compose.yml:3: services.app.image: `a:$` has a `$` that begins no variable; write `$$` for a plain `$`, or `$X`, `${X}`, `${X:-default}`, `${X:?message}`"
)]
#[case(
    "services:\n  app:\n    image: a:${TAG:?say which}\n",
    "compose.yml:3: services.app.image: `TAG` must have a value: say which"
)]
#[case(
    "services: {app: {image: a, volumes: ['data:/data']}}",
    "service `app` refers to the volume `data`, which no selected compose file declares"
)]
#[case(
    "services: {app: {image: a}}\nconfigs: {c: {file: nowhere.tmpl}}",
    "there is no `nowhere.tmpl`, which is the file of config `c`; compose files in the recipe: compose.yml"
)]
#[case(
    "services: {app: {image: a}}\nconfigs: {c: {file: ../../etc/passwd}}",
    "`../../etc/passwd`, which is the file of config `c`, leaves the recipe's folder; only relative paths without `..`, and links that stay inside, are taken"
)]
#[case(
    "services: {app: {image: a, env_file: /etc/passwd}}",
    "`/etc/passwd`, which is an `env_file` of service `app`, leaves the recipe's folder; only relative paths without `..`, and links that stay inside, are taken"
)]
fn a_broken_file_is_the_recipes_fault_and_the_place_is_named(
    #[case] text: &str,
    #[case] expected: &str,
) {
    let error = load(text, &[]).unwrap_err();
    let said = error.to_string();
    assert!(said.starts_with(expected), "{said}");
    assert!(matches!(error.into(), crate::fault::Fault::Recipe(_)));
}

#[test]
fn a_link_that_leads_out_of_the_recipe_is_refused() {
    let outside = tree(&[("secret.yml", "services: {}")]);
    let dir = tree(&[("sub/compose.real.yml", "services: {}")]);
    std::os::unix::fs::symlink(
        outside.path().join("secret.yml"),
        dir.path().join("compose.yml"),
    )
    .unwrap();
    std::os::unix::fs::symlink("sub/compose.real.yml", dir.path().join("compose.in.yml")).unwrap();
    let load = |name: &str| Compose::load(dir.path(), &[PathBuf::from(name)], &BTreeMap::new());
    assert!(matches!(
        load("compose.yml"),
        Err(ComposeError::Escapes { .. })
    ));
    assert!(load("compose.in.yml").is_ok());
}

#[rstest::rstest]
#[case("", &["compose.yml"])]
#[case("COMPOSE_FILE=", &["compose.yml"])]
#[case("COMPOSE_FILE=compose.yml\nCOMPOSE_FILE=\"$COMPOSE_FILE:pg/compose.tune.yml\"", &["compose.yml", "pg/compose.tune.yml"])]
fn the_selected_files_come_from_the_env_file(#[case] env: &str, #[case] expected: &[&str]) {
    let files = compose_files(&EnvFile::parse(env).unwrap()).unwrap();
    assert_eq!(files, expected.iter().map(Path::new).collect::<Vec<_>>());
}

#[test]
fn a_selected_file_that_is_missing_is_named_with_those_that_are_there() {
    let dir = tree(&[
        ("compose.yml", "services: {}"),
        ("compose.s3.yml", "services: {}"),
    ]);
    let error =
        Compose::load(dir.path(), &["compose.s4.yml".into()], &BTreeMap::new()).unwrap_err();
    insta::assert_snapshot!(error, @"there is no `compose.s4.yml`, which is a selected compose file; compose files in the recipe: compose.s3.yml, compose.yml");
}

#[test]
fn a_backup_takes_what_the_labels_say() {
    let compose = load(
        r#"
services:
  app:
    image: a
    volumes: ["data:/data", "cache:/cache", "shared:/shared"]
    deploy:
      labels:
        backupbot.backup: "${ENABLE_BACKUPS:-true}"
        backupbot.backup.volumes.cache: "false"
        backupbot.backup.color: green
        backupbot.backup.volumes.gone.path: x
  db:
    image: b
    volumes: ["db:/var/lib/db"]
    deploy:
      labels:
        backupbot.backup.pre-hook: "/pg_backup.sh backup"
        backupbot.restore.post-hook: "/pg_backup.sh restore"
        backupbot.backup.volumes.db.path: "backup.sql, ./extra/"
  off:
    image: c
    deploy: {labels: {backupbot.backup: "false", backupbot.backup.pre-hook: "no"}}
volumes: {data: , cache: , db: , unused: , shared: {external: true}}
"#,
        &[],
    )
    .unwrap();
    assert!(compose.backup_capable());
    let plan = compose.backup_plan(&stack()).unwrap().unwrap();
    let volumes = plan
        .volumes
        .iter()
        .map(|volume| format!("{} {:?}", volume.name, volume.paths))
        .collect::<Vec<_>>();
    assert_eq!(
        volumes,
        [
            "foo_ci_test_data []",
            r#"foo_ci_test_db ["backup.sql", "extra"]"#
        ]
    );
    assert_eq!(plan.hooks.len(), 1);
    assert_eq!(
        plan.hooks[0].before_backup.as_deref(),
        Some("/pg_backup.sh backup")
    );
    insta::assert_snapshot!(plan.notes.join("\n"), @r"
    service `app`: no tool reads `backupbot.backup.color`
    service `app`: `backupbot.backup.volumes.gone.path` names no volume that the stack mounts
    service `off`: `backupbot.backup.pre-hook` doesn't count, as `backupbot.backup` is false there
    ");
}

#[rstest::rstest]
#[case("false")]
#[case("${ENABLE_BACKUPS}")]
fn a_switch_that_is_off_is_not_backup_capable(#[case] value: &str) {
    let text = format!(
        "services: {{app: {{image: a, deploy: {{labels: ['backupbot.backup={value}']}}}}}}"
    );
    let compose = load(&text, &[]).unwrap();
    assert!(!compose.backup_capable());
    assert_eq!(compose.backup_plan(&stack()).unwrap(), None);
}

#[test]
fn a_backup_path_that_leaves_the_volume_is_refused() {
    let text = "services: {app: {image: a, volumes: ['d:/d'], deploy: {labels: {backupbot.backup: true, backupbot.backup.volumes.d.path: '../x'}}}}\nvolumes: {d: }";
    let error = load(text, &[]).unwrap().backup_plan(&stack()).unwrap_err();
    assert!(matches!(error, ComposeError::BackupPath { .. }));
}

#[rstest::rstest]
#[case::in_a_volume(
    "/d/e/, /d/e/f/g",
    "write `backupbot.backup.volumes.d.path=e` for `/d/e/`; write `backupbot.backup.volumes.inner.path=g` for `/d/e/f/g`"
)]
#[case::the_whole("/d", "leave it out for `/d`: volume `d` is taken as a whole")]
#[case::in_none(
    "/tmp/dump",
    "`/tmp/dump` is in no volume that the service mounts: have it in one"
)]
fn a_label_of_the_first_form_is_refused_with_what_to_write(
    #[case] paths: &str,
    #[case] instead: &str,
) {
    let text = format!(
        "services: {{app: {{image: a, volumes: ['d:/d', 'inner:/d/e/f'], deploy: {{labels: ['backupbot.backup=true', 'backupbot.backup.path={paths}']}}}}}}\nvolumes: {{d: , inner: }}"
    );
    let error = load(&text, &[]).unwrap().backup_plan(&stack()).unwrap_err();
    let said = error.to_string();
    assert!(
        said.starts_with("service `app`: `backupbot.backup.path` is the first form"),
        "{said}"
    );
    assert!(
        said.ends_with(&format!("does not read; {instead}")),
        "{said}"
    );
}

#[rstest::rstest]
#[case("services.app.image", Some(4))]
#[case("services.db.image", Some(7))]
#[case("services.db.deploy.replicas", None)]
#[case("volumes.db", Some(9))]
#[case("services.web.image", None)]
fn the_line_of_a_path_is_below_its_parents(#[case] path: &str, #[case] line: Option<usize>) {
    let text = "services:\n  app:\n    # image: old\n    image: a\n\n  db:\n    \"image\": b\nvolumes:\n  db:\n";
    assert_eq!(line_of_path(text, path), line);
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(services:\n)?([ a-z:\\[\\]{}$&*\"'-]|\n){0,60}") {
        let _ = load(&text, &[]);
    }
}
