//! Tests that the recipe repository itself ships in `tests/`: found always, run only for recipes
//! on the list.
//!
//! Invariants: default deny; only regular executable files inside `tests/` run; they get a cleared
//! environment, no descriptor but the output, a deadline that ends all their processes, and an
//! unprivileged user where we are root; they see copies and never the session's own files, write in
//! a folder of their own, and reach the proxy's port and no other over TCP.

mod confine;
mod find;
mod network;
mod room;
mod run;

use std::collections::BTreeSet;

pub use confine::{CONFINE_ROLE, confine};
pub use find::RepoLocal;
pub use run::{Ran, Surroundings, output_of, run};

use crate::recipe::RecipeName;

/// The recipes whose repo-local code may run.
#[derive(Debug, Clone)]
pub struct Approved(BTreeSet<RecipeName>);

impl Approved {
    /// The project's list.
    pub fn list() -> Self {
        Self::parse(include_str!("../../../../recipes/repo-local-approved.txt"))
    }

    /// One name a line, `#` comments. What is no recipe name approves nobody.
    pub fn parse(text: &str) -> Self {
        let name = |line: &str| {
            line.split('#')
                .next()
                .unwrap_or_default()
                .trim()
                .parse()
                .ok()
        };
        Self(text.lines().filter_map(name).collect())
    }

    pub fn allows(&self, recipe: &RecipeName) -> bool {
        self.0.contains(recipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::empty("", false)]
    #[case::commented("# custom-html", false)]
    #[case::wildcard("*", false)]
    #[case::other("custom-html-tiny", false)]
    #[case::named("keycloak\n custom-html # reviewed\n", true)]
    fn only_a_named_recipe_is_approved(#[case] list: &str, #[case] allowed: bool) {
        assert_eq!(
            Approved::parse(list).allows(&"custom-html".parse().unwrap()),
            allowed
        );
    }

    #[test]
    fn nobody_is_approved_by_the_projects_list() {
        assert_eq!(Approved::list().0, BTreeSet::new());
    }
}
