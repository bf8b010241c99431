//! Texts as programs wrote them: Docker 20.10 (seen), and newer ones (documented and reported).

use super::*;

#[rstest::rstest]
// A registry's answers, by Docker 20.10.
#[case(
    "toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit",
    Trouble::RateLimit
)]
#[case("manifest unknown", Trouble::NoSuchImage)]
#[case(
    "manifest for nginx:nope not found: manifest unknown: manifest unknown",
    Trouble::NoSuchImage
)]
#[case("name unknown", Trouble::NoSuchImage)]
#[case(
    "pull access denied for nope/nope, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
    Trouble::NoSuchImage
)]
#[case(
    "no matching manifest for linux/arm64/v8 in the manifest list entries",
    Trouble::NoSuchImage
)]
#[case("pulling 127.0.0.1:5000/x:1: unauthorized", Trouble::Refused)]
#[case("pulling 127.0.0.1:5000/x:1: denied", Trouble::Refused)]
#[case(
    "Head \"https://registry.example.org/v2/x/manifests/1\": no basic auth credentials",
    Trouble::Refused
)]
#[case(
    "Get \"https://registry.example.org/v2/\": unauthorized: authentication required",
    Trouble::Refused
)]
#[case(
    "received unexpected HTTP status: 500 Internal Server Error",
    Trouble::ServerFault
)]
#[case(
    "received unexpected HTTP status: 503 Service Unavailable",
    Trouble::ServerFault
)]
#[case(
    "Head \"http://127.0.0.1:5000/v2/reset/x/manifests/1\": EOF",
    Trouble::ConnectionLost
)]
#[case(
    "read tcp 10.0.0.1:2->10.0.0.2:443: read: connection reset by peer",
    Trouble::ConnectionLost
)]
#[case("unexpected EOF", Trouble::ConnectionLost)]
#[case(
    "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
    Trouble::Unreachable
)]
#[case(
    "Get \"https://nowhere.invalid/v2/\": dial tcp: lookup nowhere.invalid on 10.0.0.53:53: no such host",
    Trouble::Dns
)]
#[case(
    "Get \"https://registry-1.docker.io/v2/\": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
    Trouble::TimedOut
)]
#[case(
    "Get \"https://registry-1.docker.io/v2/\": net/http: TLS handshake timeout",
    Trouble::TimedOut
)]
#[case("dial tcp 10.0.0.1:443: i/o timeout", Trouble::TimedOut)]
#[case(
    "Get \"https://127.0.0.1:5000/v2/\": x509: certificate signed by unknown authority",
    Trouble::Tls
)]
#[case(
    "Get \"https://10.0.0.1:5000/v2/\": http: server gave HTTP response to HTTPS client",
    Trouble::Tls
)]
#[case(
    "failed to register layer: Error processing tar file(exit status 1): write /x: no space left on device",
    Trouble::NoSpace
)]
// The containerd image store of newer engines.
#[case(
    "failed to resolve reference \"docker.io/library/nginx:nope\": docker.io/library/nginx:nope: not found",
    Trouble::NoSuchImage
)]
#[case(
    "failed to resolve reference \"example.org/x:1\": unexpected status from HEAD request to https://example.org/v2/x/manifests/1: 429 Too Many Requests",
    Trouble::RateLimit
)]
#[case(
    "failed to resolve reference \"example.org/x:1\": unexpected status from HEAD request to https://example.org/v2/x/manifests/1: 502 Bad Gateway",
    Trouble::ServerFault
)]
#[case(
    "failed to resolve reference \"127.0.0.1:1/x:1\": failed to do request: Head \"http://127.0.0.1:1/v2/x/manifests/1\": dial tcp 127.0.0.1:1: connect: connection refused",
    Trouble::Unreachable
)]
#[case(
    "failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://auth.example.org/token: 401 Unauthorized",
    Trouble::Refused
)]
// The client.
#[case(
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
    Trouble::DockerSilent
)]
#[case(
    "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
    Trouble::DockerSilent
)]
#[case(
    "Error response from daemon: rpc error: code = Unknown desc = update out of sequence",
    Trouble::Collision
)]
#[case(
    "unable to create lock in backend: repository is already locked exclusively by PID 4445 on aedd6e003b49 by root (UID 0, GID 0)",
    Trouble::Locked
)]
#[case(
    "Error response from daemon: rpc error: code = Unknown desc = The swarm does not have a leader.",
    Trouble::Swarm
)]
#[case(
    "Error response from daemon: This node is not a swarm manager. Use \"docker swarm init\"",
    Trouble::Swarm
)]
#[case(
    "rpc error: code = Unavailable desc = transport is closing",
    Trouble::Swarm
)]
#[case(
    "Error response from daemon: rpc error: code = DeadlineExceeded desc = context deadline exceeded",
    Trouble::TimedOut
)]
#[case(
    "network \"proxy\" is declared as external, but could not be found. You need to create a swarm-scoped network before the stack is deployed",
    Trouble::NoProxyNetwork
)]
#[case(
    "deploying x: `docker stack deploy` ended with signal: 9 (SIGKILL)",
    Trouble::Killed
)]
// Tasks.
#[case("No such image: nowhere/x:1", Trouble::NoSuchImage)]
#[case(
    "No such image: sha256:0123456789abcdef@sha256:0123456789abcdef",
    Trouble::ImageRemoved
)]
#[case(
    "invalid mount config for type \"bind\": bind source path does not exist: /x",
    Trouble::Unstartable
)]
#[case(
    "starting container failed: OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"/nope\": stat /nope: no such file or directory: unknown",
    Trouble::Unstartable
)]
#[case(
    "starting container failed: failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"nope\": executable file not found in $PATH: unknown",
    Trouble::Unstartable
)]
#[case(
    "starting container failed: error while creating mount source path '/x': mkdir /x: no space left on device",
    Trouble::NoSpace
)]
#[case("fork/exec /usr/bin/runc: cannot allocate memory", Trouble::NoMemory)]
fn a_cause_is_recognised_by_its_text(#[case] text: &str, #[case] expected: Trouble) {
    assert_eq!(Trouble::of(text), Some(expected));
}

#[rstest::rstest]
#[case("services.app Additional property imag is not allowed")]
#[case("service app: secret not found: a_ci_test_pw_v1")]
#[case("task: non-zero exit (1)")]
#[case("task: non-zero exit (137): dockerexec: unhealthy container")]
#[case("yaml: line 3: found unexpected end of stream")]
#[case(
    "invalid interpolation format for services.app.image: \"required variable X is missing a value\""
)]
#[case("only updates to Labels are allowed")]
fn what_a_recipe_does_wrong_is_no_trouble_of_the_host(#[case] text: &str) {
    assert_eq!(Trouble::of(text), None);
}

#[rstest::rstest]
#[case("write /data/x: No space left on device", Some(Trouble::NoSpace))]
#[case("dial tcp: connection refused", None)]
#[case("toomanyrequests", None)]
fn an_apps_own_log_is_believed_in_one_thing_only(
    #[case] line: &str,
    #[case] expected: Option<Trouble>,
) {
    assert_eq!(Trouble::in_log(line), expected);
}

#[rstest::rstest]
#[case::rate_limit(Fault::infra("toomanyrequests: slow down"), Some(AFTER_RATE_LIMIT))]
#[case::reset(Fault::infra("connection reset by peer"), Some(SOON))]
#[case::server(
    Fault::infra("received unexpected HTTP status: 500 Internal Server Error"),
    Some(SOON)
)]
#[case::time_out(Fault::infra("dial tcp 10.0.0.1:443: i/o timeout"), Some(SOON))]
#[case::space(Fault::infra("write /x: no space left on device"), None)]
#[case::credentials(Fault::infra("pulling x: unauthorized"), None)]
#[case::refused(Fault::infra("connect: connection refused"), None)]
#[case::unknown_cause(Fault::infra("something new"), None)]
#[case::no_such_image(Fault::recipe("manifest unknown"), None)]
#[case::a_recipe_that_speaks_of_time(Fault::recipe("app: i/o timeout"), None)]
fn a_second_try_is_for_what_may_pass(#[case] fault: Fault, #[case] expected: Option<Duration>) {
    assert_eq!(second_try(&fault), expected);
}

#[test]
fn an_image_that_is_not_there_is_the_recipes_fault_and_a_silent_registry_is_not() {
    let of = |text: &str| infra_unless_known(text.to_owned());
    assert!(matches!(of("manifest unknown"), Fault::Recipe(_)));
    assert!(matches!(of("connection refused"), Fault::Infra(_)));
    assert!(matches!(of("nobody knows"), Fault::Infra(_)));
}
