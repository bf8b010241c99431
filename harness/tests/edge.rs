//! The proxy for real: nginx in a container, services in the swarm, the client of the harness.

#[cfg(test)]
#[path = "edge/site.rs"]
mod site;

#[cfg(test)]
mod docker {
    use std::collections::{BTreeMap, BTreeSet};
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    use futures_util::{StreamExt, stream};
    use harness::edge::authority::fingerprint_of;
    use harness::edge::{Edge, EdgeSpec};
    use harness::http::{Answer, Client, ClientSpec, HttpError};
    use harness::recipe::AppDomain;
    use harness::wait::Unwatched;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::site::{LIMIT, Site, nginx, run, with_port};

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
    async fn the_app_has_the_beginning_of_a_body_before_its_end_is_sent() {
        let site = Site::new("stream");
        site.service("app", "dnsrr");
        let (_edge, client) = site.edge(site.plain()).await;
        site.ready(&client).await;
        let (finish, finished) = tokio::sync::oneshot::channel::<()>();
        let half = bytes::Bytes::from(vec![b'x'; 1 << 16]);
        let second = half.clone();
        let first = stream::once(async move { Ok::<_, std::io::Error>(half) });
        let parts = first.chain(stream::once(async move {
            finished.await.map_err(std::io::Error::other)?;
            Ok(second)
        }));
        let url = site.url("/upload");
        let upload = client.put(&url, reqwest::Body::wrap_stream(parts));
        let watch = async {
            let half = |answer: &Answer| match answer.text() {
                seen if seen == "65536" => Ok(()),
                seen => Err(format!("{seen} bytes")),
            };
            let seen = client.get_until(&site.url("/uploaded"), LIMIT, half).await;
            finish.send(()).unwrap();
            seen.unwrap();
        };
        let (sent, ()) = tokio::join!(upload, watch);
        assert_eq!(sent.unwrap().text(), "131072");
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

        site.lose(&client).await;
        assert_eq!(page(site.url("/")).await, (502, gone));
        // A marked page is no answer of the app's, whatever status is allowed.
        let brief = Duration::from_secs(1);
        let lost = client
            .answers(&site.url("/"), &[502], brief, &Unwatched)
            .await
            .unwrap_err();
        assert!(matches!(lost, HttpError::Wait(_)), "{lost}");
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
        let places = |log: &str| {
            let answered = log.lines().filter_map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                (words.get(4) == Some(&"200")).then(|| words[5].to_owned())
            });
            answered.collect::<BTreeSet<_>>().len()
        };
        // It must come back each time; the engine may give it the address that it had before.
        for _ in 0..6 {
            site.lose(&client).await;
            site.service("app", "dnsrr");
            site.ready(&client).await;
            if places(&edge.log().await) > 1 {
                return;
            }
        }
        panic!("never at another address:\n{}", edge.log().await);
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
