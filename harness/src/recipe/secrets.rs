//! The secrets and configs that an app needs: names, versions, and values for those that may be
//! generated.

use std::collections::BTreeSet;

use rand::seq::IndexedRandom;

use crate::fault::Fault;
use crate::recipe::compose::variables_in;
use crate::recipe::env::{Charset, Modifiers};
use crate::recipe::names::LONGEST_OBJECT_NAME;
use crate::recipe::{Compose, EnvFile, StackName};

/// The length of a generated secret that nobody gave a length.
const LENGTH: u32 = 32;
/// Letters and digits without those that look alike.
const CLEAR: &str = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const SPECIAL: &str = "!@#$%^&*_-+=";
/// Of those, what neither a shell nor a URL nor YAML takes for its own.
const SAFE_SPECIAL: &str = "_-.";

/// A secret that must be in the swarm before the deploy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSpec {
    /// Key in the compose file.
    pub key: String,
    /// Full name in the swarm.
    pub name: String,
    /// What follows the last `_` of the name.
    pub version: String,
    /// The variable in the name that carries the version, where there is one.
    pub variable: Option<String>,
    pub modifiers: Modifiers,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error(
        "secret `{key}`: `{raw}` has become `{name}`, which ends without a version; set {} in .env.sample", variable.as_deref().map_or_else(|| "a version".to_owned(), |name| format!("`{name}=v1`"))
    )]
    NoVersion {
        key: String,
        raw: String,
        name: String,
        variable: Option<String>,
    },
    #[error(
        "{}; swarm takes at most {LONGEST_OBJECT_NAME} characters, so shorten {}",
        list(.0),
        if .0.len() == 1 { "it" } else { "them" }
    )]
    TooLong(Vec<TooLong>),
}

/// A name that swarm would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLong {
    /// `secret` or `config`.
    pub kind: &'static str,
    pub name: String,
    pub length: usize,
}

impl From<SecretError> for Fault {
    fn from(error: SecretError) -> Self {
        Self::recipe(error.to_string())
    }
}

fn list(names: &[TooLong]) -> String {
    let names = names.iter().map(|one| {
        format!(
            "the {} name `{}` has {} characters",
            one.kind, one.name, one.length
        )
    });
    names.collect::<Vec<_>>().join(", ")
}

/// The external secrets that services of the selected compose files use, in the order of their
/// keys. What a comment in the env file asks of a secret is found by the variable that occurs in
/// the secret's name.
pub fn plan(compose: &Compose, env: &EnvFile) -> Result<Vec<SecretSpec>, SecretError> {
    let used = compose
        .services
        .values()
        .flat_map(|service| &service.secrets)
        .map(|grant| grant.source.as_str())
        .collect::<BTreeSet<_>>();
    used.into_iter()
        .filter_map(|key| Some((key, compose.secrets.get(key)?)))
        .filter(|(_, secret)| secret.external)
        .map(|(key, secret)| {
            let raw = secret.raw_name.as_deref().unwrap_or(key);
            let name = secret.name.clone().unwrap_or_else(|| key.to_owned());
            let variable = variables_in(raw)
                .into_iter()
                .rfind(|variable| *variable != "STACK_NAME")
                .map(str::to_owned);
            let version = name.rsplit_once('_').map_or("", |(_, version)| version);
            if version.is_empty() && name.ends_with('_') {
                return Err(SecretError::NoVersion {
                    key: key.to_owned(),
                    raw: raw.to_owned(),
                    name,
                    variable,
                });
            }
            Ok(SecretSpec {
                key: key.to_owned(),
                version: version.to_owned(),
                modifiers: variable
                    .as_deref()
                    .map(|variable| env.modifiers(variable))
                    .unwrap_or_default(),
                name,
                variable,
            })
        })
        .collect()
}

/// Refuses the names of secrets and configs that swarm would refuse.
pub fn check_names(compose: &Compose, stack: &StackName) -> Result<(), SecretError> {
    let mut too_long = Vec::new();
    for (kind, objects) in [("secret", &compose.secrets), ("config", &compose.configs)] {
        for (key, object) in objects {
            let name = match &object.name {
                Some(name) => name.clone(),
                None if object.external => key.clone(),
                None => stack.object(key),
            };
            let length = name.chars().count();
            if length > LONGEST_OBJECT_NAME {
                too_long.push(TooLong { kind, name, length });
            }
        }
    }
    if too_long.is_empty() {
        Ok(())
    } else {
        Err(SecretError::TooLong(too_long))
    }
}

/// A value for the secret; none where somebody must give it.
pub fn generate(spec: &SecretSpec) -> Option<String> {
    if !spec.modifiers.generate {
        return None;
    }
    let alphabet = match spec.modifiers.charset.unwrap_or(Charset::Default) {
        Charset::Default => CLEAR.to_owned(),
        Charset::Hex => "0123456789abcdef".to_owned(),
        Charset::Alnum => ('0'..='9').chain('a'..='z').chain('A'..='Z').collect(),
        Charset::Special => format!("{CLEAR}{SPECIAL}"),
        Charset::SafeSpecial => format!("{CLEAR}{SAFE_SPECIAL}"),
    };
    let alphabet = alphabet.chars().collect::<Vec<_>>();
    let mut source = rand::rng();
    let length = spec.modifiers.length.unwrap_or(LENGTH);
    (0..length)
        .map(|_| alphabet.choose(&mut source).copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::recipe::AppDomain;

    fn load(text: &str, env: &EnvFile) -> Compose {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("compose.yml"), text).unwrap();
        let mut variables: BTreeMap<_, _> = env.variables().clone();
        variables.insert("STACK_NAME".into(), "foo_ci_test".into());
        Compose::load(dir.path(), &["compose.yml".into()], &variables).unwrap()
    }

    const RECIPE: &str = r#"
services:
  app: {image: a, secrets: [db, given]}
  job: {image: a, secrets: [{source: db, target: x}, key, internal]}
secrets:
  db: {external: true, name: "${STACK_NAME}_db_${SECRET_DB_VERSION}"}
  key: {external: true, name: "${STACK_NAME}_key_${KEY_V:-v3}"}
  given: {external: true, name: "${STACK_NAME}_given_${SECRET_GIVEN_VERSION}"}
  unused: {external: true, name: "${STACK_NAME}_unused_v1"}
  internal: {file: ./compose.yml}
"#;

    fn env() -> EnvFile {
        EnvFile::parse(
            "SECRET_DB_VERSION=v2 # length=64 charset=hex\n# KEY_V=v1 # length=8\nSECRET_GIVEN_VERSION=v1 # generate=false\n",
        )
        .unwrap()
    }

    #[test]
    fn only_external_secrets_that_services_use_are_planned() {
        let specs = plan(&load(RECIPE, &env()), &env()).unwrap();
        let seen = specs
            .iter()
            .map(|spec| {
                let value = generate(spec);
                format!(
                    "{} {} {:?}",
                    spec.name,
                    spec.version,
                    value.map(|value| value.len())
                )
            })
            .collect::<Vec<_>>();
        insta::assert_snapshot!(seen.join("\n"), @r"
        foo_ci_test_db_v2 v2 Some(64)
        foo_ci_test_given_v1 v1 None
        foo_ci_test_key_v3 v3 Some(8)
        ");
        let value = generate(&specs[0]).unwrap();
        assert!(
            value
                .chars()
                .all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
        );
        assert_ne!(generate(&specs[0]), generate(&specs[0]));
    }

    #[test]
    fn a_secret_without_a_version_names_the_variable() {
        let env = EnvFile::parse("SECRET_GIVEN_VERSION=v1").unwrap();
        let error = plan(&load(RECIPE, &env), &env).unwrap_err();
        insta::assert_snapshot!(error, @"secret `db`: `${STACK_NAME}_db_${SECRET_DB_VERSION}` has become `foo_ci_test_db_`, which ends without a version; set `SECRET_DB_VERSION=v1` in .env.sample");
    }

    #[test]
    fn a_generated_secret_has_no_characters_that_look_alike() {
        let spec = SecretSpec {
            key: "a".into(),
            name: "s_a_v1".into(),
            version: "v1".into(),
            variable: None,
            modifiers: Modifiers {
                length: Some(1024),
                ..Modifiers::default()
            },
        };
        assert!(!generate(&spec).unwrap().contains(['l', 'I', 'O', '0', '1']));
    }

    #[test]
    fn names_over_64_characters_are_refused_and_named() {
        let stack = "foo.ci.test".parse::<AppDomain>().unwrap().stack();
        let long = "a".repeat(53);
        let fits = "b".repeat(52);
        let text = format!(
            "services: {{app: {{image: a}}}}\nconfigs: {{{long}: {{file: compose.yml}}, {fits}: {{file: compose.yml}}}}"
        );
        let error = check_names(&load(&text, &EnvFile::default()), &stack).unwrap_err();
        insta::assert_snapshot!(error, @"the config name `foo_ci_test_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` has 65 characters; swarm takes at most 64 characters, so shorten it");
    }
}
