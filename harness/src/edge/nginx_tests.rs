use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::edge::routes::{Unroutable, Upstream, routes};
use crate::edge::rule::PathText;
use crate::recipe::Compose;
use crate::recipe::compose::{Network, Service};

fn route(host: &str, path: PathMatch) -> Route {
    Route {
        router: "s".to_owned(),
        host: host.parse().unwrap(),
        path,
        priority: 1,
        upstream: Upstream {
            service: "a_ci_test_app".to_owned(),
            port: 80,
            tls: false,
        },
        strip: vec![],
    }
}

/// What stands after the fixed head.
fn rendered(routes: &Routes) -> String {
    let zone = "ci.test".parse().unwrap();
    let text = render(&Site {
        zone: &zone,
        routes,
        generation: 3,
    });
    let head = HEAD.replace("FOLDER", FOLDER);
    text.strip_prefix(&head)
        .unwrap()
        .replace(PAGES, " <own pages> ")
}

#[test]
fn one_host_with_two_paths_one_of_which_is_stripped() {
    let mut api = route(
        "a.ci.test",
        PathMatch::Prefix(PathText::parse("/api/v1.0").unwrap()),
    );
    api.strip = vec![PathText::parse("/api").unwrap()];
    let routes = Routes {
        routes: vec![api, route("a.ci.test", PathMatch::any())],
        ..Routes::default()
    };
    insta::assert_snapshot!(rendered(&routes), @r#"
        map $request_uri $edge_path_0 {
            default $request_uri;
            "~^/api(?<edge_rest_0>/.*)$" $edge_rest_0;
            "~^/api(?<edge_bare_0>.*)$" /$edge_bare_0;
        }

        server {
            listen 443 ssl http2;
            server_name a.ci.test;
            location ~ "^/api/v1[.]0" {
                set $edge_to "a_ci_test_app:80";
                proxy_pass http://tasks.$edge_to$edge_path_0;
            }
            location ~ "^/" {
                set $edge_to "a_ci_test_app:80";
                proxy_pass http://tasks.$edge_to;
            }
            location / {
                add_header X-Cc-Ci-Edge "no-router: no router of this host has the path" always;
                return 404 "cc-ci's proxy: no router of this host has the path\n";
            } <own pages>     }

        server {
            listen 443 ssl http2 default_server;
            server_name _;
            ssl_reject_handshake on;
            location / {
                add_header X-Cc-Ci-Edge "unknown-host: no router has the host $host" always;
                return 404 "cc-ci's proxy: no router has the host $host\n";
            } <own pages>     }

        server {
            listen 443 ssl http2;
            server_name "~^([^.]+[.])?ci[.]test$";
            location / {
                add_header X-Cc-Ci-Edge-Generation 3 always;
                add_header X-Cc-Ci-Edge "unknown-host: no router has the host $host" always;
                return 404 "cc-ci's proxy: no router has the host $host\n";
            } <own pages>     }
    }
    "#);
}

#[test]
fn what_traefik_would_drop_is_a_502_that_says_why() {
    let routes = Routes {
        unroutable: vec![Unroutable {
            host: "a.ci.test".to_owned(),
            reason: "router `s`: service `app` is not on the external network `proxy`".to_owned(),
        }],
        ..Routes::default()
    };
    let text = rendered(&routes);
    let own = text.lines().filter(|line| line.contains("unroutable"));
    insta::assert_snapshot!(own.collect::<String>().trim(), @r#"add_header X-Cc-Ci-Edge "unroutable: router 's': service 'app' is not on the external network 'proxy'" always;"#);
}

#[test]
fn hosts_that_the_certificate_does_not_cover_get_no_server() {
    let routes = Routes {
        routes: vec![
            route("x.a.ci.test", PathMatch::any()),
            route("example.org", PathMatch::any()),
        ],
        ..Routes::default()
    };
    assert_eq!(rendered(&routes), rendered(&Routes::default()));
}

/// The words of a configuration as nginx reads them; a quoted string is one word.
fn structure(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.chars().peekable();
    let mut word = String::new();
    while let Some(c) = rest.next() {
        match c {
            '#' if word.is_empty() => while rest.next().is_some_and(|c| c != '\n') {},
            '"' | '\'' if word.is_empty() => {
                while let Some(inner) = rest.next() {
                    match inner {
                        '\\' => drop(rest.next()),
                        end if end == c => break,
                        _ => {}
                    }
                }
                words.push("<string>".to_owned());
            }
            ';' | '{' | '}' => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
                words.push(c.to_string());
            }
            c if c.is_whitespace() => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            }
            c => word.push(c),
        }
    }
    words
}

/// An app with one label replaced by a hostile one.
fn app(key: &str, value: &str) -> Routes {
    let mut labels = BTreeMap::from(
        [
            ("traefik.enable", "true"),
            ("traefik.http.services.s.loadbalancer.server.port", "80"),
            ("traefik.http.routers.s.entrypoints", "web-secure"),
            ("traefik.http.routers.s.tls", "true"),
            ("traefik.http.routers.s.rule", "Host(`a.ci.test`)"),
            ("traefik.http.routers.s.middlewares", "r"),
            ("traefik.http.middlewares.r.stripprefix.prefixes", "/x"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    labels.insert(key.to_owned(), value.to_owned());
    let service = Service {
        labels,
        networks: BTreeMap::from([("proxy".to_owned(), vec![])]),
        ..Service::default()
    };
    let proxy = Network {
        external: true,
        ..Network::default()
    };
    let compose = Compose {
        services: BTreeMap::from([("app".to_owned(), service)]),
        networks: BTreeMap::from([("proxy".to_owned(), proxy)]),
        ..Compose::default()
    };
    let stack = "a.ci.test".parse::<AppDomain>().unwrap().stack();
    routes(&compose, &stack)
}

proptest! {
    /// Whatever a label says, the configuration has the shape of a served or of a refused app.
    #[test]
    fn no_label_changes_the_shape_of_the_configuration(
        key in prop::sample::select(vec![
            "traefik.enable",
            "traefik.docker.network",
            "traefik.http.services.s.loadbalancer.server.port",
            "traefik.http.services.s.loadbalancer.server.scheme",
            "traefik.http.routers.s.entrypoints",
            "traefik.http.routers.s.priority",
            "traefik.http.routers.s.service",
            "traefik.http.routers.s.middlewares",
            "traefik.http.middlewares.r.stripprefix.prefixes",
        ]),
        value in r#"[a-z0-9 "'`\\$;{}#/\n]{0,12}(\n|"|\\|; \} return 200;|\$\{x\}|é)?.{0,8}"#,
    ) {
        let known = [
            structure(&rendered(&app("traefik.enable", "true"))),
            structure(&rendered(&app("traefik.enable", "false"))),
            structure(&rendered(&app("traefik.http.routers.s.middlewares", ""))),
        ];
        let shape = structure(&rendered(&app(key, &value)));
        // Two prefixes make two more pairs in the map; everything else is one of the known shapes.
        let prefixes = key.ends_with("prefixes") && value.contains(',');
        prop_assert!(prefixes || known.contains(&shape));
    }

    #[test]
    fn no_host_or_path_reaches_the_configuration_unparsed(inner in r#"[^`]{0,30}"#) {
        for rule in [format!("Host(`a.ci.test`,`{inner}`)"), format!("Host(`a.ci.test`) && Path(`{inner}`)")] {
            let text = rendered(&app("traefik.http.routers.s.rule", &rule));
            if inner.contains(['"', '\\', '$', ';', '{', '}', '\n', '#']) {
                prop_assert!(!text.contains(&inner) || inner.len() < 3);
            }
        }
    }
}

#[test]
fn words_can_not_end_a_string_or_name_a_variable() {
    let hostile = "a\"; } return 200 \"$http_cookie\\\n#{é`b`";
    assert_eq!(words(hostile), "a'? ? return 200 '?http_cookie?????'b'");
}
