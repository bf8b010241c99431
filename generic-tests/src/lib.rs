//! Assertions that hold for any recipe.
//!
//! An overlay may call them itself and add to them. They look at the live app and at what operations learned; they perform no operation. This crate
//! must not know one recipe's facts.

pub mod backup;
pub mod install;
pub mod restore;
pub mod upgrade;

use harness::suite::{App, Assertion, Generic, Test};
use results::Tier;

/// The assertions of this crate, for [`Suite`].
pub struct Standard;

/// What a recipe crate builds on: the generic assertions, and its own.
pub type Suite = harness::suite::Suite<Standard>;

impl Generic for Standard {
    fn assertions() -> Vec<Assertion> {
        fn of(tier: Tier, name: &'static str, test: impl Test + 'static) -> Assertion {
            Assertion::new(tier, name, test)
        }
        use Tier::{Backup, Fresh, Install, Restore, Upgrade};
        vec![
            of(Install, "answers_over_https", install::answers_over_https),
            of(
                Install,
                "certificate_is_the_sites",
                install::certificate_is_the_sites,
            ),
            of(
                Install,
                "live_is_what_was_asked",
                install::live_is_what_was_asked,
            ),
            of(
                Install,
                "mounted_volumes_exist",
                install::mounted_volumes_exist,
            ),
            of(
                Install,
                "no_restarts_since_convergence",
                async |app: &App| install::no_restarts_since_convergence(app, Install).await,
            ),
            of(Install, "services_converged", install::services_converged),
            of(Upgrade, "answers_over_https", install::answers_over_https),
            of(Upgrade, "data_survived", upgrade::data_survived),
            of(Upgrade, "live_is_head", install::live_is_what_was_asked),
            of(Upgrade, "moved", upgrade::moved),
            of(
                Upgrade,
                "no_restarts_since_convergence",
                async |app: &App| install::no_restarts_since_convergence(app, Upgrade).await,
            ),
            of(Upgrade, "services_are_heads", upgrade::services_are_heads),
            of(
                Upgrade,
                "volumes_are_the_same",
                upgrade::volumes_are_the_same,
            ),
            of(Upgrade, "was_not_rolled_back", upgrade::was_not_rolled_back),
            of(
                Backup,
                "holds_every_labelled_path",
                backup::holds_every_labelled_path,
            ),
            of(Backup, "is_not_empty", backup::is_not_empty),
            of(Backup, "yields_a_snapshot_id", backup::yields_a_snapshot_id),
            of(Restore, "accepts_writes", restore::accepts_writes),
            of(Restore, "answers_over_https", install::answers_over_https),
            of(
                Restore,
                "undoes_changes_and_deletions",
                restore::undoes_changes_and_deletions,
            ),
            of(Fresh, "head_installs", install::head_installs),
        ]
    }
}
