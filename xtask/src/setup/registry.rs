//! What dead runs left on this engine, and files that are not believed: for a person to judge.

use harness::session::locks::{Registry, Unsettled};
use harness::swarm::Swarm;

use super::Check;

const WHAT: &str = "dead runs";

/// Nothing where Docker does not answer, which is said elsewhere.
pub async fn inspect() -> Vec<Check> {
    let Ok(swarm) = Swarm::connect().await else {
        return Vec::new();
    };
    match Registry::of_engine(&swarm).and_then(|registry| registry.unsettled()) {
        Ok(unsettled) => checks(unsettled),
        // It says itself what to do.
        Err(fault) => vec![Check::broken(WHAT, fault.to_string())],
    }
}

/// None of it stands in the way of a run.
fn checks(unsettled: Vec<Unsettled>) -> Vec<Check> {
    if unsettled.is_empty() {
        return vec![Check::there(WHAT, "none has left anything")];
    }
    let check = |it: Unsettled| Check::broken(WHAT, it.what).advise(it.mend).wanted();
    unsettled.into_iter().map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_leftover_is_a_line_with_its_command_and_no_reason_not_to_run() {
        let leftover = Unsettled {
            what: "the app a.ci.test of the dead run r is still there".to_owned(),
            mend: "cargo xtask reap r".to_owned(),
        };
        let checks = checks(vec![leftover]);
        assert_eq!(checks[0].remedy().as_deref(), Some("cargo xtask reap r"));
        assert_eq!(checks[0].weight, crate::setup::Weight::Wanted);
        assert!(!checks[0].is_there());
        assert!(self::checks(Vec::new())[0].is_there());
    }
}
