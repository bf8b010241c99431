//! What a recipe may not do on a shared host, unless the site allows it.
//!
//! Findings are data: who decides on them knows the site. They are known before anything is
//! deployed.

use std::fmt;
use std::str::FromStr;

use crate::recipe::compose::MountKind;
use crate::recipe::{AppDomain, Compose, StackName};

/// The name of a rule, as a site's settings allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    DockerSocket,
    HostBind,
    Privileged,
    HostNetwork,
    ForeignSecret,
    ForeignHost,
    DeepHost,
}

impl Rule {
    pub const ALL: [Self; 7] = [
        Self::DockerSocket,
        Self::HostBind,
        Self::Privileged,
        Self::HostNetwork,
        Self::ForeignSecret,
        Self::ForeignHost,
        Self::DeepHost,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::DockerSocket => "docker-socket",
            Self::HostBind => "host-bind",
            Self::Privileged => "privileged",
            Self::HostNetwork => "host-network",
            Self::ForeignSecret => "foreign-secret",
            Self::ForeignHost => "foreign-host",
            Self::DeepHost => "deep-host",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no policy rule; the rules are {}", Rule::ALL.map(Rule::as_str).join(", "))]
pub struct UnknownRule {
    text: String,
}

impl FromStr for Rule {
    type Err = UnknownRule;

    fn from_str(text: &str) -> Result<Self, UnknownRule> {
        Self::ALL
            .into_iter()
            .find(|rule| rule.as_str() == text)
            .ok_or_else(|| UnknownRule {
                text: text.to_owned(),
            })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub rule: Rule,
    /// Short name; none for what belongs to no one service.
    pub service: Option<String>,
    /// What was found, and what to do about it.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.service {
            Some(service) => write!(f, "{}: service `{service}` {}", self.rule, self.message),
            None => write!(f, "{}: {}", self.rule, self.message),
        }
    }
}

/// Everything in the recipe that a shared host would not allow, in the order of its services.
pub fn findings(compose: &Compose, stack: &StackName, zone: &AppDomain) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, service) in &compose.services {
        let mut add = |rule, message: String| {
            found.push(Finding {
                rule,
                service: Some(name.clone()),
                message,
            });
        };
        for mount in &service.mounts {
            let path = match &mount.kind {
                MountKind::Bind(path) => Some(path.as_str()),
                MountKind::Volume(key) => host_path(compose, key),
                MountKind::Anonymous | MountKind::Tmpfs => None,
            };
            match path {
                Some(path) if reaches_docker(path) => add(
                    Rule::DockerSocket,
                    format!("mounts `{path}`: whoever has Docker's socket has the host"),
                ),
                Some(path) => add(
                    Rule::HostBind,
                    format!(
                        "mounts `{path}` of the host at `{}`; use a volume or a config",
                        mount.target
                    ),
                ),
                None => {}
            }
        }
        if service.privileged {
            add(Rule::Privileged, "is privileged".to_owned());
        }
        if service.network_mode.as_deref() == Some("host") {
            add(Rule::HostNetwork, "has `network_mode: host`".to_owned());
        }
        for key in service.networks.keys() {
            let network = compose.networks.get(key);
            let full = network.and_then(|one| one.name.as_deref()).unwrap_or(key);
            if full == "host" && network.is_some_and(|one| one.external) {
                add(
                    Rule::HostNetwork,
                    format!("is on the host's network, as `{key}`"),
                );
            }
        }
        for (kind, grants, objects) in [
            ("secret", &service.secrets, &compose.secrets),
            ("config", &service.configs, &compose.configs),
        ] {
            for grant in grants {
                let Some(object) = objects.get(&grant.source).filter(|object| object.external)
                else {
                    continue;
                };
                let full = object.name.as_deref().unwrap_or(&grant.source);
                if !full.starts_with(&format!("{stack}_")) {
                    add(
                        Rule::ForeignSecret,
                        format!(
                            "uses the {kind} `{full}`, which is not of this app; its name has to begin with `${{STACK_NAME}}_`"
                        ),
                    );
                }
            }
        }
        let rules = service.labels.iter().filter(|(label, _)| {
            (label.starts_with("traefik.http.routers.")
                || label.starts_with("traefik.tcp.routers."))
                && label.ends_with(".rule")
        });
        for (_, rule) in rules.filter(|(_, rule)| !rule.trim().is_empty()) {
            let hosts = hosts(rule);
            if hosts.is_empty() || rule.contains("Regexp") {
                add(
                    Rule::ForeignHost,
                    format!("has a router that names no host of its own: `{rule}`"),
                );
            }
            for host in hosts {
                if let Some((rule, message)) = wrong_host(&host, zone) {
                    add(rule, message);
                }
            }
        }
    }
    found
}

fn wrong_host(host: &str, zone: &AppDomain) -> Option<(Rule, String)> {
    let below = host
        .strip_suffix(zone.as_str())
        .and_then(|rest| rest.strip_suffix('.'))
        .filter(|label| !label.is_empty());
    match below {
        Some(label) if !label.contains('.') => None,
        Some(label) => Some((
            Rule::DeepHost,
            format!(
                "has a router for `{host}`, more than one label below {zone}, which no wildcard certificate covers; name it `{}.{zone}`",
                label.replace('.', "-")
            ),
        )),
        None => Some((
            Rule::ForeignHost,
            format!("has a router for `{host}`, which is not below {zone}"),
        )),
    }
}

/// The path of the host behind a named volume, where its options make it one.
fn host_path<'a>(compose: &'a Compose, key: &str) -> Option<&'a str> {
    let options = &compose.volumes.get(key)?.driver_opts;
    let bound = options.get("o").is_some_and(|how| {
        how.split(',')
            .any(|option| matches!(option.trim(), "bind" | "rbind"))
    });
    let device = options.get("device")?.as_str();
    (bound || device.starts_with('/')).then_some(device)
}

/// Docker's socket, or a folder that holds it.
fn reaches_docker(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    path.ends_with("docker.sock") || matches!(path, "" | "/run" | "/var" | "/var/run")
}

/// The names in the `Host(…)` and `HostSNI(…)` of a router's rule, in lower case.
pub fn hosts(rule: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = rule;
    while let Some((before, behind)) = rest.split_once('(') {
        rest = behind;
        let function = before
            .rsplit(|c: char| !c.is_ascii_alphanumeric())
            .next()
            .unwrap_or_default();
        if !["Host", "HostSNI"].contains(&function) {
            continue;
        }
        let arguments = behind.split(')').next().unwrap_or_default();
        for argument in arguments.split(',') {
            let host = argument.trim().trim_matches(['`', '"', '\'']).trim();
            if !host.is_empty() {
                found.push(host.to_ascii_lowercase());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn found(text: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("compose.yml"), text).unwrap();
        let variables = BTreeMap::from([("STACK_NAME".to_owned(), "foo_ci_test".to_owned())]);
        let compose = Compose::load(dir.path(), &["compose.yml".into()], &variables).unwrap();
        let app: AppDomain = "foo.ci.test".parse().unwrap();
        let zone: AppDomain = "ci.test".parse().unwrap();
        let found = findings(&compose, &app.stack(), &zone);
        found
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn what_reaches_the_host_is_found() {
        let said = found(
            r#"
services:
  app:
    image: a
    privileged: true
    volumes:
      - /var/run/docker.sock:/var/run/docker.sock:ro
      - /:/host
      - ./conf:/conf
      - fine:/fine
      - sly:/sly
    networks: [outside]
  db: {image: b, network_mode: host}
volumes:
  fine:
  sly: {driver_opts: {type: none, o: bind, device: /etc}}
networks:
  outside: {external: true, name: host}
"#,
        );
        insta::assert_snapshot!(said, @r"
        docker-socket: service `app` mounts `/var/run/docker.sock`: whoever has Docker's socket has the host
        docker-socket: service `app` mounts `/`: whoever has Docker's socket has the host
        host-bind: service `app` mounts `./conf` of the host at `/conf`; use a volume or a config
        host-bind: service `app` mounts `/etc` of the host at `/sly`; use a volume or a config
        privileged: service `app` is privileged
        host-network: service `app` is on the host's network, as `outside`
        host-network: service `db` has `network_mode: host`
        ");
    }

    #[test]
    fn secrets_of_other_apps_and_hosts_elsewhere_are_found() {
        let said = found(
            r#"
services:
  app:
    image: a
    secrets: [own, other, bare]
    deploy:
      labels:
        - "traefik.http.routers.a.rule=Host(`foo.ci.test`, `minio-foo.ci.test`) && PathPrefix(`/x`)"
        - "traefik.http.routers.b.rule=Host(`minio.foo.ci.test`) || Host(`evil.example.org`)"
        - "traefik.http.routers.c.rule=Host(`ci.test`)"
        - "traefik.http.routers.d.rule=PathPrefix(`/all`)"
        - "traefik.http.services.c.rule=Host(`ignored.example.org`)"
secrets:
  own: {external: true, name: "${STACK_NAME}_own_v1"}
  other: {external: true, name: "bar_ci_test_db_v1"}
  bare: {external: true}
"#,
        );
        insta::assert_snapshot!(said, @r"
        foreign-secret: service `app` uses the secret `bar_ci_test_db_v1`, which is not of this app; its name has to begin with `${STACK_NAME}_`
        foreign-secret: service `app` uses the secret `bare`, which is not of this app; its name has to begin with `${STACK_NAME}_`
        deep-host: service `app` has a router for `minio.foo.ci.test`, more than one label below ci.test, which no wildcard certificate covers; name it `minio-foo.ci.test`
        foreign-host: service `app` has a router for `evil.example.org`, which is not below ci.test
        foreign-host: service `app` has a router for `ci.test`, which is not below ci.test
        foreign-host: service `app` has a router that names no host of its own: `PathPrefix(`/all`)`
        ");
    }

    #[test]
    fn a_sound_recipe_has_no_findings() {
        let said = found(
            "services: {app: {image: a, volumes: ['d:/d', {type: tmpfs, target: /t}], networks: [proxy]}}\nvolumes: {d: }\nnetworks: {proxy: {external: true}}",
        );
        assert_eq!(said, "");
    }

    #[test]
    fn rules_have_one_name_both_ways() {
        for rule in Rule::ALL {
            assert_eq!(rule.as_str().parse(), Ok(rule));
        }
        assert!("all".parse::<Rule>().is_err());
    }
}
