//! What the client of the forge asks, and what it makes of the answers.

use bridge::forge::{
    CommitState, CommitStatus, Forge, ForgeError, Membership, PullState, Settings,
};
use bridge::names::Repo;
use bridge::secret::Secret;
use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};

use super::server::{Asked, Reply, Server, json as reply, status};

const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

pub fn client(server: &Server) -> Forge {
    Forge::new(Settings {
        url: server.url.clone(),
        token: Secret::new("geheim"),
        ca: None,
        bot: "Cc-Ci".to_owned(),
    })
    .unwrap()
}

pub fn repo() -> Repo {
    "coop-cloud/custom-html".parse().unwrap()
}

pub fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn comment(id: u64, body: &str) -> Value {
    json!({
        "id": id, "user": {"id": 5, "login": "alice"}, "body": body,
        "created_at": "2026-11-25T10:00:00+01:00", "updated_at": "2026-11-25T10:00:00+01:00",
        "html_url": format!("https://forge.test/coop-cloud/custom-html/pulls/7#issuecomment-{id}"),
        "pull_request_url": "https://forge.test/coop-cloud/custom-html/pulls/7", "issue_url": "",
    })
}

fn pull() -> Value {
    json!({
        "number": 7, "state": "open", "merged": false, "is_locked": false,
        "html_url": "https://forge.test/coop-cloud/custom-html/pulls/7",
        "head": {"ref": "fix", "sha": SHA, "repo_id": 9, "repo": {"full_name": "alice/custom-html"}},
        "base": {"ref": "main", "sha": SHA, "repo": {
            "full_name": "coop-cloud/custom-html",
            "clone_url": "https://forge.test/coop-cloud/custom-html.git"}},
    })
}

#[tokio::test]
async fn a_comment_is_read_with_its_author_and_times() {
    let mut ghost = comment(2, "b");
    ghost["user"] = json!({"id": -1, "login": "Ghost"});
    ghost["updated_at"] = json!("2026-11-25T10:00:01+01:00");
    let items = json!([comment(1, "a"), ghost]);
    let server = Server::start(move |_| reply(&items)).await;
    let since = Some(time("2026-11-25T09:00:00Z"));
    let thread = client(&server).thread(&repo(), 7, since).await.unwrap();
    assert_eq!(server.last().value("since"), Some("2026-11-25T09:00:00Z"));
    assert_eq!(thread[0].created, time("2026-11-25T09:00:00Z"));
    assert_eq!(
        (thread[0].author.id, thread[0].author.login.as_str()),
        (5, "alice")
    );
    assert!(!thread[0].was_edited());
    assert_eq!(thread[1].author.id, -1);
    assert!(thread[1].was_edited());
}

#[rstest]
#[case::no_id("id", json!(-3))]
#[case::no_time("created_at", json!("yesterday"))]
#[case::no_body("body", json!(["!testme"]))]
#[tokio::test]
async fn a_comment_that_cannot_be_read_is_not_passed_over(
    #[case] field: &str,
    #[case] value: Value,
) {
    let mut bad = comment(2, "b");
    bad[field] = value;
    let items = json!([comment(1, "a"), bad]);
    let server = Server::start(move |_| reply(&items)).await;
    let error = client(&server).thread(&repo(), 7, None).await.unwrap_err();
    assert!(matches!(error, ForgeError::Odd { .. }), "{error}");
}

#[tokio::test]
async fn a_pull_request_is_read() {
    let server = Server::start(|_| reply(&pull())).await;
    let read = client(&server).pull(&repo(), 7).await.unwrap();
    assert_eq!(
        server.last().path,
        "/api/v1/repos/coop-cloud/custom-html/pulls/7"
    );
    assert_eq!(read.head.unwrap().as_str(), SHA);
    assert_eq!(
        (read.state, read.locked, read.fork_gone),
        (PullState::Open, false, false)
    );
    assert_eq!(read.base, "main");
    assert_eq!(
        read.clone_url,
        "https://forge.test/coop-cloud/custom-html.git"
    );
}

#[rstest]
#[case::merged("/merged", json!(true), |p: bridge::forge::Pull| p.state == PullState::Merged)]
#[case::closed("/state", json!("closed"), |p: bridge::forge::Pull| p.state == PullState::Closed)]
#[case::locked("/is_locked", json!(true), |p: bridge::forge::Pull| p.locked)]
#[case::fork_gone("/head/repo", json!(null), |p: bridge::forge::Pull| p.fork_gone)]
#[case::a_branch_for_a_head("/head/sha", json!("main"), |p: bridge::forge::Pull| p.head.is_none())]
#[case::a_flag_for_a_head("/head/sha", json!("--upload-pack=x"), |p: bridge::forge::Pull| p.head.is_none())]
#[tokio::test]
async fn what_is_special_about_a_pull_request_is_seen(
    #[case] at: &str,
    #[case] value: Value,
    #[case] holds: fn(bridge::forge::Pull) -> bool,
) {
    let mut answer = pull();
    *answer.pointer_mut(at).unwrap() = value;
    let server = Server::start(move |_| reply(&answer)).await;
    assert!(holds(client(&server).pull(&repo(), 7).await.unwrap()));
}

#[rstest]
#[case::another_number("/number", json!(8))]
#[case::a_program_for_git("/base/repo/clone_url", json!("ext::sh -c id"))]
#[case::a_flag_for_git("/base/repo/clone_url", json!("--upload-pack=id"))]
#[case::a_state_of_its_own("/state", json!("maybe"))]
#[tokio::test]
async fn a_pull_request_that_is_none_is_odd(#[case] at: &str, #[case] value: Value) {
    let mut answer = pull();
    *answer.pointer_mut(at).unwrap() = value;
    let server = Server::start(move |_| reply(&answer)).await;
    let error = client(&server).pull(&repo(), 7).await.unwrap_err();
    assert!(matches!(error, ForgeError::Odd { .. }), "{error}");
}

#[rstest]
#[case(204, Some(Membership::Member))]
#[case(404, Some(Membership::NoMember))]
#[case(303, Some(Membership::Hidden))]
#[case(200, None)]
#[case(302, None)]
#[case(401, None)]
#[case(403, None)]
#[case(500, None)]
#[tokio::test]
async fn only_204_is_a_member(#[case] code: u16, #[case] expected: Option<Membership>) {
    let to = "/api/v1/orgs/coop-cloud/public_members/alice";
    let answers = move |asked: &Asked| match asked.path.contains("public_members") {
        true => status(204, ""),
        false => status(code, "").with("location", to),
    };
    let server = Server::start(answers).await;
    let forge = client(&server);
    let answer = forge.membership("coop-cloud", "alice").await;
    match expected {
        Some(expected) => assert_eq!(answer.unwrap(), expected),
        None => assert!(answer.is_err()),
    }
    // A redirect is not followed.
    assert_eq!(server.asked().len(), 1);
    assert_eq!(server.last().path, "/api/v1/orgs/coop-cloud/members/alice");
    assert_eq!(forge.failures(), u64::from(expected.is_none()));
}

#[tokio::test]
async fn a_name_that_is_none_is_asked_of_nobody() {
    let server = Server::start(|_| status(204, "")).await;
    for login in ["..", "a/../../alice", "", "a b", "a?b"] {
        let answer = client(&server).membership("coop-cloud", login).await;
        assert!(answer.is_err(), "{login}");
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_repository_says_what_the_bot_may() {
    let answer = json!({"full_name": "coop-cloud/custom-html", "archived": true,
        "clone_url": "https://forge.test/coop-cloud/custom-html.git", "default_branch": "main",
        "permissions": {"admin": false, "push": false, "pull": true}});
    let server = Server::start(move |_| reply(&answer)).await;
    let info = client(&server).repo(&repo()).await.unwrap();
    assert!(info.archived && !info.can_write);
    assert_eq!(info.default_branch, "main");
}

#[tokio::test]
async fn a_token_that_may_not_ask_whose_it_is_is_no_error() {
    let server = Server::start(|_| status(403, r#"{"message":"token does not have…"}"#)).await;
    assert_eq!(client(&server).whoami().await.unwrap(), None);
    let server = Server::start(|_| status(401, "")).await;
    assert_eq!(
        client(&server).whoami().await.unwrap_err().refused(),
        Some(401)
    );
    let server = Server::start(|_| reply(&json!({"id": 4, "login": "cc-ci"}))).await;
    assert_eq!(
        client(&server).whoami().await.unwrap().unwrap().login,
        "cc-ci"
    );
}

#[tokio::test]
async fn what_is_said_to_the_forge_is_json_at_the_right_place() {
    let answers = |asked: &Asked| match asked.method.as_str() {
        "PATCH" => json_of(200, &comment(11, "new")),
        _ => json_of(201, &comment(11, "text")),
    };
    let server = Server::start(answers).await;
    let forge = client(&server);
    let posted = forge.post_comment(&repo(), 7, "te\"xt\n").await.unwrap();
    assert_eq!(posted.id, 11);
    forge.edit_comment(&repo(), 11, "new").await.unwrap();
    forge.react(&repo(), 11, "eyes").await.unwrap();
    let to = CommitStatus {
        state: CommitState::Failure,
        context: "cc-ci/testme".to_owned(),
        description: "no".to_owned(),
        target_url: None,
    };
    let sha = SHA.parse().unwrap();
    forge.set_status(&repo(), &sha, &to).await.unwrap();
    let of = "/api/v1/repos/coop-cloud/custom-html";
    let said: Vec<_> = server
        .asked()
        .iter()
        .map(|asked| (asked.method.clone(), asked.path.clone(), asked.json()))
        .collect();
    let expected = [
        (
            "POST",
            format!("{of}/issues/7/comments"),
            json!({"body": "te\"xt\n"}),
        ),
        (
            "PATCH",
            format!("{of}/issues/comments/11"),
            json!({"body": "new"}),
        ),
        (
            "POST",
            format!("{of}/issues/comments/11/reactions"),
            json!({"content": "eyes"}),
        ),
        (
            "POST",
            format!("{of}/statuses/{SHA}"),
            json!({"state": "failure", "context": "cc-ci/testme", "description": "no", "target_url": ""}),
        ),
    ];
    assert_eq!(
        said,
        expected.map(|(method, path, body)| (method.to_owned(), path, body))
    );
}

fn json_of(code: u16, value: &Value) -> Reply {
    status(code, value.to_string())
}

#[tokio::test]
async fn its_own_comment_is_found_by_author_and_first_line() {
    let marker = "<!-- cc-ci: x -->";
    let by = |id: u64, login: &str, body: &str| {
        let mut made = comment(id, body);
        made["user"]["login"] = json!(login);
        made
    };
    let items = json!([
        by(1, "alice", "<!-- cc-ci: x -->\nforged"),
        by(2, "cc-ci", "see <!-- cc-ci: x -->"),
        by(3, "cc-ci", "<!-- cc-ci: y -->\nanother"),
        by(4, "CC-CI", "<!-- cc-ci: x -->\r\nmine"),
    ]);
    let server = Server::start(move |_| reply(&items)).await;
    let own = client(&server).find_own(&repo(), 7, marker, None).await;
    assert_eq!(own.unwrap().unwrap().id, 4);
    let other = client(&server)
        .find_own(&repo(), 7, "<!-- z -->", None)
        .await;
    assert!(other.unwrap().is_none());
}
