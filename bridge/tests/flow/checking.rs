//! `check`: what an operator is told before the first comment.

use bridge::check::{check, table};
use forge_model::gitea::NewRepo;

use crate::world::{BOT, ORG, World};

async fn checked(world: &World) -> (bool, String) {
    let findings = check(&world.config()).await.unwrap();
    let good = findings.iter().all(|finding| finding.good);
    (good, table(&findings))
}

#[tokio::test]
async fn a_sound_installation_is_good() {
    let world = World::new().await;
    let (good, said) = checked(&world).await;
    assert!(good, "{said}");
    for what in [
        "cc-ci-bot is a member of coop",
        "coop/keycloak: comments and commit statuses",
        "the webhook /hook is on",
    ] {
        assert!(said.contains(what), "{what}: {said}");
    }
}

#[tokio::test]
async fn each_thing_that_is_missing_is_named_with_what_to_do() {
    let mut world = World::new().await;
    let wrong = async |world: &World, what: &str| {
        let (good, said) = checked(world).await;
        assert!(!good && said.contains(what), "{what}: {said}");
    };
    world.gitea.remove_member(ORG, BOT).unwrap();
    wrong(&world, "is no member of coop, so it sees none").await;

    world
        .gitea
        .clock()
        .jump(jiff::SignedDuration::from_mins(10));
    wrong(&world, "set both by NTP").await;
    world
        .gitea
        .clock()
        .jump(jiff::SignedDuration::from_mins(-10));

    world
        .gitea
        .add_repo(NewRepo::new("coop/old").archived())
        .unwrap();
    world.poll = "repositories = [\"coop/old\", \"coop/none\"]".to_owned();
    wrong(&world, "coop/old is archived").await;
    wrong(&world, "coop/none: ").await;

    world.poll = "organisations = [{ name = \"coop\", topic = \"nobody\" }]".to_owned();
    wrong(&world, "0 of coop carry the topic nobody").await;

    world.drone.set_timeout(crate::world::CI, 30);
    wrong(&world, "30 min").await;

    world.secret("forge", "no-token-of-anybody");
    wrong(&world, "401").await;
}
