//! Labels: names, addresses, fields of the proxy, and labels of others.

use super::traefik::said;
use super::*;

#[rstest::rstest]
#[case::own_with_more("traefik.http.routers.foo_ci_test_files-api.priority", "1", "")]
#[case::own_behind(
    "traefik.http.middlewares.redirect-foo_ci_test.redirectscheme.scheme",
    "https",
    ""
)]
#[case::plain(
    "traefik.http.services.cms.loadbalancer.server.port",
    "80",
    "S router-name:cms: service `app` has the name `cms` among the proxy's, where another app may have the same name; put `${STACK_NAME}` in it"
)]
#[case::another(
    "traefik.http.services.bar_ci_test.loadbalancer.server.port",
    "80",
    "R foreign-router-name: service `app` has the name `bar_ci_test` among the proxy's, a name of another app"
)]
#[case::of_another_zone(
    "traefik.http.routers.wiki_example_org-redirect.priority",
    "1",
    "R foreign-router-name: "
)]
#[case::full_name(
    "traefik.http.services.monitor.loadbalancer.server.port",
    "1",
    "R foreign-router-name: "
)]
#[case::looks_alike(
    "traefik.http.routers.xfoo_ci_test.priority",
    "1",
    "R foreign-router-name: "
)]
#[case::provider(
    "traefik.http.services.foo_ci_test@file.loadbalancer.server.port",
    "80",
    "R foreign-router-name: "
)]
#[case::internal(
    "traefik.http.routers.foo_ci_test.service",
    "api@internal",
    "R internal-service: service `app` refers to `api@internal`, which is the proxy's own"
)]
#[case::internal_case(
    "traefik.http.routers.foo_ci_test.Service",
    "Dashboard@INTERNAL",
    "R internal-service: "
)]
#[case::service_of_another(
    "traefik.http.routers.foo_ci_test.service",
    "bar_ci_test@swarm",
    "R foreign-router-name: "
)]
#[case::service_of_a_file(
    "traefik.http.routers.foo_ci_test.service",
    "admin@file",
    "S router-name:admin@file: "
)]
#[case::middleware_of_a_file(
    "traefik.http.routers.foo_ci_test.middlewares",
    "security@file, foo_ci_test-x@docker",
    ""
)]
#[case::middleware_of_another(
    "traefik.http.routers.foo_ci_test.middlewares",
    "foo_ci_test-x,bar_ci_test-auth",
    "R foreign-router-name: "
)]
#[case::chain(
    "traefik.http.middlewares.foo_ci_test.chain.middlewares",
    "bar_ci_test-auth@docker",
    "R foreign-router-name: "
)]
#[case::errors(
    "traefik.http.middlewares.foo_ci_test.errors.service",
    "bar_ci_test",
    "R foreign-router-name: "
)]
#[case::options("traefik.http.routers.foo_ci_test.tls.options", "modern@file", "")]
#[case::default_options("traefik.http.routers.foo_ci_test.tls.options", "default", "")]
fn a_name_among_the_proxys(#[case] key: &str, #[case] value: &str, #[case] finding: &str) {
    let said = said(key, value);
    assert!(said.starts_with(finding), "{said}");
    assert!(!finding.is_empty() || said.is_empty(), "{said}");
}

#[rstest::rstest]
#[case::own_service("http://foo_ci_test_auth:9000/x?y", "")]
#[case::own_host("https://auth-foo.ci.test/check", "")]
#[case::short(
    "http://app:9000",
    "S forward-auth:app: service `app` lets the proxy send requests to `app`"
)]
#[case::inner("http://169.254.169.254/latest", "S forward-auth:169.254.169.254: ")]
#[case::user(
    "http://foo.ci.test@10.0.0.1/",
    "S forward-auth:http://foo.ci.test@10.0.0.1/: "
)]
#[case::backslash("http://foo.ci.test\\@10.0.0.1/", "S forward-auth:")]
#[case::other_port("http://foo.ci.test:80:90/", "S forward-auth:")]
#[case::another("http://bar_ci_test_db/", "S forward-auth:bar_ci_test_db: ")]
#[case::scheme("unix:///var/run/docker.sock", "S forward-auth:")]
#[case::dotted_service(
    "http://foo_ci_test_x.evil.org/",
    "S forward-auth:foo_ci_test_x.evil.org: "
)]
fn the_proxy_asks_only_the_app_itself(#[case] address: &str, #[case] finding: &str) {
    let said = said(
        "traefik.http.middlewares.foo_ci_test.forwardAuth.address",
        address,
    );
    assert!(said.starts_with(finding), "{said}");
    assert!(!finding.is_empty() || said.is_empty(), "{said}");
}

#[rstest::rstest]
#[case::network("traefik.docker.network", "foo_ci_test_internal", "")]
#[case::other_network(
    "traefik.swarm.network",
    "bar_ci_test_internal",
    "S traefik-label:swarm.network: "
)]
#[case::url(
    "traefik.http.services.foo_ci_test.loadbalancer.server.url",
    "http://10.0.0.1",
    "S traefik-label:http.services.*.loadbalancer.server.url: service `app` has the label `traefik.http.services.foo_ci_test.loadbalancer.server.url`, which is not known to concern this app alone"
)]
#[case::urls(
    "traefik.http.services.foo_ci_test.loadbalancer.servers[0].url",
    "http://10.0.0.1",
    "S traefik-label:"
)]
#[case::address(
    "traefik.tcp.services.foo_ci_test.loadbalancer.servers[0].address",
    "10.0.0.1:1",
    "S traefik-label:"
)]
#[case::weighted(
    "traefik.http.services.foo_ci_test.weighted.services[0].name",
    "bar_ci_test",
    "S traefik-label:"
)]
#[case::mirror(
    "traefik.http.services.foo_ci_test.mirroring.service",
    "bar_ci_test",
    "S traefik-label:"
)]
#[case::transport(
    "traefik.http.serversTransports.foo_ci_test.rootCAs",
    "/x",
    "S traefik-label:http.serverstransports.*.rootcas: "
)]
#[case::auth_key(
    "traefik.http.middlewares.foo_ci_test.forwardauth.tls.key",
    "/certs/key.pem",
    "S traefik-label:"
)]
#[case::users_file(
    "traefik.http.middlewares.foo_ci_test.basicauth.usersFile",
    "/etc/passwd",
    "S traefik-label:"
)]
#[case::plugin(
    "traefik.http.middlewares.foo_ci_test.plugin.x.y",
    "z",
    "S traefik-label:"
)]
#[case::redis(
    "traefik.http.middlewares.foo_ci_test.ratelimit.redis.endpoints",
    "10.0.0.1:1",
    "S traefik-label:"
)]
#[case::health(
    "traefik.http.services.foo_ci_test.loadbalancer.healthcheck.path",
    "//10.0.0.1/x",
    "S traefik-label:"
)]
#[case::health_url(
    "traefik.http.services.foo_ci_test.loadbalancer.healthcheck.path",
    "http://10.0.0.1/x",
    "S traefik-label:"
)]
#[case::stores(
    "traefik.tls.stores.default.defaultCertificate.certFile",
    "/x",
    "R foreign-label: service `app` has the label `traefik.tls.stores.default.defaultCertificate.certFile`, which changes the proxy for everybody"
)]
#[case::version_1(
    "traefik.frontend.rule",
    "Host:bar.ci.test",
    "S traefik-label:frontend.rule: "
)]
#[case::providers(
    "traefik.providers.docker.endpoint",
    "x",
    "S traefik-label:providers.docker.endpoint: "
)]
#[case::folded_letter(
    "traefik.http.router\u{17f}.foo_ci_test.rule",
    "Path(`/`)",
    "S traefik-label:http.routers.*.rule: "
)]
#[case::folded_root(
    "traefi\u{212a}.http.routers.foo_ci_test.rule",
    "Path(`/`)",
    "S traefik-label:"
)]
#[case::upper_case(
    "TRAEFIK.HTTP.Routers.foo_ci_test.RULE",
    "Path(`/`)",
    "R foreign-host: "
)]
#[case::indexed(
    "traefik.http.routers.foo_ci_test[0].rule",
    "Path(`/`)",
    "S traefik-label:"
)]
#[case::gap(
    "traefik.http..routers.foo_ci_test.rule",
    "Path(`/`)",
    "S traefik-label:"
)]
#[case::certificate(
    "traefik.http.routers.foo_ci_test.tls.domains[0].main",
    "*.foo.ci.test",
    ""
)]
#[case::foreign_certificate(
    "traefik.http.routers.foo_ci_test.tls.domains[0].sans",
    "foo.ci.test,bar.ci.test",
    "S certificate:bar.ci.test: "
)]
#[case::engine("com.docker.swarm.service.name", "x", "R foreign-label: ")]
#[case::stack("com.docker.stack.namespace", "bar_ci_test", "R foreign-label: ")]
#[case::ours("cc-ci.app", "x", "R foreign-label: ")]
#[case::ours_too("org.cc-ci.x", "x", "R foreign-label: ")]
#[case::another_app("coop-cloud.bar_ci_test.version", "1", "R foreign-label: ")]
#[case::own_app("coop-cloud.foo_ci_test.anything", "1", "")]
#[case::tool("swarm.cronjob.schedule", "* * * * *", "")]
fn a_label_is(#[case] key: &str, #[case] value: &str, #[case] finding: &str) {
    let said = said(key, value);
    assert!(said.starts_with(finding), "{said}");
    assert!(!finding.is_empty() || said.is_empty(), "{said}");
    let mut body = service();
    body["TaskTemplate"]["ContainerSpec"]["Labels"] = json!({key: value});
    let found = judge_service(&body, &Site::new().terms());
    assert_eq!(shown(&found), said, "a container's label");
}
