//! A server's own proxy. An nginx of the kit stands in for Traefik: in a container of its own, on a
//! published port, with a certificate from files. It knows nothing of labels.

#[cfg(test)]
mod docker {
    use std::fs;
    use std::net::{SocketAddr, TcpListener};
    use std::path::Path;
    use std::process::Command;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use harness::edge::Authority;
    use harness::fault::Fault;
    use harness::http::certificate::is_wildcard_of;
    use harness::http::{Client, ClientSpec};
    use harness::recipe::AppDomain;
    use harness::site::{Proxy, Roots};
    use harness::wait::{Probe, Unwatched, wait_until};

    const IMAGE: &str = "cc-ci.local/nginx:1.22.1";
    const LIMIT: Duration = Duration::from_secs(40);
    const PAUSE: Duration = Duration::from_millis(100);

    const CONFIGURATION: &str = "server {
    listen 443 ssl default_server;
    ssl_certificate /etc/nginx/conf.d/cert.pem;
    ssl_certificate_key /etc/nginx/conf.d/key.pem;
    default_type text/plain;
    location / { return 200 \"the app at $host\"; }
}
";

    fn docker(arguments: &[&str]) -> String {
        let done = Command::new("docker").args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "docker {arguments:?}: {said}");
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    fn zone() -> AppDomain {
        "ci.test".parse().unwrap()
    }

    fn authority(folder: &Path) -> Authority {
        Authority::open_or_create(folder).unwrap()
    }

    /// Removed at the end.
    struct StandIn {
        container: String,
        address: SocketAddr,
        _files: tempfile::TempDir,
    }

    impl StandIn {
        fn start(certificate: &str, key: &str) -> Self {
            static COUNT: AtomicUsize = AtomicUsize::new(0);
            fixtures::images::ensure(IMAGE, &mut |_| {}).unwrap();
            let files = tempfile::tempdir().unwrap();
            fs::write(files.path().join("cert.pem"), certificate).unwrap();
            fs::write(files.path().join("key.pem"), key).unwrap();
            fs::write(files.path().join("proxy.conf"), CONFIGURATION).unwrap();
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let mut stand_in = Self {
                container: format!("cc-ci-test-proxy-{}-{count}", std::process::id()),
                address: SocketAddr::from(([127, 0, 0, 1], 0)),
                _files: files,
            };
            let files = stand_in._files.path().display();
            let mount = format!("{files}:/etc/nginx/conf.d:ro");
            let name = &stand_in.container;
            let publish = "127.0.0.1::443";
            docker(&[
                "run", "-d", "--name", name, "-p", publish, "-v", &mount, IMAGE,
            ]);
            let published = docker(&["port", name, "443/tcp"]);
            stand_in.address = published.lines().next().unwrap().parse().unwrap();
            stand_in
        }

        /// As a site says it, once nginx is up.
        async fn proxy(&self, roots: &Path) -> Proxy {
            let proxy = proxy(self.address, roots);
            let client = client(&proxy);
            let probe = async || match client.shown_certificate("https://a.ci.test/").await {
                Ok(_) => Probe::Ready(()),
                Err(error) => Probe::NotYet(error.to_string()),
            };
            wait_until("the stand-in", LIMIT, PAUSE, &Unwatched, probe)
                .await
                .unwrap();
            proxy
        }
    }

    impl Drop for StandIn {
        fn drop(&mut self) {
            let _ = Command::new("docker")
                .args(["rm", "-fv", &self.container])
                .output();
        }
    }

    fn proxy(address: SocketAddr, roots: &Path) -> Proxy {
        Proxy::Traefik {
            address: Some(address),
            roots: Roots::try_from(roots.display().to_string()).unwrap(),
        }
    }

    fn client(proxy: &Proxy) -> Client {
        let Proxy::Traefik { address, roots } = proxy else {
            panic!("a server's proxy")
        };
        Client::new(ClientSpec {
            zone: zone(),
            edge: *address,
            marked: false,
            roots: roots.read().unwrap(),
        })
        .unwrap()
    }

    async fn refusal(proxy: &Proxy) -> String {
        match proxy.serves(&zone()).await {
            Err(Fault::Infra(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn an_app_is_reached_at_the_proxys_address_with_the_certificate_of_the_zone() {
        let folder = tempfile::tempdir().unwrap();
        let authority = authority(folder.path());
        let leaf = authority.leaf(&zone()).unwrap();
        let stand_in = StandIn::start(&leaf.certificate, &leaf.key);
        let proxy = stand_in.proxy(&authority.certificate_path()).await;
        proxy.serves(&zone()).await.unwrap();

        let answer = client(&proxy).get("https://a.ci.test/").await.unwrap();
        assert!(is_wildcard_of(
            &zone(),
            answer.certificate.as_ref().unwrap()
        ));
        let answer = answer.expect_status(200).unwrap();
        assert_eq!(answer.text(), "the app at a.ci.test");
        // The wildcard covers one label.
        let deep = client(&proxy).get("https://b.a.ci.test/").await;
        assert!(deep.unwrap_err().to_string().contains("certificate"));
    }

    #[tokio::test]
    async fn traefiks_default_certificate_says_that_the_zone_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["0123.4567.traefik.default".to_owned()];
        let mut parameters = rcgen::CertificateParams::new(names).unwrap();
        let subject = rcgen::DnType::CommonName;
        parameters
            .distinguished_name
            .push(subject, "TRAEFIK DEFAULT CERT");
        let certificate = parameters.self_signed(&key).unwrap();
        let stand_in = StandIn::start(&certificate.pem(), &key.serialize_pem());
        let roots = authority(folder.path()).certificate_path();
        let said = refusal(&stand_in.proxy(&roots).await).await;
        let address = stand_in.address;
        let begin = format!(
            "the site's proxy at {address} does not serve the zone ci.test: it has no certificate \
             for *.ci.test; it shows a certificate: subject CN=TRAEFIK DEFAULT CERT, \
             names 0123.4567.traefik.default"
        );
        assert!(said.starts_with(&begin), "{said}");
    }

    #[tokio::test]
    async fn a_certificate_of_another_authority_is_not_trusted_and_shown() {
        let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let leaf = authority(other.path()).leaf(&zone()).unwrap();
        let stand_in = StandIn::start(&leaf.certificate, &leaf.key);
        let roots = authority(own.path()).certificate_path();
        let said = refusal(&stand_in.proxy(&roots).await).await;
        for part in [
            "invalid peer certificate",
            "it shows a certificate: subject CN=*.ci.test",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }

    #[tokio::test]
    async fn where_nobody_listens_the_proxy_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let roots = authority(folder.path()).certificate_path();
        let said = refusal(&proxy(free, &roots)).await;
        let begin = format!("the site's proxy at {free} does not serve the zone ci.test: GET ");
        assert!(
            said.starts_with(&begin) && said.contains("refused"),
            "{said}"
        );
    }
}
