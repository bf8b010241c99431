use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::wait::Unwatched;

/// A server that gives its answers one after the other, and the last one for ever.
async fn server(answers: Vec<String>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let at = count.fetch_add(1, Ordering::SeqCst);
            let answer = answers.get(at).or(answers.last()).unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, asked)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

fn client(edge: SocketAddr) -> Client {
    Client::new(ClientSpec {
        zone: "ci.test".parse().unwrap(),
        edge: Some(edge),
        marked: true,
        roots: Roots::System,
    })
    .unwrap()
}

async fn site(answers: &[String]) -> (Client, Arc<AtomicUsize>) {
    let (edge, asked) = server(answers.to_vec()).await;
    (client(edge), asked)
}

const SHORT: Duration = Duration::from_secs(2);

#[rstest]
#[case("ci.test", true)]
#[case("a.ci.test", true)]
#[case("A.CI.TEST.", true)]
#[case("notci.test", false)]
#[case("ci.test.example.org", false)]
fn the_zone_is_the_name_and_what_is_below_it(#[case] host: &str, #[case] expected: bool) {
    assert_eq!(in_zone(&"ci.test".parse().unwrap(), host), expected);
}

#[tokio::test]
async fn names_in_the_zone_go_to_the_proxys_port_and_a_port_in_the_url_wins() {
    let (client, asked) = site(&[answer("200 OK", "", "hello")]).await;
    let seen = client.get("http://a.ci.test/").await.unwrap();
    assert_eq!(seen.expect_status(200).unwrap().text(), "hello");
    let error = client.get("http://a.ci.test:1/").await.unwrap_err();
    assert!(error.is_connection(), "{error}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_wrong_status_shows_what_a_reader_needs() {
    let page = answer("500 Internal Server Error", "", "no database");
    let (client, _) = site(&[page]).await;
    let seen = client.get("http://a.ci.test/x?token=hidden").await.unwrap();
    insta::assert_snapshot!(seen.expect_status(200).unwrap_err(), @r"
    GET http://a.ci.test/x?…: expected status 200, got 500 Internal Server Error
    no database
    ");
}

#[tokio::test]
async fn redirects_are_followed_to_their_end_and_a_circle_has_none() {
    let to = |place: &str| answer("302 Found", &format!("Location: {place}\r\n"), "");
    let (client, asked) = site(&[
        to("/b"),
        to("http://a.ci.test/c"),
        answer("200 OK", "", "c"),
    ])
    .await;
    let seen = client.follow("http://a.ci.test/").await.unwrap();
    assert_eq!(seen.text(), "c");
    assert_eq!(asked.load(Ordering::SeqCst), 3);

    let (client, _) = site(&[to("http://elsewhere.example.org/")]).await;
    let seen = client.follow("http://a.ci.test/").await.unwrap();
    assert_eq!(seen.status, 302);

    let (client, asked) = site(&vec![to("/?again=1"); 30]).await;
    let error = client.follow("http://a.ci.test/").await.unwrap_err();
    insta::assert_snapshot!(error, @"http://a.ci.test/ never ends in a page: after 20 redirects, http://a.ci.test/?… leads to http://a.ci.test/?…");
    assert_eq!(asked.load(Ordering::SeqCst), 21);
}

#[tokio::test]
async fn the_proxys_own_page_is_never_the_expected_answer() {
    let marked = answer(
        "404 Not Found",
        "X-Cc-Ci-Edge: unknown-host: no router has the host a.ci.test\r\n",
        "",
    );
    let (client, asked) = site(&[marked]).await;
    let url = "http://a.ci.test/";
    let seen = client.get(url).await.unwrap();
    insta::assert_snapshot!(seen.expect_status(404).unwrap_err(), @r"
    GET http://a.ci.test/: expected status 404, got 404 Not Found by cc-ci's proxy, not by the app (unknown-host: no router has the host a.ci.test)
    (empty body)
    ");
    let lost = client.answers(url, &[404], SHORT, &Unwatched).await;
    insta::assert_snapshot!(lost.unwrap_err(), @"gave up waiting for an answer of http://a.ci.test/: 404 Not Found, cc-ci's proxy: unknown-host: no router has the host a.ci.test");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

/// As Traefik writes it, to the byte.
fn bare_404(headers: &str) -> String {
    let headers = format!(
        "Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n{headers}"
    );
    answer("404 Not Found", &headers, "404 page not found\n")
}

fn traefik(address: SocketAddr) -> Client {
    Client::new(ClientSpec {
        zone: "ci.test".parse().unwrap(),
        edge: Some(address),
        marked: false,
        roots: Roots::System,
    })
    .unwrap()
}

#[tokio::test]
async fn traefiks_bare_404_is_not_the_apps_even_where_404_is_expected() {
    let url = "http://a.ci.test/";
    let (address, _) = server(vec![bare_404("")]).await;
    let client = traefik(address);
    let seen = client.get(url).await.unwrap();
    insta::assert_snapshot!(seen.expect_status(404).unwrap_err(), @r"
    GET http://a.ci.test/: expected status 404, got 404 Not Found by the proxy, not by the app (the proxy has no route for a.ci.test)
    404 page not found
    ");
    // It may come to know the app yet.
    let (address, asked) =
        server(vec![bare_404(""), answer("404 Not Found", "", "the app's")]).await;
    let seen = traefik(address)
        .answers(url, &[404], SHORT, &Unwatched)
        .await;
    assert_eq!(seen.unwrap().text(), "the app's");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    let brief = Duration::from_millis(500);
    let lost = client.answers(url, &[404], brief, &Unwatched).await;
    insta::assert_snapshot!(lost.unwrap_err(), @"an answer of http://a.ci.test/: not within 0.5 s (404 Not Found, the proxy: the proxy has no route for a.ci.test)");
}

#[tokio::test]
async fn a_404_that_is_not_just_traefiks_is_the_apps() {
    for page in [
        bare_404("Server: nginx\r\n"),
        answer(
            "404 Not Found",
            "Content-Type: text/html\r\n",
            "404 page not found\n",
        ),
        answer(
            "404 Not Found",
            "Content-Type: text/plain\r\n",
            "404 page not found",
        ),
    ] {
        let (address, _) = server(vec![page]).await;
        let seen = traefik(address).get("http://a.ci.test/").await.unwrap();
        assert_eq!(seen.edge_page, None);
    }
    // cc-ci's own proxy marks its pages, and an app behind another can't.
    let (address, _) = server(vec![bare_404("")]).await;
    let seen = client(address).get("http://a.ci.test/").await.unwrap();
    assert_eq!(seen.edge_page, None);
    let marked = answer("200 OK", "X-Cc-Ci-Edge: timeout: x\r\n", "");
    let (address, _) = server(vec![marked]).await;
    let seen = traefik(address).get("http://a.ci.test/").await.unwrap();
    assert_eq!(seen.edge_page, None);
}

#[tokio::test]
async fn a_mark_from_outside_the_zone_is_only_a_header() {
    let marked = answer("200 OK", "X-Cc-Ci-Edge: timeout: x\r\n", "");
    let (address, _) = server(vec![marked]).await;
    let seen = client(address).get(&format!("http://{address}/")).await;
    assert_eq!(seen.unwrap().edge_page, None);
}

#[tokio::test]
async fn a_read_is_tried_again_on_5xx_and_never_on_4xx() {
    let busy = answer("503 Service Unavailable", "", "");
    let not_yet = answer("200 OK", "", "starting");
    let good = answer("200 OK", "", "ready");
    let gone = answer("410 Gone", "", "");
    let url = "http://a.ci.test/";
    let wanted = |answer: &Answer| match answer.text().as_str() {
        "ready" => Ok(()),
        other => Err(format!("it says {other}")),
    };
    let (client, asked) = site(&[busy, not_yet, good]).await;
    client.get_until(url, SHORT, wanted).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 3);

    let (client, asked) = site(&[gone]).await;
    let error = client.get_until(url, SHORT, wanted).await.unwrap_err();
    insta::assert_snapshot!(error, @"gave up waiting for GET http://a.ci.test/: 410 Gone");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_app_is_ready_with_an_allowed_status_only() {
    let (busy, moved) = (
        answer("502 Bad Gateway", "", ""),
        answer("302 Found", "Location: /login\r\n", ""),
    );
    let (client, asked) = site(&[busy, moved.clone()]).await;
    let url = "http://a.ci.test/";
    let seen = client.answers(url, &[200, 302], SHORT, &Unwatched).await;
    // Shown, not followed.
    assert_eq!(seen.unwrap().header("location"), Some("/login"));
    assert_eq!(asked.load(Ordering::SeqCst), 2);

    let (client, _) = site(&[moved]).await;
    let brief = Duration::from_millis(500);
    let error = client.answers(url, &[200], brief, &Unwatched).await;
    insta::assert_snapshot!(error.unwrap_err(), @"an answer of http://a.ci.test/: not within 0.5 s (302 Found, not 200)");
}

#[tokio::test]
async fn a_server_that_never_answers_is_bounded() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(listener.local_addr().unwrap());
    let client = client.with_deadline(Duration::from_millis(100));
    let error = client.get("http://a.ci.test/").await.unwrap_err();
    insta::assert_snapshot!(error, @"GET http://a.ci.test/: not within 0.1 s");
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused() {
    let (client, _) = site(&[answer("200 OK", "", "12345")]).await;
    let client = client.with_longest_body(4);
    let error = client.get("http://a.ci.test/").await.unwrap_err();
    insta::assert_snapshot!(error, @"GET http://a.ci.test/: the body is longer than 4 bytes");
}

#[tokio::test]
async fn cookies_are_kept_by_a_client_that_wants_them_and_never_shown() {
    let sets = answer("200 OK", "Set-Cookie: session=secret\r\n", "hi");
    let (edge, _) = server(vec![sets]).await;
    let client = client(edge).with_cookies().unwrap();
    let first = client.get("http://a.ci.test/").await.unwrap();
    assert!(!first.exchange().contains("secret"), "{}", first.exchange());
    assert!(first.exchange().ends_with("\n\nhi"));

    let listener = TcpListener::bind(edge.ip().to_string() + ":0")
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let length = stream.read(&mut head).await.unwrap();
        let page = answer("200 OK", "", "");
        stream.write_all(page.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&head[..length]).into_owned()
    });
    let url = format!("http://a.ci.test:{port}/");
    client.get(&url).await.unwrap();
    assert!(seen.await.unwrap().contains("session=secret"));
}

#[tokio::test]
async fn a_port_counts_as_open_after_several_connections() {
    let (address, asked) = server(vec![String::new()]).await;
    let address = address.to_string();
    connects(&address, 3, SHORT, &Unwatched).await.unwrap();
    assert!(asked.load(Ordering::SeqCst) >= 2);
    let error = connects("127.0.0.1:1", 1, Duration::from_millis(300), &Unwatched).await;
    assert!(error.unwrap_err().to_string().contains("refused"));
}

#[test]
fn the_provider_may_be_installed_any_number_of_times() {
    install_tls_provider();
    install_tls_provider();
}

#[test]
fn a_file_without_certificates_is_no_trust() {
    let spec = ClientSpec {
        zone: "ci.test".parse().unwrap(),
        edge: None,
        marked: false,
        roots: Roots::Pem("nothing".to_owned()),
    };
    assert!(matches!(Client::new(spec), Err(HttpError::NoRoots)));
}

/// Neither in an error nor in the evidence.
#[tokio::test]
async fn tokens_are_not_shown() {
    let body = r#"{"access_token":"eyJhbGciOiJ.eyJleHAiOjF.c2ln-_","key":"eyJub3RoaW5n","n":1}"#;
    let (client, _) = site(&[answer("200 OK", "", body)]).await;
    let answer = client.get("http://a.ci.test/").await.unwrap();
    let shown = r#"{"access_token":"[token]","key":"eyJub3RoaW5n","n":1}"#;
    assert!(answer.exchange().ends_with(shown), "{}", answer.exchange());
    let error = answer.expect_status(401).unwrap_err();
    assert!(error.to_string().ends_with(shown), "{error}");
}

/// A value that the cut would halve.
#[tokio::test]
async fn a_body_is_redacted_before_it_is_cut() {
    let secret = "s3cret-of-the-app";
    let body = format!("{}{secret} and more", "x".repeat(590));
    let (client, _) = site(&[answer("500 Oops", "", &body)]).await;
    let redactor = Learning::default();
    let client = client.with_redactor(redactor.clone());
    redactor.know(crate::redact::Redactor::new([("pw", secret)]));
    let got = client.get("http://a.ci.test/").await.unwrap();
    let error = got.expect_status(200).unwrap_err().to_string();
    assert!(!error.contains("s3cret"), "{error}");
    assert!(!client.exchanges().concat().contains("s3cret"));
}

#[tokio::test]
async fn an_exchange_shows_what_was_asked_and_no_credentials() {
    let (client, _) = site(&[answer("200 OK", "Set-Cookie: a=b\r\n", "hello")]).await;
    let request = client
        .build(Method::GET, "http://a.ci.test/x?token=y")
        .header("accept", "text/plain")
        .header("authorization", "Basic abc");
    client.send(request).await.unwrap();
    let exchange = client.exchanges().concat();
    let (asked, answered) = exchange.split_once("\n\n").unwrap();
    insta::assert_snapshot!(asked, @r"
    GET http://a.ci.test/x?…
    accept: text/plain
    authorization: (hidden)
    ");
    assert!(answered.starts_with("HTTP/1.1 200 OK after "), "{answered}");
    assert!(answered.contains("set-cookie: (hidden)\n") && answered.ends_with("\nhello"));
}
