//! Servers that refuse, break, lie or are silent.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bridge::forge::{Forge, ForgeError, Settings};
use bridge::http::SetupError;
use bridge::secret::Secret;
use jiff::Timestamp;
use rstest::rstest;
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;

use super::forge::{client, repo};
use super::server::{Asked, Reply, Server, status};

fn wait_of(error: &ForgeError) -> Option<Duration> {
    match error {
        ForgeError::Passing { wait, .. } => *wait,
        _ => panic!("{error}"),
    }
}

#[rstest]
#[case(400)]
#[case(401)]
#[case(403)]
#[case(404)]
#[case(422)]
#[case(423)]
#[case(301)]
#[case(307)]
#[tokio::test]
async fn a_no_is_a_refusal_with_the_forges_words(#[case] code: u16) {
    let said = json!({"message": "not\n\u{1b}[31mhere ".repeat(100), "url": "x"}).to_string();
    let server = Server::start(move |_| status(code, said.clone())).await;
    let error = client(&server).pull(&repo(), 7).await.unwrap_err();
    assert_eq!(error.refused(), Some(code));
    let text = error.to_string();
    assert!(text.contains("coop-cloud/custom-html#7"), "{text}");
    assert!(text.contains("not") && text.len() < 400, "{text}");
    assert!(!text.contains(char::is_control), "{text}");
}

#[tokio::test]
async fn an_empty_refusal_and_one_of_html_have_no_words() {
    for body in ["", "<html>404</html>", "null"] {
        let server = Server::start(move |_| status(403, body)).await;
        let error = client(&server).pull(&repo(), 7).await.unwrap_err();
        assert!(error.to_string().ends_with("the forge says 403"), "{error}");
    }
}

#[rstest]
#[case::seconds("7", Some(7))]
#[case::long("86400", Some(600))]
#[case::a_date("Wed, 25 Nov 2026 10:00:30 GMT", Some(30))]
#[case::a_date_that_is_over("Wed, 25 Nov 2026 09:00:00 GMT", Some(0))]
#[case::nonsense("soon", None)]
#[tokio::test]
async fn a_passing_trouble_says_how_long(#[case] header: &'static str, #[case] wait: Option<u64>) {
    for code in [429, 500, 502, 503] {
        let answers = move |_: &Asked| {
            status(code, "busy")
                .with("retry-after", header)
                .with("date", "Wed, 25 Nov 2026 10:00:00 GMT")
        };
        let server = Server::start(answers).await;
        let error = client(&server).pull(&repo(), 7).await.unwrap_err();
        assert_eq!(wait_of(&error), wait.map(Duration::from_secs));
        assert!(error.to_string().contains(&code.to_string()), "{error}");
    }
}

#[rstest]
#[case::html("<!DOCTYPE html><title>Sign in</title>", "HTML")]
#[case::another_shape(r#"{"number": "seven"}"#, "invalid type")]
#[case::no_json("ok", "expected")]
#[case::empty("", "EOF")]
#[case::no_utf8("\"\u{0}\"", "control")]
#[tokio::test]
async fn a_yes_that_is_none_is_odd(#[case] body: &'static str, #[case] why: &str) {
    let server = Server::start(move |_| status(200, body)).await;
    let forge = client(&server);
    let error = forge.pull(&repo(), 7).await.unwrap_err();
    assert!(matches!(error, ForgeError::Odd { .. }), "{error}");
    assert!(error.to_string().contains(why), "{error}");
    // A deed is not taken for done, either.
    let error = forge.react(&repo(), 7, "eyes").await;
    assert!(error.is_err() || body.starts_with('{'));
}

#[tokio::test]
async fn a_list_without_a_count_is_odd() {
    let server = Server::start(|_| status(200, "[]")).await;
    let error = client(&server).search("o", Timestamp::UNIX_EPOCH).await;
    let error = error.unwrap_err();
    assert!(error.to_string().contains("X-Total-Count"), "{error}");
    // A proxy's page is said to be one.
    let server = Server::start(|_| status(200, "<html>")).await;
    let error = client(&server).search("o", Timestamp::UNIX_EPOCH).await;
    let error = error.unwrap_err();
    assert!(error.to_string().contains("HTML"), "{error}");
}

#[tokio::test]
async fn an_answer_of_more_than_8_mib_is_odd() {
    let server = Server::start(|_| status(200, vec![b' '; 9 << 20])).await;
    let error = client(&server).thread(&repo(), 7, None).await.unwrap_err();
    assert!(matches!(error, ForgeError::Odd { .. }), "{error}");
}

#[tokio::test]
async fn a_cut_answer_is_passing() {
    let server = Server::start(|_| Reply::Cut("[{\"id\":")).await;
    let error = client(&server).thread(&repo(), 7, None).await.unwrap_err();
    assert_eq!(wait_of(&error), None);
    assert!(error.to_string().contains("lost"), "{error}");
    // Nothing is sent a second time by itself: a comment would be there twice.
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_connection_that_is_closed_at_once_is_passing_and_not_repeated() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let closes = std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let read = peer.read(&mut request).unwrap();
        drop(peer);
        // A second connection would be a second comment.
        listener.set_nonblocking(true).unwrap();
        let again = listener.accept().is_ok();
        (
            String::from_utf8_lossy(&request[..read]).into_owned(),
            again,
        )
    });
    let forge = at(&format!("http://{address}"), None).unwrap();
    let error = forge.post_comment(&repo(), 7, "x").await.unwrap_err();
    assert_eq!(wait_of(&error), None);
    let (request, again) = closes.join().unwrap();
    assert!(request.starts_with("POST "), "{request}");
    assert!(!again);
}

#[tokio::test]
async fn silence_is_passing_after_the_deadline() {
    let server = Server::start(|_| Reply::Hang).await;
    let forge = client(&server).with_deadline(Duration::from_millis(200));
    let began = Instant::now();
    let error = forge.pull(&repo(), 7).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(wait_of(&error), None);
    assert!(error.to_string().contains("within 200ms"), "{error}");
    assert_eq!((forge.requests(), forge.failures()), (1, 1));
}

#[tokio::test]
async fn nobody_there_is_passing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = at(&url, None).unwrap().version().await.unwrap_err();
    assert_eq!(wait_of(&error), None);
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_names_the_setting() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (port, served) = tls(&made);
    let url = format!("https://localhost:{port}");
    let error = at(&url, None).unwrap().version().await.unwrap_err();
    assert_eq!(wait_of(&error), None);
    let text = error.to_string();
    assert!(
        text.contains("unknown authority") && text.contains("`ca_file`"),
        "{text}"
    );
    served.join().unwrap();

    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, made.cert.pem()).unwrap();
    let (port, served) = tls(&made);
    let forge = at(&format!("https://localhost:{port}"), Some(ca)).unwrap();
    assert_eq!(forge.version().await.unwrap(), "1.25.4");
    served.join().unwrap();
}

#[test]
fn a_setting_that_cannot_be_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("ca.pem");
    std::fs::write(&empty, "").unwrap();
    let error = at("https://forge.test", Some(empty)).err().unwrap();
    assert!(matches!(error, SetupError::Authorities { .. }), "{error}");
    for url in [
        "ftp://forge.test",
        "https://me:pass@forge.test",
        "https://forge.test?x=y",
    ] {
        let error = at(url, None).err().unwrap();
        assert!(matches!(error, SetupError::Address(_)), "{error}");
        assert!(!error.to_string().contains("pass@"), "{error}");
    }
    let error = Forge::new(Settings {
        url: "https://forge.test".parse().unwrap(),
        token: Secret::new("a\nb"),
        ca: None,
        bot: "b".to_owned(),
    });
    assert!(matches!(error.err().unwrap(), SetupError::Token));
}

#[tokio::test]
async fn a_forge_below_a_path_is_asked_there() {
    let server = Server::start(|_| status(200, r#"{"version":"1.25.4"}"#)).await;
    for path in ["git", "git/"] {
        let url = server.url.join(path).unwrap();
        at(url.as_str(), None).unwrap().version().await.unwrap();
        assert_eq!(server.last().path, "/git/api/v1/version");
    }
}

fn at(url: &str, ca: Option<PathBuf>) -> Result<Forge, SetupError> {
    Forge::new(Settings {
        url: url.parse().unwrap(),
        token: Secret::new("geheim"),
        ca,
        bot: "cc-ci".to_owned(),
    })
}

/// One connection: a handshake and, if that comes to something, one answer.
fn tls(made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> (u16, JoinHandle<()>) {
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("localhost:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let (peer, _) = listener.accept().unwrap();
        let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, peer);
        if stream.read(&mut [0; 1024]).is_ok() {
            let body = r#"{"version":"1.25.4"}"#;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream
                .write_all(format!("{head}{body}").as_bytes())
                .unwrap();
        }
    });
    (port, served)
}
