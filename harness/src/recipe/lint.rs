//! The rules of a recipe's form, checked on its files where abra is not there to do it.
//!
//! Names and levels follow the documented list of abra's checks. Of their numbers only R001 and
//! R002 are documented; the others are as abra is understood to count. R013 (the repository exists
//! at the forge) needs the network and is not checked here.

use std::path::{Path, PathBuf};

use results::event::LintFinding;

use super::versions::Tag;
use crate::recipe::compose::{line_of_path, nearest_line_of_path, variables_in};
use crate::recipe::{AbraSh, Compose, EnvFile, Version};

/// A secret's key that is longer leaves little room for the name of the stack.
const LONG_SECRET: usize = 12;

/// What is looked at: one commit, with the environment of its own `.env.sample`.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub tree: &'a Path,
    /// Selected compose files, relative to `tree`.
    pub files: &'a [PathBuf],
    pub compose: &'a Compose,
    pub env: &'a EnvFile,
    pub abra_sh: &'a AbraSh,
    pub tags: &'a [Tag],
}

/// All findings, in the order of the rules.
pub fn lint(subject: &Subject<'_>) -> Vec<LintFinding> {
    let mut found = Findings {
        texts: subject
            .files
            .iter()
            .map(|file| {
                let text = std::fs::read_to_string(subject.tree.join(file)).unwrap_or_default();
                (file.display().to_string(), text)
            })
            .collect(),
        list: Vec::new(),
    };
    found.compose_files(subject);
    found.services(subject);
    found.folder(subject);
    found.tags(subject.tags);
    found.list.sort_by(|one, two| one.rule.cmp(&two.rule));
    found.list
}

const ERROR: &str = "error";
const WARN: &str = "warn";

struct Findings {
    /// Name and text of each compose file.
    texts: Vec<(String, String)>,
    list: Vec<LintFinding>,
}

impl Findings {
    fn add(&mut self, rule: &str, severity: &str, message: impl Into<String>, path: &str) {
        let search = |line_of: fn(&str, &str) -> Option<usize>| {
            let mut texts = self.texts.iter();
            texts.find_map(|(file, text)| Some((file.clone(), line_of(text, path)?)))
        };
        let place = search(line_of_path).or_else(|| search(nearest_line_of_path));
        self.list.push(LintFinding {
            rule: rule.to_owned(),
            severity: severity.to_owned(),
            message: message.into(),
            line: place
                .as_ref()
                .and_then(|(_, line)| u64::try_from(*line).ok()),
            file: place.map(|(file, _)| file),
        });
    }

    fn add_file(&mut self, rule: &str, severity: &str, message: &str, file: &str) {
        self.list.push(LintFinding {
            rule: rule.to_owned(),
            severity: severity.to_owned(),
            message: message.to_owned(),
            file: Some(file.to_owned()),
            line: None,
        });
    }

    fn compose_files(&mut self, subject: &Subject<'_>) {
        for (file, has_version) in subject.files.iter().zip(&subject.compose.has_version) {
            if !has_version {
                let file = file.display().to_string();
                let message =
                    "no `version`; write `version: \"3.8\"`, which older Docker clients need";
                self.add_file("R001", WARN, message, &file);
            }
        }
        for (key, config) in &subject.compose.configs {
            let raw = config.raw_name.as_deref().unwrap_or_default();
            for variable in variables_in(raw) {
                if variable.ends_with("_VERSION") && !subject.abra_sh.exports.contains_key(variable)
                {
                    let message = format!(
                        "config `{key}` takes its version from `{variable}`, which abra.sh does not export"
                    );
                    self.add("R012", ERROR, message, &format!("configs.{key}"));
                }
            }
        }
        for (key, secret) in &subject.compose.secrets {
            if secret.external && key.len() > LONG_SECRET {
                let message = format!(
                    "the secret `{key}` has {} characters; with at most {LONG_SECRET} its full name fits below long domains",
                    key.len()
                );
                self.add("R015", WARN, message, &format!("secrets.{key}"));
            }
        }
    }

    fn services(&mut self, subject: &Subject<'_>) {
        let services = &subject.compose.services;
        for (name, service) in services {
            let path = format!("services.{name}");
            if !service.has_healthcheck {
                let message = format!("service `{name}` has no health check");
                self.add("R002", WARN, message, &path);
            }
            if service.image.is_empty() {
                let message = format!("service `{name}` has no image");
                self.add("R011", ERROR, message, &path);
                continue;
            }
            let image = &service.image;
            let (rule, message) = match tag_of(image) {
                None => ("R003", "has no tag"),
                Some("latest" | "main" | "master" | "edge" | "nightly" | "dev" | "stable") => {
                    ("R004", "has a tag that moves")
                }
                Some(tag)
                    if !tag
                        .trim_start_matches('v')
                        .starts_with(|c: char| c.is_ascii_digit()) =>
                {
                    ("R005", "has a tag that is not like a version")
                }
                Some(_) => continue,
            };
            let message = format!("service `{name}`: the image `{image}` {message}");
            self.add(rule, ERROR, message, &format!("{path}.image"));
        }
        if !services.contains_key("app") {
            self.add("R009", ERROR, "there is no service `app`", "services");
        }
        let routed = services.values().any(|service| {
            let enabled = service.labels.get("traefik.enable");
            enabled.is_some_and(|value| value.eq_ignore_ascii_case("true"))
        });
        if !routed && subject.env.get("DOMAIN").is_some() {
            let message =
                "no service has the label `traefik.enable=true`, though .env.sample has a `DOMAIN`";
            self.add("R010", ERROR, message, "services");
        }
    }

    fn folder(&mut self, subject: &Subject<'_>) {
        if !subject.tree.join(".env.sample").is_file() {
            self.add_file("R008", ERROR, "there is no .env.sample", ".env.sample");
        }
        let readme = std::fs::read_to_string(subject.tree.join("README.md")).unwrap_or_default();
        let block = readme
            .split_once("<!-- metadata -->")
            .and_then(|(_, rest)| rest.split_once("<!-- endmetadata -->"))
            .map_or("", |(block, _)| block);
        for field in [
            "Category",
            "Status",
            "Image",
            "Healthcheck",
            "Backups",
            "Email",
            "Tests",
            "SSO",
        ] {
            let filled = block.lines().any(|line| {
                let line = line.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
                line.strip_prefix(field)
                    .is_some_and(|rest| rest.contains(|c: char| c.is_ascii_alphanumeric()))
            });
            if !filled {
                let message = format!("the metadata of README.md have no `{field}`");
                self.add_file("R007", WARN, &message, "README.md");
            }
        }
    }

    fn tags(&mut self, tags: &[Tag]) {
        let releases = tags
            .iter()
            .filter(|tag| tag.name.parse::<Version>().is_ok())
            .collect::<Vec<_>>();
        if releases.is_empty() {
            self.add(
                "R006",
                WARN,
                "no version is published: no tag is like 1.0.0+2.1",
                "",
            );
        }
        for tag in releases.into_iter().filter(|tag| !tag.annotated) {
            let message = format!(
                "the tag `{}` is lightweight; make it with `git tag -a`",
                tag.name
            );
            self.add("R014", ERROR, message, "");
        }
    }
}

/// The tag of an image; a digest counts as the strictest of tags.
fn tag_of(image: &str) -> Option<&str> {
    if let Some((named, digest)) = image.split_once('@') {
        return tag_of(named).or_else(|| digest.split_once(':').map(|_| "0"));
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':')
        .map(|(_, tag)| tag)
        .filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = "<!-- metadata -->\n* **Category**: Apps\n* **Status**: 1, alpha\n* **Image**: nginx, 4\n* **Healthcheck**: Yes\n* **Backups**: Yes\n* **Email**: No\n* **Tests**: 2\n* **SSO**: No\n<!-- endmetadata -->\n";

    fn linted(files: &[(&str, &str)], tags: &[(&str, bool)]) -> String {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
        let env = EnvFile::parse(&read(".env.sample")).unwrap();
        let abra_sh = AbraSh::parse(&read("abra.sh"));
        let selected = [PathBuf::from("compose.yml")];
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

    #[test]
    fn a_sound_recipe_has_no_findings() {
        let compose = r#"
version: "3.8"
services:
  app:
    image: registry:5000/nginx:1.27
    healthcheck: {test: "true"}
    deploy: {labels: ["traefik.enable=true"]}
configs:
  conf: {name: "${STACK_NAME}_conf_${CONF_VERSION}", file: abra.sh}
"#;
        let files = [
            ("compose.yml", compose),
            (".env.sample", "DOMAIN=a.example.org\n"),
            ("abra.sh", "export CONF_VERSION=v1\n"),
            ("README.md", README),
        ];
        assert_eq!(linted(&files, &[("1.0.0+1.27", true)]), "");
    }

    #[test]
    fn each_rule_names_what_it_found_and_where() {
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
        let said = linted(&files, &[("1.0.0+1", false), ("other", false)]);
        let said = said
            .lines()
            .filter(|line| !line.starts_with("R007"))
            .collect::<Vec<_>>();
        insta::assert_snapshot!(said.join("\n"), @r#"
        R001 warn compose.yml no `version`; write `version: "3.8"`, which older Docker clients need
        R002 warn compose.yml:2 service `web` has no health check
        R003 error compose.yml:3 service `web`: the image `nginx` has no tag
        R004 error compose.yml:5 service `moving`: the image `a:latest` has a tag that moves
        R005 error compose.yml:6 service `odd`: the image `a:bookworm` has a tag that is not like a version
        R008 error .env.sample there is no .env.sample
        R009 error compose.yml:1 there is no service `app`
        R011 error compose.yml:8 service `none` has no image
        R012 error compose.yml:10 config `conf` takes its version from `CONF_VERSION`, which abra.sh does not export
        R014 error - the tag `1.0.0+1` is lightweight; make it with `git tag -a`
        R015 warn compose.yml:12 the secret `a_very_long_secret` has 18 characters; with at most 12 its full name fits below long domains
        "#);
    }

    #[test]
    fn a_domain_without_a_route_and_a_recipe_without_a_version_are_found() {
        let compose = "version: '3.8'\nservices:\n  app: {image: 'a:1', healthcheck: {test: x}}\n";
        let files = [
            ("compose.yml", compose),
            (".env.sample", "DOMAIN=a.b\n"),
            ("README.md", README),
        ];
        insta::assert_snapshot!(linted(&files, &[]), @r"
        R006 warn - no version is published: no tag is like 1.0.0+2.1
        R010 error compose.yml:2 no service has the label `traefik.enable=true`, though .env.sample has a `DOMAIN`
        ");
    }
}
