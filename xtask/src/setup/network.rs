//! The network `proxy`, over which apps are reached.

use serde::Deserialize;

use super::Check;
use super::docker::{info, unanswered};
use super::host::Host;
use super::step::Step;

/// For cc-ci's own edge: made where it is not there.
pub fn made_here(host: &dyn Host) -> Check {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Network {
        driver: String,
        attachable: bool,
    }
    const WHAT: &str = "network proxy";
    let create = Step::run([
        "docker",
        "network",
        "create",
        "--driver",
        "overlay",
        "--attachable",
        "proxy",
    ]);
    if info(host).is_err() {
        return unanswered(WHAT).fix([create]);
    }
    let answer = host.ask(&[
        "docker",
        "network",
        "inspect",
        "proxy",
        "--format",
        "{{json .}}",
    ]);
    if !answer.ok {
        let absent =
            answer.stderr.contains("not found") || answer.stderr.contains("No such network");
        return if absent {
            Check::missing(WHAT, "not there").fix([create])
        } else {
            Check::broken(WHAT, answer.stderr.trim())
        };
    }
    let again = format!("when nothing uses it any more: docker network rm proxy && {create}");
    match serde_json::from_str::<Network>(&answer.stdout) {
        Ok(Network { driver, .. }) if driver != "overlay" => {
            Check::broken(WHAT, format!("its driver is {driver}, and must be overlay"))
                .advise(again)
        }
        Ok(Network {
            attachable: false, ..
        }) => {
            Check::broken(WHAT, "not attachable: the edge's container can't join it").advise(again)
        }
        Ok(_) => Check::there(WHAT, "overlay, attachable"),
        Err(error) => Check::broken(WHAT, format!("docker's answer can't be read: {error}")),
    }
}

/// The same for a server's own proxy, which came before: an empty network in its place would only
/// hide that it is not there.
pub fn of_a_server(host: &dyn Host) -> Check {
    let check = made_here(host);
    if check.fix.is_empty() {
        return check;
    }
    check
        .fix([])
        .advise("deploy the server's Traefik, as docs/operate.md says, which joins this network")
}
