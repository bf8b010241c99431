//! A server that leads elsewhere, and the one to which it leads: no token gets there.

use std::time::Duration;

use bridge::executor::{Build, Executor as _};
use rstest::rstest;

use super::drone;
use super::forge;
use super::run::order;
use super::server::{Server, json, status};

/// Answers everything by a redirect to the same path of another server.
async fn leads_to(other: &Server, code: u16) -> Server {
    let other = other.url.clone();
    Server::start(move |asked| {
        let place = other.join(&asked.path).unwrap();
        status(code, "").with("location", place)
    })
    .await
}

#[rstest]
#[case(301)]
#[case(302)]
#[case(303)]
#[case(307)]
#[case(308)]
#[tokio::test]
async fn nothing_is_sent_where_a_redirect_leads(#[case] code: u16) {
    let other = Server::start(|_| json(&serde_json::json!([]))).await;
    let server = leads_to(&other, code).await;
    let forge = forge::client(&server);
    let repo = forge::repo();
    assert!(forge.thread(&repo, 7, None).await.is_err());
    assert!(forge.pull(&repo, 7).await.is_err());
    assert!(forge.history(&repo, 7).await.is_err());
    assert!(forge.whoami().await.is_err());
    assert!(forge.post_comment(&repo, 7, "hello").await.is_err());
    assert!(forge.edit_comment(&repo, 12, "hello").await.is_err());
    assert!(forge.react(&repo, 12, "eyes").await.is_err());
    let drone = drone::at(&server.url, None);
    assert!(drone.start(&order()).await.is_err());
    let build = Build("41".to_owned());
    assert!(drone.look(&order(), &build, Duration::ZERO).await.is_err());
    let asked = server.asked();
    assert!(asked.len() >= 9, "{asked:?}");
    assert!(
        asked
            .iter()
            .all(|asked| asked.headers.contains_key("authorization"))
    );
    assert_eq!(other.asked().len(), 0);
}
