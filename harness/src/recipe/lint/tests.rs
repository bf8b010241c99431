use rstest::rstest;

use super::*;

/// Files of a recipe without a finding, by name.
const SOUND: [(&str, &str); 4] = [
    (
        "compose.yml",
        r#"version: "3.8"
services:
  app:
    image: registry:5000/nginx:1.27
    healthcheck: {test: "true"}
    deploy: {labels: ["traefik.enable=true"]}
  db:
    image: postgres:16-alpine
    healthcheck: {test: "true"}
configs:
  conf: {name: "${STACK_NAME}_conf_${CONF_VERSION}", file: abra.sh}
secrets:
  db_password: {external: true}
"#,
    ),
    (".env.sample", "DOMAIN=a.example.org\n"),
    ("abra.sh", "export CONF_VERSION=v1\n"),
    (
        "README.md",
        "# nginx\n\n<!-- metadata -->\n* **Category**: Apps\n* **Status**: 1, alpha\n* **Image**: nginx, 4\n* **Healthcheck**: Yes\n* **Backups**: Yes\n* **Email**: No\n* **Tests**: 2\n* **SSO**: No\n<!-- endmetadata -->\n",
    ),
];

const PUBLISHED: [(&str, bool); 2] = [("1.0.0+1.27", true), ("not-a-version", false)];

fn linted(files: &[(&str, &str)], tags: &[(&str, bool)]) -> String {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
    let env = EnvFile::parse(&read(".env.sample")).unwrap();
    let abra_sh = AbraSh::parse(&read("abra.sh"));
    let selected: Vec<PathBuf> = files
        .iter()
        .filter(|(name, _)| name.starts_with("compose"))
        .map(|(name, _)| PathBuf::from(name))
        .collect();
    let compose = Compose::load(dir.path(), &selected, env.variables()).unwrap();
    let tags = tags
        .iter()
        .map(|(name, annotated)| Tag {
            name: (*name).to_owned(),
            commit: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
            annotated: *annotated,
        })
        .collect::<Vec<_>>();
    let found = lint(&Subject {
        tree: dir.path(),
        files: &selected,
        compose: &compose,
        env: &env,
        abra_sh: &abra_sh,
        tags: &tags,
    });
    let shown = found.iter().map(|one| {
        let line = one.line.map(|line| format!(":{line}")).unwrap_or_default();
        let file = one.file.as_deref().unwrap_or("-");
        format!("{} {} {file}{line} {}", one.rule, one.severity, one.message)
    });
    shown.collect::<Vec<_>>().join("\n")
}

/// The sound recipe with one piece of a file in the place of another.
fn with(file: &str, before: &str, after: &str) -> String {
    let changed = SOUND.map(|(name, text)| {
        if name != file {
            return (name, text.to_owned());
        }
        assert!(text.contains(before), "{before} is not in {file}");
        (name, text.replace(before, after))
    });
    let files: Vec<_> = changed
        .iter()
        .filter(|(_, text)| text != "<gone>")
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    linted(&files, &PUBLISHED)
}

#[test]
fn a_sound_recipe_has_no_findings() {
    assert_eq!(linted(&SOUND, &PUBLISHED), "");
}

/// Each breaks just this rule: the finding, with its place, is the only one.
#[rstest]
#[case::no_version(
    "compose.yml",
    "version: \"3.8\"\n",
    "",
    "R001 warn compose.yml:1 there is no `version`; write `version: \"3.8\"`, which older Docker clients need"
)]
#[case::old_version(
    "compose.yml",
    "\"3.8\"",
    "\"3.3\"",
    "R001 warn compose.yml:1 the `version` is `3.3`; write `version: \"3.8\"`, which older Docker clients need"
)]
#[case::version_that_is_no_text(
    "compose.yml",
    "\"3.8\"",
    "3.7",
    "R001 warn compose.yml:1 the `version` is `3.7`; write `version: \"3.8\"`, which older Docker clients need"
)]
#[case::no_healthcheck(
    "compose.yml",
    "    image: postgres:16-alpine\n    healthcheck: {test: \"true\"}\n",
    "    image: postgres:16-alpine\n",
    "R002 warn compose.yml:7 service `db` has no health check"
)]
#[case::no_tag(
    "compose.yml",
    "postgres:16-alpine",
    "postgres",
    "R003 error compose.yml:8 service `db`: the image `postgres` has no tag"
)]
#[case::only_the_registry_has_a_port(
    "compose.yml",
    "nginx:1.27",
    "nginx",
    "R003 error compose.yml:4 service `app`: the image `registry:5000/nginx` has no tag"
)]
#[case::moving_tag(
    "compose.yml",
    "16-alpine",
    "latest",
    "R004 error compose.yml:8 service `db`: the image `postgres:latest` has a tag that moves"
)]
#[case::tag_without_a_version(
    "compose.yml",
    "16-alpine",
    "bookworm",
    "R005 error compose.yml:8 service `db`: the image `postgres:bookworm` has a tag that is not like a version"
)]
#[case::one_field_is_empty(
    "README.md",
    "**Email**: No",
    "**Email**:",
    "R007 warn README.md:3 the metadata of README.md have no `Email`"
)]
#[case::no_metadata(
    "README.md",
    "<!-- metadata -->",
    "",
    "R007 warn README.md README.md has no metadata between `<!-- metadata -->` and `<!-- endmetadata -->`"
)]
#[case::no_app(
    "compose.yml",
    "  app:\n",
    "  web:\n",
    "R009 error compose.yml:2 there is no service `app`"
)]
#[case::no_route(
    "compose.yml",
    "traefik.enable=true",
    "traefik.enable=false",
    "R010 error compose.yml:2 no service has the label `traefik.enable=true`, though .env.sample has a `DOMAIN`"
)]
#[case::no_image(
    "compose.yml",
    "    image: postgres:16-alpine\n",
    "    command: x\n",
    "R011 error compose.yml:7 service `db` has no image"
)]
#[case::config_without_a_version(
    "abra.sh",
    "export CONF_VERSION=v1\n",
    "",
    "R012 error compose.yml:11 config `conf` takes its version from `CONF_VERSION`, which abra.sh does not export"
)]
#[case::long_secret(
    "compose.yml",
    "db_password",
    "db_password_13",
    "R015 warn compose.yml:13 the secret `db_password_13` has 14 characters; with at most 12 its full name fits below long domains"
)]
fn a_rule_is_broken_alone_and_where_it_is(
    #[case] file: &str,
    #[case] before: &str,
    #[case] after: &str,
    #[case] expected: &str,
) {
    assert_eq!(with(file, before, after), expected);
}

/// What looks like a breach and is none.
#[rstest]
#[case::pinned_by_digest("compose.yml", "postgres:16-alpine", "postgres@sha256:0f")]
#[case::tag_with_a_v("compose.yml", "postgres:16-alpine", "ghcr.io/a/b:v2")]
#[case::short_secret("compose.yml", "db_password", "db_password1")]
#[case::no_domain_no_route(".env.sample", "DOMAIN=a.example.org\n", "NAME=x\n")]
#[case::config_of_a_fixed_version("compose.yml", "${CONF_VERSION}", "v7")]
#[case::config_version_from_the_env("compose.yml", "${CONF_VERSION}", "${CONF_LEVEL}")]
#[case::quoted_list_of_metadata("README.md", "* **Category**", "- Category")]
fn what_is_sound_in_another_way_is_no_finding(
    #[case] file: &str,
    #[case] before: &str,
    #[case] after: &str,
) {
    assert_eq!(with(file, before, after), "");
}

#[test]
fn a_recipe_without_env_sample_is_told() {
    let files: Vec<_> = SOUND
        .into_iter()
        .filter(|(name, _)| *name != ".env.sample")
        .collect();
    assert_eq!(
        linted(&files, &PUBLISHED),
        "R008 error .env.sample there is no .env.sample"
    );
}

#[rstest]
#[case::none(&[], "R006 warn - no version is published: no tag is like 1.0.0+2.1")]
#[case::no_version(&[("v1", true)], "R006 warn - no version is published: no tag is like 1.0.0+2.1")]
#[case::lightweight(&[("1.0.0+1", true), ("1.1.0+1", false)], "R014 error - the tag `1.1.0+1` is lightweight; make it with `git tag -a`")]
#[case::sound(&[("1.0.0+1", true)], "")]
fn tags_are_looked_at(#[case] tags: &[(&str, bool)], #[case] expected: &str) {
    assert_eq!(linted(&SOUND, tags), expected);
}

#[test]
fn a_finding_is_in_the_file_that_has_it() {
    let more =
        "version: \"3.8\"\nservices:\n  cache:\n    image: redis\n    healthcheck: {test: x}\n";
    let files = [&SOUND[..], &[("compose.cache.yml", more)]].concat();
    assert_eq!(
        linted(&files, &PUBLISHED),
        "R003 error compose.cache.yml:4 service `cache`: the image `redis` has no tag"
    );
}

#[test]
fn each_rule_has_a_number_of_its_own_in_order() {
    let ids = Rule::ALL.map(Rule::id);
    assert!(ids.is_sorted());
    assert_eq!(std::collections::BTreeSet::from(ids).len(), ids.len());
}

#[test]
fn a_whole_lint_reads_like_this() {
    let compose = r#"services:
  web:
    image: nginx
    deploy: {labels: ["traefik.enable=false"]}
  moving: {image: "a:latest", healthcheck: {test: x}}
  odd: {image: "a:bookworm", healthcheck: {test: x}}
  pinned: {image: "a@sha256:0f", healthcheck: {test: x}}
  none: {command: x, healthcheck: {test: x}}
configs:
  conf: {name: "c_${CONF_VERSION}", file: compose.yml}
secrets:
  a_very_long_secret: {external: true}
"#;
    let files = [("compose.yml", compose), ("README.md", "# no metadata")];
    insta::assert_snapshot!(linted(&files, &[("1.0.0+1", false), ("other", false)]), @r#"
    R001 warn compose.yml:1 there is no `version`; write `version: "3.8"`, which older Docker clients need
    R002 warn compose.yml:2 service `web` has no health check
    R003 error compose.yml:3 service `web`: the image `nginx` has no tag
    R004 error compose.yml:5 service `moving`: the image `a:latest` has a tag that moves
    R005 error compose.yml:6 service `odd`: the image `a:bookworm` has a tag that is not like a version
    R007 warn README.md README.md has no metadata between `<!-- metadata -->` and `<!-- endmetadata -->`
    R008 error .env.sample there is no .env.sample
    R009 error compose.yml:1 there is no service `app`
    R011 error compose.yml:8 service `none` has no image
    R012 error compose.yml:10 config `conf` takes its version from `CONF_VERSION`, which abra.sh does not export
    R014 error - the tag `1.0.0+1` is lightweight; make it with `git tag -a`
    R015 warn compose.yml:12 the secret `a_very_long_secret` has 18 characters; with at most 12 its full name fits below long domains
    "#);
}
