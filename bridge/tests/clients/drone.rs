//! Runs as builds of Drone: starting, finding, cancelling.

use std::net::TcpListener;
use std::time::Duration;

use bridge::executor::{Build, Drone, DroneSettings, Executor as _, StartError};
use bridge::secret::Secret;
use results::outcome::Tier;
use rstest::rstest;
use serde_json::{Value, json};
use url::Url;

use super::run::{HEAD, Run, order};
use super::server::{Asked, Reply, Server, json as reply, status};

pub const BUILDS: &str = "/api/repos/coop-cloud/cc-ci/builds";

pub fn at(url: &Url, run: Option<&Run>) -> Drone {
    Drone::new(DroneSettings {
        url: url.clone(),
        token: Secret::new("geheim"),
        ca: None,
        repository: "coop-cloud/cc-ci".parse().unwrap(),
        branch: "main".to_owned(),
        timeout: Duration::from_secs(3600),
        runs: run.map(Run::dirs),
    })
    .unwrap()
}

pub fn build(number: u64, status: &str) -> Value {
    json!({
        "id": 900 + number, "number": number, "status": status, "event": "custom",
        "params": {"RUN_KEY": order().key, "RECIPE": "custom-html"},
        "started": 0, "finished": 0, "created": 1_700_000_000,
    })
}

#[tokio::test]
async fn a_build_is_started_with_every_parameter() {
    let server = Server::start(|_| reply(&build(41, "pending"))).await;
    let drone = at(&server.url, None);
    assert_eq!(drone.start(&order()).await.unwrap(), Build("41".to_owned()));
    let asked = server.last();
    assert_eq!(
        (asked.method.as_str(), asked.path.as_str()),
        ("POST", BUILDS)
    );
    assert_eq!(asked.headers["authorization"], "Bearer geheim");
    let mut expected = vec![
        ("branch", "main".to_owned()),
        ("RECIPE", "custom-html".to_owned()),
        (
            "SRC",
            "https://forge.test/coop-cloud/custom-html.git".to_owned(),
        ),
        ("REF", HEAD.to_owned()),
        ("PR", "7".to_owned()),
        ("COMMENT_ID", "12".to_owned()),
        ("TIERS", String::new()),
        ("QUICK", String::new()),
        ("FROM", String::new()),
        ("RUN_KEY", order().key.to_string()),
    ];
    assert_eq!(asked.query, owned(&expected));

    let mut asks = order();
    asks.tiers = vec![Tier::Install, Tier::Custom];
    asks.quick = true;
    asks.from = Some("1.0&PATH=/tmp#\n".to_owned());
    drone.start(&asks).await.unwrap();
    expected[6].1 = "install,custom".to_owned();
    expected[7].1 = "1".to_owned();
    expected[8].1 = "1.0&PATH=/tmp#\n".to_owned();
    assert_eq!(server.last().query, owned(&expected));
    assert_eq!(
        drone.link(&Build("41".to_owned())).unwrap(),
        format!("{}coop-cloud/cc-ci/41", server.url)
    );
}

fn owned(pairs: &[(&str, String)]) -> Vec<(String, String)> {
    let own = |(name, value): &(&str, String)| ((*name).to_owned(), value.clone());
    pairs.iter().map(own).collect()
}

#[tokio::test]
async fn a_bad_pipeline_file_is_a_build_that_ended() {
    let mut made = build(42, "error");
    made["params"] = json!(null);
    made["error"] = json!("yaml: line 3");
    let server = Server::start(move |_| reply(&made)).await;
    let started = at(&server.url, None).start(&order()).await;
    assert_eq!(started.unwrap(), Build("42".to_owned()));
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Refused,
    NotNow,
    Unknown,
}

fn kind(error: &StartError) -> Kind {
    match error {
        StartError::Refused(_) => Kind::Refused,
        StartError::NotNow(_) => Kind::NotNow,
        StartError::Unknown(_) => Kind::Unknown,
    }
}

#[rstest]
#[case::no_trigger(200, "null", Kind::Refused, "custom")]
#[case::html(200, "<html>", Kind::Unknown, "HTML")]
#[case::another_shape(200, r#"{"ok":true}"#, Kind::Unknown, "number")]
#[case::no_rights(
    404,
    r#"{"message":"sql: no rows in result set"}"#,
    Kind::Refused,
    "write there"
)]
#[case::the_forge_is_down(
    404,
    r#"{"message":"Get \"https://forge.test/api/v1\": dial tcp 10.0.0.1:443: connect: connection refused"}"#,
    Kind::NotNow,
    "dial tcp"
)]
#[case::bad_token(
    401,
    r#"{"message":"Unauthorized"}"#,
    Kind::Refused,
    "401: Unauthorized"
)]
#[case::forbidden(403, "", Kind::Refused, "403")]
#[case::redirect(302, "", Kind::Refused, "302")]
#[case::too_many(429, "", Kind::NotNow, "429")]
#[case::broken(500, "", Kind::Unknown, "500")]
#[case::proxy(502, "<html>bad gateway", Kind::Unknown, "502")]
#[tokio::test]
async fn what_did_not_start_and_what_may_have_started_are_told_apart(
    #[case] code: u16,
    #[case] body: &'static str,
    #[case] expected: Kind,
    #[case] why: &str,
) {
    let server = Server::start(move |_| status(code, body)).await;
    let drone = at(&server.url, None);
    let error = drone.start(&order()).await.unwrap_err();
    assert_eq!(kind(&error), expected, "{error}");
    assert!(error.to_string().contains(why), "{error}");
    assert_eq!((drone.requests(), drone.failures()), (1, 1));
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_nobody_there_is_not() {
    let server = Server::start(|_| Reply::Cut("{\"number\":")).await;
    let error = at(&server.url, None).start(&order()).await.unwrap_err();
    assert_eq!(kind(&error), Kind::Unknown, "{error}");

    let server = Server::start(|_| Reply::Hang).await;
    let drone = at(&server.url, None).with_deadline(Duration::from_millis(200));
    let error = drone.start(&order()).await.unwrap_err();
    assert_eq!(kind(&error), Kind::Unknown, "{error}");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = at(&url.parse().unwrap(), None).start(&order()).await;
    let error = error.unwrap_err();
    assert_eq!(kind(&error), Kind::NotNow, "{error}");
}

/// A list of so many builds, of which one is ours, newest first.
fn list(count: u64, ours: u64) -> impl Fn(&Asked) -> Reply + use<> {
    move |asked| {
        assert_eq!(asked.value("per_page"), Some("100"));
        let first = (asked.page() - 1) * 100;
        let builds: Vec<_> = (first..count.min(first + 100))
            .map(|age| {
                let number = count - age;
                let mut made = build(number, "success");
                if number != ours {
                    made["params"] = match number % 3 {
                        0 => json!(null),
                        1 => json!({}),
                        _ => json!({"RUN_KEY": "another"}),
                    };
                }
                made
            })
            .collect();
        reply(&builds.into())
    }
}

#[rstest]
#[case::on_the_first_page(5, 5, Some(5), 1)]
#[case::on_the_third_page(250, 1, Some(1), 3)]
#[case::not_there(250, 0, None, 3)]
#[case::bounded(1_000_000, 0, None, 20)]
#[tokio::test]
async fn a_build_is_found_by_its_key(
    #[case] count: u64,
    #[case] ours: u64,
    #[case] found: Option<u64>,
    #[case] pages: usize,
) {
    let server = Server::start(list(count, ours)).await;
    let build = at(&server.url, None).find(&order()).await.unwrap();
    assert_eq!(build, found.map(|number| Build(number.to_string())));
    assert_eq!(server.asked().len(), pages);
}

#[rstest]
#[case(404, "sql: no rows")]
#[case(500, "")]
#[case(401, "")]
#[case(200, "<html>")]
#[tokio::test]
async fn a_list_that_was_not_read_is_no_list_without_the_build(
    #[case] code: u16,
    #[case] body: &'static str,
) {
    let server = Server::start(move |_| status(code, body)).await;
    assert!(at(&server.url, None).find(&order()).await.is_err());
}

#[rstest]
#[case::done(200, true)]
#[case::over_already(400, true)]
#[case::gone(404, true)]
#[case::no_right(403, false)]
#[case::broken(500, false)]
#[tokio::test]
async fn a_cancel_goes_to_drone_and_to_the_run(#[case] code: u16, #[case] done: bool) {
    let run = Run::begun();
    let server = Server::start(move |_| status(code, "")).await;
    let drone = at(&server.url, Some(&run));
    let cancelled = drone
        .cancel(&run.order, &Build("5".to_owned()), "alice")
        .await;
    assert_eq!(cancelled.is_ok(), done, "{cancelled:?}");
    assert_eq!(run.wish().as_deref(), Some("alice"));
    let asked = server.last();
    assert_eq!(
        (asked.method, asked.path),
        ("DELETE".to_owned(), format!("{BUILDS}/5"))
    );
}

#[tokio::test]
async fn the_check_names_what_is_wrong_and_who_can_change_it() {
    let answers = |active: bool, timeout: u64| {
        move |asked: &Asked| match asked.path.as_str() {
            "/api/user" => reply(&json!({"id": 1, "login": "cc-ci", "admin": false})),
            "/api/repos/coop-cloud/cc-ci" => reply(&json!({"active": active, "timeout": timeout})),
            other => panic!("{other}"),
        }
    };
    let run = Run::new();
    let server = Server::start(answers(true, 60)).await;
    let findings = at(&server.url, Some(&run)).check().await;
    assert_eq!(findings.len(), 4);
    assert!(findings.iter().all(|finding| finding.good), "{findings:?}");

    let server = Server::start(answers(false, 30)).await;
    let findings = at(&server.url, None).check().await;
    let bad: Vec<_> = findings.iter().filter(|finding| !finding.good).collect();
    assert!(bad[0].text.contains("not active"), "{bad:?}");
    assert!(
        bad[1].text.contains("30 minutes") && bad[1].text.contains("system admin"),
        "{bad:?}"
    );

    let server = Server::start(|_| status(401, "")).await;
    let findings = at(&server.url, None).check().await;
    assert!(findings.iter().all(|finding| !finding.good), "{findings:?}");
    let server = Server::start(|_| status(404, "")).await;
    let findings = at(&server.url, None).check().await;
    assert!(findings.iter().all(|finding| !finding.good), "{findings:?}");
}
