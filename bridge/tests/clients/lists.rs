//! Lists: whole, moving, endless.

use bridge::forge::ForgeError;
use bridge::secret::Secret;
use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};

use super::forge::{client, comment, repo, time};
use super::server::{Asked, Reply, Server, page, status};

fn issue(number: u64, updated: &str) -> Value {
    json!({
        "id": 1000 + number, "number": number, "updated_at": updated, "comments": 3,
        "repository": {"id": 1, "name": "custom-html", "owner": "coop-cloud",
            "full_name": "coop-cloud/custom-html"},
        "pull_request": {"merged": false},
    })
}

#[tokio::test]
async fn an_idle_search_is_one_request_of_whole_seconds_with_the_token() {
    let server = Server::start(|_| page(0, &json!([]))).await;
    let forge = client(&server);
    let changes = forge
        .search("coop-cloud", time("2026-11-25T09:00:00.75Z"))
        .await
        .unwrap();
    assert!(changes.whole && changes.items.is_empty());
    assert!(changes.now.duration_since(Timestamp::now()).abs().as_secs() < 60);
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].path, "/api/v1/repos/issues/search");
    assert_eq!(asked[0].value("since"), Some("2026-11-25T09:00:00Z"));
    assert_eq!(asked[0].value("type"), Some("pulls"));
    assert_eq!(asked[0].value("state"), Some("all"));
    assert_eq!(asked[0].value("owner"), Some("coop-cloud"));
    assert_eq!(asked[0].value("limit"), Some("50"));
    assert_eq!(asked[0].headers["authorization"], "token geheim");
    assert_eq!(asked[0].headers["user-agent"], "cc-ci");
    assert_eq!((forge.requests(), forge.failures()), (1, 0));
    assert!(!format!("{:?}", Secret::new("geheim")).contains("geheim"));
}

/// Pages of two items, whatever limit is asked for.
fn in_twos(numbers: &[u64]) -> impl Fn(&Asked) -> Reply + use<> {
    let numbers = numbers.to_vec();
    move |asked| {
        let page_number = usize::try_from(asked.page()).unwrap();
        let items = numbers.iter().skip((page_number - 1) * 2).take(2);
        let items: Vec<_> = items.map(|n| issue(*n, "2026-11-25T09:00:00Z")).collect();
        page(numbers.len() as u64, &items.into())
    }
}

#[tokio::test]
async fn all_pages_of_a_search_are_read() {
    let server = Server::start(in_twos(&[1, 2, 3, 4, 5])).await;
    let changes = client(&server).search("o", Timestamp::UNIX_EPOCH).await;
    let changes = changes.unwrap();
    let numbers: Vec<_> = changes.items.iter().map(|item| item.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    assert!(changes.whole);
    assert_eq!(changes.items[0].repo, repo());
    assert_eq!(changes.items[0].updated, time("2026-11-25T09:00:00Z"));
    assert_eq!(changes.items[0].comments, 3);
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn a_list_that_moved_while_it_was_read_is_not_whole() {
    // One of the first page moved to the second, another was not seen.
    let server = Server::start(in_twos(&[1, 2, 2, 4])).await;
    let changes = client(&server).search("o", Timestamp::UNIX_EPOCH).await;
    assert!(!changes.unwrap().whole);

    let grows = |asked: &Asked| match asked.page() {
        1 => page(2, &json!([issue(1, "2026-11-25T09:00:00Z")])),
        n => page(
            3,
            &json!([
                issue(n * 2, "2026-11-25T09:00:00Z"),
                issue(n * 2 + 1, "2026-11-25T09:00:00Z")
            ]),
        ),
    };
    let server = Server::start(grows).await;
    let changes = client(&server).search("o", Timestamp::UNIX_EPOCH).await;
    assert!(!changes.unwrap().whole);
}

#[rstest]
#[case::the_same_again(false)]
#[case::ever_new(true)]
#[tokio::test]
async fn an_endless_list_is_odd(#[case] new: bool) {
    let answers = move |asked: &Asked| {
        let number = if new { asked.page() } else { 1 };
        page(100_000, &json!([issue(number, "2026-11-25T09:00:00Z")]))
    };
    let server = Server::start(answers).await;
    let error = client(&server).search("o", Timestamp::UNIX_EPOCH).await;
    let error = error.unwrap_err();
    assert!(matches!(error, ForgeError::Odd { .. }), "{error}");
    assert!(error.to_string().contains("an endless list"), "{error}");
    assert_eq!(server.asked().len(), if new { 400 } else { 2 });
}

#[tokio::test]
async fn comments_of_a_repository_come_down_to_its_pull_requests() {
    let mut on_issue = comment(3, "x");
    on_issue["pull_request_url"] = json!("");
    let mut newer = comment(2, "y");
    newer["updated_at"] = json!("2026-11-25T10:00:09Z");
    let items = json!([comment(1, "x"), newer, on_issue]);
    let server = Server::start(move |_| page(3, &items)).await;
    let since = time("2026-11-25T09:00:00Z");
    let changes = client(&server)
        .comments_since(&repo(), since)
        .await
        .unwrap();
    assert!(changes.whole);
    assert_eq!(changes.items.len(), 1);
    assert_eq!(changes.items[0].number, 7);
    assert_eq!(changes.items[0].updated, time("2026-11-25T10:00:09Z"));
    let asked = server.last();
    assert_eq!(
        asked.path,
        "/api/v1/repos/coop-cloud/custom-html/issues/comments"
    );
    assert_eq!(
        (asked.value("page"), asked.value("limit")),
        (Some("1"), Some("50"))
    );
}

#[tokio::test]
async fn the_newest_comment_is_on_the_last_page_of_one() {
    let answers = |asked: &Asked| match (asked.page(), asked.value("limit")) {
        (n @ (1 | 3), Some("1")) => page(3, &json!([comment(10 + n, "x")])),
        _ => status(404, ""),
    };
    let server = Server::start(answers).await;
    assert_eq!(
        client(&server).newest_comment(&repo()).await.unwrap(),
        Some(13)
    );
    let server = Server::start(|_| page(0, &json!([]))).await;
    assert_eq!(client(&server).newest_comment(&repo()).await.unwrap(), None);
}

#[tokio::test]
async fn repositories_with_a_topic_are_those_of_the_organisation_that_live() {
    let item = |name: &str, archived: bool| json!({"full_name": name, "archived": archived, "clone_url": "https://x.test/a.git"});
    let data = [
        item("Coop-Cloud/a", false),
        item("coop-cloud/b", true),
        item("else/c", false),
    ];
    let server = Server::start(move |_| page(3, &json!({"ok": true, "data": data}))).await;
    let found = client(&server).repos_with_topic("coop-cloud", "ci").await;
    assert_eq!(found.unwrap(), ["Coop-Cloud/a".parse().unwrap()]);
    let asked = server.last();
    assert_eq!(
        (asked.value("q"), asked.value("topic")),
        (Some("ci"), Some("true"))
    );
}
