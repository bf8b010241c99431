use crate::recipe::compose::Service;
use rstest::rstest;

use super::*;
use crate::recipe::compose::Network;

const ENABLED: &str = "traefik.enable=true";
const PORT: &str = "traefik.http.services.s.loadbalancer.server.port=80";
const SECURE: &str = "traefik.http.routers.s.entrypoints=web-secure";
const TLS: &str = "traefik.http.routers.s.tls.certresolver=";
const RULE: &str = "traefik.http.routers.s.rule=Host(`a.ci.test`)";
const GOOD: [&str; 5] = [ENABLED, PORT, SECURE, TLS, RULE];

fn service(labels: &[&str]) -> Service {
    let labels = labels.iter().map(|label| {
        let (key, value) = label.split_once('=').unwrap();
        (key.to_owned(), value.to_owned())
    });
    Service {
        labels: labels.collect(),
        networks: BTreeMap::from([("proxy".to_owned(), vec![])]),
        ..Service::default()
    }
}

fn compose(services: &[(&str, Service)]) -> Compose {
    let proxy = Network {
        external: true,
        ..Network::default()
    };
    Compose {
        services: services
            .iter()
            .map(|(name, service)| ((*name).to_owned(), service.clone()))
            .collect(),
        networks: BTreeMap::from([("proxy".to_owned(), proxy)]),
        ..Compose::default()
    }
}

fn stack() -> StackName {
    "a.ci.test".parse::<AppDomain>().unwrap().stack()
}

fn shown(routes: &Routes) -> String {
    let mut lines = Vec::new();
    for route in &routes.routes {
        let path = match &route.path {
            PathMatch::Prefix(path) => format!("{}…", path.as_str()),
            PathMatch::Exact(path) => path.as_str().to_owned(),
        };
        let up = &route.upstream;
        let scheme = if up.tls { "https" } else { "http" };
        let strip = route
            .strip
            .iter()
            .map(|prefix| format!(" without {}", prefix.as_str()))
            .collect::<String>();
        lines.push(format!(
            "{}{path} -> {scheme}://{}:{}{strip}",
            route.host, up.service, up.port
        ));
    }
    for one in &routes.unroutable {
        lines.push(format!("refused {}: {}", one.host, one.reason));
    }
    lines.extend(routes.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}

/// The good labels with `changes`: a label of the same key is replaced, `key` alone takes it out.
fn with(changes: &[&str]) -> String {
    let key = |label: &str| label.split('=').next().unwrap().to_owned();
    let mut labels: Vec<&str> = GOOD
        .into_iter()
        .filter(|label| !changes.iter().any(|change| key(change) == key(label)))
        .collect();
    labels.extend(changes.iter().filter(|change| change.contains('=')));
    shown(&routes(&compose(&[("app", service(&labels))]), &stack()))
}

#[rstest]
#[case::as_recipes_have_it(&[], "a.ci.test/… -> http://a_ci_test_app:80")]
#[case::not_enabled(&["traefik.enable"], "refused a.ci.test: router `s`: service `app` has no label `traefik.enable`")]
#[case::disabled(&["traefik.enable=false"], "refused a.ci.test: router `s`: service `app` has `traefik.enable=false`")]
#[case::other_entrypoint(
    &["traefik.http.routers.s.entrypoints=web"],
    "refused a.ci.test: router `s`: its entrypoints are `web`, without `web-secure`"
)]
#[case::no_entrypoint(
    &["traefik.http.routers.s.entrypoints"],
    "refused a.ci.test: router `s`: its entrypoints are ``, without `web-secure`"
)]
#[case::two_entrypoints(&["traefik.http.routers.s.entryPoints=web, web-secure"], "a.ci.test/… -> http://a_ci_test_app:80")]
#[case::no_port(
    &["traefik.http.services.s.loadbalancer.server.port"],
    "refused a.ci.test: router `s`: service `app` has no label `traefik.http.services.<name>.loadbalancer.server.port`"
)]
#[case::bad_port(
    &["traefik.http.services.s.loadbalancer.server.port=80; return 200"],
    "refused a.ci.test: router `s`: `80; return 200` is no port"
)]
#[case::https(
    &["traefik.http.services.s.loadbalancer.server.scheme=https"],
    "a.ci.test/… -> https://a_ci_test_app:80\nnote: service `app`: its own certificate is not checked here"
)]
#[case::h2c(
    &["traefik.http.services.s.loadbalancer.server.scheme=h2c"],
    "refused a.ci.test: router `s`: the scheme `h2c` is not supported here"
)]
#[case::other_network(
    &["traefik.docker.network=internal"],
    "refused a.ci.test: router `s`: service `app` wants to be reached over the network `internal`, not `proxy`"
)]
#[case::two_services_and_none_named(
    &["traefik.http.services.t.loadbalancer.server.port=81"],
    "refused a.ci.test: router `s`: service `app` defines several services, and it names none of them"
)]
#[case::two_services_and_one_named(
    &["traefik.http.services.t.loadbalancer.server.port=81", "traefik.http.routers.s.service=t@docker"],
    "a.ci.test/… -> http://a_ci_test_app:81"
)]
#[case::unknown_service(
    &["traefik.http.routers.s.service=api@internal"],
    "refused a.ci.test: router `s`: its service `api@internal` is none of the recipe's"
)]
#[case::bad_host(
    &["traefik.http.routers.s.rule=Host(`a.ci.test`, `b_c.ci.test`)"],
    "a.ci.test/… -> http://a_ci_test_app:80\nrefused b_c.ci.test: router `s`: `b_c.ci.test` is no domain name: labels of letters, digits and `-`, at most 63 characters each, separated by dots"
)]
#[case::bad_rule(
    &["traefik.http.routers.s.rule=Host(`a.ci.test`"],
    "refused : router `s`: rule `Host(`a.ci.test``: expected `,` or `)` at character 17, found the end"
)]
#[case::no_host(&["traefik.http.routers.s.rule=Path(`/x`)"], "refused : router `s`: its rule names no host")]
#[case::redirect(
    &["traefik.http.routers.s.middlewares=r", "traefik.http.middlewares.r.redirectscheme.scheme=https"],
    "a.ci.test/… -> http://a_ci_test_app:80"
)]
#[case::headers(
    &["traefik.http.routers.s.middlewares=r", "traefik.http.middlewares.r.headers.SSLForceHost=true"],
    "a.ci.test/… -> http://a_ci_test_app:80\nnote: router `s`: middleware `r` (headers) is not applied here"
)]
#[case::strip(
    &["traefik.http.routers.s.middlewares=r@swarm", "traefik.http.middlewares.r.stripprefix.prefixes=/api, /v2"],
    "a.ci.test/… -> http://a_ci_test_app:80 without /api without /v2"
)]
#[case::of_the_proxy(
    &["traefik.http.routers.s.middlewares=security@file"],
    "a.ci.test/… -> http://a_ci_test_app:80\nnote: router `s`: middleware `security@file` is the production proxy's own; not applied here"
)]
#[case::a_password_is_not_left_out(
    &["traefik.http.routers.s.middlewares=r", "traefik.http.middlewares.r.basicauth.users=x"],
    "refused a.ci.test: router `s`: middleware `r` (basicauth) is not supported here"
)]
#[case::undefined_middleware(
    &["traefik.http.routers.s.middlewares=r"],
    "refused a.ci.test: router `s`: no label defines its middleware `r`"
)]
#[case::without_tls(
    &["traefik.http.routers.s.tls.certresolver"],
    "a.ci.test/… -> http://a_ci_test_app:80\nnote: router `s` has no `tls` label"
)]
#[case::tcp(
    &["traefik.tcp.routers.ssh.entrypoints=ssh"],
    "a.ci.test/… -> http://a_ci_test_app:80\nnote: service `app`: TCP and UDP routers are not served here"
)]
fn labels_are_read_as_traefik_reads_them(#[case] changes: &[&str], #[case] expected: &str) {
    assert_eq!(with(changes), expected);
}

#[test]
fn a_service_that_is_not_on_the_proxy_network_is_not_served() {
    let mut app = service(&GOOD);
    app.networks = BTreeMap::from([("internal".to_owned(), vec![])]);
    insta::assert_snapshot!(
        shown(&routes(&compose(&[("app", app)]), &stack())),
        @"refused a.ci.test: router `s`: service `app` is not on the external network `proxy`"
    );
}

#[test]
fn a_network_that_is_only_called_proxy_in_the_file_is_not_the_proxy_network() {
    let mut compose = compose(&[("app", service(&GOOD))]);
    compose.networks.get_mut("proxy").unwrap().external = false;
    assert!(routes(&compose, &stack()).routes.is_empty());
    let own = Network {
        external: true,
        name: Some("proxy-internal".to_owned()),
        internal: false,
    };
    compose.networks.insert("proxy".to_owned(), own);
    assert!(routes(&compose, &stack()).routes.is_empty());
}

#[test]
fn longer_rules_come_first_and_a_given_priority_before_those() {
    let app = service(&[
        ENABLED,
        PORT,
        SECURE,
        TLS,
        RULE,
        "traefik.http.routers.api.rule=Host(`a.ci.test`) && PathPrefix(`/api`)",
        "traefik.http.routers.api.entrypoints=web-secure",
        "traefik.http.routers.api.tls=true",
        "traefik.http.routers.top.rule=Host(`a.ci.test`) && Path(`/t`)",
        "traefik.http.routers.top.priority=1000",
        "traefik.http.routers.top.entrypoints=web-secure",
        "traefik.http.routers.top.tls=true",
    ]);
    insta::assert_snapshot!(shown(&routes(&compose(&[("app", app)]), &stack())), @r"
    a.ci.test/t -> http://a_ci_test_app:80
    a.ci.test/api… -> http://a_ci_test_app:80
    a.ci.test/… -> http://a_ci_test_app:80
    ");
}

#[test]
fn a_router_that_two_services_define_is_not_served() {
    let twice = compose(&[("app", service(&GOOD)), ("web", service(&GOOD))]);
    insta::assert_snapshot!(shown(&routes(&twice, &stack())), @r"
    refused a.ci.test: router `s`: it is defined by two services, `app` and `web`
    refused a.ci.test: router `s`: it is defined by two services, `web` and `app`
    ");
}

#[test]
fn hosts_that_the_certificate_does_not_cover_are_named() {
    let app = service(&[
        ENABLED,
        PORT,
        SECURE,
        TLS,
        "traefik.http.routers.s.rule=Host(`a.ci.test`,`ci.test`,`x.a.ci.test`,`example.org`,`notci.test`)",
    ]);
    let routes = routes(&compose(&[("app", app)]), &stack());
    let misfits = routes.misfits(&"ci.test".parse().unwrap());
    let text: Vec<String> = misfits.into_iter().map(|misfit| misfit.reason).collect();
    insta::assert_snapshot!(text.join("\n"), @r"
    `example.org` is not below `ci.test`
    `notci.test` is not below `ci.test`
    `x.a.ci.test` is more than one label below `ci.test`: the certificate `*.ci.test` does not cover it; use a sibling such as `minio-<domain>`
    ");
}

#[test]
fn a_redirect_from_plain_http_beside_a_served_router_is_nothing_to_report() {
    let app = service(&[
        ENABLED,
        PORT,
        SECURE,
        TLS,
        RULE,
        "traefik.http.routers.plain.rule=Host(`a.ci.test`)",
        "traefik.http.routers.plain.entrypoints=web",
        "traefik.http.routers.lost.rule=Host(`b.ci.test`)",
        "traefik.http.routers.lost.entrypoints=web",
    ]);
    let routes = routes(&compose(&[("app", app)]), &stack());
    let unserved: Vec<&str> = routes.unserved().map(|one| one.host.as_str()).collect();
    assert_eq!(unserved, ["b.ci.test"]);
    assert_eq!(routes.routes.len(), 1);
}
