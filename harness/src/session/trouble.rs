//! Whether the host is at fault just now: an engine that does not answer, a node that takes no
//! tasks. What fails meanwhile says nothing about the recipe.

use std::time::Duration;

use bollard::models::NodeSpecAvailabilityEnum;
use results::Outcome;

use crate::swarm::Swarm;

/// How long a living engine takes to say so, on a busy host.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// The outcome; where it is a failure and the host is in trouble, an error that says both.
pub async fn fairly(outcome: Outcome, swarm: Option<Swarm>) -> Outcome {
    match (&outcome, swarm) {
        (Outcome::Fail { .. }, Some(swarm)) => without_blame(outcome, trouble(&swarm).await),
        _ => outcome,
    }
}

async fn trouble(swarm: &Swarm) -> Option<String> {
    let look = async {
        let id = swarm
            .docker()
            .info()
            .await?
            .swarm
            .and_then(|swarm| swarm.node_id);
        match id {
            Some(id) => swarm.docker().inspect_node(&id).await.map(Some),
            None => Ok(None),
        }
    };
    let node = match tokio::time::timeout(ANSWERS_WITHIN, look).await {
        Ok(Ok(node)) => node,
        Ok(Err(error)) => return Some(format!("Docker does not answer ({error})")),
        Err(_) => return Some("Docker does not answer".to_owned()),
    };
    match node.and_then(|node| node.spec?.availability) {
        Some(NodeSpecAvailabilityEnum::ACTIVE) => None,
        Some(other) => Some(format!("this node takes no tasks (`{other}`)")),
        None => Some("this node is in no swarm".to_owned()),
    }
}

fn without_blame(outcome: Outcome, trouble: Option<String>) -> Outcome {
    match (outcome, trouble) {
        (Outcome::Fail { reason }, Some(trouble)) => {
            Outcome::error(format!("{trouble}; before that was seen: {reason}"))
        }
        (outcome, _) => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(Outcome::fail("404"), None, Outcome::fail("404"))]
    #[case(
        Outcome::fail("refused"),
        Some("Docker does not answer"),
        Outcome::error("Docker does not answer; before that was seen: refused")
    )]
    #[case(Outcome::Pass, Some("Docker does not answer"), Outcome::Pass)]
    fn a_recipe_is_not_blamed_while_the_host_is_in_trouble(
        #[case] outcome: Outcome,
        #[case] trouble: Option<&str>,
        #[case] expected: Outcome,
    ) {
        assert_eq!(without_blame(outcome, trouble.map(str::to_owned)), expected);
    }

    #[tokio::test]
    async fn docker_a_failure_on_a_sound_host_stays_a_failure() {
        let swarm = Swarm::connect().await.unwrap();
        let fail = Outcome::fail("404");
        assert_eq!(fairly(fail.clone(), Some(swarm)).await, fail);
    }
}
