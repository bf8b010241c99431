//! One app with its proxy in the real swarm, for the tests of the proxy.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use bollard::Docker;
use harness::edge::{Authority, Edge, EdgeSpec, Routes, routes};
use harness::http::Client;
use harness::recipe::compose::{Network, Service};
use harness::recipe::{AppDomain, Compose};
use harness::wait::{Probe, Unwatched, wait_until};

pub const LIMIT: Duration = Duration::from_secs(40);

pub fn run(program: &str, arguments: &[&str]) -> String {
    let done = Command::new(program).args(arguments).output().unwrap();
    assert!(
        done.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// The id of an image with the test's server in it and nothing else.
fn backend() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("backend");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/edge/backend.rs");
        run(
            "rustc",
            &[
                "--edition=2024",
                "-O",
                "-Ctarget-feature=+crt-static",
                "-o",
                binary.to_str().unwrap(),
                source.to_str().unwrap(),
            ],
        );
        std::fs::write(
            folder.path().join("Dockerfile"),
            "FROM scratch\nCOPY backend /backend\nENTRYPOINT [\"/backend\"]\n",
        )
        .unwrap();
        let tag = "cc-ci.local/edge-test:backend";
        run(
            "docker",
            &["build", "-q", "-t", tag, folder.path().to_str().unwrap()],
        );
        run("docker", &["image", "inspect", "-f", "{{.Id}}", tag])
    })
}

/// The kit's nginx, whichever version is there.
pub fn nginx() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let given = std::env::var("CCCI_TEST_NGINX").ok();
        let listed = |name: &str| {
            let format = "{{.Repository}}:{{.Tag}}";
            let all = run("docker", &["image", "ls", "--format", format, name]);
            all.lines().next().map(str::to_owned)
        };
        given
            .or_else(|| listed("cc-ci.local/nginx"))
            .or_else(|| listed("cc-ci.local/edge-dev"))
            .expect("an image cc-ci.local/nginx:<version>: `cargo xtask images` builds it")
    })
}

/// One app of its own name, with its proxy; all of it is removed at the end.
pub struct Site {
    pub docker: Docker,
    pub zone: AppDomain,
    pub domain: AppDomain,
    pub authority: Authority,
    _folder: tempfile::TempDir,
}

impl Drop for Site {
    fn drop(&mut self) {
        let stack = self.domain.stack();
        for service in ["app", "api"] {
            let _ = Command::new("docker")
                .args(["service", "rm", &stack.object(service)])
                .output();
        }
        let _ = Command::new("docker")
            .args(["rm", "-fv", &self.edge_name()])
            .output();
    }
}

impl Site {
    pub fn new(test: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let domain = format!("edge-{test}-{}.ci.test", std::process::id());
        Self {
            docker: Docker::connect_with_local_defaults().unwrap(),
            zone: "ci.test".parse().unwrap(),
            domain: domain.parse().unwrap(),
            authority: Authority::open_or_create(folder.path()).unwrap(),
            _folder: folder,
        }
    }

    pub fn edge_name(&self) -> String {
        format!("{}-edge", self.domain.stack())
    }

    pub fn sibling(&self, name: &str) -> AppDomain {
        format!("{name}-{}", self.domain).parse().unwrap()
    }

    pub fn service(&self, name: &str, mode: &str) {
        let full = self.domain.stack().object(name);
        let options =
            "--detach --no-resolve-image --network proxy --stop-grace-period 0s --endpoint-mode";
        let mut arguments = vec!["service", "create", "--name", &full];
        arguments.extend(options.split(' '));
        arguments.extend([mode, backend(), name]);
        run("docker", &arguments);
    }

    /// Services with the labels `key=value`, `%` being `traefik.http`.
    pub fn routes(&self, services: &[(&str, &[&str])]) -> Routes {
        let service = |labels: &[&str]| {
            let labels = labels.iter().map(|label| {
                let (key, value) = label.split_once('=').unwrap();
                (key.replace('%', "traefik.http"), value.to_owned())
            });
            let mut labels: BTreeMap<String, String> = labels.collect();
            labels
                .entry("traefik.enable".to_owned())
                .or_insert("true".to_owned());
            Service {
                labels,
                networks: BTreeMap::from([("proxy".to_owned(), vec![])]),
                ..Service::default()
            }
        };
        let compose = Compose {
            services: services
                .iter()
                .map(|(name, labels)| ((*name).to_owned(), service(labels)))
                .collect(),
            networks: BTreeMap::from([(
                "proxy".to_owned(),
                Network {
                    external: true,
                    ..Network::default()
                },
            )]),
            ..Compose::default()
        };
        routes(&compose, &self.domain.stack())
    }

    /// The whole domain to the service `app`.
    pub fn plain(&self) -> Routes {
        let rule = format!("%.routers.s.rule=Host(`{}`)", self.domain);
        self.routes(&[("app", &with_port("s", &rule).each())])
    }

    pub async fn edge(&self, routes: Routes) -> (Edge, Client) {
        let spec = EdgeSpec {
            name: self.edge_name(),
            labels: BTreeMap::from([("cc-ci.test".to_owned(), "edge".to_owned())]),
            image: nginx().to_owned(),
            zone: self.zone.clone(),
            routes,
            extra_hosts: BTreeSet::from([self.sibling("later")]),
            leaf: self.authority.leaf(&self.zone).unwrap(),
        };
        let edge = Edge::start(&self.docker, spec).await.unwrap();
        let client = Client::new(edge.client_spec()).unwrap();
        (edge, client)
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.domain)
    }

    /// Takes the service `app` away and waits until the proxy says that nothing has its name.
    pub async fn lose(&self, client: &Client) {
        run(
            "docker",
            &["service", "rm", &self.domain.stack().object("app")],
        );
        let url = self.url("/");
        let probe = async || match client.get(&url).await.unwrap().edge_page {
            Some(mark) if mark.contains("no running task") => Probe::Ready(()),
            other => Probe::NotYet(format!("{other:?}")),
        };
        let pause = Duration::from_millis(100);
        wait_until("the app is gone", LIMIT, pause, &Unwatched, probe)
            .await
            .unwrap();
    }

    pub async fn ready(&self, client: &Client) {
        client
            .answers(&self.url("/"), &[200], LIMIT, &Unwatched)
            .await
            .unwrap();
    }
}

pub struct Labels(pub Vec<String>);

impl Labels {
    pub fn each(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

pub fn with_port(name: &str, rule: &str) -> Labels {
    Labels(vec![
        format!("%.services.{name}.loadbalancer.server.port=8080"),
        format!("%.routers.{name}.entrypoints=web-secure"),
        format!("%.routers.{name}.tls=true"),
        rule.to_owned(),
    ])
}
