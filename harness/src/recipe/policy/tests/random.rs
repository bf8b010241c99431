//! Bodies that nobody thought of.

use proptest::prelude::*;

use super::*;

fn any_json() -> impl Strategy<Value = Value> {
    let text = prop::sample::select(
        &[
            "",
            "x",
            "host",
            "proxy",
            "bind",
            "volume",
            "/",
            "local",
            "default",
            "foo_ci_test_x",
            "traefik.http.routers.a.rule",
            "{{.X}}",
            "é\n",
        ][..],
    );
    let key = prop::sample::select(
        &[
            "Name",
            "Labels",
            "TaskTemplate",
            "ContainerSpec",
            "Mounts",
            "Type",
            "Source",
            "Networks",
            "Target",
            "Aliases",
            "Hostname",
            "Mode",
            "Replicated",
            "Replicas",
            "EndpointSpec",
            "Ports",
            "PublishedPort",
            "Privileges",
            "Seccomp",
            "LogDriver",
            "Options",
            "IPAM",
            "Config",
            "Secrets",
            "VolumeOptions",
            "DriverConfig",
            "Sysctls",
            "Ulimits",
            "CapabilityAdd",
            "traefik.http.routers.a.rule",
            "X",
        ][..],
    );
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|pairs| {
                let pairs = pairs
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value));
                Value::Object(pairs.collect())
            }),
        ]
    })
}

/// The paths of all values in a body.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                places(value, &format!("{at}/{key}"), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                places(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn refuses(body: &Value) -> bool {
    let found = judge_service(body, &Site::new().terms());
    found.iter().any(Finding::refuses)
}

proptest! {
    #[test]
    fn no_body_makes_the_judge_panic(body in any_json()) {
        let site = Site::new();
        for judge in [judge_service, judge_network, judge_config, judge_secret] {
            for finding in judge(&body, &site.terms()) {
                prop_assert!(!finding.name.is_empty() && !finding.to_string().contains('\n'));
            }
        }
    }

    /// Whatever stands under a key that no table has, wherever that is.
    #[test]
    fn a_key_that_is_not_known_is_refused(
        place in any::<prop::sample::Index>(),
        key in "[A-Z][a-z]{3,8}Zz",
        value in any_json(),
    ) {
        prop_assume!(!super::super::body::is_absent(&value));
        let mut body = service();
        let mut all = Vec::new();
        places(&body, "", &mut all);
        all.retain(|at| body.pointer(at).is_some_and(Value::is_object));
        // Labels have any key.
        all.retain(|at| !at.ends_with("Labels") && !at.ends_with("Sysctls"));
        let at = place.get(&all).clone();
        body.pointer_mut(&at).unwrap()[&key] = value;
        prop_assert!(refuses(&body), "{at}/{key}");
    }

    /// A form in place of a text, wherever a text is.
    #[test]
    fn a_form_that_is_not_known_is_refused(place in any::<prop::sample::Index>()) {
        let mut body = service();
        let mut all = Vec::new();
        places(&body, "", &mut all);
        all.retain(|at| body.pointer(at).is_some_and(|value| !value.is_object() && !value.is_array()));
        let at = place.get(&all).clone();
        *body.pointer_mut(&at).unwrap() = json!({"Zz": {"Zz": "zz"}});
        prop_assert!(refuses(&body), "{at}");
    }

    #[test]
    fn what_is_off_the_list_is_refused(which in 0..6, text in "[a-zA-Z0-9/_.-]{1,20}", port in any::<u16>()) {
        let mut body = service();
        let container = &mut body["TaskTemplate"]["ContainerSpec"];
        match which {
            0 => container["CapabilityAdd"] = json!([format!("CAP_X{text}")]),
            1 => container["Mounts"] = json!([{"Type": "bind", "Source": text, "Target": "/x"}]),
            2 => container["Mounts"] = json!([{"Type": "volume", "Source": format!("x{text}"), "Target": "/x"}]),
            3 => body["TaskTemplate"]["LogDriver"] = json!({"Name": format!("x{text}")}),
            4 => body["TaskTemplate"]["Networks"] = json!([{"Target": format!("x{text}")}]),
            _ => body["EndpointSpec"] = json!({"Ports": [{"TargetPort": 80, "PublishedPort": port}]}),
        }
        prop_assert!(refuses(&body), "{body}");
    }
}
