//! The generated overlay: what an engine adds to a recipe's compose files.

use serde_json::{Map, Value, json};

use crate::engine::{AppSpec, Deployment};
use crate::recipe::compose::Service;

/// Where the recipe's files say no version. Debian's client refuses files without one.
pub const DEFAULT_VERSION: &str = "3.8";

/// The overlay's text; none where there is nothing to add. `version` must be that of the recipe's
/// files: Docker merges no others. `app`: also what abra itself puts on the service `app`.
///
/// It is written as JSON, which is YAML too and has one way only to write a string.
pub fn overlay(
    app: Option<&AppSpec>,
    what: &Deployment,
    version: &str,
    dnsrr: bool,
) -> Option<String> {
    let services = what
        .compose
        .services
        .iter()
        .map(|(name, service)| (name.clone(), of_service(app, what, name, service, dnsrr)))
        .filter(|(_, additions)| additions != &json!({}))
        .collect::<Map<_, _>>();
    let overlay = json!({ "version": version, "services": services });
    let text = serde_json::to_string_pretty(&overlay).expect("a JSON value can be written");
    (!services.is_empty()).then_some(text)
}

fn of_service(
    app: Option<&AppSpec>,
    what: &Deployment,
    name: &str,
    service: &Service,
    dnsrr: bool,
) -> Value {
    let mut added = Map::new();
    let mut deploy = Map::new();
    if let Some(id) = what.local_images.get(&service.image) {
        added.insert("image".to_owned(), literal(id));
    }
    if dnsrr {
        deploy.insert("endpoint_mode".to_owned(), json!("dnsrr"));
        let ports = service.ports.iter().map(|port| {
            let mut entry = json!({
                "target": port.target,
                "protocol": if port.protocol.is_empty() { "tcp" } else { &port.protocol },
                "mode": "host",
            });
            if let Some(published) = port.published {
                entry["published"] = json!(published);
            }
            entry
        });
        let ports = ports.collect::<Vec<_>>();
        if !ports.is_empty() {
            added.insert("ports".to_owned(), Value::Array(ports));
        }
    }
    if name == "app"
        && let Some(app) = app
    {
        deploy.insert("labels".to_owned(), Value::Object(labels(app, what)));
        let environment = what
            .app_env
            .iter()
            .filter(|(key, _)| !service.environment.contains_key(*key))
            .map(|(key, value)| (key.clone(), literal(value)))
            .collect::<Map<_, _>>();
        if !environment.is_empty() {
            added.insert("environment".to_owned(), Value::Object(environment));
        }
    }
    if !deploy.is_empty() {
        added.insert("deploy".to_owned(), Value::Object(deploy));
    }
    Value::Object(added)
}

/// The value of a top-level `version` in a compose file.
pub fn version_of(text: &str) -> Option<&str> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("version:"))?;
    let value = line.split(" #").next().unwrap_or_default().trim();
    let value = value.trim_matches(['"', '\'']);
    (!value.is_empty()).then_some(value)
}

/// What abra puts on the service `app`.
fn labels(app: &AppSpec, what: &Deployment) -> Map<String, Value> {
    let key = |name: &str| format!("coop-cloud.{}.{name}", app.stack);
    let mut labels = Map::new();
    labels.insert(key("recipe"), literal(app.recipe.as_str()));
    let chaos = what.version.is_none();
    labels.insert(key("chaos"), json!(chaos.to_string()));
    match &what.version {
        Some(version) => labels.insert(key("version"), literal(version)),
        None => labels.insert(key("chaos-version"), literal(what.commit.short())),
    };
    labels
}

/// A text that Docker must not interpolate.
fn literal(text: &str) -> Value {
    Value::String(text.replace('$', "$$"))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::recipe::compose::Port;
    use crate::recipe::{Compose, EnvFile};
    use std::sync::Arc;

    pub fn app() -> AppSpec {
        let domain: crate::recipe::AppDomain = "a.ci.test".parse().unwrap();
        AppSpec {
            recipe: "custom-html".parse().unwrap(),
            stack: domain.stack(),
            before: crate::swarm::Before::Unknown,
            domain,
            lock: Arc::new(tempfile::tempfile().unwrap().into()),
        }
    }

    pub fn deployment(compose: Compose) -> Deployment {
        Deployment {
            commit: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
            version: None,
            tree: "/nowhere".into(),
            files: vec!["compose.yml".into()],
            env: EnvFile::default(),
            app_env: [("DOMAIN", "a.ci.test"), ("PRICE", "$5 ${X}")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            variables: [].into(),
            compose,
            local_images: [("cc-ci.local/x:1".to_owned(), "sha256:abc".to_owned())].into(),
        }
    }

    fn compose() -> Compose {
        let app = Service {
            image: "cc-ci.local/x:1".to_owned(),
            environment: [("DOMAIN".to_owned(), Some("own".to_owned()))].into(),
            ports: vec![Port {
                target: 80,
                published: Some(8080),
                protocol: "tcp".to_owned(),
                mode: None,
            }],
            ..Service::default()
        };
        let db = Service {
            image: "postgres:16".to_owned(),
            ..Service::default()
        };
        Compose {
            services: [("app".to_owned(), app), ("db".to_owned(), db)].into(),
            ..Compose::default()
        }
    }

    #[test]
    fn an_overlay_that_adds_nothing_is_none() {
        let mut what = deployment(compose());
        what.local_images.clear();
        assert_eq!(overlay(None, &what, "3.8", false), None);
        let text = overlay(None, &what, "3.8", true).unwrap();
        assert!(!text.contains("labels"), "{text}");
    }

    #[rstest::rstest]
    #[case::quoted("# c\nversion: \"3.7\"\nservices: {}\n", Some("3.7"))]
    #[case::comment("version: '3.8' # why\n", Some("3.8"))]
    #[case::nested("services:\n  app:\n    version: 3\n", None)]
    fn the_version_of_a_file(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(version_of(text), expected);
    }

    #[test]
    fn the_overlay_of_head_without_ipvs() {
        let text = overlay(Some(&app()), &deployment(compose()), "3.8", true).unwrap();
        insta::assert_snapshot!(text, @r#"
        {
          "version": "3.8",
          "services": {
            "app": {
              "image": "sha256:abc",
              "ports": [
                {
                  "target": 80,
                  "protocol": "tcp",
                  "mode": "host",
                  "published": 8080
                }
              ],
              "environment": {
                "PRICE": "$$5 $${X}"
              },
              "deploy": {
                "endpoint_mode": "dnsrr",
                "labels": {
                  "coop-cloud.a_ci_test.recipe": "custom-html",
                  "coop-cloud.a_ci_test.chaos": "true",
                  "coop-cloud.a_ci_test.chaos-version": "01234567"
                }
              }
            },
            "db": {
              "deploy": {
                "endpoint_mode": "dnsrr"
              }
            }
          }
        }
        "#);
    }

    #[test]
    fn a_published_version_is_labelled_and_a_service_without_additions_is_left_out() {
        let mut what = deployment(compose());
        what.version = Some("1.0.0+2.0".to_owned());
        let text = overlay(Some(&app()), &what, "3.8", false).unwrap();
        insta::assert_snapshot!(text, @r#"
        {
          "version": "3.8",
          "services": {
            "app": {
              "image": "sha256:abc",
              "environment": {
                "PRICE": "$$5 $${X}"
              },
              "deploy": {
                "labels": {
                  "coop-cloud.a_ci_test.recipe": "custom-html",
                  "coop-cloud.a_ci_test.chaos": "false",
                  "coop-cloud.a_ci_test.version": "1.0.0+2.0"
                }
              }
            }
          }
        }
        "#);
    }
}
