//! Names of recipes, domains, runs, commits and versions, and those that are made of them.

use std::cmp::Ordering;
use std::path::{Component, Path};

use harness::recipe::{AppDomain, CommitSha, RecipeName, RunId, Source, Version};
use harness::session::paths::Paths;

/// Each line is a name of any kind.
pub(crate) fn holds(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.split('\n').take(16).collect();
    for line in &lines {
        one(line);
    }
    made(&lines);
    versions(&lines);
}

/// Whether it is one plain part of a path, and no option of a command.
fn is_one_part(text: &str) -> bool {
    let mut parts = Path::new(text).components();
    let one = matches!(parts.next(), Some(Component::Normal(_))) && parts.next().is_none();
    one && !text.starts_with('-')
        && text.is_ascii()
        && !text.contains(|c: char| c.is_control() || " \"'`$\\;&|<>%?#".contains(c))
}

fn one(text: &str) {
    if let Ok(recipe) = text.parse::<RecipeName>() {
        assert_eq!(recipe.as_str(), text);
        assert!(is_one_part(text) && text.len() <= 64, "recipe {text:?}");
    }
    if let Ok(run) = text.parse::<RunId>() {
        assert!(is_one_part(text) && text.len() <= 80, "run {text:?}");
        let state = Path::new("/state");
        let paths = Paths::new(state, &run);
        assert_eq!(paths.run.parent(), Some(state.join("runs").as_path()));
        assert_eq!(
            paths.private.parent(),
            Some(state.join("sessions").as_path())
        );
        assert!(paths.socket.as_os_str().len() <= 107);
    }
    if let Ok(domain) = text.parse::<AppDomain>() {
        assert!(is_one_part(text) && text.len() <= 253, "domain {text:?}");
        assert!(text.split('.').all(|label| (1..=63).contains(&label.len())));
        let stack = domain.stack();
        assert!(is_one_part(stack.as_str()) && stack.as_str().len() <= 45);
        assert!(!stack.as_str().contains('.'), "{stack}");
    }
    if let Ok(version) = text.parse::<Version>() {
        assert_eq!(version.to_string(), text);
        assert!(is_one_part(text), "version {text:?}");
    }
    if let Ok(commit) = text.parse::<CommitSha>() {
        assert!(commit.as_str().len() == 40 && text.starts_with(commit.short()));
    }
    if let Ok(source) = Source::parse(text) {
        let shown = source.to_string();
        assert!(
            !shown.starts_with('-') && !shown.contains('\0'),
            "source {shown:?}"
        );
    }
}

/// The names of a run's app: short, valid, and another one for another commit.
fn made(lines: &[&str]) {
    let [recipe, zone, ..] = lines else { return };
    let (Ok(recipe), Ok(zone)) = (recipe.parse::<RecipeName>(), zone.parse::<AppDomain>()) else {
        return;
    };
    let commit = |digit: char| digit.to_string().repeat(40).parse::<CommitSha>().unwrap();
    let app = AppDomain::of_run(&recipe, 1, &commit('a'), &zone);
    assert!(app.as_str().ends_with(&format!(".{zone}")), "{app}");
    assert_ne!(app, AppDomain::of_run(&recipe, 1, &commit('b'), &zone));
    assert_ne!(app, AppDomain::of_run(&recipe, 2, &commit('a'), &zone));
    let own = app.as_str().len() - zone.as_str().len();
    assert!(own <= "cust-123456.".len(), "{app}");
    if zone.as_str().len() <= 241 {
        assert_eq!(app.as_str().parse::<AppDomain>().as_ref(), Ok(&app));
    }
    // No app's objects are named like another's of its zone.
    for (recipe, pr) in [(recipe.as_str(), 2), ("cryptpad", 1)] {
        let recipe = recipe.parse().unwrap();
        let (ours, other) = (
            app.stack(),
            AppDomain::of_run(&recipe, pr, &commit('a'), &zone),
        );
        let theirs = other.stack();
        assert!(other == app || !theirs.object("x").starts_with(&ours.object("")));
        assert!(other == app || !ours.object("x").starts_with(&theirs.object("")));
    }
    // What tells apps apart is not cut off from the names of their objects.
    assert!(app.stack().as_str().starts_with(&app.as_str()[..own - 1]));
}

/// An order that holds whichever are compared.
fn versions(lines: &[&str]) {
    let versions: Vec<Version> = lines
        .iter()
        .filter_map(|line| line.parse().ok())
        .take(4)
        .collect();
    for a in &versions {
        for b in &versions {
            assert_eq!(a.cmp(b), b.cmp(a).reverse(), "{a} {b}");
            assert_eq!(a.cmp(b) == Ordering::Equal, a == b, "{a} {b}");
            for c in &versions {
                if a < b && b < c {
                    assert!(a < c, "{a} < {b} < {c}");
                }
            }
        }
    }
}
