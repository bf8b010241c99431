//! What the client takes along to another host: nothing.

use std::sync::Mutex;

use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A proxy for all names, which gives `a.ci.test` an answer that leads elsewhere, and writes down
/// what it is asked.
async fn proxy(first: String) -> (Client, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let edge = listener.local_addr().unwrap();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let notes = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = vec![0; 8192];
            let read = stream.read(&mut bytes).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&bytes[..read]).to_ascii_lowercase();
            let head = match request.starts_with("get /first ") {
                true => first.as_str(),
                false => "HTTP/1.1 200 OK\r\n",
            };
            notes.lock().unwrap().push(request);
            let answer = format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let client = Client::new(ClientSpec {
        zone: "ci.test".parse().unwrap(),
        edge: Some(edge),
        marked: true,
        roots: Roots::System,
    });
    (client.unwrap(), asked)
}

fn leads_to(status: u16, place: &str, headers: &str) -> String {
    format!("HTTP/1.1 {status} x\r\nLocation: {place}\r\n{headers}")
}

#[rstest]
#[case(301)]
#[case(302)]
#[case(307)]
#[case(308)]
#[tokio::test]
async fn a_redirect_is_not_followed_with_an_authorization(#[case] status: u16) {
    for place in ["http://b.ci.test/", "/other"] {
        let (client, asked) = proxy(leads_to(status, place, "")).await;
        let request = client.build(Method::GET, "http://a.ci.test/first");
        let answer = client.send(request.bearer_auth("s3cret")).await.unwrap();
        assert_eq!(answer.status, status);
        let asked = asked.lock().unwrap().clone();
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert!(
            asked[0].contains("authorization: bearer s3cret"),
            "{asked:?}"
        );
    }
}

/// Another app of the zone, and one that calls itself the zone's.
#[rstest]
#[case::of_the_host("Set-Cookie: session=s3cret\r\n")]
#[case::secure_over_plain_http("Set-Cookie: session=s3cret; Secure; Domain=b.ci.test\r\n")]
#[case::for_another("Set-Cookie: session=s3cret; Domain=b.ci.test\r\n")]
#[tokio::test]
async fn cookies_are_sent_to_whoever_set_them(#[case] cookie: &str) {
    let (client, asked) = proxy(leads_to(302, "http://b.ci.test/second", cookie)).await;
    let end = client.follow("http://a.ci.test/first").await.unwrap();
    assert_eq!(end.status, 200);
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[1].contains("host: b.ci.test"), "{asked:?}");
    assert!(!asked[1].contains("s3cret"), "{asked:?}");
}

#[tokio::test]
async fn a_cookie_comes_back_to_its_own_host() {
    let back = leads_to(302, "/second", "Set-Cookie: session=s3cret\r\n");
    let (client, asked) = proxy(back).await;
    client.follow("http://a.ci.test/first").await.unwrap();
    let asked = asked.lock().unwrap().clone();
    assert!(asked[1].contains("cookie: session=s3cret"), "{asked:?}");
}
