//! The proxy for real: nginx in a container, services in the swarm, the client of the harness.

mod docker {
    use std::collections::{BTreeMap, BTreeSet};
    use std::net::TcpListener;
    use std::path::Path;
    use std::process::Command;
    use std::sync::OnceLock;
    use std::time::{Duration, Instant};

    use bollard::Docker;
    use futures_util::stream;
    use harness::edge::authority::fingerprint_of;
    use harness::edge::{Authority, Edge, EdgeSpec, Routes, routes};
    use harness::http::{Client, ClientSpec, HttpError};
    use harness::recipe::compose::{Network, Service};
    use harness::recipe::{AppDomain, Compose};
    use harness::wait::Unwatched;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const LIMIT: Duration = Duration::from_secs(40);

    fn run(program: &str, arguments: &[&str]) -> String {
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
    fn nginx() -> &'static str {
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
    struct Site {
        docker: Docker,
        zone: AppDomain,
        domain: AppDomain,
        authority: Authority,
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
        fn new(test: &str) -> Self {
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

        fn edge_name(&self) -> String {
            format!("{}-edge", self.domain.stack())
        }

        fn sibling(&self, name: &str) -> AppDomain {
            format!("{name}-{}", self.domain).parse().unwrap()
        }

        fn service(&self, name: &str, mode: &str) {
            let full = self.domain.stack().object(name);
            let options = "--detach --no-resolve-image --network proxy --stop-grace-period 0s --endpoint-mode";
            let mut arguments = vec!["service", "create", "--name", &full];
            arguments.extend(options.split(' '));
            arguments.extend([mode, backend(), name]);
            run("docker", &arguments);
        }

        /// Services with the labels `key=value`, `%` being `traefik.http`.
        fn routes(&self, services: &[(&str, &[&str])]) -> Routes {
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
        fn plain(&self) -> Routes {
            let rule = format!("%.routers.s.rule=Host(`{}`)", self.domain);
            self.routes(&[("app", &with_port("s", &rule).each())])
        }

        async fn edge(&self, routes: Routes) -> (Edge, Client) {
            let spec = EdgeSpec {
                name: self.edge_name(),
                labels: BTreeMap::from([("cc-ci.test".to_owned(), "edge".to_owned())]),
                image: nginx().to_owned(),
                zone: self.zone.clone(),
                routes,
                extra_hosts: BTreeSet::from([self.sibling("later")]),
                leaf: self.authority.leaf(&self.zone).unwrap(),
            };
            let t = Instant::now();
            let edge = Edge::start(&self.docker, spec).await.unwrap();
            eprintln!("STARTED {:?} {}", t.elapsed(), edge.address());
            let client = Client::new(edge.client_spec()).unwrap();
            (edge, client)
        }

        fn url(&self, path: &str) -> String {
            format!("https://{}{path}", self.domain)
        }

        async fn ready(&self, client: &Client) {
            client
                .answers(&self.url("/"), &[200], LIMIT, &Unwatched)
                .await
                .unwrap();
        }
    }

    struct Labels(Vec<String>);

    impl Labels {
        fn each(&self) -> Vec<&str> {
            self.0.iter().map(String::as_str).collect()
        }
    }

    fn with_port(name: &str, rule: &str) -> Labels {
        Labels(vec![
            format!("%.services.{name}.loadbalancer.server.port=8080"),
            format!("%.routers.{name}.entrypoints=web-secure"),
            format!("%.routers.{name}.tls=true"),
            rule.to_owned(),
        ])
    }

    #[tokio::test]
    async fn an_app_is_reached_over_both_versions_of_http_with_the_sites_certificate() {
        let site = Site::new("http");
        site.service("app", "vip");
        let (edge, client) = site.edge(site.plain()).await;
        site.ready(&client).await;

        let answer = client.get(&site.url("/a%2Fb//c?d=1")).await.unwrap();
        assert_eq!(answer.version, reqwest::Version::HTTP_2);
        let certificate = answer.certificate.clone().unwrap();
        let leaf = site.authority.leaf(&site.zone).unwrap();
        assert_eq!(fingerprint_of(&certificate), leaf.fingerprint);
        let answer = answer.expect_status(200).unwrap();
        let seen = answer.text().to_lowercase();
        for wanted in [
            "get /a%2fb//c?d=1 http/1.1",
            &format!("\nhost: {}\r", site.domain),
            &format!("\nx-forwarded-host: {}\r", site.domain),
            "\nx-forwarded-proto: https\r",
            "\nx-forwarded-port: 443\r",
            "\nx-forwarded-for: ",
            "\nuser-agent: cc-ci/",
        ] {
            assert!(seen.contains(wanted), "{wanted:?} is not in {seen}");
        }
        assert!(!seen.contains("bot"), "{seen}");

        let old = http1(&edge).get(site.url("/")).send().await.unwrap();
        assert_eq!(old.version(), reqwest::Version::HTTP_11);
        assert_eq!(old.status(), 200);
        edge.stop().await.unwrap();
        edge.stop().await.unwrap();
    }

    /// A client as a browser of old would be.
    fn http1(edge: &Edge) -> reqwest::Client {
        let ClientSpec { roots, .. } = edge.client_spec();
        let harness::http::Roots::Pem(pem) = roots else {
            panic!("the site has its own authority")
        };
        let zone = edge.client_spec().zone;
        let address = edge.address();
        reqwest::Client::builder()
            .http1_only()
            .no_proxy()
            .tls_certs_only([reqwest::Certificate::from_pem(pem.as_bytes()).unwrap()])
            .dns_resolver(std::sync::Arc::new(To(zone, address)))
            .build()
            .unwrap()
    }

    struct To(AppDomain, std::net::SocketAddr);

    impl reqwest::dns::Resolve for To {
        fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
            assert!(name.as_str().ends_with(self.0.as_str()));
            let addresses: reqwest::dns::Addrs = Box::new(std::iter::once(self.1));
            Box::pin(async move { Ok(addresses) })
        }
    }

    #[tokio::test]
    async fn a_web_socket_goes_through() {
        let site = Site::new("ws");
        site.service("app", "dnsrr");
        let (edge, client) = site.edge(site.plain()).await;
        site.ready(&client).await;
        let request = http1(&edge)
            .get(site.url("/ws"))
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 101);
        let mut socket = answer.upgrade().await.unwrap();
        for word in [b"first", b"again"] {
            socket.write_all(word).await.unwrap();
            let mut back = [0; 5];
            socket.read_exact(&mut back).await.unwrap();
            assert_eq!(&back, word);
        }
    }

    #[tokio::test]
    async fn large_bodies_stream_both_ways() {
        let site = Site::new("large");
        site.service("app", "dnsrr");
        let (_edge, client) = site.edge(site.plain()).await;
        site.ready(&client).await;
        let megabyte = bytes::Bytes::from(vec![b'x'; 1 << 20]);
        let parts = std::iter::repeat_n(megabyte, 200).map(Ok::<_, std::io::Error>);
        let body = reqwest::Body::wrap_stream(stream::iter(parts));
        let sent = client.put(&site.url("/upload"), body).await.unwrap();
        assert_eq!(sent.expect_status(200).unwrap().text(), "209715200");

        let error = client.get(&site.url("/download")).await.unwrap_err();
        assert!(matches!(error, HttpError::TooLong { .. }), "{error}");
        let all = client.with_longest_body(200 << 20);
        let answer = all.get(&site.url("/download")).await.unwrap();
        assert_eq!(answer.body.len(), 200 << 20);
        assert!(answer.body.iter().all(|byte| *byte == b'x'));
    }

    #[tokio::test]
    async fn hosts_and_paths_go_where_the_labels_say() {
        let site = Site::new("many");
        site.service("app", "dnsrr");
        site.service("api", "dnsrr");
        let other = site.sibling("minio");
        let app = with_port(
            "app",
            &format!("%.routers.app.rule=Host(`{}`,`{other}`)", site.domain),
        );
        let mut api = with_port(
            "api",
            &format!(
                "%.routers.api.rule=Host(`{}`) && PathPrefix(`/api`)",
                site.domain
            ),
        );
        // Traefik's order is the rules' length, and the other rule is the longer one.
        api.0.push("%.routers.api.priority=1000".to_owned());
        api.0.push("%.routers.api.middlewares=strip".to_owned());
        api.0
            .push("%.middlewares.strip.stripprefix.prefixes=/api".to_owned());
        let all = site.routes(&[("app", &app.each()), ("api", &api.each())]);
        let (_edge, client) = site.edge(all).await;
        site.ready(&client).await;
        client
            .answers(&site.url("/api"), &[200], LIMIT, &Unwatched)
            .await
            .unwrap();
        for (url, wanted) in [
            (site.url("/x"), "app\nGET /x "),
            (format!("https://{other}/api"), "app\nGET /api "),
            (site.url("/api/v1?a=b"), "api\nGET /v1?a=b "),
            (site.url("/api"), "api\nGET / "),
            (site.url("/api?a=b"), "api\nGET /?a=b "),
        ] {
            let text = client.get(&url).await.unwrap().text();
            assert!(text.starts_with(wanted), "{url}: {text}");
        }
    }

    #[tokio::test]
    async fn the_proxys_own_pages_are_marked_and_an_app_can_not_forge_them() {
        let site = Site::new("pages");
        let mut routes = site.plain();
        let refused = site.routes(&[(
            "api",
            &[
                "traefik.enable=false",
                &format!("%.routers.r.rule=Host(`{}`)", site.sibling("off")),
            ],
        )]);
        routes.merge(refused);
        let (edge, client) = site.edge(routes).await;
        let page = async |url: String| {
            let answer = client.get(&url).await.unwrap();
            (answer.status.as_u16(), answer.edge_page.unwrap_or_default())
        };
        let service = site.domain.stack().object("app");
        let gone = format!(
            "no-answer: {service}:8080: no running task has that name on the network proxy"
        );
        assert_eq!(page(site.url("/")).await, (502, gone.clone()));
        let nobody = site.sibling("nobody");
        assert_eq!(
            page(format!("https://{nobody}/")).await,
            (
                404,
                format!("unknown-host: no router has the host {nobody}")
            )
        );
        assert_eq!(
            page(format!("https://{}/", site.sibling("off"))).await,
            (
                502,
                "unroutable: router 'r': service 'api' has 'traefik.enable=false'".to_owned()
            )
        );
        let error = client.get(&format!("https://{nobody}/")).await.unwrap();
        let error = error.expect_status(404).unwrap_err().to_string();
        assert!(
            error.contains("by cc-ci's proxy, not by the app"),
            "{error}"
        );
        // Names that the certificate does not cover: refused as early as Traefik does.
        let deep = client
            .get(&format!("https://deep.{}/", site.domain))
            .await
            .unwrap_err();
        assert!(
            deep.is_connection() && deep.to_string().contains("alert"),
            "{deep}"
        );

        site.service("app", "dnsrr");
        site.ready(&client).await;
        assert_eq!(page(site.url("/own-502")).await, (502, String::new()));
        let forged = client.get(&site.url("/forged")).await.unwrap();
        assert_eq!(forged.edge_page, None);
        assert_eq!(forged.header("server"), Some("own"));
        assert_eq!(forged.expect_status(200).unwrap().text(), "forged");
        let (status, mark) = page(site.url("/die")).await;
        assert_eq!(status, 502);
        assert!(
            mark.contains(&format!("no-answer: {service}:8080: "))
                && mark.contains("closed it without an answer"),
            "{mark}"
        );

        run("docker", &["service", "rm", &service]);
        let lost = client
            .answers(&site.url("/"), &[502], Duration::from_secs(3), &Unwatched)
            .await
            .unwrap_err();
        assert!(matches!(lost, HttpError::Wait(_)), "{lost}");
        assert_eq!(page(site.url("/")).await, (502, gone));
        let log = edge.log().await;
        assert!(
            log.contains(&format!("GET {}/own-502 502", site.domain)),
            "{log}"
        );
    }

    #[tokio::test]
    async fn an_app_that_came_back_elsewhere_is_found() {
        let site = Site::new("moved");
        site.service("app", "dnsrr");
        let (edge, client) = site.edge(site.plain()).await;
        site.ready(&client).await;
        let service = site.domain.stack().object("app");
        run("docker", &["service", "rm", &service]);
        client
            .answers(&site.url("/"), &[], Duration::from_secs(2), &Unwatched)
            .await
            .unwrap_err();
        site.service("app", "dnsrr");
        site.ready(&client).await;
        let log = edge.log().await;
        let places = log.lines().filter_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            (words.get(4) == Some(&"200")).then(|| words[5].to_owned())
        });
        assert!(places.collect::<BTreeSet<_>>().len() > 1, "{log}");
    }

    #[tokio::test]
    async fn new_routes_are_in_force_once_reload_returns() {
        let site = Site::new("reload");
        site.service("app", "dnsrr");
        let (edge, client) = site.edge(site.plain()).await;
        site.ready(&client).await;
        let later = site.sibling("later");
        let rule = format!("%.routers.s.rule=Host(`{later}`)");
        let moved = site.routes(&[("app", &with_port("s", &rule).each())]);
        let attached = Edge::attach(&site.docker, &site.edge_name()).await.unwrap();
        assert_eq!(attached.address(), edge.address());
        attached.reload(&moved).await.unwrap();
        let client = Client::new(attached.client_spec()).unwrap();
        let answer = client.get(&format!("https://{later}/")).await.unwrap();
        answer.expect_status(200).unwrap();
        let old = client.get(&site.url("/")).await.unwrap();
        assert!(old.edge_page.unwrap().starts_with("unknown-host: "));

        let rule = format!("%.routers.s.rule=Host(`{}`)", site.sibling("never"));
        let unknown = site.routes(&[("app", &with_port("s", &rule).each())]);
        let fault = attached.reload(&unknown).await.unwrap_err().to_string();
        assert!(fault.contains("give it as an extra host"), "{fault}");
    }

    #[tokio::test]
    async fn where_the_port_is_taken_another_one_serves_the_same_urls() {
        let site = Site::new("port");
        // Where this fails, another proxy has it: taken all the same.
        let _taken = TcpListener::bind("127.0.0.1:443");
        let (edge, client) = site.edge(site.plain()).await;
        assert_ne!(edge.address().port(), 443);
        let answer = client.get(&site.url("/")).await.unwrap();
        assert_eq!(answer.status, 502);
        assert!(answer.edge_page.is_some());
    }

    #[tokio::test]
    async fn containers_reach_the_hosts_by_the_same_names() {
        let site = Site::new("inside");
        let (_edge, _client) = site.edge(site.plain()).await;
        let host = site.domain.as_str();
        let script = format!("exec 3<>/dev/tcp/{host}/443 && echo connected");
        let inside = ["run", "--rm", "--network", "proxy", "--entrypoint", "bash"];
        let seen = run("docker", &[&inside[..], &[nginx(), "-c", &script]].concat());
        assert_eq!(seen, "connected");
    }

    #[tokio::test]
    async fn a_fault_at_the_start_leaves_no_container() {
        let site = Site::new("fault");
        let mut leaf = site.authority.leaf(&site.zone).unwrap();
        leaf.key = "no key".to_owned();
        let spec = EdgeSpec {
            name: site.edge_name(),
            labels: BTreeMap::new(),
            image: nginx().to_owned(),
            zone: site.zone.clone(),
            routes: site.plain(),
            extra_hosts: BTreeSet::new(),
            leaf,
        };
        let started = Instant::now();
        let fault = Edge::start(&site.docker, spec).await.err().unwrap();
        assert!(fault.to_string().contains("leaf.key"), "{fault}");
        assert!(started.elapsed() < Duration::from_secs(10));
        let filter = format!("name={}", site.edge_name());
        assert_eq!(run("docker", &["ps", "-aq", "--filter", &filter]), "");
    }
}
