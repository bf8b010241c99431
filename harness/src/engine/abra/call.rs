//! The command lines of abra: every call that cc-ci makes, in one place.
//!
//! Flags stand right after the command, where all versions take them. Which ones a version does
//! not take is a table; one that is not known to be taken is left out when abra refuses it, for
//! it refuses before it does anything.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use super::version::Version;
use crate::recipe::{AppDomain, RecipeName};

/// For what changes nothing but files, or the swarm by one object.
const SHORT: Duration = Duration::from_secs(60);
/// abra hands services over and does not wait for them.
const DEPLOY: Duration = Duration::from_secs(180);
/// It may wait for tasks to stop.
const UNDEPLOY: Duration = Duration::from_secs(180);
/// Hooks, and a copy of all volumes.
const BACKUP: Duration = Duration::from_secs(1800);

/// One call of abra.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub words: &'static [&'static str],
    flags: Vec<Flag>,
    args: Vec<OsString>,
    /// Whether abra wants a terminal for it.
    pub terminal: bool,
    pub deadline: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Flag {
    name: &'static str,
    value: Option<OsString>,
    /// Whether the call means something else without it.
    needed: bool,
}

/// Flags that versions below this one do not take with this command.
const TAKEN_SINCE: &[(&[&str], &str, Version)] = &[
    // The pin in the app's file came with 0.10, and with it what looks past it.
    (
        &["app", "secret", "insert"],
        "--chaos",
        Version::new(0, 10, 0),
    ),
    (
        &["app", "backup", "create"],
        "--chaos",
        Version::new(0, 10, 0),
    ),
    (
        &["app", "backup", "snapshots"],
        "--chaos",
        Version::new(0, 10, 0),
    ),
    (
        &["app", "backup", "download"],
        "--chaos",
        Version::new(0, 10, 0),
    ),
    (&["app", "restore"], "--chaos", Version::new(0, 10, 0)),
    (&["app", "undeploy"], "--chaos", Version::new(0, 10, 0)),
    (&["app", "remove"], "--chaos", Version::new(0, 10, 0)),
];

impl Call {
    fn new(words: &'static [&'static str], deadline: Duration) -> Self {
        let call = Self {
            words,
            flags: Vec::new(),
            args: Vec::new(),
            terminal: false,
            deadline,
        };
        // Nothing may ask, and nothing may fetch: the recipe was fetched before.
        call.needs("--no-input").likes("--offline")
    }

    /// A flag without which something else would be done.
    fn needs(self, name: &'static str) -> Self {
        self.flag(name, None, true)
    }

    /// A flag that only guards against what this version may not do at all.
    fn likes(self, name: &'static str) -> Self {
        self.flag(name, None, false)
    }

    fn with(self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.flag(name, Some(value.as_ref().to_owned()), true)
    }

    fn flag(mut self, name: &'static str, value: Option<OsString>, needed: bool) -> Self {
        self.flags.push(Flag {
            name,
            value,
            needed,
        });
        self
    }

    fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    fn in_terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// The arguments for this version.
    pub fn arguments(&self, version: Option<Version>) -> Vec<OsString> {
        let taken = |flag: &&Flag| {
            version.is_none_or(|version| {
                !TAKEN_SINCE.iter().any(|(words, name, since)| {
                    *words == self.words && *name == flag.name && version < *since
                })
            })
        };
        let mut arguments: Vec<OsString> = self.words.iter().map(OsString::from).collect();
        for flag in self.flags.iter().filter(taken) {
            arguments.push(flag.name.into());
            arguments.extend(flag.value.clone());
        }
        arguments.extend(self.args.iter().cloned());
        arguments
    }

    /// The call without a flag that abra says it does not know; none where it can't do without.
    pub fn without(&self, flag: &str) -> Option<Self> {
        let at = self.flags.iter().position(|known| known.name == flag)?;
        if self.flags[at].needed {
            return None;
        }
        let mut call = self.clone();
        call.flags.remove(at);
        Some(call)
    }

    /// For people: `abra app deploy`.
    pub fn shown(&self) -> String {
        format!("abra {}", self.words.join(" "))
    }
}

/// The app's file, from the recipe as it is checked out.
pub fn app_new(recipe: &RecipeName, server: &str, domain: &AppDomain) -> Call {
    Call::new(&["app", "new"], SHORT)
        .likes("--chaos")
        .with("--server", server)
        .with("--domain", domain.as_str())
        .arg(recipe.as_str())
}

pub fn secret_insert(domain: &AppDomain, secret: &str, version: &str, file: &Path) -> Call {
    Call::new(&["app", "secret", "insert"], SHORT)
        .likes("--chaos")
        .needs("-f")
        .arg(domain.as_str())
        .arg(secret)
        .arg(version)
        .arg(file)
}

/// A published version, or the checkout as it is. `again`: something of the app is live.
pub fn deploy(domain: &AppDomain, version: Option<&str>, again: bool) -> Call {
    let mut call = Call::new(&["app", "deploy"], DEPLOY)
        .needs("--no-converge-checks")
        .needs("--no-domain-checks");
    if again {
        call = call.needs("--force");
    }
    match version {
        Some(version) => call.arg(domain.as_str()).arg(version),
        None => call.needs("--chaos").arg(domain.as_str()),
    }
}

pub fn undeploy(domain: &AppDomain) -> Call {
    Call::new(&["app", "undeploy"], UNDEPLOY)
        .likes("--chaos")
        .in_terminal()
        .arg(domain.as_str())
}

/// The app's file, its secrets and its volumes.
pub fn remove(domain: &AppDomain) -> Call {
    Call::new(&["app", "remove"], SHORT)
        .likes("--chaos")
        .needs("--force")
        .in_terminal()
        .arg(domain.as_str())
}

pub fn backup_create(domain: &AppDomain) -> Call {
    Call::new(&["app", "backup", "create"], BACKUP)
        .likes("--chaos")
        .in_terminal()
        .arg(domain.as_str())
}

pub fn backup_snapshots(domain: &AppDomain) -> Call {
    Call::new(&["app", "backup", "snapshots"], SHORT)
        .likes("--chaos")
        .in_terminal()
        .arg(domain.as_str())
}

pub fn backup_download(domain: &AppDomain, snapshot: &str) -> Call {
    Call::new(&["app", "backup", "download"], BACKUP)
        .likes("--chaos")
        .with("--snapshot", snapshot)
        .in_terminal()
        .arg(domain.as_str())
}

pub fn restore(domain: &AppDomain, snapshot: &str) -> Call {
    Call::new(&["app", "restore"], BACKUP)
        .likes("--chaos")
        .with("--snapshot", snapshot)
        .in_terminal()
        .arg(domain.as_str())
}

pub fn lint(recipe: &RecipeName) -> Call {
    Call::new(&["recipe", "lint"], SHORT)
        .likes("--chaos")
        .in_terminal()
        .arg(recipe.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(call: &Call, version: Option<Version>) -> String {
        let arguments = call.arguments(version);
        let words = arguments.iter().map(|word| word.to_string_lossy());
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn flags_stand_before_what_they_are_about() {
        let domain: AppDomain = "a.ci.test".parse().unwrap();
        let recipe: RecipeName = "custom-html".parse().unwrap();
        let calls = [
            app_new(&recipe, "default", &domain),
            secret_insert(&domain, "pw", "v1", Path::new("/run/x")),
            deploy(&domain, Some("1.0.0+2.0"), false),
            deploy(&domain, None, true),
            undeploy(&domain),
            remove(&domain),
            backup_create(&domain),
            backup_snapshots(&domain),
            backup_download(&domain, "0123abcd"),
            restore(&domain, "0123abcd"),
            lint(&recipe),
        ];
        let lines: Vec<_> = calls.iter().map(|call| shown(call, None)).collect();
        insta::assert_snapshot!(lines.join("\n"), @"
        app new --no-input --offline --chaos --server default --domain a.ci.test custom-html
        app secret insert --no-input --offline --chaos -f a.ci.test pw v1 /run/x
        app deploy --no-input --offline --no-converge-checks --no-domain-checks a.ci.test 1.0.0+2.0
        app deploy --no-input --offline --no-converge-checks --no-domain-checks --force --chaos a.ci.test
        app undeploy --no-input --offline --chaos a.ci.test
        app remove --no-input --offline --chaos --force a.ci.test
        app backup create --no-input --offline --chaos a.ci.test
        app backup snapshots --no-input --offline --chaos a.ci.test
        app backup download --no-input --offline --chaos --snapshot 0123abcd a.ci.test
        app restore --no-input --offline --chaos --snapshot 0123abcd a.ci.test
        recipe lint --no-input --offline --chaos custom-html
        ");
    }

    #[test]
    fn a_flag_that_a_version_does_not_take_is_left_out() {
        let call = undeploy(&"a.ci.test".parse().unwrap());
        let old = shown(&call, Some(Version::new(0, 9, 0)));
        assert_eq!(old, "app undeploy --no-input --offline a.ci.test");
        let new = shown(&call, Some(Version::new(0, 10, 0)));
        assert_eq!(new, "app undeploy --no-input --offline --chaos a.ci.test");
    }

    #[test]
    fn only_a_guard_can_be_left_out() {
        let domain = "a.ci.test".parse().unwrap();
        let chaos = deploy(&domain, None, false);
        assert_eq!(chaos.without("--chaos"), None);
        assert_eq!(chaos.without("--no-such"), None);
        let guarded = restore(&domain, "0123abcd");
        let bare = guarded.without("--chaos").unwrap();
        assert!(!shown(&bare, None).contains("--chaos"));
    }
}
