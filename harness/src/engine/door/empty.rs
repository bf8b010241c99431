//! The answers of an engine that has nothing of the stack: what a client makes then is all that it
//! would make.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use bytes::Bytes;
use hyper::{Request, StatusCode};
use serde_json::{Value, json};

use super::call::{Act, Call, Kind};
use super::{Answer, Seen, engine, failed, keep, lock, refuse};

pub async fn answer(
    engine: &Path,
    call: &Call,
    request: Request<Bytes>,
    seen: &Mutex<Seen>,
) -> Answer {
    let id = call.id.as_deref().unwrap_or_default();
    let (kind, act) = (call.kind, call.act);
    match act {
        // Which engine it is decides what a client sends.
        Act::Look if kind == Kind::Engine => engine::forward(engine, request).await,
        // What is external is there: whose it may be is not the client's to say.
        Act::Look if kind == Kind::Network => super::answer(
            StatusCode::OK,
            &json!({"Name": id, "Id": id, "Scope": "swarm", "Driver": "overlay"}),
        ),
        Act::List if matches!(kind, Kind::Secret | Kind::Config) => {
            super::answer(StatusCode::OK, &all_there(request.uri().query()))
        }
        Act::List => super::answer(StatusCode::OK, &json!([])),
        Act::Look => failed(StatusCode::NOT_FOUND, &format!("{id} not found")),
        Act::Create => match serde_json::from_slice::<Value>(request.body()) {
            Ok(body) => {
                keep(&mut lock(seen), kind, body);
                // Networks have their id under another name than the rest.
                super::answer(StatusCode::CREATED, &json!({"ID": "none", "Id": "none"}))
            }
            Err(error) => failed(StatusCode::BAD_REQUEST, &error.to_string()),
        },
        _ => refuse("nothing is changed for a look"),
    }
}

/// Every secret or config that is asked for by name, under that name as its id.
fn all_there(query: Option<&str>) -> Value {
    let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let filters = pairs.into_owned().find(|(key, _)| key == "filters");
    let filters: BTreeMap<String, Value> = filters
        .and_then(|(_, json)| serde_json::from_str(&json).ok())
        .unwrap_or_default();
    let names: Vec<&str> = match filters.get("name") {
        Some(Value::Object(names)) => names.keys().map(String::as_str).collect(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let object = |name: &&str| json!({"ID": name, "Spec": {"Name": name}});
    names.iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("filters=%7B%22name%22%3A%7B%22a%22%3Atrue%7D%7D", json!([{"ID": "a", "Spec": {"Name": "a"}}]))]
    #[case("filters=%7B%22name%22%3A%5B%22a%22%5D%7D", json!([{"ID": "a", "Spec": {"Name": "a"}}]))]
    #[case("filters=%7B%22label%22%3A%5B%22a%22%5D%7D", json!([]))]
    fn what_is_asked_for_by_name_is_there(#[case] query: &str, #[case] expected: Value) {
        assert_eq!(all_there(Some(query)), expected);
    }
}
