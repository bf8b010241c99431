//! The app's `.env` and its secrets.

use super::{Run, Stop};
use crate::engine::{Deployment, SecretValue};
use crate::fault::Fault;
use crate::recipe::{EnvFile, secrets};
use crate::session::deployment::new_env;
use crate::suite::Generic;
use crate::swarm;

impl<G: Generic> Run<'_, G> {
    pub(super) fn write_env(&self) -> Result<(), Fault> {
        let path = self.paths.env_file();
        std::fs::write(&path, self.prepared()?.env.to_string())
            .map_err(|error| Fault::infra(format!("{}: {error}", path.display())))
    }

    /// The environment as the install-steps hook left it. `sample` is what the recipe itself says,
    /// for everyone to read.
    pub(super) fn read_env(&mut self, sample: &EnvFile) -> Result<(), Stop> {
        let path = self.paths.env_file();
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Fault::infra(format!("{}: {error}", path.display())))?;
        let env = EnvFile::parse(&text)
            .map_err(|error| Fault::recipe(format!("the app's .env after the hook: {error}")))?;
        self.know_given_secrets(&env, sample)?;
        if let Some(prepared) = &mut self.prepared {
            if let Some(key) = changed(&prepared.env, &env) {
                return Err(Fault::recipe(format!(
                    "the hook before_install changed {key}, which is the run's to say"
                ))
                .into());
            }
            prepared.env = env;
        }
        Ok(())
    }

    /// Knows the secrets that the hook has just left, before anything that it printed is kept. What
    /// can't be read is refused by [`Self::read_env`].
    pub(super) fn know_secrets_of_the_hook(&self) -> Result<(), Fault> {
        let prepared = self.prepared()?;
        let first = prepared.base.as_ref().unwrap_or(&prepared.head);
        let sample = new_env(&first.tree, prepared.app.domain.as_str(), &[])?;
        let text = std::fs::read_to_string(self.paths.env_file()).unwrap_or_default();
        match EnvFile::parse(&text) {
            Ok(env) => self.know_given_secrets(&env, &sample),
            Err(_) => Ok(()),
        }
    }

    /// What was put into the environment under a secret's name is redacted from here on.
    fn know_given_secrets(&self, env: &EnvFile, sample: &EnvFile) -> Result<(), Fault> {
        self.shared.know_secrets(given_secrets(env, sample))
    }

    /// Variables that head needs and base did not have.
    pub(super) fn set_upgrade_env(&mut self) -> Result<(), Stop> {
        let Some(prepared) = &mut self.prepared else {
            return Ok(());
        };
        for (key, value) in &self.suite.settings.upgrade_env {
            prepared
                .env
                .set(key, value)
                .map_err(|error| Fault::recipe(format!("upgrade_env: {error}")))?;
        }
        Ok(self.write_env()?)
    }

    /// Checks names, generates the secrets that the deployment needs and that are not there yet,
    /// and inserts them.
    pub(super) async fn make_secrets(&mut self, what: &Deployment) -> Result<(), Stop> {
        let prepared = self.prepared()?;
        let fault = Fault::from;
        secrets::check_names(&what.compose, &prepared.app.stack).map_err(fault)?;
        let specs = secrets::plan(&what.compose, &prepared.env).map_err(fault)?;
        let there = swarm::secret_names(&prepared.swarm, &prepared.app.stack).await?;
        let (mut new, mut values) = (Vec::new(), Vec::new());
        for spec in specs.iter().filter(|spec| !there.contains(&spec.name)) {
            let value = secrets::generate(spec).ok_or_else(|| {
                Fault::recipe(format!(
                    "secret `{}` is not to be generated (`generate=false`) and nobody gave it; a `before_install` hook can insert {}",
                    spec.key, spec.name
                ))
            })?;
            values.push((spec.key.clone(), value.clone()));
            new.push(SecretValue {
                name: spec.name.clone(),
                version: spec.version.clone(),
                value: value.into_bytes(),
            });
        }
        // Redacted from before the first use on.
        self.shared.know_secrets(values)?;
        let inserted = prepared.engine.insert_secrets(&prepared.app, what, &new);
        self.shared.change(inserted).await?;
        Ok(())
    }
}

/// What names the app, where it is and who gives its certificate, if the hook changed one of them.
fn changed(before: &EnvFile, after: &EnvFile) -> Option<&'static str> {
    ["DOMAIN", "LETS_ENCRYPT_ENV", "STACK_NAME", "TYPE"]
        .into_iter()
        .find(|key| before.get(key) != after.get(key))
}

/// Values that a hook or the recipe's settings put into the environment under a secret's name.
fn given_secrets(env: &EnvFile, sample: &EnvFile) -> Vec<(String, String)> {
    let values = env.keys().filter_map(|key| Some((key, env.get(key)?)));
    values
        .filter(|(key, value)| names_a_secret(key) && sample.get(key) != Some(value))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// `DB_PASSWORD`, `API_TOKEN`, and not `SECRET_DB_PASSWORD_VERSION`.
fn names_a_secret(key: &str) -> bool {
    const WORDS: [&str; 8] = [
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "SECRET",
        "TOKEN",
        "PRIVATE_KEY",
        "API_KEY",
        "CREDENTIAL",
    ];
    let key = key.to_ascii_uppercase();
    !key.ends_with("_VERSION") && WORDS.iter().any(|word| key.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_under_a_secrets_name_is_one_and_what_the_recipe_publishes_is_none() {
        let parse = |text: &str| EnvFile::parse(text).unwrap();
        let sample = parse("ADMIN_PASSWORD=changeme\nSECRET_DB_VERSION=v1\nSMTP_TOKEN=\nNAME=x\n");
        let env = parse(
            "ADMIN_PASSWORD=changeme\nSECRET_DB_VERSION=v2\nSMTP_TOKEN=abcdefgh\nNAME=y\n\
             extra_api_key=12345678\n",
        );
        let expected = [("SMTP_TOKEN", "abcdefgh"), ("extra_api_key", "12345678")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(given_secrets(&env, &sample), expected);
    }
}
