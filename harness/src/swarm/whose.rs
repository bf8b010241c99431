//! Whose an object is, by more than a label: the stack's if it came after the app's start, its name
//! begins with the stack's, and its namespace label is the stack's or none.
//!
//! A label alone proves nothing: Docker itself puts it on what a compose file names, whosever that
//! is. A name alone is proof enough only of what was not there before: secrets that an engine
//! inserted have no label.

use std::collections::HashMap;

use super::NAMESPACE;
use super::before::{Before, Kind};
use crate::recipe::StackName;

/// Whose an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    Stack {
        labelled: bool,
    },
    /// The stack's by its name alone, with nothing noted: left, and named.
    Doubtful,
    /// Somebody else's, which looks like the stack's.
    Foreign,
    Another,
}

fn whose(
    stack: &StackName,
    before: &Before,
    (kind, id): (Kind, &str),
    name: &str,
    label: Option<&str>,
) -> Whose {
    let named = name.starts_with(&stack.object(""));
    let labelled = match label {
        Some(label) if label == stack.as_str() => true,
        Some(_) => return Whose::Another,
        None if named => false,
        None => return Whose::Another,
    };
    match before.had(kind, id) {
        _ if !named => Whose::Foreign,
        Some(true) => Whose::Foreign,
        None if !labelled => Whose::Doubtful,
        Some(false) | None => Whose::Stack { labelled },
    }
}

/// An object that has to do with the stack.
pub struct Claimed<T> {
    pub kind: Kind,
    pub name: String,
    pub whose: Whose,
    pub object: T,
}

impl<T> Claimed<T> {
    /// None: it has nothing to do with the stack.
    pub fn of(
        (stack, before): (&StackName, &Before),
        (kind, id): (Kind, &str),
        name: String,
        labels: Option<&HashMap<String, String>>,
        object: T,
    ) -> Option<Self> {
        let label = labels.and_then(|labels| labels.get(NAMESPACE));
        let label = label.map(String::as_str);
        let whose = whose(stack, before, (kind, id), &name, label);
        (whose != Whose::Another).then_some(Self {
            kind,
            name,
            whose,
            object,
        })
    }

    pub fn is_own(&self) -> bool {
        matches!(self.whose, Whose::Stack { .. })
    }
}

/// The objects that are the stack's own.
pub fn own<T>(claimed: Vec<Claimed<T>>) -> Vec<T> {
    let own = claimed.into_iter().filter(Claimed::is_own);
    own.map(|claimed| claimed.object).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::recipe::AppDomain;
    use crate::swarm::Objects;

    fn stack(domain: &str) -> StackName {
        domain.parse::<AppDomain>().unwrap().stack()
    }

    const OURS: Option<&str> = Some("a_ci_test");

    #[rstest::rstest]
    #[case::made_by_the_stack("new", "a_ci_test_data", OURS, Whose::Stack { labelled: true })]
    #[case::inserted_by_an_engine("new", "a_ci_test_pw", None, Whose::Stack { labelled: false })]
    #[case::there_before("old", "a_ci_test_data", OURS, Whose::Foreign)]
    #[case::there_before_without_label("old", "a_ci_test_data", None, Whose::Foreign)]
    #[case::relabelled("old", "site-config", OURS, Whose::Foreign)]
    #[case::another_name("new", "site-config", OURS, Whose::Foreign)]
    #[case::the_name_itself("new", "a_ci_test", OURS, Whose::Foreign)]
    #[case::another_label("new", "a_ci_test_data", Some("a_ci_test_data"), Whose::Another)]
    #[case::longer_name("new", "a_ci_tests_data", None, Whose::Another)]
    #[case::nobodys("new", "proxy", None, Whose::Another)]
    fn what_is_the_stacks_is_known_by_more_than_its_label(
        #[case] id: &str,
        #[case] name: &str,
        #[case] label: Option<&str>,
        #[case] expected: Whose,
    ) {
        let objects = Objects {
            configs: ["old".to_owned()].into(),
            ..Objects::default()
        };
        let before = Before::Noted(Arc::new(objects));
        let found = whose(
            &stack("a.ci.test"),
            &before,
            (Kind::Config, id),
            name,
            label,
        );
        assert_eq!(found, expected);
    }

    #[rstest::rstest]
    #[case::made_by_the_stack("a_ci_test_data", OURS, Whose::Stack { labelled: true })]
    #[case::by_its_name_alone("a_ci_test_data", None, Whose::Doubtful)]
    #[case::by_its_label_alone("site-config", OURS, Whose::Foreign)]
    fn without_a_note_a_name_alone_is_no_proof(
        #[case] name: &str,
        #[case] label: Option<&str>,
        #[case] expected: Whose,
    ) {
        let stack = stack("a.ci.test");
        let found = whose(&stack, &Before::Unknown, (Kind::Volume, name), name, label);
        assert_eq!(found, expected);
    }
}
