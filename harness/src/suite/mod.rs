//! What a recipe crate is written with: a builder of settings, hooks, overlays and custom tests.
//!
//! Invariants: listing is static (no Docker, no network, no runtime, no state directory); names
//! sort in the order of a run; assertions perform no operations.

mod app;
mod last_word;
#[doc(hidden)]
pub mod repo_local;
mod settings;
mod trials;

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::process::ExitCode;

use futures_util::future::LocalBoxFuture;
use results::Tier;

pub use app::{App, Skip, skip};
pub use repo_local::{Approved, RepoLocal};
pub use settings::{ExtraEnv, ReadyProbe, Settings};
pub(crate) use trials::judge;
pub use trials::{list_nothing, refuse};

use crate::recipe::RecipeName;

/// What a test or a hook gives back. An error is the recipe's failure, unless it is (or wraps) a
/// [`crate::fault::Fault::Infra`], which is cc-ci's or the host's, or comes from [`skip`].
pub type TestResult = anyhow::Result<()>;

/// A test or a hook: an async function of the live app.
pub trait Test: Send + Sync {
    fn run<'a>(&'a self, app: &'a App) -> LocalBoxFuture<'a, TestResult>;
}

impl<F> Test for F
where
    F: AsyncFn(&App) -> TestResult + Send + Sync,
{
    fn run<'a>(&'a self, app: &'a App) -> LocalBoxFuture<'a, TestResult> {
        Box::pin(self(app))
    }
}

/// A named assertion of one tier.
pub struct Assertion {
    pub tier: Tier,
    pub name: &'static str,
    pub test: Box<dyn Test>,
}

impl Assertion {
    pub fn new(tier: Tier, name: &'static str, test: impl Test + 'static) -> Self {
        Self {
            tier,
            name,
            test: Box::new(test),
        }
    }
}

/// Where the assertions that hold for any recipe come from.
pub trait Generic {
    fn assertions() -> Vec<Assertion>;
}

/// A moment before an operation at which a recipe's own code runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    Install,
    Upgrade,
    Backup,
    Restore,
    Custom,
    /// Not before, but after: is the dump that the backup took whole?
    VerifyBackup,
}

impl Hook {
    pub const ALL: [Self; 6] = [
        Self::Install,
        Self::Upgrade,
        Self::Backup,
        Self::Restore,
        Self::Custom,
        Self::VerifyBackup,
    ];

    /// As in the builder, in messages and in repo-local file names (with `-` for `_`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Install => "before_install",
            Self::Upgrade => "before_upgrade",
            Self::Backup => "before_backup",
            Self::Restore => "before_restore",
            Self::Custom => "before_custom",
            Self::VerifyBackup => "backup_verify",
        }
    }
}

/// The tests of one recipe.
pub struct Suite<G> {
    pub(crate) recipe: RecipeName,
    pub(crate) settings: Settings,
    pub(crate) hooks: BTreeMap<Hook, Box<dyn Test>>,
    /// The recipe's own assertions for lifecycle tiers.
    pub(crate) overlays: Vec<Assertion>,
    pub(crate) customs: Vec<Assertion>,
    pub(crate) approved: Approved,
    generic: PhantomData<G>,
}

impl<G: Generic> Suite<G> {
    /// # Panics
    ///
    /// If `recipe` is no recipe name: that is the author's slip, and shows at the first listing.
    pub fn new(recipe: &str) -> Self {
        Self::of(recipe.parse().unwrap_or_else(|error| panic!("{error}")))
    }

    pub fn of(recipe: RecipeName) -> Self {
        Self {
            recipe,
            settings: Settings::default(),
            hooks: BTreeMap::new(),
            overlays: Vec::new(),
            customs: Vec::new(),
            approved: Approved::list(),
            generic: PhantomData,
        }
    }

    /// Runs after the app was made and before its first deploy; nothing is running then.
    pub fn before_install(self, hook: impl Test + 'static) -> Self {
        self.hook(Hook::Install, hook)
    }

    /// Runs in the live base, before the redeploy to head: seeds what must survive.
    pub fn before_upgrade(self, hook: impl Test + 'static) -> Self {
        self.hook(Hook::Upgrade, hook)
    }

    /// Runs before the backup: seeds what must come back.
    pub fn before_backup(self, hook: impl Test + 'static) -> Self {
        self.hook(Hook::Backup, hook)
    }

    /// Runs before the restore: changes what the restore must undo.
    pub fn before_restore(self, hook: impl Test + 'static) -> Self {
        self.hook(Hook::Restore, hook)
    }

    /// Runs before the custom tests.
    pub fn before_custom(self, hook: impl Test + 'static) -> Self {
        self.hook(Hook::Custom, hook)
    }

    /// Runs after a backup, up to three times: fails if the dump in the volume is empty or cut.
    pub fn backup_verify(self, hook: impl Test + 'static) -> Self {
        self.hook(Hook::VerifyBackup, hook)
    }

    pub fn install(self, name: &'static str, test: impl Test + 'static) -> Self {
        self.overlay(Tier::Install, name, test)
    }

    pub fn upgrade(self, name: &'static str, test: impl Test + 'static) -> Self {
        self.overlay(Tier::Upgrade, name, test)
    }

    pub fn backup(self, name: &'static str, test: impl Test + 'static) -> Self {
        self.overlay(Tier::Backup, name, test)
    }

    pub fn restore(self, name: &'static str, test: impl Test + 'static) -> Self {
        self.overlay(Tier::Restore, name, test)
    }

    /// A functional test of what the app is for.
    pub fn custom(mut self, name: &'static str, test: impl Test + 'static) -> Self {
        self.customs.push(Assertion::new(Tier::Custom, name, test));
        self
    }

    /// The path that answers when the app is up. `/` where nothing is said.
    pub fn health_path(mut self, path: &str) -> Self {
        self.settings.health_path = path.to_owned();
        self
    }

    /// The statuses that mean up. 200, 301, 302 where nothing is said.
    pub fn health_ok(mut self, statuses: &[u16]) -> Self {
        self.settings.health_ok = statuses.to_vec();
        self
    }

    pub fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Variables of the app's `.env` that depend on its domain.
    pub fn extra_env(mut self, env: ExtraEnv) -> Self {
        self.settings.extra_env = Some(env);
        self
    }

    /// Another list of recipes whose own code may run, for the project's tests of that. A recipe's
    /// crate has no use for it: the house rules refuse it outside `harness/tests`.
    #[doc(hidden)]
    pub fn approved_for_test(mut self, approved: Approved) -> Self {
        self.approved = approved;
        self
    }

    fn hook(mut self, hook: Hook, run: impl Test + 'static) -> Self {
        let before = self.hooks.insert(hook, Box::new(run));
        assert!(before.is_none(), "{} is given twice", hook.name());
        self
    }

    fn overlay(mut self, tier: Tier, name: &'static str, test: impl Test + 'static) -> Self {
        self.overlays.push(Assertion::new(tier, name, test));
        self
    }

    /// Lists, runs trials, or takes the role that the arguments ask for.
    pub fn main(self) -> ExitCode {
        trials::main(self)
    }
}
