//! `/healthz`, `/readyz`, `/metrics`, and how it ends.

use std::time::Duration;

use bridge::serve::CONNECTION;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::{DEADLINE, Setting, parse, read_all, timed};

#[tokio::test]
async fn a_process_that_lives_is_healthy_and_says_whether_it_works() {
    let served = Setting::default().serve().await;
    let answer = served.get("/healthz").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
    let answer = served.get("/readyz").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ready\n"));

    let served = Setting {
        ready: Err(vec![
            "the forge does not answer".to_owned(),
            "the disk is full".to_owned(),
        ]),
        ..Setting::default()
    }
    .serve()
    .await;
    assert_eq!(served.get("/healthz").await.status, 200);
    let answer = served.get("/readyz").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (503, "the forge does not answer\nthe disk is full\n")
    );
}

#[tokio::test]
async fn figures_are_served_for_prometheus() {
    let served = Setting::default().serve().await;
    served.metrics.decided("start");
    let answer = served.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type").unwrap(),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(
        answer
            .body
            .contains("cc_ci_bridge_decisions_total{outcome=\"start\"} 1\n")
    );
    assert!(answer.body.ends_with("# EOF\n"));
}

#[tokio::test]
async fn what_is_not_there_is_404_and_nothing_is_kept_by_a_browser() {
    let served = Setting::default().serve().await;
    let answer = served.get("/../etc/passwd").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

/// More than are taken at once: whoever comes after them waits no longer than one of them lasts.
#[tokio::test]
async fn a_crowd_that_says_nothing_is_sent_away() {
    let served = Setting::default().serve().await;
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(served.connect().await);
    }
    let (answer, took) = timed(served.get("/healthz")).await;
    assert_eq!(answer.status, 200);
    assert!(took < CONNECTION * 2, "{took:?}");
    assert!(took > CONNECTION / 2, "all were taken at once: {took:?}");
}

/// Who asked already is answered, who connected and said nothing holds nobody up, and after that
/// nobody is taken.
#[tokio::test]
async fn a_stop_lets_answers_end() {
    let served = Setting::default().serve().await;
    let at = served.at;
    let mut half = served.connect().await;
    let begun =
        b"POST /hook HTTP/1.1\r\nHost: bridge\r\nContent-Length: 2\r\nX-Gitea-Signature: 00\r\n";
    half.write_all(begun).await.unwrap();
    let mut silent = served.connect().await;
    // Both were accepted before: connections are taken in their order.
    assert_eq!(served.get("/healthz").await.status, 200);
    served.stop.send(()).unwrap();
    let (_, took) = timed(read_all(&mut silent)).await;
    assert!(took < CONNECTION / 2, "{took:?}");
    half.write_all(b"\r\n{}").await.unwrap();
    assert_eq!(parse(&read_all(&mut half).await).status, 401);
    timeout(Duration::from_secs(5), served.done)
        .await
        .expect("it ends")
        .unwrap();
    let refused = timeout(DEADLINE, tokio::net::TcpStream::connect(at))
        .await
        .unwrap();
    assert!(refused.is_err());
}
