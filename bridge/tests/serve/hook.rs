//! `/hook`: who is believed, what is taken from it, and what a sender can't do.

use bridge::serve::{CONNECTION, Nudge};
use hmac::{Hmac, Mac as _};
use rstest::rstest;
use sha2::Sha256;
use tokio::io::AsyncWriteExt as _;

use crate::{Answer, SECRET, Served, Setting, parse, read_all, timed};

/// As small as a hook can be, signed by another program: `openssl dgst -sha256 -hmac`.
const BODY: &str = r#"{"action":"created","is_pull":true,"issue":{"number":7},"repository":{"full_name":"coop-cloud/custom-html"},"comment":{"body":"!testme"}}"#;
const SIGNATURE: &str = "7360ec6b41f0bdf6899f4fe618d5c2413295349745421f70bedaefb49329ed95";

const EVENT: &str = "X-Gitea-Event: issue_comment\r\nX-Gitea-Event-Type: pull_request_comment\r\n";
const JSON: &str = "Content-Type: application/json\r\n";

fn sign(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

async fn hook(served: &Served, headers: &str, body: &[u8]) -> Answer {
    served
        .ask("POST", "/hook", &format!("{EVENT}{JSON}{headers}"), body)
        .await
}

fn seven() -> Nudge {
    Nudge {
        repo: "coop-cloud/custom-html".parse().unwrap(),
        number: 7,
    }
}

#[rstest]
#[case::own(format!("X-Gitea-Signature: {SIGNATURE}\r\n"))]
#[case::others(format!("X-Hub-Signature-256: sha256={SIGNATURE}\r\n"))]
#[case::both(format!("X-Gitea-Signature: {SIGNATURE}\r\nX-Hub-Signature-256: sha256=00\r\n"))]
#[tokio::test]
async fn a_signed_comment_is_a_hint(#[case] signature: String) {
    let mut served = Setting::default().serve().await;
    let answer = hook(&served, &signature, BODY.as_bytes()).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (202, "it will be looked at\n")
    );
    assert_eq!(served.nudges.try_recv().unwrap(), seven());
    assert_eq!(served.hooks("nudged"), 1);
}

#[rstest]
#[case::none("")]
#[case::empty("X-Gitea-Signature: \r\nX-Hub-Signature-256: \r\n")]
#[case::empty_hides_a_good_one(&format!("X-Gitea-Signature: \r\nX-Hub-Signature-256: sha256={SIGNATURE}\r\n"))]
#[case::empty_digest("X-Hub-Signature-256: sha256=\r\n")]
#[case::wrong(&format!("X-Gitea-Signature: {}\r\n", SIGNATURE.replace('a', "b")))]
#[case::beginning(&format!("X-Gitea-Signature: {}\r\n", &SIGNATURE[..32]))]
#[case::longer(&format!("X-Gitea-Signature: {SIGNATURE}00\r\n"))]
#[case::no_hex("X-Gitea-Signature: nonsense\r\n")]
#[case::doubled(&format!("X-Gitea-Signature: {SIGNATURE}\r\nX-Gitea-Signature: {SIGNATURE}\r\n"))]
#[case::doubled_in_one(&format!("X-Gitea-Signature: {SIGNATURE}, {SIGNATURE}\r\n"))]
#[case::prefix_on_the_own(&format!("X-Gitea-Signature: sha256={SIGNATURE}\r\n"))]
#[case::no_prefix_on_the_others(&format!("X-Hub-Signature-256: {SIGNATURE}\r\n"))]
#[case::no_ascii("X-Gitea-Signature: \u{e4}\u{f6}\r\n")]
#[tokio::test]
async fn who_does_not_sign_is_refused(#[case] signature: &str) {
    let mut served = Setting::default().serve().await;
    let answer = hook(&served, signature, BODY.as_bytes()).await;
    assert_eq!(answer.status, 401, "{}", answer.body);
    assert!(
        answer.body.contains("set the same secret"),
        "{}",
        answer.body
    );
    assert!(served.nudges.try_recv().is_err());
    assert_eq!(served.hooks("unsigned"), 1);
}

#[tokio::test]
async fn another_body_than_the_signed_one_is_refused() {
    let served = Setting::default().serve().await;
    let body = BODY.replace('7', "8");
    let answer = hook(
        &served,
        &format!("X-Gitea-Signature: {SIGNATURE}\r\n"),
        body.as_bytes(),
    )
    .await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn without_a_secret_there_is_no_hook() {
    let served = Setting {
        webhook: None,
        ..Setting::default()
    };
    let served = served.serve().await;
    // A forge with no secret either sends the headers empty.
    for signature in [
        "X-Gitea-Signature: \r\n",
        &format!("X-Gitea-Signature: {SIGNATURE}\r\n"),
    ] {
        assert_eq!(hook(&served, signature, BODY.as_bytes()).await.status, 404);
    }
    assert_eq!(
        Setting::default().serve().await.get("/hook").await.status,
        405
    );
}

#[tokio::test]
async fn a_replay_is_the_same_hint_again_and_a_full_queue_drops_it() {
    let mut served = Setting {
        room: 2,
        ..Setting::default()
    }
    .serve()
    .await;
    let signature = format!("X-Gitea-Signature: {SIGNATURE}\r\n");
    for _ in 0..3 {
        assert_eq!(hook(&served, &signature, BODY.as_bytes()).await.status, 202);
    }
    assert_eq!((served.hooks("nudged"), served.hooks("dropped")), (2, 1));
    assert_eq!(served.nudges.recv().await.unwrap(), seven());
    assert_eq!(served.nudges.recv().await.unwrap(), seven());
    assert!(served.nudges.try_recv().is_err());
}

#[rstest]
#[case::utf8(b"{\"action\":\"\xff\xfe\"}", "it is no UTF-8\n")]
#[case::cut(b"{\"action\":", "it is not the JSON of a hook\n")]
#[case::list(b"[1]", "it is not the JSON of a hook\n")]
#[case::negative(b"{\"issue\":{\"number\":-7}}", "it is not the JSON of a hook\n")]
#[case::deep(&b"{\"x\":".repeat(100_000), "it is not the JSON of a hook\n")]
#[case::empty(b"", "it is not the JSON of a hook\n")]
#[tokio::test]
async fn what_is_signed_and_no_hook_is_malformed(#[case] body: &[u8], #[case] said: &str) {
    let served = Setting::default().serve().await;
    let answer = hook(
        &served,
        &format!("X-Gitea-Signature: {}\r\n", sign(body)),
        body,
    )
    .await;
    assert_eq!((answer.status, answer.body.as_str()), (400, said));
    assert_eq!(served.hooks("malformed"), 1);
}

#[rstest]
#[case::edited("\"created\"", "\"edited\"")]
#[case::deleted("\"created\"", "\"deleted\"")]
#[case::issue("\"is_pull\":true", "\"is_pull\":false")]
#[case::no_pull("\"is_pull\":true,", "")]
#[case::nothing(BODY, "{}")]
#[case::nulls("{\"number\":7}", "null")]
#[case::zero(":7}", ":0}")]
#[case::traversal("coop-cloud/custom-html", "../../etc")]
#[case::three("coop-cloud/custom-html", "a/b/c")]
#[tokio::test]
async fn all_other_comments_are_taken_and_nothing_is_done(#[case] this: &str, #[case] that: &str) {
    let mut served = Setting::default().serve().await;
    let body = BODY.replace(this, that);
    assert_ne!(body, BODY);
    let signature = format!("X-Gitea-Signature: {}\r\n", sign(body.as_bytes()));
    let answer = hook(&served, &signature, body.as_bytes()).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (202, "nothing to do\n")
    );
    assert!(served.nudges.try_recv().is_err());
}

#[rstest]
#[case::review(
    "X-Gitea-Event: pull_request_comment\r\nX-Gitea-Event-Type: pull_request_review_comment\r\n"
)]
#[case::push("X-Gitea-Event: push\r\n")]
#[case::none("")]
#[case::doubled("X-Gitea-Event: issue_comment\r\nX-Gitea-Event: issue_comment\r\n")]
#[tokio::test]
async fn other_events_are_taken_and_nothing_is_done(#[case] event: &str) {
    let mut served = Setting::default().serve().await;
    let headers = format!("{event}{JSON}X-Gitea-Signature: {SIGNATURE}\r\n");
    let answer = served.ask("POST", "/hook", &headers, BODY.as_bytes()).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (202, "nothing to do\n")
    );
    assert!(served.nudges.try_recv().is_err());
}

fn form(json: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", json)
        .finish()
}

/// The forge signs the JSON, and not the form around it.
#[rstest]
#[case::good(form(BODY), 202)]
#[case::beside(format!("x=y&{}", form(BODY)), 202)]
#[case::another(form(&BODY.replace('7', "8")), 401)]
#[case::two(format!("{}&payload={{}}", form(BODY)), 401)]
#[case::none("x=y".to_owned(), 401)]
#[case::bare(BODY.to_owned(), 401)]
#[tokio::test]
async fn the_form_kind_is_signed_over_its_payload(#[case] body: String, #[case] status: u16) {
    let mut served = Setting::default().serve().await;
    let headers = format!(
        "{EVENT}Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\nX-Gitea-Signature: {SIGNATURE}\r\n"
    );
    let answer = served.ask("POST", "/hook", &headers, body.as_bytes()).await;
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(served.nudges.try_recv().ok(), (status == 202).then(seven));
}

#[tokio::test]
async fn a_form_that_is_signed_as_a_whole_is_taken_too() {
    let mut served = Setting::default().serve().await;
    let body = form(BODY);
    let headers = format!(
        "{EVENT}Content-Type: application/x-www-form-urlencoded\r\nX-Gitea-Signature: {}\r\n",
        sign(body.as_bytes())
    );
    let answer = served.ask("POST", "/hook", &headers, body.as_bytes()).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(served.nudges.try_recv().ok(), Some(seven()));
}

/// Ten megabytes, signed or not, with a length that tells and in chunks.
#[tokio::test]
async fn a_body_of_ten_megabytes_is_cut_off() {
    let served = Setting::default().serve().await;
    let body = vec![b' '; 10 * 1024 * 1024];
    let signature = format!("X-Gitea-Signature: {}\r\n", sign(&body));
    let answer = hook(&served, &signature, &body).await;
    assert_eq!(answer.status, 413, "{}", answer.body);

    let head = format!(
        "POST /hook HTTP/1.1\r\nHost: bridge\r\nTransfer-Encoding: chunked\r\n{signature}\r\n"
    );
    let (mut read, mut write) = served.connect().await.into_split();
    let send = tokio::spawn(async move {
        if write.write_all(head.as_bytes()).await.is_err() {
            return write;
        }
        for part in body.chunks(65_536) {
            let chunk = [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
            if write.write_all(&chunk).await.is_err() {
                break;
            }
        }
        write
    });
    let answer = parse(&read_all(&mut read).await);
    drop(send.await.unwrap());
    assert_eq!(answer.status, 413);
    assert_eq!(served.hooks("too_large"), 2);
}

/// A mebibyte is taken.
#[tokio::test]
async fn the_largest_hook_is_read() {
    let served = Setting::default().serve().await;
    let mut body = BODY.to_owned();
    body.extend(std::iter::repeat_n(' ', 1024 * 1024 - BODY.len()));
    let signature = format!("X-Gitea-Signature: {}\r\n", sign(body.as_bytes()));
    assert_eq!(hook(&served, &signature, body.as_bytes()).await.status, 202);
}

/// Whoever stops in the middle, or sends a byte now and then, is cut off; others are answered
/// meanwhile.
#[rstest]
#[case::in_the_head("POST /hook HTTP/1.1\r\nHost: bri")]
#[case::in_the_body(&format!("POST /hook HTTP/1.1\r\nHost: bridge\r\nContent-Length: 500\r\nX-Gitea-Signature: {SIGNATURE}\r\n\r\n{{\"a\":"))]
#[tokio::test]
async fn a_slow_sender_is_cut_off(#[case] begin: &str) {
    let served = Setting::default().serve().await;
    let (mut read, mut write) = served.connect().await.into_split();
    write.write_all(begin.as_bytes()).await.unwrap();
    let drip = tokio::spawn(async move {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(500));
        // Drips as long as the connection stands: it is the other side that has to end it.
        while write.write_all(b" ").await.is_ok() {
            tick.tick().await;
        }
    });
    let others = served.get("/healthz").await;
    assert_eq!(others.status, 200);
    let (_, took) = timed(read_all(&mut read)).await;
    assert!(took < CONNECTION + CONNECTION / 2, "{took:?}");
    drip.await.unwrap();
    assert_eq!(served.hooks("nudged") + served.hooks("ignored"), 0);
}
